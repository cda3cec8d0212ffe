"""One order on Alpaca's wire becomes a Sighting that says what it says, or a Silence."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from ordersync.pushed import Heard
from ordersync.truth.evidence import LONGEST_NAME, Sighting, Silence
from ordersync.truth.merge import merge, objection
from ordersync.truth.model import Report, Status
from ordersync.venues.alpaca import parse
from tests.venues.broker import but, text

ASKED = datetime(2026, 11, 20, 12, tzinfo=UTC)
ID = "7b08df51-c1ac-453c-99f9-323a5f075f0d"
WORDS = (
    "new",
    "accepted",
    "pending_new",
    "accepted_for_bidding",
    "held",
    "pending_review",
    "partially_filled",
    "stopped",
    "suspended",
    "calculated",
    "done_for_day",
    "pending_cancel",
    "pending_replace",
    "filled",
    "canceled",
    "expired",
    "rejected",
    "replaced",
)
EVENTS = (
    "new",
    "fill",
    "partial_fill",
    "canceled",
    "expired",
    "done_for_day",
    "replaced",
    "accepted",
    "rejected",
    "pending_new",
    "stopped",
    "pending_cancel",
    "pending_replace",
    "calculated",
    "suspended",
    "order_replace_rejected",
    "order_cancel_rejected",
    "held",
    "something_new",
)
FINAL = {Status.FILLED, Status.CANCELED, Status.EXPIRED, Status.REJECTED, Status.REPLACED}


def sighted(raw: bytes) -> Report:
    found = parse.parse_order(raw, "by_id", ASKED)
    assert isinstance(found, Sighting), found
    assert found.report.as_of == ASKED
    assert objection(None, found.report, ASKED) is None
    return found.report


def silent(raw: bytes) -> Silence:
    found = parse.parse_order(raw, "by_id", ASKED)
    assert isinstance(found, Silence), found
    assert found.garbled
    return found


@pytest.mark.parametrize(
    "word",
    [str(status) for status in Status if status is not Status.UNKNOWN],
)
def test_each_of_the_eighteen_words_is_its_status(word: str) -> None:
    filled = "2" if word == "filled" else "0"
    said = sighted(but("new", status=word, filled_qty=filled))
    assert said.status == word == said.venue_status
    assert (said.status in FINAL) == said.status.is_final


@pytest.mark.parametrize("word", ["activated", "unknown", "", "NEW", "Filled", None, 7, ["new"]])
def test_any_other_word_is_silence_with_the_order_named_and_its_text_kept(word: object) -> None:
    found = silent(but("new", status=word))
    assert found.orders == (ID,)
    assert "AAPL" in found.raw


def test_done_for_day_may_resume_the_next_morning() -> None:
    order = merge(None, sighted(but("new", status="done_for_day")))
    assert not order.is_final
    later = msgspec.structs.replace(sighted(text("new")), as_of=ASKED + timedelta(hours=20))
    assert merge(order, later).status is Status.NEW


def test_a_filled_order_tells_its_fills() -> None:
    said = sighted(text("filled"))
    assert said.filled_qty == said.quantity == 2
    assert said.avg_price == Decimal("149.995")
    assert said.last_fill_at == datetime(2026, 11, 20, 11, 59, 30, 31245, UTC)
    assert said.changed_at == datetime(2026, 11, 20, 11, 59, 30, 33911, UTC)
    assert (said.settled, said.fee) == (None, None)
    assert (said.symbol, said.side) == ("AAPL", "buy")


def test_what_is_canceled_after_fills_does_not_tell_when_the_last_was() -> None:
    said = sighted(but("canceled_with_fills", filled_at="2026-11-20T11:59:40Z"))
    assert (said.status, said.last_fill_at) == (Status.CANCELED, None)
    assert said.filled_qty == 1
    assert sighted(text("partially_filled")).last_fill_at is None


def test_an_order_by_amount_has_no_quantity_of_its_own() -> None:
    said = sighted(text("notional"))
    assert (said.quantity, said.filled_qty) == (None, Decimal("3.334222814"))


def test_a_quantity_of_zero_is_none() -> None:
    said = sighted(but("filled", qty="0"))
    assert said.quantity is None
    assert said.filled_qty


@pytest.mark.parametrize("qty", [None, "0", 0, ""])
def test_filled_without_a_quantity_is_silence(qty: object) -> None:
    silent(but("filled", filled_qty=qty))


@pytest.mark.parametrize("field", ["id", "status", "filled_qty"])
def test_an_order_without_what_makes_it_one_is_silence(field: str) -> None:
    silent(but("new", field))


def test_bare_numbers_are_read_as_well() -> None:
    said = sighted(but("filled", qty=2, filled_qty=2.0, filled_avg_price=149.995))
    assert said.quantity == said.filled_qty == 2
    assert said.avg_price == Decimal("149.995")


def test_a_bare_number_keeps_all_its_digits() -> None:
    digits = "0.123456789012345678901"
    raw = but("filled", filled_qty="DIGITS").replace(b'"DIGITS"', digits.encode())
    assert sighted(raw).filled_qty == Decimal(digits)


@pytest.mark.parametrize("cell", ["NaN", "Infinity", "2,5", "two", True, {"a": 1}])
def test_what_is_no_number_is_silence(cell: object) -> None:
    silent(but("new", filled_qty=cell))


@pytest.mark.parametrize("cell", ["yesterday", "2026-11-20", "2026-11-20T11:59:24", 17])
def test_what_is_no_time_is_silence(cell: object) -> None:
    silent(but("new", updated_at=cell))


@pytest.mark.parametrize("field", ["id", "client_order_id", "symbol", "filled_qty", "updated_at"])
def test_a_field_beyond_all_reason_is_silence_and_its_text_is_not_kept_whole(field: str) -> None:
    found = silent(but("new", **{field: "x" * 1_000_000}))
    assert len(found.why) + len(found.raw) + sum(map(len, found.orders)) < 10_000


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_a_time_at_the_calendars_end_is_silence_for_nothing_can_be_added_to_it(field: str) -> None:
    assert silent(but("canceled_with_fills", **{field: "9999-12-31T23:59:59Z"})).garbled


def test_a_name_that_no_key_could_hold_is_silence() -> None:
    sighted(but("new", client_order_id="x" * LONGEST_NAME))
    assert silent(but("new", client_order_id="x" * (LONGEST_NAME + 1))).garbled


def test_a_replaced_order_names_its_heir_and_the_heir_names_it() -> None:
    old, heir = sighted(text("replaced")), sighted(text("replacement"))
    assert (old.replaced_by, heir.replaces) == (heir.venue_order_id, old.venue_order_id)
    assert old.status is Status.REPLACED


@pytest.mark.parametrize(("name", "count"), [("bracket", 3), ("mleg", 3), ("new", 1)])
def test_legs_are_orders_of_their_own(name: str, count: int) -> None:
    raws = list(parse.flatten([msgspec.Raw(text(name))]))
    reports = [sighted(raw) for raw in raws]
    assert len({r.venue_order_id for r in reports}) == count


def test_the_head_of_an_order_of_several_legs_has_neither_symbol_nor_side() -> None:
    said = sighted(text("mleg"))
    assert (said.symbol, said.side) == (None, None)
    assert said.filled_qty == 1


@pytest.mark.parametrize(
    ("body", "is_word"),
    [
        (b'{"code":40410000,"message":"order not found for 7"}', True),
        (b'{"code": 40410000}', True),
        (b'{"message":"order not found for 7"}', False),
        (b'{"code":40400000,"message":"endpoint not found"}', False),
        (b'{"code":"40410000"}', False),
        (b"<html>404</html>", False),
        (b"", False),
        (b"[]", False),
    ],
)
def test_only_the_venues_own_code_says_that_there_is_no_such_order(
    body: bytes,
    is_word: bool,  # noqa: FBT001 - a case
) -> None:
    assert parse.says_not_found(body) is is_word


# --- on the stream ------------------------------------------------------------------------------


def heard(name: str, **other: object) -> Heard:
    frame = json.loads(text(name))
    frame["data"] |= other
    return parse.parse_update(json.dumps(frame["data"]).encode(), ASKED)


def test_a_fill_is_of_the_moment_that_the_frame_names() -> None:
    (one,) = heard("frame_fill").sightings
    at = datetime(2026, 11, 20, 11, 59, 30, 31245, UTC)
    assert (one.report.as_of, one.report.last_fill_at, one.endpoint) == (at, at, "stream")


def test_a_partial_fill_tells_when_it_was() -> None:
    (one,) = heard("frame_partial_fill").sightings
    assert one.report.last_fill_at == datetime(2026, 11, 20, 11, 59, 30, 31245, UTC)


def test_a_frame_without_a_time_is_of_the_moment_it_came() -> None:
    (one,) = heard("frame_new").sightings
    assert one.report.as_of == ASKED
    (other,) = heard("frame_new", at="2026-11-20T11:59:59Z").sightings
    assert other.report.as_of == ASKED - timedelta(seconds=1)
    (broken,) = heard("frame_new", timestamp="soon").sightings
    assert broken.report.as_of == ASKED


@pytest.mark.parametrize(
    "event",
    EVENTS,
)
def test_whatever_the_event_the_order_in_it_counts(event: str) -> None:
    found = heard("frame_new", event=event)
    assert [s.report.status for s in found.sightings] == [Status.NEW]
    assert (found.silences, found.missed, found.is_snapshot) == ((), "", False)


@pytest.mark.parametrize("event", ["trade_bust", "trade_correct", "restated"])
def test_what_takes_fills_back_is_merged_and_told_to_a_person(event: str) -> None:
    found = heard("frame_partial_fill", event=event)
    assert len(found.sightings) == 1
    (told,) = found.silences
    assert told.garbled
    assert event in told.why
    assert told.orders == (ID,)


def test_null_is_nothing_and_an_order_that_cannot_be_read_may_have_been_a_fill() -> None:
    assert parse.parse_update(b"null", ASKED) == Heard()
    for data in (b"[]", b"7", b'{"event":"fill"}', b'{"event":"fill","order":null}', b"{"):
        found = parse.parse_update(data, ASKED)
        assert found.missed
        assert found.silences
    unknown = heard("frame_new", order=json.loads(but("new", status="activated")))
    assert unknown.missed
    assert unknown.silences[0].orders == (ID,)


def test_legs_in_a_frame_are_heard_too() -> None:
    found = heard("frame_new", order=json.loads(text("bracket")))
    assert len(found.sightings) == 3
