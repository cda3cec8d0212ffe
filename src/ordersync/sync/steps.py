"""When each open row was first seen here, and when its order was last asked for.

Only young orders have steps of their own. Of one that is asked for at every full pass it is enough
to know that it was seen; all of them are too many to be looked through at every look.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import OrderName
from ordersync.sync.parcels import key_of
from ordersync.truth.cadence import next_ask_open

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from ordersync.sync.work import Work


class _Step(msgspec.Struct, gc=False):
    """One young order. `asked_at` is when it was asked for by itself, between two full passes."""

    name: OrderName
    first_seen_at: datetime
    asked_at: datetime | None = None


class Steps:
    """The steps of one account's open orders, by order key.

    A full pass asks for all of them, so its moment is kept once; with orders at rest it costs
    only what moved. Those that are no longer young are known by the hash of their key.
    """

    def __init__(self) -> None:
        self._young: dict[str, _Step] = {}
        self._grown: set[int] = set()
        self._awake: set[str] = set()
        self._were_unread = False
        self._all_asked_at: datetime | None = None

    def discover(self, name: OrderName, now: datetime) -> None:
        """A row of this order was seen; perhaps for the first time."""
        key = key_of(name)
        if not self._has_seen(key):
            self._young[key] = _Step(name, now)
            self._awake.add(key)

    def note(self, work: Work, woken: Iterable[str], now: datetime) -> None:
        """What the work is about are the orders now; `woken` rested before, by venue id."""
        known, resting, unread = work.known, work.resting, work.unread
        for key, what in known.items():
            if not self._has_seen(key):
                claim = what.claims[0]
                name = OrderName(claim.venue_order_id, claim.client_order_id)
                self._young[key] = _Step(name, now)
        for order in unread:
            # So many at once are not new orders, but an old table that is seen for the first time.
            if (key := f"v:{order}") not in self._young:
                self._grown.add(hash(key))
        if len(self._young) + len(self._grown) != len(known) + len(resting) + len(unread):
            self._forget_all_but(work, woken)
        self._awake = set(known)
        self._were_unread = bool(unread)

    def _forget_all_but(self, work: Work, woken: Iterable[str]) -> None:
        known, resting, unread = work.known, work.resting, work.unread
        if not resting or self._were_unread:
            now = {hash(f"v:{order}") for orders in (resting, unread) for order in orders}
            now.update(map(hash, known))
            self._grown &= now
            for key in [key for key in self._young if hash(key) not in now]:
                del self._young[key]
            return
        # Where nearly all rest, those that may be gone are few.
        for key in self._awake.union(f"v:{order}" for order in woken).difference(known):
            if key[0] != "v" or (key[2:] not in resting and key[2:] not in unread):
                self.forget(key)

    def asked_all(self, now: datetime) -> None:
        """All of them were asked for."""
        self._all_asked_at = now

    def take_due(self, now: datetime, interval: timedelta, most: int) -> list[OrderName]:
        """Those that are due, at most so many; they count as asked for."""
        due: list[_Step] = []
        grown: list[str] = []
        for key, step in self._young.items():
            asked_at = self._asked_at(step)
            if asked_at is not None and asked_at - step.first_seen_at >= interval:
                grown.append(key)  # from here on the full pass asks for it as often
            elif len(due) < most and now >= next_ask_open(
                first_seen_at=step.first_seen_at, asked_at=asked_at, interval=interval
            ):
                due.append(step)
        for key in grown:
            del self._young[key]
            self._grown.add(hash(key))
        for step in due:
            step.asked_at = now
        return [step.name for step in due]

    def forget(self, key: str) -> None:
        """No young order any more."""
        self._young.pop(key, None)
        self._grown.discard(hash(key))

    def _has_seen(self, key: str) -> bool:
        return key in self._young or hash(key) in self._grown

    def _asked_at(self, step: _Step) -> datetime | None:
        everyone, alone = self._all_asked_at, step.asked_at
        if everyone is None or everyone < step.first_seen_at:
            return alone
        return everyone if alone is None or alone < everyone else alone
