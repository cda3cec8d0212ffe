"""What a person's word makes of an order: the one thing that no report of a venue can say.

Two kinds, and they yield to different things. A *resolution* is about an order that the venue
does not know: it is shown in place of nothing, and any sighting, at any age, beats it. A
*correction* is about an order that the venue knows wrongly (a trade bust, a correction, a
settlement off the exchange): it opens a new epoch, and only what the venue says after it, and
did not say before, counts again. Either is undone by a later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.truth.merge import FACTS, join, objection, order_of
from ordersync.truth.model import Correction, Facts, Order, Report, Statement, Status

if TYPE_CHECKING:
    from datetime import datetime


def resolve(order: Order | None, said: Statement) -> Order:
    """How an order stands that the venue does not know, by a person's word.

    It is shown, never merged: what the venue once said stays the truth about it.
    """
    shown = order_of(_report(order, said, epoch=order.epoch + 1 if order else 1))
    return shown if order is None else join(order, shown)


def correct(order: Order, said: Statement) -> Order:
    """The order in a new epoch: as it was, but for what the person says.

    What is overruled is remembered, with what earlier corrections overruled and this one does not
    say again.
    """
    report = _report(order, said, epoch=order.epoch + 1)
    before = facts_of(order)
    new = facts_of(order_of(report))
    changed = [name for name in FACTS if getattr(before, name) != getattr(new, name)]
    overruled = Facts(**{name: getattr(before, name) for name in changed})
    earlier = order.corrected.overruled if order.corrected else ()
    kept = [facts for facts in earlier if not _says(new, facts)]
    if overruled != Facts():
        kept.append(overruled)
    corrected = msgspec.structs.replace(
        order_of(report), corrected=Correction(report.as_of, tuple(kept))
    )
    return join(order, corrected)


def facts_of(order: Order | None) -> Facts:
    """What a person may speak of, as it is known now."""
    if order is None:
        return Facts()
    return Facts(
        status=order.standing.status if order.standing else None,
        filled_qty=order.filled_qty,
        avg_price=order.avg_price,
        fee=order.fee,
    )


def refusal(order: Order | None, said: Statement, venue_now: datetime) -> str | None:
    """Why what a person says cannot be so, in one sentence; None where it can."""
    if said.facts.status is Status.UNKNOWN:
        return "unknown is not how an order stands: say what became of it"
    filled_qty = said.facts.filled_qty
    if filled_qty is None and order is not None:
        filled_qty = order.filled_qty
    if said.facts.avg_price is not None and filled_qty == 0:
        return "nothing is filled, so there is no average price"
    plain = msgspec.structs.replace(said, at=min(said.at, venue_now))
    report = msgspec.structs.replace(_report(order, plain, epoch=0), last_fill_at=None)
    return objection(order, report, max(venue_now, report.as_of))


def _report(order: Order | None, said: Statement, *, epoch: int) -> Report:
    """The whole snapshot that a person's word amounts to: what is not said stays as it was."""
    facts, known = said.facts, facts_of(order)
    filled_qty = known.filled_qty if facts.filled_qty is None else facts.filled_qty
    avg_price = known.avg_price if facts.avg_price is None else facts.avg_price
    status = facts.status or known.status
    is_as_before = order is not None and status is known.status
    return Report(
        # No report that was merged already may seem to be said after the correction.
        as_of=max(said.at, order.as_of) if order else said.at,
        epoch=epoch,
        status=status,
        venue_status=order.standing.word if is_as_before and order and order.standing else "",
        filled_qty=filled_qty,
        avg_price=avg_price if filled_qty != 0 else None,
        fee=known.fee if facts.fee is None else facts.fee,
        settled=order.settled if order else None,
        quantity=order.quantity if order else None,
        last_fill_at=order.last_fill_at if order and filled_qty else None,
        reason=order.reason if is_as_before and order else said.reason,
    )


def _says(new: Facts, facts: Facts) -> bool:
    """Whether `new` is just that, as far as `facts` tells anything."""
    return all(
        getattr(facts, name) is None or getattr(facts, name) == getattr(new, name) for name in FACTS
    )
