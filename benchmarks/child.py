"""What the benchmarks start as processes of their own.

`python -m benchmarks.child modules FILE [ARGS…]` is the command line of ordersync that writes,
when it ends, which modules it imported; `imports FILE` imports just these and waits; `first` and
`bare` tell how long it took, after all imports, until the first order was verified.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.truth.model import Event


def modules(file: str, *arguments: str) -> None:
    """Be ordersync, and leave behind what was imported, in order."""
    names = Path(file)
    atexit.register(lambda: names.write_text("\n".join(sys.modules), encoding="utf-8"))
    from ordersync.cli.app import run  # noqa: PLC0415 - as the program itself does

    sys.exit(run(list(arguments)))


def imports(file: str) -> None:
    """Import the same, and wait to be ended."""
    for name in Path(file).read_text(encoding="utf-8").splitlines():
        if name not in sys.modules and not name.startswith("__"):
            try:
                importlib.import_module(name)
            except ImportError:
                continue  # a name that a package made for itself
    print("imported", flush=True)
    threading.Event().wait()


def first(config: str) -> None:
    """From imports done to the first verified order that is in the row."""
    import ordersync.cli.app  # noqa: PLC0415 - what is imported is not measured
    import ordersync.cli.commands  # noqa: PLC0415
    import ordersync.venues.coinbase.venue  # noqa: PLC0415, F401 - its account is opened later
    from ordersync import settings as configuration  # noqa: PLC0415
    from ordersync.service import serving  # noqa: PLC0415

    async def until_first() -> float:
        told = asyncio.Event()

        def hear(events: Sequence[Event]) -> None:
            if any(event.after.word == "completed" for event in events):
                told.set()

        start = time.perf_counter()
        settings = configuration.load(Path(config))
        async with serving(settings, create=True, listener=hear) as service:
            running = asyncio.ensure_future(service.run())
            await told.wait()
            took = time.perf_counter() - start
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return took

    print(asyncio.run(until_first()), flush=True)


def bare(config: str) -> None:
    """The three requests without which nothing can be said: clock, key, the orders by id."""
    import httpx2  # noqa: PLC0415 - what is imported is not measured

    from benchmarks import scene  # noqa: PLC0415
    from ordersync import settings as configuration  # noqa: PLC0415
    from ordersync.clock import SystemClock  # noqa: PLC0415
    from ordersync.venues.coinbase.key import read_key  # noqa: PLC0415
    from ordersync.venues.coinbase.venue import HISTORY, PREFIX  # noqa: PLC0415

    async def ask() -> float:
        start = time.perf_counter()
        settings = configuration.load(Path(config))
        account = settings.accounts[scene.ACCOUNT]
        key, clock = read_key(settings.resolve(account.key_file)), SystemClock()
        assert account.rest_url is not None
        host = account.rest_url.removeprefix("http://")
        async with httpx2.AsyncClient(base_url=account.rest_url) as client:
            for path, query in (
                (f"{PREFIX}/time", {}),
                (f"{PREFIX}/key_permissions", {}),
                (HISTORY, {"order_ids": scene.order_id(1)}),
            ):
                token = key.token("GET", host, path, clock.now())
                headers = {"authorization": f"Bearer {token}"}
                answer = await client.get(path, params=query, headers=headers)
                answer.raise_for_status()
        return time.perf_counter() - start

    print(asyncio.run(ask()), flush=True)


if __name__ == "__main__":
    {"modules": modules, "imports": imports, "first": first, "bare": bare}[sys.argv[1]](
        *sys.argv[2:]
    )
