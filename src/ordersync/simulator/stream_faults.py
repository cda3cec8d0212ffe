"""What a fault does to a frame of the stream: the damaged, the outdated and the foreign."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from uuid import NAMESPACE_URL, uuid5

import msgspec

from ordersync.simulator.condition import condition_at
from ordersync.simulator.stream_json import user_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ordersync.simulator.answers import Json
    from ordersync.simulator.condition import PlacedOrder

HUGE_BYTES = 10 * 1024 * 1024
_FUTURE = "2999-12-31T23:59:59.999999999Z"

Frame = dict[str, "Json"]


def encode(frame: Frame) -> bytes:
    """Write a frame as it should be."""
    return msgspec.json.encode(frame)


def damaged(frame: Frame, how: str) -> bytes:
    """Write a frame about one order as it should not be."""
    if how == "not_json":
        whole = encode(frame)
        return whole[: len(whole) // 2]
    if how == "truncated_utf8":
        # The first of two bytes stands alone, so this is no text at all.
        return encode(frame).replace(b'"events"', b'"\xc3events"')
    return encode(_SPOILERS[how](frame))


def open_before(order: PlacedOrder, at: datetime) -> dict[str, Json]:
    """Tell an order as it was when it was open last before `at`, or as if it had been."""
    earlier = [moment for moment in order.moments if moment < at]
    conditions = [condition_at(order, moment) for moment in reversed(earlier)]
    conditions += [condition_at(order, order.created_at)]
    was_open = (each for each in conditions if each.status == "OPEN")
    condition = next(was_open, conditions[-1])
    return user_order(order, condition, "OPEN")


def _with_order(frame: Frame, **changes: Json) -> Frame:
    """Change fields of the order in a frame."""
    events = cast("list[dict[str, Json]]", frame["events"])
    orders = cast("list[dict[str, Json]]", events[0]["orders"])
    return {**frame, "events": [{**events[0], "orders": [{**orders[0], **changes}]}]}


def _wrong_types(frame: Frame) -> Frame:
    wrong: Json = {"value": [1, None]}
    return _with_order(frame, cumulative_quantity=wrong, status=7, avg_price=True)


def _unknown_channel(frame: Frame) -> Frame:
    return {**frame, "channel": "user_v2"}


def _other_account(frame: Frame) -> Frame:
    stranger = str(uuid5(NAMESPACE_URL, f"stranger {frame['sequence_num']}"))
    return _with_order(
        frame, order_id=stranger, client_order_id=stranger, retail_portfolio_id=stranger
    )


def _future_time(frame: Frame) -> Frame:
    return {**_with_order(frame, creation_time=_FUTURE), "timestamp": _FUTURE}


def _orders_null(frame: Frame) -> Frame:
    events = cast("list[dict[str, Json]]", frame["events"])
    return {**frame, "events": [{**events[0], "orders": None}]}


def _unknown_event(frame: Frame) -> Frame:
    events = cast("list[dict[str, Json]]", frame["events"])
    return {**frame, "events": [{**events[0], "type": "amendment"}]}


def _naked_numbers(frame: Frame) -> Frame:
    events = cast("list[dict[str, Json]]", frame["events"])
    orders = cast("list[dict[str, str]]", events[0]["orders"])
    names = ("cumulative_quantity", "leaves_quantity", "avg_price", "total_fees")
    return _with_order(frame, **{name: float(orders[0][name]) for name in names})


_SPOILERS: dict[str, Callable[[Frame], Frame]] = {
    "wrong_types": _wrong_types,
    "huge": lambda frame: _with_order(frame, cancel_reason="x" * HUGE_BYTES),
    "unknown_channel": _unknown_channel,
    "unknown_status": lambda frame: _with_order(frame, status="SETTLING"),
    "other_account": _other_account,
    "future_time": _future_time,
    "orders_null": _orders_null,
    "data_null": lambda frame: {**frame, "events": None},
    "unknown_event": _unknown_event,
    "naked_numbers": _naked_numbers,
}
