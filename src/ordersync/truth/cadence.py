"""When to ask again about one order. Pure: every time is passed in.

A young order is asked at short, doubling steps, because market orders fill within a second
and nobody may have seen its past; then at the interval of the periodic pass. A final order is
due until it is settled, and once more a minute later. An unknown one hourly for a day, then
daily for a month.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

FIRST_STEP = timedelta(milliseconds=500)
SETTLE_STEP = timedelta(seconds=15)
SETTLE_PATIENCE = timedelta(hours=24)
LAST_LOOK = timedelta(seconds=60)
UNKNOWN_HOURLY = timedelta(hours=1)
UNKNOWN_DAILY = timedelta(days=1)
UNKNOWN_PATIENCE = timedelta(days=30)


def next_ask_open(
    *, first_seen_at: datetime, asked_at: datetime | None, interval: timedelta
) -> datetime:
    """When an order that is not final is due: at once, then after 0.5, 1, 2, 4 s … interval."""
    if asked_at is None:
        return first_seen_at
    return asked_at + min(interval, max(FIRST_STEP, asked_at - first_seen_at))


def next_ask_final(
    *, final_since: datetime, asked_at: datetime, settled: bool | None
) -> datetime | None:
    """When a final order is due: until settled (where the venue says so), then one last look.

    None: never again.
    """
    if settled is False and asked_at - final_since < SETTLE_PATIENCE:
        # Fees settle within seconds as a rule; the step grows with the wait.
        return asked_at + max(SETTLE_STEP, (asked_at - final_since) / 2)
    last_look = final_since + LAST_LOOK
    return last_look if asked_at < last_look else None


def next_ask_unknown(*, unknown_since: datetime, asked_at: datetime) -> datetime | None:
    """When an order that was proven absent is due: hourly for a day, then daily for 30 days."""
    waited = asked_at - unknown_since
    if waited >= UNKNOWN_PATIENCE:
        return None
    return asked_at + (UNKNOWN_HOURLY if waited < UNKNOWN_DAILY else UNKNOWN_DAILY)
