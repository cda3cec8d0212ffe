"""When each open row was first seen here, and when its order was last asked for.

Only young orders have steps of their own. Of one that is asked for at every full pass it is enough
to know that it was seen; all of them are too many to be looked through at every look.
"""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import OrderName
from ordersync.sync.hashed import Hashed
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
        self._grown = Hashed()
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
        # So many at once are not new orders, but an old table that is seen for the first time.
        self._grown.update(key for order in unread if (key := f"v:{order}") not in self._young)
        if len(self._young) + len(self._grown) != len(known) + len(resting) + len(unread):
            self._forget_all_but(work, woken)
        self._awake = set(known)
        self._were_unread = bool(unread)

    def _forget_all_but(self, work: Work, woken: Iterable[str]) -> None:
        known, resting, unread = work.known, work.resting, work.unread
        if not resting or self._were_unread:
            here = (f"v:{order}" for orders in (resting, unread) for order in orders)
            self._grown.keep_only(chain(known, here))
            may_be_gone = set(self._young)
        else:
            # Where nearly all rest, those that may be gone are few.
            may_be_gone = self._awake.union(f"v:{order}" for order in woken)
        for key in may_be_gone.difference(known):
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
        self._grown.update(grown)
        for step in due:
            step.asked_at = now
        return [step.name for step in due]

    def forget(self, key: str) -> None:
        """No young order any more."""
        self._young.pop(key, None)
        self._grown.discard(key)

    def _has_seen(self, key: str) -> bool:
        return key in self._young or key in self._grown

    def _asked_at(self, step: _Step) -> datetime | None:
        everyone, alone = self._all_asked_at, step.asked_at
        if everyone is None or everyone < step.first_seen_at:
            return alone
        return everyone if alone is None or alone < everyone else alone
