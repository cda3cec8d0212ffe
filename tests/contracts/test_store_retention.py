"""The contract of OrderStore: what ended long ago moves out, and nothing else; what it leaves."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ordersync.ports import Absent, Note, OrderName, Overlay, Result
from ordersync.store import schema
from ordersync.truth.evidence import Case
from ordersync.truth.merge import merge
from ordersync.truth.model import Event, EventEvidence, EventKind, Status
from tests.contracts.bench import (
    ACCOUNT,
    NOON,
    ingest,
    ingest_one,
    mapped,
    read,
    said,
    step,
)
from tests.contracts.mariadb_bench import MariadbBench

if TYPE_CHECKING:
    from ordersync.archived import Batch, Movable, Reach
    from ordersync.ports import OrderStore
    from tests.contracts.bench import Bench, Opened, Row
    from tests.contracts.conftest import Open

DAY = timedelta(days=1)
AGE = 90 * DAY
START: Reach = ("", "")
FIRST: Reach = (-1, -1)
BEGUN = timedelta(hours=1)


def rows_of(*words: str) -> list[Row]:
    return [
        {"id": n, "order_id": f"v{n}", "client_id": f"c{n}", "status": word}
        for n, word in enumerate(words, start=1)
    ]


async def movable(it: Opened, *, after: Reach = START, limit: int = 100) -> Batch:
    """The orders that may move, of those that ended 90 days ago."""
    before = it.clock.now() - AGE
    return await it.store.list_movable(ACCOUNT, before=before, after=after, limit=limit)


async def loose(it: Opened, *, after: Reach = FIRST, limit: int = 100) -> Batch:
    before = it.clock.now() - AGE
    return await it.store.list_movable_events(ACCOUNT, before=before, after=after, limit=limit)


def keys(batch: Batch | list[Movable]) -> list[str]:
    found = batch if isinstance(batch, list) else batch.movable
    return [one.key for one in found]


async def later_news(it: Opened) -> None:
    """Something that happens today: the newest commit never moves."""
    now = it.clock.forward(1)
    name = f"today {now.isoformat()}"
    await ingest_one(it.store, said(name, Status.NEW, at=now))


async def aged(it: Opened, *ids: str) -> None:
    """Orders that were filled, 91 days ago by now."""
    await ingest(it.store, *(said(one, Status.FILLED, "1", last_fill_at=NOON) for one in ids))
    it.clock.forward(AGE + DAY)
    await later_news(it)


# --- what moves ---------------------------------------------------------------------------------


async def test_an_order_that_ended_long_ago_moves_with_its_events_and_says_where(
    opened: Open,
) -> None:
    it = await opened(*rows_of("pending", "pending"))
    await ingest_one(it.store, said("v1", Status.NEW))
    await aged(it, "v1")

    batch = await movable(it)
    (moved,) = await it.store.move_out(ACCOUNT, batch)

    assert moved.key == "v:v1"
    assert "v:v1" not in [key for key, *_ in it.bench.ours().truths]
    assert it.kinds() == []
    (known,) = await it.store.read(ACCOUNT, [OrderName("v1")])
    assert (known.truth, known.version, known.due_at) == (None, 0, None)
    assert known.archived is not None
    assert known.archived.side is not None
    assert (known.archived.place, known.archived.side.status) == ("2026-03", "filled")
    assert keys(await movable(it)) == []
    views = it.bench.views(it.orders)
    (match,) = await views.find("v1")
    assert (match.key, match.word, match.status) == ("v:v1", "completed", "filled")
    assert [a.place for a in await views.archived(ACCOUNT, "v:v1")] == ["2026-03"]


async def test_the_lines_hold_all_that_was_stored(opened: Open) -> None:
    it = await opened(*rows_of("pending"))
    note = Note(
        kind=EventKind.QUARANTINED,
        digest="x",
        evidence=EventEvidence(answer="silence", endpoint="batch", raw='odd "text"\n'),
    )
    (known,) = await read(it.store, said("v1"))
    report = said("v1", Status.FILLED, "2", avg_price="10.5", last_fill_at=NOON)
    await it.store.advance(ACCOUNT, [step(known, merge(None, report), notes=(note,))])
    told = await it.bench.views(it.orders).history((await it.bench.views(it.orders).find("v1"))[0])
    it.clock.forward(AGE + DAY)
    await later_news(it)

    lines = (await movable(it)).lines()

    assert sorted(lines) == ["events-2026-03.jsonl.gz", "orders-2026-03.jsonl.gz"]
    events = [msgspec.json.decode(line, type=Event) for line in lines["events-2026-03.jsonl.gz"]]
    assert events == told
    (order,) = (msgspec.json.decode(line) for line in lines["orders-2026-03.jsonl.gz"])
    assert (order["account"], order["order_key"], order["row_id"]) == (ACCOUNT, "v:v1", "1")
    assert (order["status"], order["state"]["filled_qty"]) == ("filled", "2")
    assert [one["kind"] for one in order["notes"]] == ["quarantined"]
    assert not any(b"\n" in line for some in lines.values() for line in some)


async def test_a_batch_goes_on_where_the_last_one_ended(opened: Open) -> None:
    it = await opened()
    await aged(it, *(f"v{n}" for n in range(7)))
    seen, reach = [], START
    for _ in range(4):
        batch = await movable(it, after=reach, limit=2)
        seen += keys(batch)
        assert len(batch.movable) <= 2
        if batch.reach is None:
            break
        reach = batch.reach
    assert seen == [f"v:v{n}" for n in range(7)]
    assert batch.reach is None


async def test_orders_of_another_account_stay(opened: Open) -> None:
    it = await opened()
    await ingest(it.store, said("v1"), account="other")
    await aged(it, "v1")
    await it.store.move_out(ACCOUNT, await movable(it))
    (known,) = await read(it.store, said("v1"), account="other")
    assert (known.version, known.archived) == (1, None)


async def test_the_users_table_is_not_touched(opened: Open) -> None:
    it = await opened(*rows_of(*["pending"] * 4))
    await aged(it, "v1", "v2", "v3")
    before = it.bench.rows()
    await it.store.move_out(ACCOUNT, await movable(it))
    assert it.bench.rows() == before


# --- what stays ---------------------------------------------------------------------------------


async def test_an_open_order_never_moves_nor_do_its_events(opened: Open) -> None:
    it = await opened(*rows_of("pending"))
    await ingest_one(it.store, said("v1", Status.NEW))
    it.clock.forward(10 * AGE)
    await later_news(it)
    assert keys(await movable(it)) == []
    assert keys(await loose(it)) == []


async def test_what_ended_lately_stays(opened: Open) -> None:
    it = await opened(*rows_of("pending"))
    await ingest_one(it.store, said("v1", Status.NEW))
    it.clock.forward(AGE)
    await ingest_one(it.store, said("v1", Status.FILLED, at=it.clock.now()))
    it.clock.forward(DAY)
    await later_news(it)
    assert keys(await movable(it)) == []


@pytest.mark.parametrize(
    ("word", "moves"), [("completed", True), ("what", True), ("pending", False), ("unknown", False)]
)
async def test_an_order_stays_while_its_row_is_open(
    opened: Open, word: str, *, moves: bool
) -> None:
    it = await opened(*rows_of("pending"))
    await aged(it, "v1")
    it.bench.write(1, status=word)
    assert bool((await movable(it)).movable) is moves


async def test_an_order_without_a_row_moves(opened: Open) -> None:
    it = await opened(*rows_of("pending"))
    await aged(it, "v1")
    it.bench.delete(1)
    assert keys(await movable(it)) == ["v:v1"]


async def test_an_order_stays_while_its_row_is_still_written(opened: Open) -> None:
    """Such a row is verified anew: its truth would only come and go."""
    it = await opened(*rows_of("pending"), orders=mapped(updated_at="updated_at"))
    await aged(it, "v1")
    it.bench.write(1, updated_at="2026-05-20 00:00:00")
    batch = await it.store.list_movable(ACCOUNT, before=NOON + 60 * DAY, after=START, limit=9)
    assert keys(batch) == []


CASE = Absent(case=Case(opened_at=NOON, tallies={}), overlay=Overlay.SUSPECT, asked_at=NOON)


async def test_an_order_that_is_due_or_absent_stays(opened: Open) -> None:
    it = await opened()
    known = await read(it.store, said("v1"), said("v2"))
    await it.store.advance(
        ACCOUNT,
        [
            step(known[0], merge(None, said("v1")), due_at=NOON + 900 * DAY),
            step(known[1], merge(None, said("v2")), absent=CASE),
        ],
    )
    await aged(it, "v3")
    assert keys(await movable(it)) == ["v:v3"]


async def test_what_an_operator_corrected_stays(opened: Open) -> None:
    """Reports of the venue would win over it again."""
    it = await opened()
    await aged(it)
    (known,) = await read(it.store, said("v1"))
    await it.store.advance(ACCOUNT, [step(known, merge(None, said("v1", epoch=1)))])
    it.clock.forward(AGE + DAY)
    await later_news(it)
    assert keys(await movable(it)) == []


async def test_the_newest_commit_stays_so_that_no_number_comes_twice(opened: Open) -> None:
    it = await opened()
    (outcome,) = await ingest(it.store, said("v1"))
    it.clock.forward(AGE + DAY)
    assert await it.store.move_out(ACCOUNT, await movable(it)) == []
    assert keys(await loose(it)) == []
    (later,) = await ingest(it.store, said("v2"))
    assert outcome.events[0].id != later.events[0].id


async def test_what_changed_since_it_was_read_is_left(opened: Open) -> None:
    it = await opened()
    await aged(it, "v1", "v2", "v3", "v4")
    batch = await movable(it)
    it.bench.run("UPDATE ordersync_orders SET version = 7 WHERE order_key = 'v:v4'")
    fee = said("v1", Status.FILLED, "1", fee="0.5", at=NOON + DAY, last_fill_at=NOON)
    await ingest_one(it.store, fee)
    (known,) = await read(it.store, said("v2"))
    note = Note(
        kind=EventKind.QUARANTINED,
        digest="x",
        evidence=EventEvidence(answer="silence", endpoint="batch"),
    )
    await it.store.advance(ACCOUNT, [step(known, known.truth, notes=(note,))])
    await later_news(it)
    assert keys(list(await it.store.move_out(ACCOUNT, batch))) == ["v:v3"]
    assert it.kinds("v:v1") == ["changed", "changed"]
    assert it.kinds("v:v2") == ["changed", "quarantined"]


async def test_two_that_move_at_once_move_each_order_once(opened: Open) -> None:
    it = await opened()
    await aged(it, *(f"v{n}" for n in range(20)))
    other = it.bench.store(it.orders, it.clock)
    await other.open(create=True)
    batches = [await movable(it), await movable(it)]
    moved = await asyncio.gather(
        it.store.move_out(ACCOUNT, batches[0]), other.move_out(ACCOUNT, batches[1])
    )
    await other.close()
    assert sorted(one.key for some in moved for one in some) == sorted(keys(batches[0]))
    assert it.bench.run("SELECT count(*) FROM ordersync_archived") == [(20,)]


# --- events without a truth ---------------------------------------------------------------------


async def doubt(it: Opened, name: str, *, absent: bool) -> None:
    """An event about an order that nobody ever saw, with or without a case of absence."""
    (known,) = await read(it.store, said(name))
    note = Note(
        kind=EventKind.QUARANTINED,
        digest="x",
        evidence=EventEvidence(answer="silence", endpoint="batch"),
    )
    case = CASE if absent else None
    await it.store.advance(ACCOUNT, [step(known, None, absent=case, notes=(note,))])


async def test_old_events_of_orders_that_nobody_saw_move_too(opened: Open) -> None:
    it = await opened(*rows_of("pending", "pending"))
    await doubt(it, "v1", absent=False)
    await doubt(it, "v2", absent=True)
    await ingest_one(it.store, said("v3", Status.NEW))
    it.clock.forward(AGE + DAY)
    await doubt(it, "v4", absent=False)
    await later_news(it)

    batch = await loose(it)

    assert keys(batch) == ["v:v1"]
    assert list(batch.lines()) == ["events-2026-03.jsonl.gz"]
    assert keys(list(await it.store.move_out(ACCOUNT, batch))) == ["v:v1"]
    assert it.kinds("v:v1") == []
    assert it.kinds("v:v4") == ["quarantined"]
    (known,) = await read(it.store, said("v1"))
    assert known.archived is None  # it never had a truth that could have moved
    assert [a.side for a in await it.bench.views(it.orders).archived(ACCOUNT, "v:v1")] == [None]


async def test_the_walk_over_events_goes_on_where_it_ended(opened: Open) -> None:
    it = await opened()
    for n in range(5):
        await doubt(it, f"v{n}", absent=False)
    it.clock.forward(AGE + DAY)
    await later_news(it)
    seen, reach = [], FIRST
    while True:
        batch = await loose(it, after=reach, limit=2)
        seen += keys(batch)
        if batch.reach is None:
            break
        reach = batch.reach
    assert seen == [f"v:v{n}" for n in range(5)]


# --- what comes back ----------------------------------------------------------------------------


async def moved_out(it: Opened) -> None:
    await aged(it, "v1")
    assert keys(list(await it.store.move_out(ACCOUNT, await movable(it)))) == ["v:v1"]


FILLED: dict[str, Any] = {"last_fill_at": NOON}


async def test_a_fill_that_moved_out_is_no_news_when_it_is_said_again(opened: Open) -> None:
    it = await opened(*rows_of("pending"))
    await moved_out(it)

    outcome = await ingest_one(
        it.store, said("v1", Status.FILLED, "1", at=it.clock.now(), **FILLED)
    )

    assert (outcome.result, outcome.events) == (Result.WON, ())
    (known,) = await read(it.store, said("v1"))
    assert (known.version, known.archived) == (1, None)
    # It begins anew, and so do the days until it moves again.
    assert known.final_since == it.clock.now()


async def test_a_row_that_was_put_back_is_repaired_and_that_is_all_that_is_told(
    opened: Open,
) -> None:
    it = await opened(*rows_of("pending"))
    await moved_out(it)
    it.bench.write(1, status="pending")
    it.clock.forward(BEGUN)
    now = it.clock.now()
    report = said("v1", Status.FILLED, "1", at=now, **FILLED)
    (event,) = (await ingest_one(it.store, report, asked_at=now)).events
    assert it.row()["status"] == "completed"
    assert event.kind is EventKind.REPAIRED
    assert (event.before.word, event.before.status) == ("pending", "filled")
    assert event.latency_ms is None


async def test_a_late_fee_tells_what_changed_and_not_the_fill(opened: Open) -> None:
    it = await opened(*rows_of("pending"))
    await moved_out(it)
    now = it.clock.now()
    report = said("v1", Status.FILLED, "1", at=now, fee="0.5", **FILLED)
    (event,) = (await ingest_one(it.store, report, asked_at=now)).events
    assert event.kind is EventKind.CHANGED
    assert (event.before.status, event.before.filled_qty) == ("filled", "1")
    assert (event.before.fee, event.after.fee) == (None, "0.5")
    assert event.latency_ms is None


async def test_an_order_that_moved_twice_says_both_places(opened: Open) -> None:
    it = await opened()
    await moved_out(it)
    await ingest_one(it.store, said("v1", Status.FILLED, "1", fee="1", at=it.clock.now(), **FILLED))
    it.clock.forward(AGE + DAY)
    await later_news(it)
    assert keys(list(await it.store.move_out(ACCOUNT, await movable(it)))) == ["v:v1"]
    places = await it.bench.views(it.orders).archived(ACCOUNT, "v:v1")
    assert [a.place for a in places] == ["2026-03", "2026-05"]
    (known,) = await read(it.store, said("v1"))
    assert known.archived == places[-1]


async def test_an_order_whose_row_is_gone_is_found_by_where_it_moved(opened: Open) -> None:
    it = await opened(*rows_of("pending"))
    report = said("v1", Status.FILLED, "1", client_order_id="c1")
    await ingest_one(it.store, report)
    await moved_out(it)
    it.bench.delete(1)
    for text in ("v1", "c1"):
        (match,) = await it.bench.views(it.orders).find(text)
        assert (match.key, match.status, match.word) == ("v:v1", "filled", None)


# --- size and versions --------------------------------------------------------------------------


async def test_the_log_is_measured(opened: Open) -> None:
    it = await opened()
    assert (await it.store.measure_log()).oldest_at is None
    await ingest(it.store, said("v1"), said("v2"))
    size = await it.store.measure_log()
    assert (size.events, size.or_more, size.oldest_at) == (2, False, NOON)


def as_version_1(bench: Bench) -> None:
    """Take away what later versions brought."""
    of_table = " ON ordersync_orders" if isinstance(bench, MariadbBench) else ""
    for name in schema.tables_since(1):
        bench.run(f"DROP TABLE ordersync_{name}")
    bench.run(f"DROP INDEX ordersync_orders_final{of_table}")
    bench.run("UPDATE ordersync_schema SET version = 1")


async def test_tables_of_the_first_version_are_brought_forward_with_their_data(
    opened: Open,
) -> None:
    it = await opened(*rows_of("pending", "pending"))
    await aged(it, "v1")
    await it.store.close()
    as_version_1(it.bench)

    # Whoever only reads finds its way about as it is.
    reader = it.bench.store(it.orders, it.clock)
    await reader.open(create=False)
    assert [k.version for k in await read(reader, said("v1"), said("v2"))] == [1, 0]
    before = it.clock.now() - AGE
    found = await reader.list_movable(ACCOUNT, before=before, after=START, limit=9)
    assert keys(found) == ["v:v1"]
    await reader.close()
    (match,) = await it.bench.views(it.orders).find("v1")
    assert match.status == "filled"
    assert await it.bench.views(it.orders).archived(ACCOUNT, "v:v1") == []

    stores = [it.bench.store(it.orders, it.clock) for _ in range(2)]
    await asyncio.gather(*(store.open(create=True) for store in stores))
    assert it.bench.run("SELECT version FROM ordersync_schema") == [(schema.VERSION,)]
    assert await moves_one(stores[0], it)
    for store in stores:
        await store.close()


async def moves_one(store: OrderStore, it: Opened) -> bool:
    before = it.clock.now() - AGE
    batch = await store.list_movable(ACCOUNT, before=before, after=START, limit=9)
    return len(await store.move_out(ACCOUNT, batch)) == 1


@pytest.mark.only_on("postgres18", "postgres16", "postgres15", "pgbouncer")
async def test_a_table_that_came_later_is_as_closed_to_others_as_the_first(opened: Open) -> None:
    it = await opened()
    await it.store.close()
    as_version_1(it.bench)
    await opened(table=None)
    secured = (
        "SELECT relrowsecurity, count(*) FROM pg_class"
        " WHERE relname LIKE 'ordersync%' AND relkind = 'r' GROUP BY 1"
    )
    assert it.bench.run(secured) == [(True, len(schema.tables_since(0)))]
