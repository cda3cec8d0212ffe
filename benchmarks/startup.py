"""From imports done to the first order that is verified and written, in a fresh process each time.

The floor is a fresh process too: the three bare requests without which nothing can be said, with
the same configuration, key and HTTP client.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from benchmarks import exchange, scene
from benchmarks.measure import Line, Options, in_turn, median

if TYPE_CHECKING:
    from pathlib import Path

ALLOWED_SECONDS = 1.0
ORDERS = 20


async def run(options: Options, folder: Path) -> list[Line]:
    """Some starts of each kind, in turn."""
    async with exchange.elsewhere(folder, ORDERS, ORDERS // 2) as settings:
        database = folder / "bot.db"

        async def ours() -> float:
            database.unlink()
            scene.make_table(database, ORDERS)
            return await _said("first", str(settings.path))

        async def floor() -> float:
            return await _said("bare", str(settings.path))

        took, bare = await in_turn(options.of(7, 2), ours, floor)
    more = median(took) - median(bare)
    return [
        Line(
            what="start, after imports, to the first verified order",
            unit="s",
            ours=median(took),
            floor=median(bare),
            ratio=median(took) / median(bare),
            goal=f"<= floor + {ALLOWED_SECONDS:g} s",
            met=more <= ALLOWED_SECONDS,
            note=f"{more * 1e3:.0f} ms more than three bare requests",
        )
    ]


async def _said(*arguments: str) -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.child",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, arguments
    return float(out.splitlines()[-1])
