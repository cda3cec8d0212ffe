"""What the user channel says becomes Sightings that say the same, or Silence with its raw text.

The frames are laid out as the channel's documentation and recordings of it show them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ordersync.truth.evidence import LONGEST_NAME, Sighting, Silence
from ordersync.truth.merge import merge, order_of
from ordersync.truth.model import Report, Status
from ordersync.venues.coinbase.frames import Kind, Message, is_refusal, parse_message

HOME = "8e1a3b3c-95c2-4b42-9d40-3a9b5b7d7a10"
ELSEWHERE = "11111111-95c2-4b42-9d40-3a9b5b7d7a10"
AT = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
STAMP = "2026-11-20T12:00:00.123456789Z"
ORDER: dict[str, Any] = {
    "avg_price": "0",
    "cancel_reason": "",
    "client_order_id": "bot-1",
    "completion_percentage": "0",
    "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE",
    "cumulative_quantity": "0",
    "filled_value": "0",
    "leaves_quantity": "1",
    "limit_price": "100",
    "number_of_fills": "0",
    "order_id": "d1aaa054-747d-4f9a-8e3f-05fbf5e2cd10",
    "order_side": "BUY",
    "order_type": "Limit",
    "outstanding_hold_amount": "100",
    "post_only": "false",
    "product_id": "AVNT-USD",
    "product_type": "SPOT",
    "reject_reason": "",
    "retail_portfolio_id": HOME,
    "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE",
    "status": "OPEN",
    "stop_price": "",
    "time_in_force": "GOOD_UNTIL_CANCELLED",
    "total_fees": "0",
    "total_value_after_fees": "100",
    "trigger_status": "INVALID_ORDER_TYPE",
    "creation_time": "2026-11-20T11:59:58.5Z",
    "end_time": "0001-01-01T00:00:00Z",
    "start_time": "0001-01-01T00:00:00Z",
}
FILLED = {
    "status": "FILLED",
    "cumulative_quantity": "1",
    "leaves_quantity": "0",
    "avg_price": "0.8373",
    "total_fees": "0.005",
}


def frame(*orders: dict[str, Any], kind: str = "update", **envelope: Any) -> bytes:  # noqa: ANN401
    body = {
        "channel": "user",
        "client_id": "",
        "timestamp": STAMP,
        "sequence_num": 7,
        "events": [
            {
                "type": kind,
                "orders": [{**ORDER, **order} for order in orders],
                "positions": {
                    "perpetual_futures_positions": [],
                    "expiring_futures_positions": [],
                },
            }
        ],
        **envelope,
    }
    return json.dumps({k: v for k, v in body.items() if v is not ...}).encode()


def read(raw: bytes) -> Message:
    message = parse_message(raw, HOME)
    assert isinstance(message, Message), message
    return message


def sighted(**order: Any) -> Report:  # noqa: ANN401 - whatever the wire holds
    (sighting,) = read(frame(order)).sightings
    assert isinstance(sighting, Sighting)
    assert sighting.endpoint == "user_channel"
    return sighting.report


def silent(raw: bytes) -> Silence:
    message = parse_message(raw, HOME)
    if isinstance(message, Silence):
        return message
    assert message.sightings == ()
    (silence,) = message.silences
    return silence


def test_an_order_is_read_whole_and_as_of_the_frames_own_time() -> None:
    report = sighted(**FILLED)
    assert report.as_of == AT
    assert report.changed_at == AT
    assert report.venue_order_id == ORDER["order_id"]
    assert report.client_order_id == "bot-1"
    assert (report.symbol, report.side, report.status) == ("AVNT-USD", "buy", Status.FILLED)
    assert (report.filled_qty, report.avg_price, report.fee) == (
        Decimal(1),
        Decimal("0.8373"),
        Decimal("0.005"),
    )
    assert report.created_at == datetime(2026, 11, 20, 11, 59, 58, 500000, tzinfo=UTC)


def test_a_snapshot_says_how_an_order_stands_and_not_when_it_changed() -> None:
    message = read(frame({}, kind="snapshot"))
    assert message.is_snapshot
    assert message.sightings[0].report.changed_at is None


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("PENDING", Status.PENDING_NEW),
        ("OPEN", Status.NEW),
        ("CANCEL_QUEUED", Status.PENDING_CANCEL),
        ("CANCELLED", Status.CANCELED),
        ("EXPIRED", Status.EXPIRED),
        ("FAILED", Status.REJECTED),
    ],
)
def test_every_word_of_the_channel_has_its_meaning(word: str, status: Status) -> None:
    assert sighted(status=word).status is status


def test_nothing_left_is_not_filled_and_nothing_left_at_an_end_is_no_size() -> None:
    assert sighted(leaves_quantity="0", cumulative_quantity="1").status is Status.NEW
    canceled = sighted(status="CANCELLED", leaves_quantity="0", cumulative_quantity="0.4")
    assert canceled.quantity is None
    assert order_of(canceled).filled_qty == Decimal("0.4")


def test_a_price_of_0_without_fills_is_no_price() -> None:
    assert sighted().avg_price is None
    assert sighted(avg_price="").avg_price is None


def test_a_stream_that_says_less_takes_nothing_away() -> None:
    known = merge(None, sighted(**FILLED))
    assert merge(known, sighted(status="OPEN", cumulative_quantity="0")) == known


def test_why_an_order_ended_is_kept() -> None:
    assert sighted(status="CANCELLED", cancel_reason="User requested cancel").reason == (
        "User requested cancel"
    )
    assert sighted(status="FAILED", reject_reason="REJECT_REASON_UNSPECIFIED").reason is None


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "SETTLING"},
        {"status": 7},
        {"cumulative_quantity": {"value": 1}},
        {"cumulative_quantity": "NaN"},
        {"cumulative_quantity": "1.0.0"},
        {"status": "FILLED", "cumulative_quantity": "0"},
        {"creation_time": "yesterday"},
        {"retail_portfolio_id": ELSEWHERE},
        {"client_order_id": "x" * (LONGEST_NAME + 1)},
    ],
    ids=str,
)
def test_an_order_that_cannot_be_believed_is_silence_about_it_alone(
    broken: dict[str, Any],
) -> None:
    message = read(frame(broken, {"order_id": "another"}))
    (silence,), (sighting,) = message.silences, message.sightings
    assert silence.garbled
    assert silence.orders == (ORDER["order_id"],)
    assert silence.raw
    assert sighting.report.venue_order_id == "another"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        frame({})[:-40],
        b"[]",
        b'"text"',
        frame({}).replace(b'"events"', b'"\xc3events"'),
        frame({}, events=...),
        frame({}, events=7),
        frame({}, events=["x"]),
        frame({}, timestamp=...),
        frame({}, timestamp="soon"),
        frame({}, sequence_num="seven"),
        b'{"channel": "user", "events": ' + b"[" * 100_000,
    ],
    ids=lambda raw: repr(raw[:30]),
)
def test_a_message_that_cannot_be_read_is_silence_with_its_beginning(raw: bytes) -> None:
    silence = silent(raw)
    assert silence.garbled
    assert silence.orders == ()
    assert len(silence.raw) <= 4000


def test_orders_that_are_null_or_absent_are_none() -> None:
    for events in ([{"type": "snapshot", "orders": None}], [{"type": "update"}], []):
        message = read(frame(events=events))
        assert (message.kind, message.sightings, message.silences) == (Kind.ORDERS, (), ())


def test_heartbeats_count_as_numbers_or_as_text() -> None:
    for counter in (66987, "66987"):
        beat = {"current_time": "2024-10-04 07:04:40 +0000 UTC m=+6", "heartbeat_counter": counter}
        message = read(frame(channel="heartbeats", events=[beat]))
        assert (message.kind, message.beat, message.number) == (Kind.HEARTBEAT, 66987, 7)


def test_what_is_subscribed_to_is_told_by_channel() -> None:
    events = [{"subscriptions": {"user": ["6d3f"], "heartbeats": ["heartbeats"]}}]
    assert read(frame(channel="subscriptions", events=events)).channels == {"user", "heartbeats"}


def test_an_error_has_no_channel() -> None:
    message = read(b'{"type": "error", "message": "authentication failure"}')
    assert (message.kind, message.text) == (Kind.ERROR, "authentication failure")
    assert is_refusal(message.text)
    assert not is_refusal("too many subscriptions")


def test_a_channel_that_nobody_knows_is_told_of_and_proves_nothing() -> None:
    message = read(frame({}, channel="user_v2"))
    assert (message.kind, message.sightings) == (Kind.OTHER, ())
    assert "user_v2" in message.silences[0].why
