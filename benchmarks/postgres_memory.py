"""Memory of ordersync that keeps many open orders on PostgreSQL verified: see `postgres_tracked`.

Resident memory of the whole process: Python, all that the program imports, the driver, the store,
the HTTP client, and what it remembers of each order. What a pass needs while it runs is in the
highest, which comes with every thorough pass; what the system got back after it is in the other.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks import exchange, postgres_scene, scene
from benchmarks.idle import _resident_mb
from benchmarks.measure import Line, Options
from benchmarks.postgres_tracked import ID
from ordersync.simulator import World

if TYPE_CHECKING:
    from pathlib import Path

GOAL_MB = 150


async def run(options: Options, folder: Path) -> list[Line]:
    """One process, three passes."""
    postgres_scene.server()
    answers, count = scene.Answers(), postgres_scene.many(options)
    files = {"open": answers.open, "filled": answers.filled}
    for name, raw in files.items():
        assert ID in raw
        (folder / name).write_bytes(raw)
    with postgres_scene.copied(await postgres_scene.known_orders(count, answers)) as url:
        World(lambda: datetime.now(UTC)).open_account().key.write(folder / "coinbase.json")
        config = exchange.configure(folder, "http://127.0.0.1:9").path
        text = config.read_text(encoding="utf-8").replace("sqlite:///bot.db", url)
        config.write_text(text, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.postgres_tracked",
            str(config),
            *(str(folder / name) for name in files),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        most = float(await process.stdout.readline() or "nan")
        resident = await _resident_mb(process.pid)
        await process.communicate(b"")  # the end of its input
        assert process.returncode == 0, "it ended by itself"
    return [
        Line(
            what=f"PostgreSQL: memory with {count:,} tracked open orders, {when}",
            unit="MB",
            ours=megabytes,
            goal=f"<= {GOAL_MB} MB",
            met=megabytes <= GOAL_MB,
            note=note,
        )
        for when, megabytes, note in (
            (
                "after a pass",
                resident,
                "all of the process; passes from nothing, at rest, 1 % changed",
            ),
            ("at the highest", most, "in the pass from nothing, which every twentieth is"),
        )
    ]
