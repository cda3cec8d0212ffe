"""From a frame that was received to its durable commit, at a quiet and at a busy pace.

The stream's own way: the venue's bytes are read, put in line, merged and written, with frames
coming by an absolute schedule whatever the pace of the commits. A frame that is late counts from
when it was due. The floor is the bare statements of one order: at the quiet pace due by the
same kind of schedule, because a machine that slept takes its time to wake for either; at the busy
one, which a commit an order cannot keep everywhere, one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import commit, postgres_scene, scene
from benchmarks.commit import P50_GOAL
from benchmarks.measure import Line, Options, median, p99, settle
from benchmarks.postgres_bare import bare_parameters as bare_on_postgres
from benchmarks.postgres_bare import timed_write as timed_on_postgres
from ordersync.clock import SystemClock
from ordersync.pushed import Heard
from ordersync.sync.demand import Demand
from ordersync.sync.ingest import Ingest
from ordersync.sync.stream import Stream
from ordersync.truth.evidence import AbsencePolicy, Silence
from ordersync.truth.model import Status
from ordersync.venues.coinbase.frames import parse_message
from ordersync.venues.coinbase.key import CdpKey
from ordersync.venues.coinbase.venue import Coinbase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from ordersync.store.table_store import TableStore
    from ordersync.truth.evidence import Sighting
    from ordersync.truth.model import Event

P99_GOAL = 4.0
QUIET = 50
PACES = (QUIET, 2_000)


class Wire:
    """A stream on which come the frames that are put in it. Implements `ports.Push`."""

    quiet_limit = timedelta(minutes=1)
    safety_poll: timedelta | None = None

    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Wire]:
        """There is nobody to ask."""
        yield self

    async def hear(self) -> Heard:
        """The next frame, read."""
        message = parse_message(await self.frames.get(), None)
        assert not isinstance(message, Silence)
        return Heard(sightings=message.sightings, silences=message.silences)

    async def tell_again(self, since: datetime) -> Sequence[Heard]:
        """Nothing: there are no gaps here."""
        del since
        return ()


class Scene:
    """A stream that writes into a store, and when each order was committed."""

    def __init__(self, store: TableStore) -> None:
        self.wire = Wire()
        self.committed: dict[str, float] = {}
        self._awaited, self._all_there = sys.maxsize, asyncio.Event()
        clock = SystemClock()
        ingest = Ingest(
            store, clock, policy=AbsencePolicy(), told_after=scene.HOUR, listener=self._hear
        )
        key = CdpKey("bench", Ed25519PrivateKey.generate())
        self.stream = Stream(
            scene.ACCOUNT,
            self.wire,
            venue=Coinbase(key, clock, rest_url="http://127.0.0.1:1"),
            ingest=ingest,
            demand=Demand(),
            clock=clock,
        )

    def _hear(self, events: Sequence[Event]) -> None:
        now = time.perf_counter()
        for event in events:
            assert event.after.status is Status.FILLED, f"a {event.kind} is not what is measured"
            self.committed[event.order.venue_order_id or ""] = now
        self._look()

    def _look(self) -> None:
        if len(self.committed) >= self._awaited:
            self._all_there.set()

    async def offer(self, frames: Sequence[tuple[str, bytes]], pace: int) -> list[float]:
        """Let the frames come, so many a second; the seconds from when each was due."""
        start, due = time.perf_counter(), dict[str, float]()
        for n, (order, frame) in enumerate(frames):
            due[order] = start + n / pace
            if (ahead := due[order] - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            self.wire.frames.put_nowait(frame)
        self._awaited = len(frames)
        self._all_there.clear()
        self._look()
        await self._all_there.wait()
        took = [self.committed[order] - at for order, at in due.items()]
        self.committed.clear()
        self._awaited = sys.maxsize
        return took


def frame_of(order: str, price: str) -> bytes:
    """What the user channel says when an order of the scene has filled."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    told = {
        "order_id": order,
        "client_order_id": order,
        "status": "FILLED",
        "cumulative_quantity": "0.01",
        "leaves_quantity": "0",
        "avg_price": price,
        "total_fees": "0.4",
        "product_id": "BTC-USD",
        "order_side": "BUY",
        "creation_time": now,
    }
    events = [{"type": "update", "orders": [told]}]
    envelope = {"channel": "user", "timestamp": now, "sequence_num": 0, "events": events}
    return msgspec.json.encode(envelope)


