"""How often an order that the venue does not show is asked about: it costs many calls, and budget.

The absent one by itself, a witness that is there, the account's own name: where everything is
verified every two seconds, one such row would eat what a small budget has for all the others.
Kept in memory, by our own clock: a restart asks at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.sync.work import NOT_PROVEN
from ordersync.truth.cadence import next_ask_open

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ordersync.ports import Known
    from ordersync.sync.work import PassReport, Work

LONGEST = timedelta(minutes=2)
"""However many are gone: the truth may turn up, and has to be in the row two minutes later."""


class _Asked(msgspec.Struct, gc=False):
    first_at: datetime
    last_at: datetime


class Patience:
    """Of one account: which absent orders were asked about, and since when."""

    def __init__(self) -> None:
        self._asked: dict[str, _Asked] = {}
        self._doubt = ""

    async def spare(
        self,
        work: Work,
        now: datetime,
        interval: timedelta,
        verify: Callable[[Work], Awaitable[PassReport]],
    ) -> PassReport:
        """Verify the work, but of its absent orders only those whose time has come.

        The others are as they were: neither verified, nor news. Raises what `verify` raises.
        """
        later = self._postponed(work.known, now, interval)
        known = {key: what for key, what in work.known.items() if key not in later}
        report = await verify(msgspec.structs.replace(work, known=known))
        if not later:
            self._doubt = report.doubt
            return report
        report.asked += len(later)
        report.doubt = report.doubt or self._doubt
        report.failed |= {key[2:]: report.doubt or NOT_PROVEN for key in later}
        return report

    def _postponed(
        self, known: Mapping[str, Known], now: datetime, interval: timedelta
    ) -> set[str]:
        """The keys of those that need not be asked about now; the others count as asked.

        At once, then after ever longer steps: an order that was only just placed turns up soon.
        The steps grow to an interval, where many are absent to one for each of them.
        """
        absent = {key for key, what in known.items() if what.absent is not None}
        longest = max(interval, min(LONGEST, interval * len(absent)))
        for key in self._asked.keys() - absent:
            del self._asked[key]
        later: set[str] = set()
        for key in absent:
            asked = self._asked.get(key)
            if asked is None:
                self._asked[key] = _Asked(now, now)
            elif now < next_ask_open(
                first_seen_at=asked.first_at,
                asked_at=asked.last_at,
                interval=longest,
            ):
                later.add(key)
            else:
                asked.last_at = now
        return later
