"""When each open row was first seen here, and when its order was last asked for."""

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
    """One order. `asked_at` is when it was asked for by itself, between two full passes."""

    name: OrderName
    first_seen_at: datetime
    asked_at: datetime | None = None


class Steps:
    """The steps of one account's open orders, by order key.

    A full pass asks for all of them, so its moment is kept once; with orders at rest it costs
    only what moved.
    """

    def __init__(self) -> None:
        self._steps: dict[str, _Step] = {}
        self._awake: set[str] = set()
        self._were_unread = False
        self._all_asked_at: datetime | None = None

    def discover(self, name: OrderName, now: datetime) -> None:
        """A row of this order was seen; perhaps for the first time."""
        key = key_of(name)
        if key not in self._steps:
            self._steps[key] = _Step(name, now)
            self._awake.add(key)

    def note(self, work: Work, woken: Iterable[str], now: datetime) -> None:
        """What the work is about are the orders now; `woken` rested before, by venue id."""
        known, resting, unread = work.known, work.resting, work.unread
        for key, what in known.items():
            if key not in self._steps:
                claim = what.claims[0]
                name = OrderName(claim.venue_order_id, claim.client_order_id)
                self._steps[key] = _Step(name, now)
        for order in unread:
            if (key := f"v:{order}") not in self._steps:
                self._steps[key] = _Step(OrderName(order), now)
        if len(self._steps) != len(known) + len(resting) + len(unread):
            # Where nearly all rest, those that may be gone are few.
            some = resting and not self._were_unread
            gone = self._awake.union(f"v:{o}" for o in woken) if some else set(self._steps)
            for key in gone.difference(known):
                if key[0] != "v" or (key[2:] not in resting and key[2:] not in unread):
                    self._steps.pop(key, None)
        self._awake = set(known)
        self._were_unread = bool(unread)

    def asked_all(self, now: datetime) -> None:
        """All of them were asked for."""
        self._all_asked_at = now

    def take_due(self, now: datetime, interval: timedelta) -> list[OrderName]:
        """Those that are due; they count as asked for."""
        due = [
            step
            for step in self._steps.values()
            if next_ask_open(
                first_seen_at=step.first_seen_at, asked_at=self._asked_at(step), interval=interval
            )
            <= now
        ]
        for step in due:
            step.asked_at = now
        return [step.name for step in due]

    def forget(self, key: str) -> None:
        """No young order any more."""
        self._steps.pop(key, None)

    def _asked_at(self, step: _Step) -> datetime | None:
        everyone, alone = self._all_asked_at, step.asked_at
        if everyone is None or everyone < step.first_seen_at:
            return alone
        return everyone if alone is None or alone < everyone else alone