async def run(options: Options, folder: Path) -> list[Line]:
    """Both paces on SQLite, then on PostgreSQL."""
    lines: list[Line] = []
    counts = {QUIET: options.of(500, 50), 2_000: options.of(6_000, 1_000)}
    count = sum(counts.values())
    answers = scene.Answers()
    ours, floor = folder / "push.db", folder / "push-floor.db"
    for path in (ours, floor):
        await scene.make_known(path, count, answers, journal="wal")
    fills = _fills(answers, options.of(400, 60))
    bare, _ = await commit.bare_parameters(floor, fills)
    with contextlib.closing(commit.connect(floor)) as connection:
        store = scene.open_store(ours)
        lines += await _on(
            "SQLite, synchronous FULL, WAL",
            store,
            counts,
            [partial(commit.timed_write, connection, one) for one in bare],
        )
    postgres_scene.server()
    base = await postgres_scene.known_orders(count, answers)
    on_postgres, _ = await bare_on_postgres(base, fills)
    with (
        postgres_scene.copied(base) as url,
        postgres_scene.copied(base) as other,
        postgres_scene.connect(other) as there,
    ):
        store = postgres_scene.open_store(url)
        lines += await _on(
            "PostgreSQL",
            store,
            counts,
            [partial(timed_on_postgres, there, one) for one in on_postgres],
        )
    return lines


async def _on(
    what: str, store: TableStore, counts: dict[int, int], floors: list[Callable[[], float]]
) -> list[Line]:
    lines = []
    await store.open(create=True)
    one = Scene(store)
    running = asyncio.ensure_future(one.stream.run())
    first = 1
    share = len(floors) // len(PACES)
    for n, pace in enumerate(PACES):
        frames = [
            (scene.order_id(m), frame_of(scene.order_id(m), "100"))
            for m in range(first, first + counts[pace])
        ]
        first += counts[pace]
        settle()
        first_half = floors[n * share : n * share + share // 2]
        second_half = floors[n * share + share // 2 : (n + 1) * share]
        before = await _bare(first_half, pace)
        took = await one.offer(frames, pace)
        after = await _bare(second_half, pace)
        lines += _lines(
            f"{what}: frame received to durable commit, {pace:,}/s", took, before + after
        )
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await store.close()
    return lines


async def _bare(floors: Sequence[Callable[[], float]], pace: int) -> list[float]:
    """The seconds of each write; at the quiet pace from when it was due, as ours."""
    if pace != QUIET:
        return [write() for write in floors]
    start, took = time.perf_counter(), []
    for n, write in enumerate(floors):
        due = start + n / pace
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        write()
        took.append(time.perf_counter() - due)
    return took


def _lines(what: str, took: list[float], wrote: list[float]) -> list[Line]:
    own, floor = median(took), median(wrote)
    slowest, floors_slowest = p99(took), p99(wrote)
    ratio, tail, floors_tail = own / floor, slowest / own, floors_slowest / floor
    return [
        Line(
            what=f"{what}, p50",
            unit="ms",
            ours=own * 1e3,
            floor=floor * 1e3,
            ratio=ratio,
            goal=f"<= {P50_GOAL:g} x",
            met=ratio <= P50_GOAL,
        ),
        Line(
            what=f"{what}, p99",
            unit="ms",
            ours=slowest * 1e3,
            floor=floors_slowest * 1e3,
            ratio=slowest / floors_slowest,
            goal=f"<= {P99_GOAL:g} x its p50",
            met=tail <= P99_GOAL,
            note=f"{tail:.1f} x its p50; the floor's is {floors_tail:.1f} x the floor's p50",
        ),
    ]


def _fills(answers: scene.Answers, count: int) -> list[Sighting]:
    now = datetime.now(UTC)
    return [answers.sighting(n, filled=True, as_of=now) for n in range(1, count + 1)]
