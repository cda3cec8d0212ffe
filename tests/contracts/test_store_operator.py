"""The contract of OrderStore: what a person said is shown, told and taken back."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import Absent, Known, OrderName, Overlay, Result
from ordersync.truth.evidence import Case
from ordersync.truth.merge import merge
from ordersync.truth.model import EventKind, Facts, Source, Statement, Status
from ordersync.truth.operator import correct
from tests.contracts.bench import ACCOUNT, NOON, again, ingest_one, said, step

if TYPE_CHECKING:
    from ordersync.ports import Advance, OrderStore, Outcome
    from tests.contracts.bench import Row
    from tests.contracts.conftest import Open

PENDING: Row = {"id": 1, "order_id": "v1", "client_id": "c1", "status": "pending"}
SUSPECT = Absent(
    case=Case(opened_at=NOON, tallies={}), overlay=Overlay.SUSPECT, since=NOON, asked_at=NOON
)


def statement(status: Status, filled: str, *, minutes: int = 1) -> Statement:
    facts = Facts(status=status, filled_qty=Decimal(filled))
    at = NOON + timedelta(minutes=minutes)
    return Statement(at=at, by="anna", reason="ticket 4711", facts=facts)


def resolved(what: Statement) -> Absent:
    return msgspec.structs.replace(SUSPECT, overlay=Overlay.RESOLVED, resolved=what)


async def known_now(store: OrderStore) -> Known:
    (known,) = await store.read(ACCOUNT, [OrderName("v1")])
    return known


async def write(store: OrderStore, made: Advance) -> Outcome:
    (outcome,) = await store.advance(
        ACCOUNT, [msgspec.structs.replace(made, source=Source.OPERATOR)]
    )
    return outcome


async def test_a_resolution_is_in_the_row_and_kept_beside_the_truth(opened: Open) -> None:
    it = await opened(PENDING)
    await write(it.store, step(await known_now(it.store), None, absent=SUSPECT))
    known = await known_now(it.store)

    made = step(known, None, absent=resolved(statement(Status.FILLED, "2")))
    ((changed, *_),) = await it.store.preview(ACCOUNT, [made])
    assert (changed.field, changed.true) == ("status", "completed")
    outcome = await write(it.store, made)

    assert (outcome.result, outcome.rows_written) == (Result.WON, 1)
    (event,) = outcome.events
    assert event.kind is EventKind.RESOLVED
    assert (event.before.status, event.after.status) == (None, "filled")
    assert (event.after.word, event.after.filled_qty) == ("completed", "2")
    assert (it.row()["status"], it.row()["filled_size"]) == ("completed", 2.0)
    known = await known_now(it.store)
    assert known.truth is None
    assert known.absent
    assert known.absent.resolved == statement(Status.FILLED, "2")
    outcome = await write(it.store, step(known, None, absent=known.absent))
    assert outcome.result is Result.UNCHANGED


async def test_another_resolution_takes_its_place_and_is_told(opened: Open) -> None:
    it = await opened(PENDING)
    first = resolved(statement(Status.FILLED, "2"))
    await write(it.store, step(await known_now(it.store), None, absent=first))

    second = resolved(statement(Status.CANCELED, "0", minutes=2))
    outcome = await write(it.store, step(await known_now(it.store), None, absent=second))

    (event,) = outcome.events
    assert event.kind is EventKind.RESOLVED
    assert (event.before.status, event.after.status) == ("filled", "canceled")
    assert it.row()["status"] == "failed"


async def test_a_sighting_lifts_a_resolution_and_the_row_says_what_is_true(opened: Open) -> None:
    it = await opened(PENDING)
    first = resolved(statement(Status.FILLED, "2"))
    await write(it.store, step(await known_now(it.store), None, absent=first))

    outcome = await ingest_one(it.store, said("v1", Status.NEW))

    assert [event.kind for event in outcome.events] == [EventKind.RESOLVED, EventKind.CHANGED]
    assert outcome.events[0].before.status == "filled"
    assert it.row()["status"] == "pending"
    assert (await known_now(it.store)).absent is None


async def test_a_correction_is_one_event_of_its_kind_and_what_it_overruled_is_silent(
    opened: Open,
) -> None:
    it = await opened(PENDING)
    filled = said("v1", Status.FILLED, "2", avg_price="10.5", fee="0.1", last_fill_at=NOON)
    await ingest_one(it.store, filled)
    known = await known_now(it.store)
    assert known.truth

    truth = correct(known.truth, statement(Status.CANCELED, "0.5"))
    outcome = await write(it.store, step(known, truth))

    (event,) = outcome.events
    assert (event.kind, event.latency_ms) == (EventKind.CORRECTED, None)
    assert (event.before.status, event.after.status) == ("filled", "canceled+fills")
    assert it.row()["filled_size"] == 0.5
    assert (await known_now(it.store)).truth == truth
    await again(it.store, filled)
    later = msgspec.structs.replace(filled, as_of=NOON + timedelta(days=1))
    assert merge(truth, later) == truth
    assert (await ingest_one(it.store, later)).result is Result.UNCHANGED


async def test_a_correction_loses_to_a_report_that_was_written_first(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.NEW, "1"))
    known = await known_now(it.store)
    assert known.truth
    await ingest_one(it.store, said("v1", Status.FILLED, "2"))

    truth = correct(known.truth, statement(Status.CANCELED, "0"))
    outcome = await write(it.store, step(known, truth))

    assert outcome.result is Result.LOST
    assert it.row()["status"] == "completed"
