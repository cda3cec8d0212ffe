"""The words: labels that are derived, and what JSON must not lose."""

from __future__ import annotations

from datetime import timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersync.truth.merge import facts, join
from ordersync.truth.model import (
    FINAL_PRECEDENCE,
    OPEN_RANK,
    Event,
    EventEvidence,
    EventKind,
    EventOrder,
    Order,
    Report,
    Side,
    Source,
    Status,
    digits,
)
from tests.truth.reports import FINAL, LAWS, OPEN, any_report, any_truth, at, said, truth_of

BEFORE_FILLS = {
    Status.HELD,
    Status.PENDING_REVIEW,
    Status.PENDING_NEW,
    Status.ACCEPTED_FOR_BIDDING,
    Status.ACCEPTED,
    Status.NEW,
}


def test_five_statuses_are_final_in_the_precedence_of_fix() -> None:
    assert tuple(sorted(FINAL_PRECEDENCE, key=FINAL_PRECEDENCE.__getitem__))[::-1] == FINAL
    assert {status for status in Status if status.is_final} == set(FINAL)


def test_open_statuses_rank_by_the_life_of_an_order_without_ties() -> None:
    life = [
        "held", "pending_review", "pending_new", "accepted_for_bidding", "accepted", "new",
        "suspended", "partially_filled", "stopped", "calculated", "done_for_day",
        "pending_replace", "pending_cancel",
    ]  # fmt: skip
    assert sorted(OPEN_RANK, key=OPEN_RANK.__getitem__) == life
    assert len(set(OPEN_RANK.values())) == len(life)


def test_unknown_is_neither_open_nor_final() -> None:
    assert not Status.UNKNOWN.is_final
    assert Status.UNKNOWN not in OPEN_RANK


def test_only_two_words_say_what_was_asked_for_rather_than_what_happened() -> None:
    intentions = {status for status in Status if status.is_intention}
    assert intentions == {Status.PENDING_CANCEL, Status.PENDING_REPLACE}


@pytest.mark.parametrize("status", [*OPEN, *FINAL])
@pytest.mark.parametrize("filled", [None, "0", "0.4"])
def test_only_a_standing_before_fills_reads_as_partially_filled_with_fills(
    status: Status, filled: str | None
) -> None:
    label = truth_of(said(status, 0, filled)).status
    if filled == "0.4" and status in BEFORE_FILLS:
        assert label is Status.PARTIALLY_FILLED
    else:
        assert label is status


@pytest.mark.parametrize(
    ("filled", "label"), [(None, None), ("0", None), ("0.4", Status.PARTIALLY_FILLED)]
)
def test_an_order_of_which_only_fills_are_known_has_a_label_as_soon_as_it_has_fills(
    filled: str | None, label: Status | None
) -> None:
    order = truth_of(said(None, 0, filled))
    assert order.status is label
    assert not order.is_final


@pytest.mark.parametrize(
    ("status", "filled", "quantity", "leaves"),
    [
        (Status.NEW, "0", "1", "1"),
        (Status.NEW, "0.4", "1", "0.6"),
        (Status.NEW, "1", "1", "0"),
        (Status.NEW, "2", "1", "0"),
        (Status.NEW, None, "1", None),
        (Status.NEW, "0.4", None, None),
        (None, "0.4", "1", "0.6"),
        (Status.CANCELED, "0.4", "1", "0"),
        (Status.CANCELED, None, None, "0"),
    ],
)
def test_what_may_still_fill_is_zero_when_final_and_never_negative(
    status: Status | None, filled: str | None, quantity: str | None, leaves: str | None
) -> None:
    order = truth_of(said(status, 0, filled, quantity=quantity))
    assert order.leaves_qty == (None if leaves is None else Decimal(leaves))


@pytest.mark.parametrize("status", [*OPEN, *FINAL])
def test_an_order_is_final_where_its_standing_is(status: Status) -> None:
    assert truth_of(said(status)).is_final is (status in FINAL)


def test_what_nobody_said_reads_as_none() -> None:
    order = truth_of(said())
    assert order == Order(as_of=at(0))
    for name in ("status", "quantity", "avg_price", "fee", "last_fill_at", "reason", "leaves_qty"):
        assert getattr(order, name) is None


def test_what_was_said_reads_as_it_was_said() -> None:
    order = truth_of(
        said(
            Status.CANCELED, 0, "0.4", quantity="1", avg_price="10", fee="0.1",
            last_fill_at=at(-1), reason="asked", created_at=at(-9), changed_at=at(-2),
        )
    )  # fmt: skip
    assert (order.quantity, order.avg_price) == (Decimal(1), Decimal(10))
    assert order.fee == Decimal("0.1")
    assert (order.last_fill_at, order.created_at, order.changed_at) == (at(-1), at(-9), at(-2))
    assert order.reason == "asked"


