"""How requests and other strokes of fate rewrite the future of an order.

Every function takes what was written down and gives what is written down now. Marks up to the
moment stay as they are, so an answer as of an earlier moment does not change.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from ordersync.simulator.alpaca.condition import Mark, ending, write_down
from ordersync.simulator.alpaca.life import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from ordersync.simulator.alpaca.condition import PlacedOrder

Marks = tuple[Mark, ...]


def canceled(order: PlacedOrder, now: datetime) -> Marks:
    """Write down a request to cancel: pending for a while, overtaken by an end, or refused."""
    life = order.life
    end = Mark(
        at=now + life.cancel_lag,
        event=Event.ORDER_CANCEL_REJECTED if life.refuses_cancel else Event.CANCELED,
    )
    return _requested(order.marks, Mark(at=now, event=Event.PENDING_CANCEL), end)


def replaced(order: PlacedOrder, now: datetime, new_id: str) -> tuple[Marks, datetime | None]:
    """Write down a request to replace. Says since when the new order works, if it ever does."""
    life = order.life
    effective = now + life.replace_lag
    end = Mark(
        at=effective,
        event=Event.ORDER_REPLACE_REJECTED if life.refuses_replace else Event.REPLACED,
        replaced_by=None if life.refuses_replace else new_id,
    )
    marks = _requested(order.marks, Mark(at=now, event=Event.PENDING_REPLACE), end)
    took_place = any(mark.event is Event.REPLACED for mark in marks)
    return marks, effective if took_place else None


def _requested(marks: Marks, request: Mark, end: Mark) -> Marks:
    past, future = split(marks, request.at)
    before, after = split(future, end.at)
    if ending(before) is not None:
        return (*past, request, *future)
    works_on = end.event in {Event.ORDER_CANCEL_REJECTED, Event.ORDER_REPLACE_REJECTED}
    return (*past, request, *before, end, *(after if works_on else ()))


def split(marks: Sequence[Mark], at: datetime) -> tuple[Marks, Marks]:
    """Part what happened up to a moment from what has not happened yet."""
    past = tuple(mark for mark in marks if mark.at <= at)
    return past, tuple(marks[len(past) :])


def leg_marks(parent: PlacedOrder, leg: PlacedOrder) -> Marks:
    """Write down the life of a leg, which depends on its parent's."""
    if parent.terms.order_class == "mleg":
        return tuple(_mirrored(mark, leg) for mark in parent.marks)
    held = Mark(at=parent.created_at, event=Event.HELD)
    if parent.terms.order_class == "oco":
        return (held, *write_down(leg.terms, leg.life, parent.created_at))
    end = ending(parent.marks)
    if end is None:
        return (held,)
    if end.event is not Event.FILL:
        return (held, Mark(at=end.at, event=Event.CANCELED))
    return (held, *write_down(leg.terms, leg.life, end.at))


def _mirrored(mark: Mark, leg: PlacedOrder) -> Mark:
    if mark.event not in {Event.PARTIAL_FILL, Event.FILL}:
        return mark
    ratio = leg.terms.ratio_qty or 1
    return replace(mark, qty=mark.qty * ratio, price=leg.terms.price)


def one_cancels_others(orders: Iterable[PlacedOrder], now: datetime) -> Mapping[str, Marks]:
    """Write down that the first of these to end cancels those that still work.

    What happened up to `now` stands. One that was replaced has an heir, and ends nothing.
    """
    rivals = list(orders)
    ends = [(end.at, order.order_id) for order in rivals if (end := ending(order.marks))]
    ends = [each for each in ends if not _was_replaced(each[1], rivals)]
    if not ends:
        return {}
    at, first = min(ends)
    at = max(at, now)
    return {
        order.order_id: (
            *(mark for mark in order.marks if mark.at < at or mark.at <= now),
            Mark(at=at, event=Event.CANCELED),
        )
        for order in rivals
        if order.order_id != first and _still_works(order, at)
    }


def _was_replaced(order_id: str, rivals: Sequence[PlacedOrder]) -> bool:
    marks = next(order.marks for order in rivals if order.order_id == order_id)
    end = ending(marks)
    return end is not None and end.event is Event.REPLACED


def _still_works(order: PlacedOrder, at: datetime) -> bool:
    end = ending(order.marks)
    return end is None or end.at > at


def rebalanced(future: Sequence[Mark], executed: Decimal) -> Marks:
    """Write down what is still to be executed, after so much more was than had been planned.

    Less than nothing was executed where a fill was busted; what completes the order then makes
    up for it.
    """
    marks: list[Mark] = []
    for mark in reversed(future):
        change = Decimal(0)
        if mark.event is Event.FILL or (mark.event is Event.PARTIAL_FILL and executed > 0):
            change = min(executed, mark.qty)
            executed -= change
        if mark.event is not Event.PARTIAL_FILL or mark.qty > change:
            marks.append(replace(mark, qty=mark.qty - change))
    return tuple(reversed(marks))
