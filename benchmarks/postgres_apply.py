"""Many changed orders at once on PostgreSQL: row, truth and event of each in one transaction.

Ours is `store.advance` of steps that are ready. The floor is the three bare statements, each by
psycopg's executemany (one prepared statement, all in a pipeline) in one transaction, with the
same guards on an identical copy of the database.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks import postgres_scene, scene
from benchmarks.measure import Line, Options, in_turn, median, settle
from benchmarks.postgres_bare import bare_parameters, timed_write_many

if TYPE_CHECKING:
    from pathlib import Path

SPEED_GOAL = 0.7


async def run(options: Options, folder: Path) -> list[Line]:
    """10,000 and 100,000 of them."""
    del folder  # the server has its own
    postgres_scene.server()
    answers = scene.Answers()
    sizes = ((2_000, 2),) if options.quick else ((10_000, 5), (100_000, 2))
    return [await _advance(count, rounds, answers) for count, rounds in sizes]


async def _advance(count: int, rounds: int, answers: scene.Answers) -> Line:
    base = await postgres_scene.known_orders(count, answers)
    now = datetime.now(UTC)
    fills = [answers.sighting(n, filled=True, as_of=now) for n in range(1, count + 1)]
    store = postgres_scene.open_store(base)
    await store.open(create=True)
    steps = scene.steps(await store.read(scene.ACCOUNT, scene.names(count)), fills)
    await store.close()
    bare, taken = await bare_parameters(base, fills)
    spent: list[float] = []

    async def ours() -> float:
        with postgres_scene.copied(base) as url:
            store = postgres_scene.open_store(url)
            await store.open(create=True)
            start, worked = time.perf_counter(), time.process_time()
            await store.advance(scene.ACCOUNT, steps)
            took = time.perf_counter() - start
            spent.append((time.process_time() - worked) / took)
            await store.close()
            assert postgres_scene.number_of_untrue(url) == 0
        return took

    async def floor() -> float:
        with postgres_scene.copied(base) as url:
            with postgres_scene.connect(url) as connection:
                took = timed_write_many(connection, bare)
            assert postgres_scene.number_of_untrue(url) == 0
        return took

    settle()
    took, took_bare = await in_turn(rounds, ours, floor)
    rate, bare_rate = count / median(took), count / median(took_bare)
    return Line(
        what=f"PostgreSQL: apply {count:,} changed orders",
        unit="/s",
        ours=rate,
        floor=bare_rate,
        ratio=rate / bare_rate,
        goal=f">= {SPEED_GOAL:g} x",
        met=rate / bare_rate >= SPEED_GOAL,
        note=f"all of ingest, once: {count / taken:,.0f}/s; this process works"
        f" {median(spent):.0%} of the time",
    )
