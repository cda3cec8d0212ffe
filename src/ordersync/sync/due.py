"""When an order is to be asked about although no open row may lead to it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.ports import Absent, Known, Overlay
from ordersync.truth.cadence import next_ask_final, next_ask_unknown
from ordersync.truth.merge import same_facts

if TYPE_CHECKING:
    from datetime import datetime

    from ordersync.truth.model import Order


def due_at(
    known: Known, truth: Order | None, absent: Absent | None, now: datetime, *, asked: bool
) -> datetime | None:
    """The next time, None where there is none; `asked`: whether the venue was just asked."""
    if absent is not None and absent.overlay in {Overlay.UNKNOWN, Overlay.RESOLVED}:
        since = absent.since or now
        return next_ask_unknown(unknown_since=since, asked_at=absent.asked_at)
    if truth is None or not truth.is_final:
        return None
    same = known.truth is not None and same_facts(truth, known.truth)
    if same and known.due_at is not None and known.due_at > now:
        return known.due_at
    was_known = known.truth is not None and known.truth.is_final
    # What lacks the price or the time of its fills is as little at rest as their fees.
    settled = truth.settled if _tells_its_fills(truth) else False
    if was_known and known.due_at is None and settled is not False:
        return None
    if not asked and settled is False:
        # A stream tells an end without its details: they are there for the asking.
        return known.due_at if same and known.due_at is not None else now
    since = known.final_since or now
    return next_ask_final(final_since=since, asked_at=now, settled=settled)


def _tells_its_fills(truth: Order) -> bool:
    """Whether price and time of all that was filled are known."""
    if not truth.filled_qty:
        return True
    told = (truth.priced, truth.filled)
    return all(fact is not None and fact.filled_qty >= truth.filled_qty for fact in told)
