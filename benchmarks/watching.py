"""What metrics and logging cost the way of an order: from a report received to its commit.

Ours counts in a Tally and writes its line of the log as JSON to another process, as under
systemd; the floor is the same way without either. Each report is taken by both, one right after
the other, and the figure is the median over these pairs: what a busy disk does falls on both.
What is left to the loop's next turn counts, too. Lines leave together, some sixty at a time.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import statistics
import subprocess
import time
from datetime import UTC, datetime
from subprocess import PIPE
from typing import TYPE_CHECKING

import structlog

from benchmarks import scene
from benchmarks.commit import parcel
from benchmarks.measure import Line, Options, in_turn, median, settle
from ordersync.cli.logs import LEAVES_AFTER, set_up_log
from ordersync.clock import SystemClock
from ordersync.metered import Count
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.timed import TimedStore
from ordersync.sync import telling
from ordersync.sync.ingest import Ingest
from ordersync.sync.tally import Tally
from ordersync.truth.evidence import AbsencePolicy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from ordersync.store.table_store import TableStore
    from ordersync.truth.evidence import Sighting

GOAL = 1.03


async def run(options: Options, folder: Path) -> list[Line]:
    """One report at a time."""
    answers, count = scene.Answers(), options.of(2_000, 400)
    ours, floor = folder / "ours.db", folder / "floor.db"
    await scene.make_known(ours, count, answers, journal="wal")
    shutil.copy(ours, floor)
    now = datetime.now(UTC)
    sightings = [answers.sighting(n, filled=True, as_of=now) for n in range(1, count + 1)]
    tally = Tally(["pending"])
    tally.watch(scene.ACCOUNT, scene.START)
    watched, bare = _watched(ours, tally), scene.open_store(floor)
    await watched.open(create=True)
    await bare.open(create=True)
    reader = _reader()
    assert reader.stdin is not None
    assert reader.stdout is not None
    with reader.stdin as log:
        set_up_log(as_json=True, stream=log)
        loud = telling.log
        # Configuring anew each time would be measured with it.
        quiet = structlog.wrap_logger(
            None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
        )

        def loudly() -> None:
            telling.log = loud

        def quietly() -> None:
            telling.log = quiet

        settle()
        took, floors = await in_turn(
            count,
            _taker(_ingest(watched, tally), loudly, iter(sightings)),
            _taker(_ingest(bare, None), quietly, iter(sightings)),
        )
        telling.log = loud
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        await asyncio.sleep(2 * LEAVES_AFTER)
    await watched.close()
    await bare.close()
    assert scene.number_of_untrue(ours) == scene.number_of_untrue(floor) == 0
    assert tally.total(Count.EVENTS, scene.ACCOUNT) == count
    assert int(reader.stdout.read()) == count
    pairs = list(zip(took, floors, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    apart = statistics.median(a - b for a, b in pairs) * 1e6
    return [
        Line(
            what="report received to durable commit, counted and logged, WAL",
            unit="ms",
            ours=median(took) * 1e3,
            floor=median(floors) * 1e3,
            ratio=ratio,
            goal=f"<= {GOAL:g} x",
            met=ratio <= GOAL,
            note=f"the floor does neither; medians of pairs: the ratio, and {apart:.0f} µs",
        )
    ]


def _reader() -> subprocess.Popen[str]:
    """Who takes the log, and counts its lines."""
    return subprocess.Popen(["wc", "-l"], stdin=PIPE, stdout=PIPE, text=True)  # noqa: S607 - anybody's


def _watched(path: Path, tally: Tally) -> TimedStore:
    return TimedStore(
        SqliteFile(path),
        scene.ORDERS,
        SystemClock(),
        where="bench",
        contested_pause=scene.HOUR,
        writes_rows=True,
        meter=tally,
    )


def _ingest(store: TableStore, tally: Tally | None) -> Ingest:
    return Ingest(
        store,
        SystemClock(),
        policy=AbsencePolicy(),
        told_after=scene.HOUR,
        listener=tally.committed if tally is not None else None,
    )


def _taker(
    ingest: Ingest, prepare: Callable[[], None], coming: Iterator[Sighting]
) -> Callable[[], Awaitable[float]]:
    async def take() -> float:
        prepare()
        what = parcel([next(coming)])
        start = time.perf_counter()
        await ingest.take(what)
        await asyncio.sleep(0)
        return time.perf_counter() - start

    return take
