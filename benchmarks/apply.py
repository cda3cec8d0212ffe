"""Many changed orders at once: row, truth and event of each in one transaction.

The floor is what the store itself sends to SQLite, recorded once and sent again bare: the three
statements with their JSON parameters ready, the events by executemany.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from benchmarks import scene
from benchmarks.commit import parcel
from benchmarks.measure import Line, Options, in_turn, median, settle
from ordersync.clock import SystemClock
from ordersync.store.advance import Transaction
from ordersync.store.mapping import TIMES, bind
from ordersync.store.sql import Statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ordersync.ports import Advance
    from ordersync.truth.evidence import Sighting

SPEED_GOAL = 0.7
RATE_GOAL = 30_000
HOT = ("UPDATE", "INSERT INTO ordersync_orders", "INSERT INTO ordersync_events")

Written = tuple[str, bool, object]


class Recorder(sqlite3.Connection):
    """A connection that remembers the hot statements with their parameters."""

    written: list[Written]

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        """Run and remember."""
        self._note(sql, parameters, many=False)
        return super().execute(sql, parameters)  # type: ignore[arg-type]

    def executemany(self, sql: str, parameters: Iterable[object], /) -> sqlite3.Cursor:
        """Run and remember."""
        listed = list(parameters)
        self._note(sql, listed, many=True)
        return super().executemany(sql, listed)  # type: ignore[arg-type]

    def _note(self, sql: str, parameters: object, *, many: bool) -> None:
        if sql.lstrip().startswith(HOT):
            self.written.append((sql, many, parameters))


async def run(options: Options, folder: Path) -> list[Line]:
    """10,000 and 100,000 of them."""
    answers, lines = scene.Answers(), []
    for count in (2_000, 10_000) if options.quick else (10_000, 100_000):
        base = folder / f"base-{count}.db"
        await scene.make_known(base, count, answers)
        now = datetime.now(UTC)
        fills = [answers.sighting(n, filled=True, as_of=now) for n in range(1, count + 1)]
        rounds = 7 if count <= 10_000 else 3  # noqa: PLR2004 - the smaller, the more often
        lines.append(await _advance(base, fills, options.of(rounds, 3)))
        lines.append(await _take(base, fills))
    return lines


async def _advance(base: Path, fills: Sequence[Sighting], rounds: int) -> Line:
    count, work = len(fills), base.with_name("work.db")
    store = scene.open_store(base)
    await store.open(create=True)
    known = await store.read(scene.ACCOUNT, scene.names(count))
    await store.close()
    steps = scene.steps(known, fills)
    statements = _record(base, steps)

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
        took = _replay(work, statements)
        assert scene.number_of_untrue(work) == 0
        return took

    settle()
    took, bare = await in_turn(rounds, ours, floor)
    rate, bare_rate = count / median(took), count / median(bare)
    speed = rate / bare_rate
    return Line(
        what=f"apply {count:,} changed orders",
        unit="/s",
        ours=rate,
        floor=bare_rate,
        ratio=speed,
        goal=f">= {SPEED_GOAL:g} x, >= {RATE_GOAL:,}/s",
        met=speed >= SPEED_GOAL and rate >= RATE_GOAL,
    )


async def _take(base: Path, fills: Sequence[Sighting]) -> Line:
    """All of the write path: read, merge, advance, and when to look again."""
    work = base.with_name("work.db")
    shutil.copy(base, work)
    store = scene.open_store(work)
    await store.open(create=True)
    start = time.perf_counter()
    await scene.ingest_on(store).take(parcel(fills))
    took = time.perf_counter() - start
    await store.close()
    assert scene.number_of_untrue(work) == 0
    return Line(what=f"the whole way of {len(fills):,}", unit="/s", ours=len(fills) / took)


def _record(base: Path, steps: Sequence[Advance]) -> list[Written]:
    """What the store sends for these steps."""
    copy = base.with_name("record.db")
    shutil.copy(base, copy)
    mapping = bind(copy, scene.ORDERS, where="bench")
    connection = sqlite3.connect(copy, isolation_level=None, factory=Recorder)
    connection.written = []
    statements = Statements(mapping, scene.ACCOUNT)
    samples = {
        field: [cell for (cell,) in connection.execute(statements.samples(field))]
        for field in TIMES
        if field in mapping.columns
    }
    mapping.learn_time_forms(samples)
    Transaction(
        connection,
        mapping,
        statements,
        scene.ACCOUNT,
        writes_rows=True,
        contested_pause=timedelta(hours=1),
    ).run(steps, SystemClock())
    connection.close()
    copy.unlink()
    assert len(connection.written) == len(HOT), "not three statements any more"
    return connection.written


def _replay(path: Path, statements: Sequence[Written]) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    start = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    for text, many, parameters in statements:
        if many:
            connection.executemany(text, parameters)  # type: ignore[arg-type]
        else:
            connection.execute(text, parameters).fetchall()  # type: ignore[arg-type]
    connection.execute("COMMIT")
    took = time.perf_counter() - start
    connection.close()
    return took
