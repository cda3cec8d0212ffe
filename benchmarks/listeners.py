"""What 200 listeners cost the write path: reports in, rows, truths and events out, on SQLite.

Ours is everything that ingest does with so many fills, a few orders a commit, while 200 connections
of another process hear of each event by server-sent events. The floor is the same with nobody
listening. Both are taken in pairs, each first in every other one; the ratio is the median of the
pairs' ratios.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from starlette.applications import Starlette
from starlette.routing import Route

from benchmarks import scene
from benchmarks.measure import Line, Options, median, settle
from ordersync.clock import SystemClock
from ordersync.store.log import TableLog
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.sync.ingest import Ingest
from ordersync.sync.outbox import Outbox
from ordersync.sync.page import Wanted
from ordersync.sync.parcels import Parcel
from ordersync.truth.evidence import AbsencePolicy
from ordersync.truth.model import Source
from ordersync.web.api.stream import Stream
from ordersync.web.guest import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from starlette.requests import Request

    from ordersync.truth.evidence import Sighting

LISTENERS = 200
A_COMMIT = 20
GOAL = 1.05
HOST = "127.0.0.1"


class Cost(NamedTuple):
    """What writing took: of the clock, and of this process' own time."""

    seconds: float
    cpu_seconds: float


async def run(options: Options, folder: Path) -> list[Line]:
    """The same fills with and without listeners, pair by pair."""
    count, pairs = options.of(20_000, 4_000), options.of(9, 3)
    answers, base = scene.Answers(), folder / "base.db"
    await scene.make_known(base, count, answers, journal="wal")
    now = datetime.now(UTC)
    fills = [answers.sighting(n, filled=True, as_of=now) for n in range(1, count + 1)]
    figures: list[tuple[Cost, Cost]] = []
    heard: list[int] = []
    settle()
    for pair in range(pairs):
        found = {}
        for listeners in (LISTENERS, 0) if pair % 2 == 0 else (0, LISTENERS):
            cost, told = await _write(base, fills, listeners)
            found[listeners] = cost
            heard += [told] if listeners else []
        figures.append((found[LISTENERS], found[0]))
    ratio = statistics.median(ours.seconds / floor.seconds for ours, floor in figures)
    of_cpu = statistics.median(ours.cpu_seconds / floor.cpu_seconds for ours, floor in figures)
    assert min(heard) >= LISTENERS, "nobody heard anything"
    return [
        Line(
            what=f"{count:,} fills, {A_COMMIT} a commit, {LISTENERS} listeners",
            unit="s",
            ours=median([ours.seconds for ours, _ in figures]),
            floor=median([floor.seconds for _, floor in figures]),
            ratio=ratio,
            goal=f"<= {GOAL:g} x",
            met=ratio <= GOAL,
            note=f"{of_cpu:.2f} x the CPU; {median(heard) / LISTENERS:,.0f} events were told to"
            " each meanwhile, the rest waits",
        )
    ]


async def _write(base: Path, fills: Sequence[Sighting], listeners: int) -> tuple[Cost, int]:
    """What the writing took, and how many messages were heard meanwhile."""
    work = base.with_name("work.db")
    shutil.copy(base, work)
    store, clock = scene.open_store(work), SystemClock()
    await store.open(create=True)
    log = TableLog(SqliteFile(work), scene.ORDERS, where="bench")
    outbox = Outbox(log, clock)
    ingest = Ingest(
        store,
        clock,
        policy=AbsencePolicy(),
        told_after=timedelta(minutes=5),
        listener=outbox.tell,
    )
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(outbox.run())
        async with _heard(outbox, clock, listeners) as heard:
            start, cpu = time.perf_counter(), time.process_time()
            for first in range(0, len(fills), A_COMMIT):
                await ingest.take(_parcel(fills[first : first + A_COMMIT]))
            cost = Cost(time.perf_counter() - start, time.process_time() - cpu)
        reading.cancel()
    await log.close()
    await store.close()
    assert scene.number_of_untrue(work) == 0
    for file in work.parent.glob(f"{work.name}*"):
        file.unlink()
    return cost, sum(heard)


def _parcel(fills: Sequence[Sighting]) -> Parcel:
    now = datetime.now(UTC)
    return Parcel(
        account=scene.ACCOUNT,
        source=Source.STREAM,
        asked_at=now,
        venue_now=now,
        sightings=list(fills),
    )


async def _everybody() -> bool:
    return True


@contextlib.asynccontextmanager
async def _heard(outbox: Outbox, clock: SystemClock, count: int) -> AsyncIterator[list[int]]:
    """So many listeners while the block runs; how many messages each heard, once it has ended."""
    heard: list[int] = []
    if not count:
        yield heard
        return

    async def stream(request: Request) -> Stream:
        del request
        return Stream(outbox.listening(Wanted()), clock, _everybody)

    async with listening(Starlette(routes=[Route("/", stream)]), HOST, 0) as port:
        words = (sys.executable, "-m", "benchmarks.listeners", str(port), str(count))
        child = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert await child.stdout.readline() == b"all listen\n"
        yield heard
        child.stdin.close()
        heard += [int(word) for word in (await child.stdout.read()).split()]
        await child.wait()


async def _listen(port: int, count: int) -> None:
    """Listen over so many connections until stdin ends; tell how many events each has heard."""
    heard = [0] * count
    ready = [asyncio.Event() for _ in range(count)]

    async def one(n: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while piece := await reader.read(65_536):
            heard[n] += piece.count(b"\nevent: ch")
            ready[n].set()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(n)) for n in range(count)]
        for event in ready:
            await event.wait()
        print("all listen", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
    print(*heard, flush=True)


if __name__ == "__main__":
    asyncio.run(_listen(int(sys.argv[1]), int(sys.argv[2])))
