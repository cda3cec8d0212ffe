"""From a report that was received to its durable commit, on SQLite with synchronous FULL.

Ours is `Ingest.take` with one sighting: read, merge, then row, truth, event and when to ask again
in a transaction. The floor is that transaction in bare sqlite3, its parameters prepared: four
statements with the same guards, on a copy of the same file.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from benchmarks import scene
from benchmarks.measure import Line, Options, in_turn, median, p99, settle
from ordersync.store.plan import spell
from ordersync.sync.parcels import Parcel
from ordersync.truth.model import Event, Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ordersync.sync.ingest import Ingest
    from ordersync.truth.evidence import Sighting

P50_GOAL = 2.0
SUSTAINED_GOAL = 8.0
SUSTAINED_P99_MS = 10.0
WRITERS = 64

UPDATE = """
UPDATE trades SET fee = ?, filled_at = ?, status = ?
WHERE id = ? AND status IS ? AND order_id IS ? AND filled_at IS ?"""
UPSERT = """
INSERT INTO ordersync_orders (account, order_key, venue_order_id, client_order_id, row_id,
  version, epoch, status, final, first_seen_at, final_since, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, order_key) DO UPDATE SET
  venue_order_id = excluded.venue_order_id, client_order_id = excluded.client_order_id,
  row_id = coalesce(excluded.row_id, row_id), version = excluded.version, epoch = excluded.epoch,
  status = excluded.status, final = excluded.final, final_since = excluded.final_since,
  state = excluded.state
WHERE ordersync_orders.version = excluded.version - 1"""
APPEND = """
INSERT INTO ordersync_events (log_id, n, at, account, order_key, kind, body)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
ASK_AGAIN = """
INSERT INTO ordersync_due (account, order_key, venue_order_id, client_order_id, due_at)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (account, order_key) DO UPDATE SET due_at = excluded.due_at"""

Bare = tuple[tuple[object, ...], tuple[object, ...], tuple[object, ...], tuple[object, ...]]
"""Row, truth, event, and when the order is asked about again."""


async def run(options: Options, folder: Path) -> list[Line]:
    """One report at a time in both kinds of journal, then many at once."""
    answers, lines = scene.Answers(), []
    count = options.of(1000, 100)
    for journal in ("delete", "wal"):
        ours, floor = folder / f"ours-{journal}.db", folder / f"floor-{journal}.db"
        await scene.make_known(ours, count, answers, journal=journal)
        shutil.copy(ours, floor)
        lines.append(await _one_at_a_time(ours, floor, count, answers, journal))
    count = options.of(4000, 500)
    ours, floor = folder / "ours-many.db", folder / "floor-many.db"
    await scene.make_known(ours, count, answers, journal="wal")
    shutil.copy(ours, floor)
    lines.append(await _many_at_once(ours, floor, count, answers))
    return lines


def parcel(sightings: Sequence[Sighting]) -> Parcel:
    """What a stream brings."""
    now = datetime.now(UTC)
    return Parcel(
        account=scene.ACCOUNT,
        source=Source.STREAM,
        asked_at=now,
        venue_now=now,
        sightings=sightings,
    )


async def _one_at_a_time(
    ours: Path, floor: Path, count: int, answers: scene.Answers, journal: str
) -> Line:
    sightings = _fills(answers, count)
    parameters, _ = await bare_parameters(floor, sightings)
    bare = iter(parameters)
    store = scene.open_store(ours)
    await store.open(create=True)
    ingest, connection = scene.ingest_on(store), connect(floor)
    coming = iter(sightings)

    async def take() -> float:
        return await _timed_take(ingest, next(coming))

    async def write() -> float:
        return timed_write(connection, next(bare))

    settle()
    took, wrote = await in_turn(count, take, write)
    await store.close()
    connection.close()
    assert scene.number_of_untrue(ours) == scene.number_of_untrue(floor) == 0
    ratio = median(took) / median(wrote)
    name = "rollback journal" if journal == "delete" else "WAL"
    return Line(
        what=f"report received to durable commit, {name}",
        unit="ms",
        ours=median(took) * 1e3,
        floor=median(wrote) * 1e3,
        ratio=ratio,
        goal=f"<= {P50_GOAL:g} x",
        met=ratio <= P50_GOAL,
        note=f"p99 {p99(took) * 1e3:.2f} ms, floor's {p99(wrote) * 1e3:.2f} ms",
    )


