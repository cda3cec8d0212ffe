"""The condition of an order at a moment: a pure function of what was written down about it.

An order's life becomes *marks* when it is placed: moments with the exact quantity and price of
each execution. Its condition at any moment is the fold of the marks up to then.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from ordersync.simulator.alpaca.life import NOTHING, Event, Life, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.simulator.alpaca.terms import Terms

FINAL_STATUSES = frozenset(("filled", "canceled", "expired", "rejected", "replaced"))
_PENDING = frozenset(("pending_cancel", "pending_replace"))
_LOT = Decimal("1e-9")
_MONEY = Decimal("1e-9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One step of a life, at its moment and in exact quantities.

    `execution` is the number of the mark whose fill was busted or corrected. `qty` of a
    restatement is the order's new quantity.
    """

    at: datetime
    event: Event | None
    status: str | None = None
    qty: Decimal = NOTHING
    price: Decimal = NOTHING
    execution: int | None = None
    replaced_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """An order as it was placed, and everything that happened and will happen to it.

    `number` counts the orders of the world. `legs` and `parent_id` are ids of other orders.
    """

    order_id: str
    client_order_id: str
    account_id: str
    number: int
    terms: Terms
    created_at: datetime
    submitted_at: datetime
    expires_at: datetime | None
    life: Life
    marks: tuple[Mark, ...]
    parent_id: str | None = None
    legs: tuple[str, ...] = ()
    replaces: str | None = None

    @property
    def steady_from(self) -> datetime:
        """From here on the condition does not change any more, unless somebody interferes."""
        return self.marks[-1].at + self.life.fills_lag + timedelta.resolution

    def execution_id(self, number: int) -> str:
        """Name what the mark with this number announces."""
        return str(uuid5(NAMESPACE_URL, f"{self.order_id}:{number}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """An execution, and how the order stood after it."""

    number: int  # of the mark
    at: datetime
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    completes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How an order stands at one moment."""

    status: str
    qty: Decimal | None
    fills: tuple[Fill, ...]
    listed_fills: tuple[Fill, ...]
    updated_at: datetime
    filled_at: datetime | None
    expired_at: datetime | None
    canceled_at: datetime | None
    failed_at: datetime | None
    replaced_at: datetime | None
    replaced_by: str | None
    cancel_requested_at: datetime | None

    @property
    def final(self) -> bool:
        """Whether nothing can follow but a bust, a correction or a late fill."""
        return self.status in FINAL_STATUSES

    @property
    def filled_qty(self) -> Decimal:
        """How much was executed."""
        return sum((fill.qty for fill in self.fills), NOTHING)

    @property
    def avg_price(self) -> Decimal | None:
        """What a unit cost on average, or None where nothing was filled."""
        filled = self.filled_qty
        if not filled:
            return None
        return (sum((f.qty * f.price for f in self.fills), NOTHING) / filled).quantize(_MONEY)


def write_down(
    terms: Terms, life: Life, begins_at: datetime, *, filled: Decimal = NOTHING
) -> list[Mark]:
    """Put a life into exact moments and quantities, `filled` being so already.

    Raises ValueError where it fills too much.
    """
    marks: list[Mark] = []
    for step in life.steps:
        at = begins_at + step.after
        if step.event not in {Event.PARTIAL_FILL, Event.FILL}:
            qty = step.qty or NOTHING
            marks.append(Mark(at=at, event=step.event, status=step.status, qty=qty))
            continue
        price = step.price or terms.price
        whole = size_of(terms, price)
        qty = _quantity(step, whole, filled)
        filled += qty
        if filled > whole:
            raise ValueError(f"The life fills {filled} of an order for {whole}.")
        marks.append(Mark(at=at, event=step.event, qty=qty, price=price))
    return marks


def size_of(terms: Terms, price: Decimal) -> Decimal:
    """How much is to be executed; an amount of money buys what it buys at this price."""
    if terms.qty is not None:
        return terms.qty
    return ((terms.notional or NOTHING) / price).quantize(_LOT, rounding=ROUND_DOWN)


def _quantity(step: Step, whole: Decimal, filled: Decimal) -> Decimal:
    if step.qty is not None:
        return step.qty
    if step.share is not None:
        return (whole * step.share).quantize(_LOT, rounding=ROUND_DOWN)
    if step.event is Event.FILL:
        return max(whole - filled, NOTHING)
    raise ValueError(f"A partial fill needs a qty or a share: {step}.")


@dataclass(slots=True)
class _Fold:
    """What is known half way through the marks."""

    updated_at: datetime
    qty: Decimal | None
    status: str = "pending_new"
    underlying: str = "pending_new"  # what a refused request falls back to
    fills: dict[int, Mark] = field(default_factory=dict)
    moments: dict[Event, datetime] = field(default_factory=dict)
    replaced_by: str | None = None

    def take(self, number: int, mark: Mark) -> None:
        self.updated_at = mark.at
        event = mark.event
        if event is None:
            self.status = mark.status or self.status
            return
        match event:
            case Event.PARTIAL_FILL | Event.FILL:
                self._fill(number, mark, event)
            case Event.TRADE_BUST | Event.TRADE_CORRECT:
                self._amend(mark)
            case Event.RESTATED:
                self.qty = mark.qty or self.qty
            case Event.PENDING_CANCEL | Event.PENDING_REPLACE:
                if self.status not in _PENDING:
                    self.underlying = self.status
                self.status = event.value
            case Event.ORDER_CANCEL_REJECTED | Event.ORDER_REPLACE_REJECTED:
                if self.status in _PENDING:
                    self.status = self.underlying
            case _:
                self._become(self._working() if event is Event.NEW else event.value)
                self.replaced_by = mark.replaced_by or self.replaced_by
        self.moments[event] = mark.at

    def _become(self, status: str) -> None:
        # A request that waits outranks everything but an end.
        if self.status in _PENDING and status not in FINAL_STATUSES:
            self.underlying = status
        else:
            self.status = status

    def _working(self) -> str:
        return "partially_filled" if any(fill.qty for fill in self.fills.values()) else "new"

    def _fill(self, number: int, mark: Mark, event: Event) -> None:
        if mark.qty:
            self.fills[number] = mark
        if event is Event.FILL:
            self.status = "filled"
        elif self.status not in FINAL_STATUSES:
            self._become("partially_filled")

    def _amend(self, mark: Mark) -> None:
        number = mark.execution
        if number is None or number not in self.fills:
            return
        if mark.event is Event.TRADE_CORRECT:
            self.fills[number] = replace(self.fills[number], qty=mark.qty, price=mark.price)
            return
        del self.fills[number]
        if self.status in {"filled", "partially_filled"}:
            self.status = self._working()
            self.moments.pop(Event.FILL, None)


def condition_at(order: PlacedOrder, at: datetime) -> Condition:
    """Say how `order` stood at `at`, knowing only what had happened by then."""
    happened = bisect_right(order.marks, at, key=lambda mark: mark.at)
    return condition_after(order, happened, at)


def condition_after(order: PlacedOrder, happened: int, at: datetime) -> Condition:
    """Say how `order` stood after the first so many marks."""
    fold = _Fold(updated_at=order.created_at, qty=order.terms.qty)
    for number, mark in enumerate(order.marks[:happened]):
        fold.take(number, mark)
    fills = _fills(fold)
    moments = fold.moments
    return Condition(
        status=fold.status,
        qty=fold.qty,
        fills=fills,
        listed_fills=tuple(f for f in fills if f.at + order.life.fills_lag <= at),
        updated_at=fold.updated_at,
        filled_at=moments.get(Event.FILL),
        expired_at=moments.get(Event.EXPIRED),
        canceled_at=moments.get(Event.CANCELED),
        failed_at=moments.get(Event.REJECTED),
        replaced_at=moments.get(Event.REPLACED),
        replaced_by=fold.replaced_by,
        cancel_requested_at=moments.get(Event.PENDING_CANCEL),
    )


def _fills(fold: _Fold) -> tuple[Fill, ...]:
    fills, cumulated = [], NOTHING
    for number, mark in fold.fills.items():
        cumulated += mark.qty
        fills.append(
            Fill(
                number=number,
                at=mark.at,
                qty=mark.qty,
                price=mark.price,
                cum_qty=cumulated,
                completes=mark.event is Event.FILL,
            )
        )
    return tuple(fills)


def ending(marks: Sequence[Mark]) -> Mark | None:
    """The mark that ends an order with these marks, if one does."""
    ends = {Event.FILL, Event.CANCELED, Event.EXPIRED, Event.REJECTED, Event.REPLACED}
    return next((mark for mark in marks if mark.event in ends), None)