# --- JSON -------------------------------------------------------------------------------------


@LAWS
@given(any_report())
def test_a_report_survives_json(report: Report) -> None:
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


@LAWS
@given(any_truth(), any_truth())
def test_a_truth_survives_json_and_joins_as_before(order: Order, other: Order) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(order), type=Order)
    assert stored == order
    assert facts(stored) == facts(order)
    assert join(stored, other) == join(order, other)


def test_json_keeps_the_zeros_and_the_microseconds_and_knows_zero_from_nothing() -> None:
    order = truth_of(said(Status.NEW, 0.000001, "0.00", quantity="1.50", fee="0", settled=False))
    text = msgspec.json.encode(order)
    assert b'"value":"1.50"' in text
    stored = msgspec.json.decode(text, type=Order)
    assert str(stored.filled_qty) == "0.00"
    assert stored.as_of == at(0.000001)
    assert (stored.fee, stored.settled) == (Decimal(0), False)


def test_a_time_in_another_zone_is_the_same_time() -> None:
    there = at(0).astimezone(timezone(timedelta(hours=-4)))
    report = msgspec.structs.replace(said(Status.NEW), as_of=there)
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == said(Status.NEW)


def test_what_a_truth_does_not_know_takes_no_room() -> None:
    assert msgspec.json.encode(truth_of(said())) == b'{"as_of":"2026-03-01T12:00:00Z"}'


@LAWS
@given(
    st.sampled_from(EventKind),
    st.sampled_from(Source),
    st.none() | st.text(max_size=5),
    st.none() | st.decimals(min_value=-(10**30), max_value=10**30, allow_nan=False),
    st.none() | st.integers(min_value=-(10**6), max_value=10**6),
)
def test_an_event_survives_json(
    kind: EventKind, source: Source, text: str | None, number: Decimal | None, latency: int | None
) -> None:
    event = Event(
        id="1-2",
        at=at(0.5),
        account="main",
        order=EventOrder(
            row_id=text, venue_order_id=text, client_order_id="c", owner=text, symbol=text
        ),
        kind=kind,
        source=source,
        evidence=EventEvidence(answer="sighting", endpoint="orders", venue_time=at(0), raw=text),
        before=Side(word="open", status=text),
        after=Side(word="filled", filled_qty=digits(number), avg_price=digits(number)),
        latency_ms=latency,
    )
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event
    assert number is None or Decimal(digits(number) or "") == number
    assert "E" not in (digits(number) or "")


def test_an_event_has_the_shape_that_is_published() -> None:
    """Money as text, times in UTC, nothing left out: other programs read this."""
    event = Event(
        id="1-2",
        at=at(1),
        account="main",
        order=EventOrder(row_id="7"),
        kind=EventKind.CHANGED,
        source=Source.POLL,
        evidence=EventEvidence(answer="sighting", endpoint="orders"),
        before=Side(word="open"),
        after=Side(word="filled", status="filled", filled_qty=digits(Decimal("1.0"))),
    )
    side = {"word": None, "status": None, "filled_qty": None, "avg_price": None, "fee": None}
    assert msgspec.json.decode(msgspec.json.encode(event)) == {
        "id": "1-2",
        "at": "2026-03-01T12:00:01Z",
        "account": "main",
        "order": {
            "row_id": "7",
            "venue_order_id": None,
            "client_order_id": None,
            "owner": None,
            "symbol": None,
        },
        "kind": "changed",
        "source": "poll",
        "evidence": {"answer": "sighting", "endpoint": "orders", "venue_time": None, "raw": None},
        "before": {**side, "word": "open"},
        "after": {**side, "word": "filled", "status": "filled", "filled_qty": "1.0"},
        "latency_ms": None,
    }


def test_the_words_of_events_are_those_that_were_published() -> None:
    """Other programs read them: words are added, never changed."""
    assert set(EventKind) >= {
        "changed", "repaired", "conflict", "contested", "unwritable", "duplicate_rows",
        "unmapped_word", "suspect", "unknown", "missing_order", "quarantined", "resolved",
        "corrected",
    }  # fmt: skip
    assert set(Source) >= {"stream", "poll", "webhook", "demand", "operator"}


# --- what cannot be changed -------------------------------------------------------------------


@LAWS
@given(any_truth())
def test_equal_truths_hash_alike(order: Order) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(order), type=Order)
    assert hash(stored) == hash(order)


def test_a_report_and_a_truth_cannot_be_changed() -> None:
    report = said(Status.NEW)
    for thing in (report, truth_of(report)):
        with pytest.raises(AttributeError):
            thing.as_of = at(1)  # type: ignore[misc]  # the point
