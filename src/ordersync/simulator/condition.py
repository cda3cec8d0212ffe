"""The condition of an order at a moment: a pure function of what was written down about it.

An order's life becomes *marks* when it is placed: moments with the exact quantity, price and
commission of each execution. Its condition at any moment is the fold of the marks up to then,
cut short by a cancel request that took effect. The words of the statuses are Coinbase's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from ordersync.simulator.life import FINAL, NOTHING, Life, Step, What

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordersync.simulator.terms import Terms

TAKER_FEE = Decimal("0.006")
MAKER_FEE = Decimal("0.004")
# An execution is of so many digits, and so is money: what is known and what is written on the wire
# are then the same number.
_LOT = Decimal("1e-12")
MONEY_STEP = Decimal("1e-16")

_STATUS_OF = {
    What.QUEUED: "QUEUED",
    What.OPEN: "OPEN",
    What.EDIT_QUEUED: "EDIT_QUEUED",
    What.CANCEL_QUEUED: "CANCEL_QUEUED",
    What.FILLED: "FILLED",
    What.CANCELED: "CANCELLED",
    What.EXPIRED: "EXPIRED",
    What.FAILED: "FAILED",
}
FINAL_STATUSES = frozenset(_STATUS_OF[what] for what in FINAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One step of a life, at its moment and in exact quantities."""

    at: datetime
    what: What
    qty: Decimal = NOTHING
    price: Decimal = NOTHING
    commission: Decimal = NOTHING
    maker: bool = True
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """An order as it was placed, what will happen to it, and who asked to cancel it when."""

    order_id: str
    client_order_id: str
    portfolio: str
    user_id: str
    product_id: str
    side: str
    configuration: Mapping[str, object]
    terms: Terms
    created_at: datetime
    placement_source: str
    life: Life
    marks: tuple[Mark, ...]
    cancels: tuple[datetime, ...] = ()

    @property
    def cut(self) -> datetime | None:
        """When a cancel request ends the life, if one does."""
        if not self.cancels or self.life.refuses_cancel:
            return None
        return self.cancels[0] + self.life.cancel_lag

    @property
    def steady_from(self) -> datetime:
        """From here on the condition does not change any more, unless somebody cancels."""
        moments = [self.created_at, *(mark.at for mark in self.marks)]
        moments += [asked + self.life.cancel_lag for asked in self.cancels]
        last = max(moments)
        return last + max(self.life.settle_lag, self.life.fills_lag) + timedelta.resolution

    @property
    def moments(self) -> list[datetime]:
        """When the condition changes, as far as it is written down by now; in order of time."""
        cut = self.cut
        marks = [mark for mark in self.marks if cut is None or mark.at < cut]
        moments = {self.created_at, *(mark.at for mark in marks)}
        for asked in self.cancels:
            moments |= {asked, asked + self.life.cancel_lag}
        # The last fee shows when the last fill settles.
        moments |= {fill.at + self.life.settle_lag for fill in marks if fill.qty}
        return sorted(moments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How an order stands at one moment."""

    status: str
    fills: tuple[Mark, ...] = ()
    listed_fills: tuple[Mark, ...] = ()
    filled_qty: Decimal = NOTHING
    filled_value: Decimal = NOTHING
    fee: Decimal = NOTHING
    settled: bool = False
    pending_cancel: bool = False
    updated_at: datetime
    cancel_message: str = ""
    reject_message: str = ""

    @property
    def final(self) -> bool:
        """Whether nothing but settlement can follow."""
        return self.status in FINAL_STATUSES

    @property
    def avg_price(self) -> Decimal | None:
        """What a unit cost on average, or None where nothing was filled."""
        if not self.filled_qty:
            return None
        return (self.filled_value / self.filled_qty).quantize(MONEY_STEP)

    @property
    def last_fill_at(self) -> datetime | None:
        """When the last execution was."""
        return self.fills[-1].at if self.fills else None


def write_down(terms: Terms, life: Life, created_at: datetime, market_price: Decimal) -> list[Mark]:
    """Put a life into exact moments and quantities. Raises ValueError where it fills too much."""
    marks: list[Mark] = []
    filled = value = NOTHING
    for step in life.steps:
        at = created_at + step.after
        if step.what not in {What.FILL, What.FILLED}:
            marks.append(Mark(at=at, what=step.what, message=step.message))
            continue
        # A market order takes liquidity, whatever its life says.
        maker = step.maker and terms.order_type != "MARKET"
        rate = MAKER_FEE if maker else TAKER_FEE
        price = step.price or terms.limit_price or market_price
        qty = _quantity(step, terms, price, filled, value, rate)
        filled += qty
        value += qty * price
        commission = (qty * price * rate).quantize(MONEY_STEP)
        marks.append(
            Mark(at=at, what=step.what, qty=qty, price=price, commission=commission, maker=maker)
        )
    _check_size(life, terms, filled)
    return marks


def _quantity(
    step: Step, terms: Terms, price: Decimal, filled: Decimal, value: Decimal, rate: Decimal
) -> Decimal:
    if step.qty is not None:
        return step.qty
    whole = step.share is None
    if terms.base_size is not None:
        if whole:
            return terms.base_size - filled
        return (terms.base_size * (step.share or NOTHING)).quantize(_LOT, rounding=ROUND_DOWN)
    # A quote-sized order spends its quote including the fee, so a little less is traded.
    quote = (terms.quote_size or NOTHING) / (1 + rate)
    spent = quote - value if whole else quote * (step.share or NOTHING)
    return (spent / price).quantize(_LOT, rounding=ROUND_DOWN)


def _check_size(life: Life, terms: Terms, filled: Decimal) -> None:
    if terms.base_size is None:
        return
    if filled > terms.base_size:
        raise ValueError(f"The life fills {filled} of an order for {terms.base_size}.")
    if life.steps and life.steps[-1].what is What.FILLED and filled != terms.base_size:
        raise ValueError(f"The life ends as filled with {filled} of {terms.base_size}.")


@dataclass(slots=True)
class _Fold:
    """What is known half way through the marks."""

    updated_at: datetime
    status: str = "PENDING"
    message: str = ""
    fills: list[Mark] = field(default_factory=list)

    def take(self, mark: Mark) -> None:
        self.updated_at = mark.at
        if mark.what in {What.FILL, What.FILLED} and mark.qty:
            self.fills.append(mark)
        if mark.what is What.FILL:
            # An execution proves that the order is on the book, but undoes no queued request.
            if self.status in {"PENDING", "QUEUED"}:
                self.status = "OPEN"
            return
        self.status = _STATUS_OF[mark.what]
        self.message = mark.message


def condition_at(order: PlacedOrder, at: datetime) -> Condition:
    """Say how `order` stood at `at`, knowing only what had happened by then."""
    fold = _Fold(updated_at=order.created_at)
    # A cancel asked for later than `at` is none yet; that is what makes a stale answer honest.
    cut = order.cut if order.cut is not None and order.cut <= at else None
    for mark in order.marks:
        if mark.at > at or (cut is not None and mark.at >= cut):
            break
        fold.take(mark)
    asked = _waiting_cancel(order, at)
    if fold.status not in FINAL_STATUSES:
        if cut is not None:
            fold.status, fold.updated_at = "CANCELLED", cut
            fold.message = "User requested cancel"
        elif asked is not None:
            fold.status = "CANCEL_QUEUED"
            fold.updated_at = max(fold.updated_at, asked)
    return _conclude(order, fold, at)


def _waiting_cancel(order: PlacedOrder, at: datetime) -> datetime | None:
    for asked in order.cancels:
        if asked <= at < asked + order.life.cancel_lag:
            return asked
    return None


def _conclude(order: PlacedOrder, fold: _Fold, at: datetime) -> Condition:
    final = fold.status in FINAL_STATUSES
    updated_at, settled, fee_known = fold.updated_at, False, fold.fills
    # An end without fills is never "settled" on the real exchange: nothing changed hands.
    if final and fold.fills:
        settles_at = fold.fills[-1].at + order.life.settle_lag
        settled = at >= settles_at
        if settled:
            updated_at = max(updated_at, settles_at)
        else:
            fee_known = fold.fills[:-1]
    return Condition(
        status=fold.status,
        fills=tuple(fold.fills),
        listed_fills=tuple(f for f in fold.fills if f.at + order.life.fills_lag <= at),
        filled_qty=sum((fill.qty for fill in fold.fills), NOTHING),
        filled_value=sum((fill.qty * fill.price for fill in fold.fills), NOTHING),
        fee=sum((fill.commission for fill in fee_known), NOTHING),
        settled=settled,
        pending_cancel=fold.status == "CANCEL_QUEUED",
        updated_at=updated_at,
        cancel_message=fold.message if fold.status in {"CANCELLED", "CANCEL_QUEUED"} else "",
        reject_message=fold.message if fold.status == "FAILED" else "",
    )
