"""The simulated exchange in a process of its own, so that its work is not counted as ours.

`python -m benchmarks.exchange FOLDER COUNT [ENDED]` fills a world with so many open orders, of
which ENDED have been filled, writes key, configuration and a bot's table into the folder, prints
the URL and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks import scene
from ordersync import settings as configuration
from ordersync.simulator import Life, World, app, limit_gtc, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette

    from ordersync.settings import Settings

WITHOUT_LIMIT = 100_000
_SECTIONS = """
[database]
url = "sqlite:///bot.db"

[orders]
{columns}

[orders.status_words]
{words}

[accounts.main]
venue = "coinbase"
key_file = "coinbase.json"
rest_url = "{url}"
"""


def build(folder: Path, count: int, *, ended: int = 0, strangers: int = 0) -> Starlette:
    """The exchange, with the key and the bot's table beside it.

    `ended` of the `count` orders have been filled; `strangers` more are open and in no table.
    """
    world = World(lambda: datetime.now(UTC))
    account = world.open_account()
    for n in range(1, count + strangers + 1):
        world.place(
            account.portfolio,
            "BTC-USD",
            "BUY",
            limit_gtc("0.01", "63000"),
            life=Life.filled(timedelta(minutes=30)) if n <= ended else Life.open(),
            order_id=scene.order_id(n),
            created_at=scene.START,
        )
    account.key.write(folder / "coinbase.json")
    scene.make_table(folder / "bot.db", count)
    # The venue's limit is the venue's business; ours keeps to half of it anyway.
    return app(world, requests_per_second=WITHOUT_LIMIT)


def configure(folder: Path, url: str) -> Settings:
    """The configuration of a bot beside this exchange, written and read."""
    columns = msgspec.to_builtins(scene.ORDERS.model_dump(exclude_none=True))
    words = columns.pop("status_words")
    path = folder / "ordersync.toml"
    path.write_text(
        _SECTIONS.format(columns=_toml(columns), words=_toml(words), url=url), encoding="utf-8"
    )
    return configuration.load(path)


def _toml(values: dict[str, object]) -> str:
    # JSON's strings, lists and booleans are TOML's.
    return "\n".join(f"{key} = {msgspec.json.encode(v).decode()}" for key, v in values.items())


@contextlib.asynccontextmanager
async def elsewhere(folder: Path, count: int, ended: int = 0) -> AsyncIterator[Settings]:
    """The exchange in another process while the block runs; gives the configuration."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.exchange",
        str(folder),
        str(count),
        str(ended),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        assert url, "the exchange did not start"
        yield configure(folder, url)
    finally:
        process.terminate()
        await process.wait()


async def _serve(folder: Path, count: int, ended: int) -> None:
    async with serving(build(folder, count, ended=ended)) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
