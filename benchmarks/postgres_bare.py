"""The floor on PostgreSQL: row, truth and event of an order by three bare statements of psycopg.

The guards are those of ordersync, the parameters are ready. Prepared or planned anew each time:
which of the two is the faster belongs to the machine, so both are tried.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks import postgres_scene
from benchmarks.commit import parcel
from benchmarks.scene import ingest_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.truth.evidence import Sighting

UPDATE = """
UPDATE trades SET fee = %s, filled_at = %s, status = %s
WHERE id = %s AND status IS NOT DISTINCT FROM %s AND order_id IS NOT DISTINCT FROM %s
  AND filled_at IS NOT DISTINCT FROM %s"""
UPSERT = """
INSERT INTO ordersync_orders AS o (account, order_key, venue_order_id, client_order_id, row_id,
  version, epoch, status, final, first_seen_at, final_since, state)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (account, order_key) DO UPDATE SET
  venue_order_id = excluded.venue_order_id, client_order_id = excluded.client_order_id,
  row_id = coalesce(excluded.row_id, o.row_id), version = excluded.version,
  epoch = excluded.epoch, status = excluded.status, final = excluded.final,
  final_since = excluded.final_since, state = excluded.state
WHERE o.version = excluded.version - 1"""
APPEND = """
INSERT INTO ordersync_events (log_id, n, at, account, order_key, kind, body)
VALUES (%s, %s, %s, %s, %s, %s, %s)"""

WRITTEN = """
SELECT t.fee, t.filled_at, t.status, t.id, 'pending', t.order_id, NULL::timestamp,
  o.account, o.order_key, o.venue_order_id, o.client_order_id, o.row_id, o.version, o.epoch,
  o.status, o.final, o.first_seen_at, o.final_since, o.state,
  e.log_id, e.n, e.at, e.account, e.order_key, e.kind, e.body
FROM ordersync_events AS e
JOIN ordersync_orders AS o USING (account, order_key)
JOIN trades AS t ON t.order_id = o.venue_order_id
WHERE e.log_id > %s ORDER BY e.log_id, e.n"""
CELLS_OF_ROW, CELLS_OF_TRUTH = 7, 12

Bare = tuple[tuple[object, ...], tuple[object, ...], tuple[object, ...]]
"""Row, truth and event."""


async def bare_parameters(base: str, sightings: Sequence[Sighting]) -> tuple[list[Bare], float]:
    """What the floor writes: the very rows, truths and events that ours would.

    They are made by letting ingest write a copy of the database, and reading what it wrote; how
    many seconds that took is told too.
    """
    with postgres_scene.copied(base) as url:
        with postgres_scene.connect(url) as connection:
            logged = postgres_scene.number(connection, "SELECT max(log_id) FROM ordersync_events")
        store = postgres_scene.open_store(url)
        await store.open(create=True)
        start = time.perf_counter()
        await ingest_on(store).take(parcel(sightings))
        took = time.perf_counter() - start
        await store.close()
        with postgres_scene.connect(url) as connection:
            written = connection.execute(WRITTEN, (logged,)).fetchall()
    middle = CELLS_OF_ROW + CELLS_OF_TRUTH
    bare = [(row[:CELLS_OF_ROW], row[CELLS_OF_ROW:middle], row[middle:]) for row in written]
    assert len(bare) == len(sightings)
    return bare, took


def timed_write(connection: postgres_scene.Connection, parameters: Bare) -> float:
    """One order, one commit."""
    row, truth, event = parameters
    start = time.perf_counter()
    connection.execute("BEGIN")
    put = connection.execute(UPSERT, truth).rowcount
    won = connection.execute(UPDATE, row).rowcount
    connection.execute(APPEND, event)
    connection.execute("COMMIT")
    took = time.perf_counter() - start
    assert put == won == 1
    return took


def timed_write_at_once(connection: postgres_scene.Connection, parameters: Bare) -> float:
    """The same with nothing waited for but the end: what libpq's pipeline can do."""
    row, truth, event = parameters
    start = time.perf_counter()
    with connection.pipeline():
        connection.execute("BEGIN")
        put = connection.execute(UPSERT, truth)
        won = connection.execute(UPDATE, row)
        connection.execute(APPEND, event)
        connection.execute("COMMIT")
    took = time.perf_counter() - start
    assert put.rowcount == won.rowcount == 1
    return took


def timed_write_many(connection: postgres_scene.Connection, parameters: Sequence[Bare]) -> float:
    """Many orders, one commit."""
    rows, truths, events = zip(*parameters, strict=True)
    start = time.perf_counter()
    connection.execute("BEGIN")
    cursor = connection.cursor()
    cursor.executemany(UPSERT, truths)
    put = cursor.rowcount
    cursor.executemany(UPDATE, rows)
    won = cursor.rowcount
    cursor.executemany(APPEND, events)
    connection.execute("COMMIT")
    took = time.perf_counter() - start
    assert put == won == len(parameters)
    return took
