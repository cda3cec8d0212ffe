"""How reports become one truth.

Rule 1: every rule about which statement wins lives in this file.
Rule 2: nothing here knows which venue, store or process it serves.

Merging is a join: each fact of an order is the greatest of what was ever said of it, in an
order of comparison that is total and fixed. A greatest does not depend on the order of
arrival nor on repetition, so merging is commutative, associative and idempotent by
construction, and the tests prove it.

| fact | greatest by |
|---|---|
| standing | final before open; finals by (FIX precedence, as_of, word), open (as_of, rank, word) |
| filled_qty | quantity |
| settled | (filled_qty, settled), of those that say it; more fills than that are not settled |
| avg_price, fee | (filled_qty, settled, as_of, value) |
| last_fill_at | (filled_qty, value) |
| quantity | (as_of, value) |
| reason | as the standing it explains, then text |
| ids, symbol, side, created_at, chain | value: they do not change in an order's life |

An absent value never replaces a known one. An operator's `epoch` comes first in every
comparison but that of the ids: a later epoch discards what earlier ones said. Reports are of
epoch 0 when they come in; which of them count in a later one `heed` says.

FIX ranks Pending Cancel above Filled because it labels one instant. For convergence a final
standing must outrank every pending one, so here it does.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ordersync.truth.model import (
    FINAL_PRECEDENCE,
    OPEN_RANK,
    Dated,
    Facts,
    Mark,
    Moment,
    Order,
    Reason,
    Report,
    Settlement,
    Standing,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_T = TypeVar("_T")
_ZERO = Decimal(0)

FACTS = tuple(Facts.__struct_fields__)
"""The facts that an operator may correct, by their names in a report."""


def merge(order: Order | None, report: Report) -> Order:
    """Join one report to what is known of its order (None: nothing yet)."""
    said = order_of(heed(order, report))
    return said if order is None else join(order, said)


def heed(order: Order | None, report: Report) -> Report:
    """The report as it counts for an order that an operator may have corrected.

    In the order's own epoch where it was said after the correction, and is not just what was
    overruled, said again: venues repeat a busted trade for ever. All else stays in its epoch, so
    that it is evidence and changes nothing. What is compared are only facts that were corrected:
    a fee that settles meanwhile makes no news of a fill that did not count.
    """
    if order is None or order.corrected is None or report.epoch >= order.epoch:
        return report
    repeats = any(_repeats(report, facts) for facts in order.corrected.overruled)
    if report.as_of <= order.corrected.at or repeats:
        return report
    return msgspec.structs.replace(report, epoch=order.epoch)


def _repeats(report: Report, overruled: Facts) -> bool:
    """Whether all that a report tells of the overruled facts is what was overruled."""
    pairs = [
        (getattr(report, name), value)
        for name in FACTS
        if (value := getattr(overruled, name)) is not None
    ]
    if report.status is None and report.filled_qty is not None and overruled.filled_qty is not None:
        # A fills listing is a lower bound: some of the fills that were overruled, or all.
        return report.filled_qty <= overruled.filled_qty
    told = [said == value for said, value in pairs if said is not None]
    return bool(told) and all(told)


def join(a: Order, b: Order) -> Order:
    """The truth of two orders that are one: the greatest of each fact."""
    if a.epoch != b.epoch:
        newer, older = (a, b) if a.epoch > b.epoch else (b, a)
        return msgspec.structs.replace(newer, **_identity(newer, older))
    return Order(
        epoch=a.epoch,
        as_of=max(a.as_of, b.as_of),
        standing=_greater_by(a.standing, b.standing, standing_key),
        filled_qty=_greater(a.filled_qty, b.filled_qty),
        booked=_greater_by(a.booked, b.booked, lambda s: (s.filled_qty, s.settled)),
        priced=_greater_by(a.priced, b.priced, _mark_key),
        charged=_greater_by(a.charged, b.charged, _mark_key),
        filled=_greater_by(a.filled, b.filled, lambda m: (m.filled_qty, m.value)),
        sized=_greater_by(a.sized, b.sized, lambda d: (d.as_of, d.value)),
        ended_because=_greater_by(a.ended_because, b.ended_because, _reason_key),
        changed_at=_greater(a.changed_at, b.changed_at),
        corrected=_greater_by(a.corrected, b.corrected, lambda c: (c.at, repr(c.overruled))),
        **_identity(a, b),
    )


def order_of(report: Report) -> Order:
    """What one report alone says, as a truth."""
    filled_qty = report.filled_qty
    settled = report.settled is True
    at = report.as_of
    qty = filled_qty if filled_qty is not None else _ZERO
    standing = None
    if report.status is not None and report.status is not Status.UNKNOWN:
        standing = Standing(report.status, at, report.venue_status)
    because = None
    if report.reason and standing is not None:
        because = Reason(report.reason, standing.status, at)
    return Order(
        epoch=report.epoch,
        venue_order_id=report.venue_order_id,
        client_order_id=report.client_order_id,
        symbol=report.symbol,
        side=report.side,
        created_at=report.created_at,
        replaces=report.replaces,
        replaced_by=report.replaced_by,
        as_of=at,
        standing=standing,
        filled_qty=filled_qty,
        booked=Settlement(report.settled, qty) if report.settled is not None else None,
        priced=_mark(report.avg_price, qty, at, settled=settled),
        charged=_mark(report.fee, qty, at, settled=settled),
        filled=Moment(report.last_fill_at, qty) if report.last_fill_at else None,
        sized=Dated(report.quantity, at) if report.quantity is not None else None,
        ended_because=because,
        changed_at=report.changed_at,
    )


def vouch(order: Order, as_of: datetime) -> Order:
    """The truth after its latest report was said again in the same words, at `as_of`.

    Only for a truth in which all else is older than that report: then what carries the moment
    of the truth came from it, and merging it once more would lift just that.
    """
    if as_of <= order.as_of:
        return order
    lifted = {
        name: msgspec.structs.replace(fact, as_of=as_of)
        for name in ("standing", "priced", "charged", "sized", "ended_because")
        if (fact := getattr(order, name)) is not None and fact.as_of == order.as_of
    }
    return msgspec.structs.replace(order, as_of=as_of, **lifted)


def standing_key(standing: Standing) -> tuple[Any, ...]:
    """By what a standing is compared: final first, then as the table above says."""
    precedence = FINAL_PRECEDENCE.get(standing.status)
    if precedence is not None:
        return (1, precedence, standing.as_of, standing.word)
    return (0, standing.as_of, OPEN_RANK[standing.status], standing.word)


def facts(order: Order) -> tuple[object, ...]:
    """What a person would call the state of the order, without the moments of vouching.

    Two truths with equal facts need no write and no event: only `as_of` moved.
    """
    return (
        order.epoch,
        order.status,
        order.filled_qty,
        order.settled,
        order.avg_price,
        order.fee,
        order.last_fill_at,
        order.quantity,
        order.reason,
        order.venue_order_id,
        order.client_order_id,
        order.symbol,
        order.side,
        order.created_at,
        order.replaces,
        order.replaced_by,
    )


def same_facts(a: Order, b: Order) -> bool:
    """Whether `facts` of both are equal: what differs most often is looked at first."""
    return a is b or (
        a.filled_qty == b.filled_qty
        and a.status is b.status
        and a.settled == b.settled
        and facts(a) == facts(b)
    )


def contradicts(order: Order, report: Report) -> bool:
    """Whether a final report and the standing final cannot both be right.

    Another final word, or fewer fills than are known. The merge has an answer all the same;
    this is for a person to hear of.
    """
    standing = order.standing
    if standing is None or not standing.status.is_final:
        return False
    if heed(order, report).epoch != order.epoch:
        return False
    if report.status is None or not report.status.is_final:
        return False
    fewer = (
        report.filled_qty is not None
        and order.filled_qty is not None
        and report.filled_qty < order.filled_qty
    )
    return fewer or report.status is not standing.status


def objection(order: Order | None, report: Report, venue_now: datetime) -> str | None:
    """Why a report cannot be believed, in one sentence; None where it can.

    Such a report is quarantined, never merged: it is about another order; more is filled than
    the order's own quantity in the same unit; a number that no order has; a time beyond the
    venue's own clock.
    """
    known_id = order.venue_order_id if order is not None else None
    if known_id and report.venue_order_id and known_id != report.venue_order_id:
        return f"it is about the order {report.venue_order_id}, not about {known_id}"
    for name, number in (
        ("filled_qty", report.filled_qty),
        ("quantity", report.quantity),
        ("avg_price", report.avg_price),
        ("fee", report.fee),
    ):
        if number is not None and (trouble := _implausible(name, number)):
            return trouble
    quantity = report.quantity
    if quantity is None and order is not None:
        quantity = order.quantity
    if quantity is not None and report.filled_qty is not None and report.filled_qty > quantity:
        return f"filled_qty {report.filled_qty} is more than the order's quantity {quantity}"
    for name, moment in (
        ("as_of", report.as_of),
        ("created_at", report.created_at),
        ("changed_at", report.changed_at),
        ("last_fill_at", report.last_fill_at),
    ):
        if moment is None:
            continue
        if moment.tzinfo is not UTC and moment.utcoffset() is None:
            return f"{name} {moment.isoformat()} has no time zone"
        if moment - venue_now > FUTURE:
            return f"{name} {moment.isoformat()} lies in the future"
    return None


FUTURE = timedelta(minutes=5)
"""How far a time may lie beyond the venue's clock before the report is not believed."""

