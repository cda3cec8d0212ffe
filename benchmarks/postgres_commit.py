"""From a report that was received to its durable commit on PostgreSQL, which waits for the disk.

An open-loop generator hands one sighting to `Ingest.take` every half millisecond, by an absolute
schedule: a report that is late counts from when it was due. What waits is committed together.
The floor is the three bare statements of one order, one commit after the other on one connection.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from benchmarks import postgres_scene, scene
from benchmarks.commit import P50_GOAL, SUSTAINED_GOAL, SUSTAINED_P99_MS, parcel
from benchmarks.measure import Line, Options, in_turn, median, p99, settle
from benchmarks.postgres_bare import bare_parameters, timed_write, timed_write_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.postgres_bare import Bare
    from ordersync.sync.ingest import Ingest
    from ordersync.truth.evidence import Sighting

A_SECOND = 2_000
P99_GOAL = 4.0
KEEPS_UP_S = 0.1
"""When the last report was due, what was not committed yet has to be after so long."""

WRITERS = (8, 16, 32, 64)


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of so many reports, seconds each: from when each was due."""

    took: list[float]
    late: list[float]
    backlog: int
    drained: float


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """What so many writers came to, each of which waits for its commit."""

    rate: float
    took: list[float]


class Floors:
    """One order, one commit: plans anew, prepared, and prepared in a pipeline."""

    def __init__(self, url: str, parameters: list[Bare], stack: ExitStack) -> None:
        self._coming = iter(parameters)
        anew = stack.enter_context(postgres_scene.connect(url, prepares=False))
        self._prepared = stack.enter_context(postgres_scene.connect(url))
        self._anew = anew
        self.took: dict[str, list[float]] = {
            "planned anew": [],
            "prepared": [],
            "in a pipeline": [],
        }

    def run(self, count: int) -> None:
        """So many of each kind, in turn."""
        for _ in range(count):
            self.took["planned anew"].append(timed_write(self._anew, next(self._coming)))
            self.took["prepared"].append(timed_write(self._prepared, next(self._coming)))
            one = timed_write_at_once(self._prepared, next(self._coming))
            self.took["in a pipeline"].append(one)

    def best(self) -> tuple[float, str]:
        """The better p50 of the first two, in seconds, and which it was."""
        return min((median(self.took[name]), name) for name in ("planned anew", "prepared"))


async def run(options: Options, folder: Path) -> list[Line]:
    """Reports at a steady rate, then writers that wait."""
    del folder  # the server has its own
    postgres_scene.server()
    rounds, seconds = options.of(4, 1), options.of(3, 1)
    singles, waited = options.of(120, 30), options.of(3_000, 600)
    offered = A_SECOND * seconds
    count = rounds * offered + 2 * len(WRITERS) * waited
    answers, now = scene.Answers(), datetime.now(UTC)
    known = postgres_scene.many(options)
    base = await postgres_scene.known_orders(known, answers)
    fills = [answers.sighting(n, filled=True, as_of=now) for n in range(1, count + 1)]
    bare, _ = await bare_parameters(base, fills[: 3 * singles * (rounds + 2)])
    with ExitStack() as stack:
        ours, bare_url = (stack.enter_context(postgres_scene.copied(base)) for _ in range(2))
        floors = Floors(bare_url, bare, stack)
        store = postgres_scene.open_store(ours)
        await store.open(create=True)
        ingest, coming = scene.ingest_on(store), iter(fills)
        settle()
        lines = await _at_a_steady_rate(ingest, coming, floors, rounds, offered, singles)
        lines.append(await _many_at_once(ingest, coming, floors, waited, singles))
        await store.close()
        assert postgres_scene.number_of_untrue(ours) == known - count
    return lines


