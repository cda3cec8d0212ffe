"""A bot's own reads on PostgreSQL while ordersync writes, beside the same reads without it.

ordersync takes parcels by an absolute schedule. Each order is first filled in part, which leaves
the row's word as it is, and half a second later to its end.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from benchmarks import postgres_scene, scene
from benchmarks.commit import parcel
from benchmarks.measure import Line, Options, in_turn, median, p99, settle
from benchmarks.postgres_bot import Seen
from ordersync.ports import Result
from ordersync.truth.model import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ordersync.sync.ingest import Ingest
    from ordersync.truth.evidence import Sighting

A_SECOND = 5_000
PARCEL = 50
LAG = A_SECOND // 4
"""How many other orders are filled in part before one of them is filled to its end."""

# What each table's updates were, and how many of them touched no index.
UPDATES = """
SELECT relname, n_tup_upd, 100.0 * n_tup_hot_upd / n_tup_upd FROM pg_stat_user_tables
WHERE relname IN ('trades', 'ordersync_orders') AND n_tup_upd > 0 ORDER BY relname DESC"""


class Written(msgspec.Struct, frozen=True):
    """How many updates were due, and the seconds until all of them were committed."""

    due: int
    seconds: float


async def run(options: Options, folder: Path) -> list[Line]:
    """With and without, in turn."""
    del folder  # the server has its own
    postgres_scene.server()
    answers, rows = scene.Answers(), postgres_scene.many(options)
    rounds, seconds = options.of(3, 1), options.of(4, 2)
    base = await postgres_scene.known_orders(rows, answers)
    updates = list(_updates(answers, rounds * seconds * A_SECOND))
    coming = iter([updates[n : n + PARCEL] for n in range(0, len(updates), PARCEL)])
    alone: list[Seen] = []
    beside: list[Seen] = []
    written: list[Written] = []
    with postgres_scene.copied(base) as url:
        store = postgres_scene.open_store(url)
        await store.open(create=True)
        ingest = scene.ingest_on(store)

        async def ours() -> float:
            async with asyncio.TaskGroup() as group:
                bot = group.create_task(_bot(url, seconds, rows))
                written.append(await _write(ingest, coming, seconds))
            beside.append(bot.result())
            return written[-1].seconds

        async def floor() -> float:
            alone.append(await _bot(url, seconds, rows))
            return 0.0

        settle()
        await in_turn(rounds, ours, floor)
        await store.close()
        with postgres_scene.connect(url) as connection:
            shares = connection.execute(UPDATES).fetchall()
    return [*_slowed(alone, beside, written), *_share_of_hot(shares)]


def _updates(answers: scene.Answers, count: int) -> Iterator[Sighting]:
    now, begun, ended = datetime.now(UTC), 0, 0
    for n in range(count):
        if n % 2 and begun - ended > LAG:
            ended += 1
            yield answers.sighting(ended, filled=True, as_of=now)
        else:
            begun += 1
            yield _in_part(answers.sighting(begun, filled=True, as_of=now - timedelta(seconds=1)))


def _in_part(filled: Sighting) -> Sighting:
    """The same order when less than half of it was filled."""
    report = msgspec.structs.replace(
        filled.report,
        status=Status.PARTIALLY_FILLED,
        venue_status="OPEN",
        filled_qty=Decimal("0.004"),
        fee=Decimal("0.25"),
        settled=None,
    )
    return msgspec.structs.replace(filled, report=report)


async def _bot(url: str, seconds: float, rows: int) -> Seen:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.postgres_bot",
        url,
        str(seconds),
        str(rows),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, "the bot ended before its time"
    return msgspec.json.decode(out, type=Seen)


async def _write(ingest: Ingest, coming: Iterator[Sequence[Sighting]], seconds: int) -> Written:
    count = seconds * A_SECOND // PARCEL

    async def take(sightings: Sequence[Sighting]) -> None:
        taken = await ingest.take(parcel(sightings))
        # Where much waits, an order's end can overtake its part, which then says nothing new.
        assert all(one.result in {Result.WON, Result.UNCHANGED} for one in taken.outcomes)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for n in range(count):
            ahead = start + n * PARCEL / A_SECOND - time.perf_counter()
            if ahead > 0:
                await asyncio.sleep(ahead)
            group.create_task(take(next(coming)))
    return Written(count * PARCEL, time.perf_counter() - start)


def _slowed(alone: list[Seen], beside: list[Seen], written: list[Written]) -> list[Line]:
    rate = sum(one.due for one in written) / sum(one.seconds for one in written)
    lines = []
    for what, field in (("a row by its key", "by_key"), ("100 open rows", "open_rows")):
        ours = [took * 1e3 for seen in beside for took in getattr(seen, field)]
        floor = [took * 1e3 for seen in alone for took in getattr(seen, field)]
        for name, of in (("p50", median), ("p99", p99)):
            lines.append(
                Line(
                    what=f"PostgreSQL: a bot reads {what}, {name}, beside our updates",
                    unit="ms",
                    ours=of(ours),
                    floor=of(floor),
                    ratio=of(ours) / of(floor),
                    note=f"{A_SECOND:,}/s due, {rate:,.0f}/s committed; the floor is without us",
                )
            )
    return lines


def _share_of_hot(shares: Sequence[tuple[str, int, float]]) -> Iterator[Line]:
    for table, count, share in shares:
        yield Line(
            what=f"PostgreSQL: updates of {table} that touched no index (HOT)",
            unit="%",
            ours=float(share),
            note=f"of {count:,}; half of them only fill an order in part",
        )