HUGE = Decimal("1e30")
"""Beyond this, no quantity or price of any venue: a wrong type or unit."""

FINEST = -100
"""The most places behind the point: written out in digits, more would be a page of zeros."""


def _implausible(name: str, number: Decimal) -> str | None:
    if not number.is_finite():
        return f"{name} is {number}"
    if number.copy_abs() > HUGE:  # abs() would round, and overflow
        return f"{name} {number} is beyond any real number of its kind"
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < FINEST:
        return f"{name} {number} is finer than any real number of its kind"
    if number < 0 and name in {"filled_qty", "quantity"}:
        return f"{name} {number} is negative"
    return None


def _identity(a: Order, b: Order) -> dict[str, Any]:
    return {
        "venue_order_id": _greater(a.venue_order_id, b.venue_order_id),
        "client_order_id": _greater(a.client_order_id, b.client_order_id),
        "symbol": _greater(a.symbol, b.symbol),
        "side": _greater(a.side, b.side),
        "created_at": _greater(a.created_at, b.created_at),
        "replaces": _greater(a.replaces, b.replaces),
        "replaced_by": _greater(a.replaced_by, b.replaced_by),
    }


def _greater(a: Any, b: Any) -> Any:  # noqa: ANN401 - any ordered type, None below all
    if a is None or b is None:
        return b if a is None else a
    return max(a, b)


def _greater_by(a: _T | None, b: _T | None, key: Callable[[_T], Any]) -> _T | None:
    if a is None or b is None:
        return b if a is None else a
    return a if key(a) >= key(b) else b


def _mark(value: Decimal | None, qty: Decimal, as_of: datetime, *, settled: bool) -> Mark | None:
    return None if value is None else Mark(value, qty, settled, as_of)


def _mark_key(mark: Mark) -> tuple[Any, ...]:
    return (mark.filled_qty, mark.settled, mark.as_of, mark.value)


def _reason_key(reason: Reason) -> tuple[Any, ...]:
    return (*standing_key(Standing(reason.status, reason.as_of)), reason.text)