async def _many_at_once(ours: Path, floor: Path, count: int, answers: scene.Answers) -> Line:
    """How many a second while reports keep coming, against one commit for each of them."""
    sightings = _fills(answers, count)
    bare, _ = await bare_parameters(floor, sightings[: count // 4])
    connection = connect(floor)
    store = scene.open_store(ours)
    await store.open(create=True)
    ingest = scene.ingest_on(store)
    settle()
    start = time.perf_counter()
    for one in bare:
        timed_write(connection, one)
    single = len(bare) / (time.perf_counter() - start)
    connection.close()
    took: list[float] = []
    coming = iter(sightings)

    async def writer() -> None:
        took.extend([await _timed_take(ingest, sighting) for sighting in coming])

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(writer())
    rate = count / (time.perf_counter() - start)
    await store.close()
    assert scene.number_of_untrue(ours) == 0
    slowest = p99(took) * 1e3
    return Line(
        what=f"sustained durable updates, {WRITERS} reports waiting, WAL",
        unit="/s",
        ours=rate,
        floor=single,
        ratio=rate / single,
        goal=f">= {SUSTAINED_GOAL:g} x, p99 <= {SUSTAINED_P99_MS:g} ms",
        met=rate / single >= SUSTAINED_GOAL and slowest <= SUSTAINED_P99_MS,
        note=f"p99 {slowest:.2f} ms; the floor commits every row by itself",
    )


def _fills(answers: scene.Answers, count: int) -> list[Sighting]:
    now = datetime.now(UTC)
    return [answers.sighting(n, filled=True, as_of=now) for n in range(1, count + 1)]


async def _timed_take(ingest: Ingest, sighting: Sighting) -> float:
    start = time.perf_counter()
    taken = await ingest.take(parcel([sighting]))
    took = time.perf_counter() - start
    assert taken.outcomes[0].rows_written == 1
    return took


def connect(path: Path) -> sqlite3.Connection:
    """A bare connection with the store's own settings."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def timed_write(connection: sqlite3.Connection, parameters: Bare) -> float:
    """Commit one order by the four bare statements; the seconds that it took."""
    start = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    write(connection, parameters)
    connection.execute("COMMIT")
    return time.perf_counter() - start


def write(connection: sqlite3.Connection, parameters: Bare) -> None:
    """The four statements about one order."""
    row, truth, event, due = parameters
    put = connection.execute(UPSERT, truth).rowcount
    won = connection.execute(UPDATE, row).rowcount
    connection.execute(APPEND, event)
    connection.execute(ASK_AGAIN, due)
    assert put == won == 1


async def bare_parameters(path: Path, sightings: Sequence[Sighting]) -> tuple[list[Bare], float]:
    """What the floor writes: the very rows, truths, events and due times that ours would.

    They are made by letting ingest write a copy of the file, and reading what it wrote; how
    many seconds that took is told too.
    """
    copy = path.with_suffix(".copy")
    shutil.copy(path, copy)
    store = scene.open_store(copy)
    await store.open(create=True)
    start = time.perf_counter()
    await scene.ingest_on(store).take(parcel(sightings))
    took = time.perf_counter() - start
    await store.close()
    connection = sqlite3.connect(copy)
    (logged,) = connection.execute("SELECT max(log_id) FROM ordersync_events").fetchone()
    parameters = [
        _of_order(connection, log_id, s) for log_id, s in enumerate(sightings, 1 + logged)
    ]
    connection.close()
    copy.unlink()
    return parameters, took


def _of_order(connection: sqlite3.Connection, log_id: int, sighting: Sighting) -> Bare:
    name = sighting.report.venue_order_id
    key, *values = connection.execute(
        "SELECT id, fee, filled_at, status FROM trades WHERE order_id = ?", (name,)
    ).fetchone()
    truth = connection.execute(
        "SELECT account, order_key, venue_order_id, client_order_id, row_id, version, epoch,"
        " status, final, first_seen_at, final_since, state FROM ordersync_orders"
        " WHERE account = ? AND order_key = ?",
        (scene.ACCOUNT, f"v:{name}"),
    ).fetchone()
    (body,) = connection.execute(
        "SELECT body FROM ordersync_events WHERE account = ? AND order_key = ?"
        " ORDER BY log_id DESC",
        (scene.ACCOUNT, f"v:{name}"),
    ).fetchone()
    event = msgspec.json.decode(body, type=Event)
    due = connection.execute(
        "SELECT account, order_key, venue_order_id, client_order_id, due_at FROM ordersync_due"
        " WHERE account = ? AND order_key = ?",
        (scene.ACCOUNT, f"v:{name}"),
    ).fetchone()
    return (
        (*values, key, "pending", name, None),
        truth,
        (log_id, 0, spell(event.at), scene.ACCOUNT, f"v:{name}", event.kind.value, body),
        due,
    )
