"""What a stream has said and nobody has written yet: coalesced by order, never dropped.

While one commit is under way others queue here. A report that another one of the same order
says all of (merging the first into the second changes nothing) is left out, so a burst costs as
much memory as the orders it is about. Where even that grows too large, what was said is given
up for a question: asking the venue tells at least as much.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import OrderName
from ordersync.sync.parcels import Parcel, key_of
from ordersync.truth.evidence import Sighting, Silence
from ordersync.truth.merge import join, order_of
from ordersync.truth.model import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


ORDERS_LIMIT = 50_000
SAID_LIMIT = 16
"""How many reports of one order may each say something that the others do not."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken out at once. `heard_at` is when the oldest of it came, on our clock."""

    sightings: list[Sighting]
    garbled: list[Silence]
    heard_at: datetime

    def parcel(
        self, account: str, venue_now: datetime, vouched: Callable[[str], datetime | None]
    ) -> Parcel:
        """It as what ingest takes; `vouched` tells since when an order was said again."""
        orders = {s.report.venue_order_id or "" for s in self.sightings}
        return Parcel(
            account=account,
            source=Source.STREAM,
            asked_at=self.heard_at,
            venue_now=venue_now,
            sightings=self.sightings,
            garbled=self.garbled,
            vouched={f"v:{order}": at for order in orders if (at := vouched(order)) is not None},
        )


class Backlog:
    """Reports of one account's stream, by order, in the order in which they came."""

    def __init__(self) -> None:
        self._said: dict[str, list[Sighting]] = {}
        self._garbled: dict[str, Silence] = {}
        self._heard_at: dict[str, datetime] = {}

    def __len__(self) -> int:
        """How many orders wait."""
        return len(self._heard_at)

    def add(self, sightings: Iterable[Sighting], garbled: Iterable[Silence], now: datetime) -> str:
        """Put what was heard in line. Why something had to be given up, "" where nothing was."""
        lost = ""
        for sighting in sightings:
            report = sighting.report
            key = key_of(OrderName(report.venue_order_id, report.client_order_id))
            said = self._said.get(key)
            if said is None:
                self._said[key] = [sighting]
                self._heard_at.setdefault(key, now)
            elif len(said) >= SAID_LIMIT:
                said[:] = [sighting]
                lost = "an order's reports contradict one another too often"
            else:
                _join(said, sighting)
        for silence in garbled:
            for order in silence.orders:
                # One of an order is enough: what cannot be read is looked up.
                self._garbled[f"v:{order}"] = silence
                self._heard_at.setdefault(f"v:{order}", now)
        if len(self._heard_at) > ORDERS_LIMIT:
            for waiting in (self._said, self._garbled, self._heard_at):
                waiting.clear()
            lost = f"more than {ORDERS_LIMIT} orders waited to be written"
        return lost

    def take(self, limit: int) -> Load:
        """The `limit` orders that have waited longest, with all that was said of them."""
        keys = list(self._heard_at)[:limit]
        sightings = [one for key in keys for one in self._said.pop(key, ())]
        garbled = [self._garbled.pop(key) for key in keys if key in self._garbled]
        return Load(
            sightings=sightings,
            garbled=garbled,
            heard_at=min(self._heard_at.pop(key) for key in keys),
        )

    def put_back(self, load: Load) -> str:
        """What could not be written waits again, behind what came meanwhile."""
        return self.add(load.sightings, load.garbled, load.heard_at)


def _join(said: list[Sighting], one: Sighting) -> None:
    """Add one more report of an order, unless all of it was said; leave out what it says too."""
    new = order_of(one.report)
    kept = []
    for before in said:
        old = order_of(before.report)
        both = join(old, new)
        if both == old:
            return
        if both != new:
            kept.append(before)
    said[:] = [*kept, one]
