"""Many changed orders at once: row, truth and event of each in one transaction.

Ours is `store.advance` of steps that are ready. The floor is three of the bare statements of
`commit`, each by executemany over parameters that are ready, in one transaction with the same
guards on the same file: what SQLite itself takes for so many bytes.
"""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks import scene
from benchmarks.commit import APPEND, UPDATE, UPSERT, bare_parameters, connect
from benchmarks.measure import Line, Options, in_turn, median, settle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.commit import Bare
    from ordersync.truth.evidence import Sighting

SPEED_GOAL = 0.7
RATE_GOAL = 30_000


async def run(options: Options, folder: Path) -> list[Line]:
    """10,000 and 100,000 of them."""
    answers, lines = scene.Answers(), []
    for count, rounds in ((3_000, 2),) if options.quick else ((10_000, 5), (100_000, 2)):
        base = folder / f"base-{count}.db"
        await scene.make_known(base, count, answers)
        now = datetime.now(UTC)
        fills = [answers.sighting(n, filled=True, as_of=now) for n in range(1, count + 1)]
        lines.append(await _advance(base, fills, rounds))
        base.unlink()  # a kilobyte an order, many times over
    return lines


async def _advance(base: Path, fills: Sequence[Sighting], rounds: int) -> Line:
    count, work = len(fills), base.with_name("work.db")
    store = scene.open_store(base)
    await store.open(create=True)
    known = await store.read(scene.ACCOUNT, scene.names(count))
    await store.close()
    steps = scene.steps(known, fills)
    bare, taken = await bare_parameters(base, fills)

    async def ours() -> float:
        shutil.copy(base, work)
        store = scene.open_store(work)
        await store.open(create=True)
        start = time.perf_counter()
        await store.advance(scene.ACCOUNT, steps)
        took = time.perf_counter() - start
        await store.close()
        assert scene.number_of_untrue(work) == 0
        return took

    async def floor() -> float:
        shutil.copy(base, work)
        took = write_bare(work, bare)
        assert scene.number_of_untrue(work) == 0
        return took

    settle()
    took, took_bare = await in_turn(rounds, ours, floor)
    rate, bare_rate = count / median(took), count / median(took_bare)
    speed = rate / bare_rate
    return Line(
        what=f"apply {count:,} changed orders",
        unit="/s",
        ours=rate,
        floor=bare_rate,
        ratio=speed,
        goal=f">= {SPEED_GOAL:g} x, >= {RATE_GOAL:,}/s",
        met=speed >= SPEED_GOAL and rate >= RATE_GOAL,
        note=f"all of ingest, once: {count / taken:,.0f}/s"
        + ("" if bare_rate >= RATE_GOAL else f"; the floor itself is below {RATE_GOAL:,}/s"),
    )


def write_bare(path: Path, parameters: Sequence[Bare]) -> float:
    """Write all of these in one transaction of bare statements; how many seconds that took."""
    rows, truths, events, _ = zip(*parameters, strict=True)
    connection = connect(path)
    start = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    put = connection.executemany(UPSERT, truths).rowcount
    won = connection.executemany(UPDATE, rows).rowcount
    connection.executemany(APPEND, events)
    connection.execute("COMMIT")
    took = time.perf_counter() - start
    connection.close()
    assert put == won == len(parameters)
    return took