async def _at_a_steady_rate(
    ingest: Ingest,
    coming: Iterator[Sighting],
    floors: Floors,
    rounds: int,
    count: int,
    singles: int,
) -> list[Line]:
    offers = []
    for _ in range(rounds):
        offers.append(await _offer(ingest, list(islice(coming, count))))
        floors.run(singles)
    own_p50 = median([median(one.took) for one in offers])
    slowest = p99([took for one in offers for took in one.took])
    floor, how = floors.best()
    keeps_up = all(one.drained <= KEEPS_UP_S for one in offers)
    backlog, drained = max(o.backlog for o in offers), max(o.drained for o in offers)
    late = median([median(one.late) for one in offers])
    what = f"PostgreSQL: report received to durable commit, {A_SECOND:,}/s offered"
    return [
        Line(
            what=f"{what}, p50",
            unit="ms",
            ours=own_p50 * 1e3,
            floor=floor * 1e3,
            ratio=own_p50 / floor,
            goal=f"<= {P50_GOAL:g} x",
            met=keeps_up and own_p50 <= P50_GOAL * floor,
            note=f"{late * 1e3:.2f} ms of it the generator's; floor {how}, p99"
            f" {p99(floors.took[how]) * 1e3:.2f} ms, in a pipeline"
            f" {median(floors.took['in a pipeline']) * 1e3:.2f} ms",
        ),
        Line(
            what=f"{what}, p99 beside its own p50",
            unit="ms",
            ours=slowest * 1e3,
            floor=own_p50 * 1e3,
            ratio=slowest / own_p50,
            goal=f"<= {P99_GOAL:g} x",
            met=keeps_up and slowest <= P99_GOAL * own_p50,
            note=("sustained" if keeps_up else "NOT SUSTAINED")
            + f": at most {backlog:,} waited at the end, for {drained * 1e3:.0f} ms",
        ),
    ]


async def _offer(ingest: Ingest, sightings: list[Sighting]) -> Offered:
    took: list[float] = []
    late: list[float] = []

    async def take(sighting: Sighting, due: float) -> None:
        taken = await ingest.take(parcel([sighting]))
        took.append(time.perf_counter() - due)
        assert taken.outcomes[0].rows_written == 1

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for n, sighting in enumerate(sightings):
            due = start + n / A_SECOND
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            late.append(time.perf_counter() - due)
            group.create_task(take(sighting, due))
        backlog, end = len(sightings) - len(took), time.perf_counter()
    return Offered(took=took, late=late, backlog=backlog, drained=time.perf_counter() - end)


async def _many_at_once(
    ingest: Ingest, coming: Iterator[Sighting], floors: Floors, count: int, singles: int
) -> Line:
    """How many a second while reports keep coming, against one commit for each of them.

    More writers share a commit and wait longer for it: so several numbers of them are tried.
    """
    runs: dict[int, list[Waited]] = {writers: [] for writers in WRITERS}

    async def ours() -> float:
        for writers in WRITERS:
            runs[writers].append(await _wait(ingest, list(islice(coming, count)), writers))
        return max(them[-1].rate for them in runs.values())

    async def floor() -> float:
        before = {name: len(took) for name, took in floors.took.items()}
        floors.run(singles)
        fresh = {name: floors.took[name][n:] for name, n in before.items()}
        return max(singles / sum(fresh[name]) for name in ("planned anew", "prepared"))

    _, single = await in_turn(2, ours, floor)
    figures = {
        writers: (median([one.rate for one in them]), 1e3 * p99([t for o in them for t in o.took]))
        for writers, them in runs.items()
    }
    quick_enough = [w for w, (_, slowest) in figures.items() if slowest <= SUSTAINED_P99_MS]
    writers = max(quick_enough or figures, key=lambda one: figures[one][0])
    rate, slowest = figures[writers]
    ratio = rate / median(single)
    others = "; ".join(f"{w}: {r:,.0f}/s, p99 {s:.1f} ms" for w, (r, s) in figures.items())
    return Line(
        what=f"PostgreSQL: sustained durable updates, {writers} reports waiting",
        unit="/s",
        ours=rate,
        floor=median(single),
        ratio=ratio,
        goal=f">= {SUSTAINED_GOAL:g} x, p99 <= {SUSTAINED_P99_MS:g} ms",
        met=ratio >= SUSTAINED_GOAL and slowest <= SUSTAINED_P99_MS,
        note=f"{others}; the floor commits every row by itself",
    )


async def _wait(ingest: Ingest, sightings: list[Sighting], writers: int) -> Waited:
    took: list[float] = []
    coming = iter(sightings)

    async def writer() -> None:
        for sighting in coming:
            start = time.perf_counter()
            taken = await ingest.take(parcel([sighting]))
            took.append(time.perf_counter() - start)
            assert taken.outcomes[0].rows_written == 1

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(writers):
            group.create_task(writer())
    return Waited(rate=len(sightings) / (time.perf_counter() - start), took=took)
