"""How much an open row wants to be looked at. Pure: ages are passed in.

An order that rests for days is no trouble while the exchange says that it rests. Stale is a row
that says open for longer than it may, and that nobody can vouch for: the exchange says otherwise,
or was not asked, or did not answer.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

LOUD_TIMES = 12
"""After how many times `stale_after` of doubt an order is critical: an hour, of five minutes."""


class Discrepancy(StrEnum):
    """How a row and what the exchange says of its order differ."""

    STATUS = "status"  # the row's word is not what the exchange says
    FILLS = "fills"  # the word is true, what was filled is not
    UNVERIFIED = "unverified"  # nobody has vouched for it within `stale_after`
    SUSPECT = "suspect"  # absent at the exchange, not proven
    UNKNOWN = "unknown"  # absent at the exchange, proven


class Urgency(StrEnum):
    """What a person should make of it."""

    FRESH = "fresh"  # younger than `stale_after`, and nothing is wrong
    NORMAL = "normal"  # older, and vouched for
    WARNING = "warning"  # stale, or untrue at the moment
    CRITICAL = "critical"  # a person is needed: suspect, or stale for very long


def is_stale(age: timedelta, discrepancy: Discrepancy | None, stale_after: timedelta) -> bool:
    """Whether an open row of this age can no longer be trusted.

    `age` counts from the row's own `created_at`, else from our first sight of it.
    """
    return age >= stale_after and discrepancy not in {None, Discrepancy.FILLS}


def urgency(
    age: timedelta,
    discrepancy: Discrepancy | None,
    stale_after: timedelta,
    *,
    in_doubt: timedelta | None = None,
) -> Urgency:
    """How urgent an open row of this age is.

    `in_doubt` is for how long nobody has vouched for it, or the exchange has said otherwise; None:
    never was anything known. An order that rested for days is not urgent for its age.
    """
    stale = is_stale(age, discrepancy, stale_after)
    doubted = age if in_doubt is None else min(age, in_doubt)
    if discrepancy is Discrepancy.SUSPECT or (stale and doubted >= LOUD_TIMES * stale_after):
        return Urgency.CRITICAL
    if stale or discrepancy not in {None, Discrepancy.UNVERIFIED}:
        return Urgency.WARNING
    return Urgency.FRESH if age < stale_after else Urgency.NORMAL
