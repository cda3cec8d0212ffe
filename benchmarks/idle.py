"""Memory of `ordersync run` that has nothing to do, beside a process that only imports the same."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import exchange
from benchmarks.measure import Line, Options, median

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GOAL = 1.3
ORDERS = 100
PAIRS = 3


async def run(options: Options, folder: Path) -> list[Line]:
    """Resident memory after ten idle seconds; all processes idle at the same time."""
    pause, pairs = options.of(10, 2), options.of(PAIRS, 1)
    names = folder / "modules.txt"
    async with exchange.elsewhere(folder, ORDERS) as settings:
        program = ("modules", str(names), "-c", str(settings.path), "run")
        idler = ("imports", str(names))
        async with _child(*program):
            await asyncio.sleep(3)
        assert names.exists(), "ordersync did not end in good order"
        async with AsyncExitStack() as stack:
            running = [await stack.enter_async_context(_child(*program)) for _ in range(pairs)]
            idling = [await stack.enter_async_context(_child(*idler)) for _ in range(pairs)]
            await asyncio.sleep(pause)
            ours = [await _resident_mb(one.pid) for one in running]
            floor = [await _resident_mb(one.pid) for one in idling]
    ratio = median(ours) / median(floor)
    return [
        Line(
            what=f"memory of an idle `ordersync run`, {ORDERS} open orders, after {pause} s",
            unit="MB",
            ours=median(ours),
            floor=median(floor),
            ratio=ratio,
            goal=f"<= {GOAL:g} x",
            met=ratio <= GOAL,
            note="the floor imports the same modules and does nothing",
        )
    ]


@asynccontextmanager
async def _child(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.child",
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
        assert process.returncode is None, "it ended by itself"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _resident_mb(pid: int) -> float:
    if sys.platform == "linux":  # where `ps` may be missing
        return _resident_of(Path(f"/proc/{pid}/status"))
    process = await asyncio.create_subprocess_exec(
        "ps", "-o", "rss=", "-p", str(pid), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return int(out) / 1024


def _resident_of(status: Path) -> float:
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))
