"""Whether what was finished is true: a steady small sample is verified again, and compared.

Accuracy is measured, not assumed. What is found wrong goes the way of every report: it is
merged, and the row is repaired.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ordersync.errors import OrdersyncError
from ordersync.metered import Count
from ordersync.ports import Advance, Known, Overlay
from ordersync.sync.chains import Chains
from ordersync.sync.parcels import Parcel
from ordersync.truth.merge import merge, objection
from ordersync.truth.model import EventEvidence, Source

if TYPE_CHECKING:
    from datetime import datetime

    from ordersync.metered import Meter
    from ordersync.ports import Clock, OrderStore, Venue
    from ordersync.sync.ingest import Ingest
    from ordersync.truth.evidence import Sighting

EVERY = timedelta(minutes=5)
RECENT = timedelta(hours=24)
SETTLED_FOR = timedelta(hours=1)
"""What ended just now is looked at again anyway, and its fees may not be booked yet."""

ORDERS_A_TIME = 10
CALLS_A_TIME = 2
"""One question or two in five minutes: of the smallest budget, Alpaca's, a fifth of a percent."""

log = structlog.get_logger("ordersync")


class Accuracy:
    """Samples one account; `run` ends only by cancellation.

    `follow_replace` is whether a row's venue id moves with its order.
    """

    def __init__(
        self,
        account: str,
        *,
        venue: Venue,
        store: OrderStore,
        ingest: Ingest,
        clock: Clock,
        meter: Meter,
        follow_replace: bool,
    ) -> None:
        self._account = account
        self._venue = venue
        self._store = store
        self._ingest = ingest
        self._clock = clock
        self._meter = meter
        self._chains = Chains(store, moves_ids=follow_replace)

    async def run(self) -> None:
        """Take a sample every few minutes."""
        while True:
            await self._clock.sleep(EVERY)
            try:
                await self.take()
            except OrdersyncError as error:
                log.warning(f"Failed to verify a sample: {error}", account=self._account)

    async def take(self) -> None:
        """Verify some recently finished orders again. Raises what the store raises."""
        now = self._clock.now()
        claims = await self._store.list_finished(self._account, now - RECENT)
        named = [claim for claim in claims if claim.venue_order_id]
        size = min(ORDERS_A_TIME, CALLS_A_TIME * self._venue.batch_size)
        chosen = random.sample(named, min(size, len(named)))
        read = await self._store.read_claims(self._account, chosen)
        known = {k.key: k for k in read if _is_settled(k, now - SETTLED_FOR)}
        if not known:
            return
        asked_at = self._clock.now()
        reading = await self._venue.ask_ids([key[2:] for key in known])
        seen = [one for one in reading.sightings if f"v:{one.report.venue_order_id}" in known]
        wrong = await self._wrong(known, seen)
        self._meter.count(Count.ACCURACY_SAMPLED, self._account, times=len(seen))
        self._meter.count(Count.ACCURACY_WRONG, self._account, times=len(wrong))
        for order in wrong:
            log.error(
                f"Order {order} was wrong although it was finished; it is repaired",
                account=self._account,
            )
        await self._ingest.take(
            Parcel(
                account=self._account,
                source=Source.POLL,
                asked_at=asked_at,
                venue_now=self._venue.now(),
                sightings=seen,
                known=known,
            )
        )

    async def _wrong(self, known: dict[str, Known], seen: list[Sighting]) -> list[str]:
        """Those of which the row does not hold what is true now."""
        steps: list[Advance] = []
        now = self._clock.now()
        for sighting in seen:
            what = known[f"v:{sighting.report.venue_order_id}"]
            if objection(what.truth, sighting.report, self._venue.now()):
                continue
            steps.append(
                Advance(
                    known=what,
                    truth=merge(what.truth, sighting.report),
                    source=Source.POLL,
                    evidence=EventEvidence(answer="sighting", endpoint=sighting.endpoint),
                    asked_at=now,
                )
            )
        shown_as = await self._chains.follow(self._account, steps)
        changes = await self._store.preview(self._account, shown_as)
        return [
            step.known.key[2:]
            for step, found in zip(shown_as, changes, strict=True)
            if any(change.field != "updated_at" for change in found)
        ]


def _is_settled(known: Known, before: datetime) -> bool:
    """Whether nothing is to be expected of it any more: it ended, was told, and is not due."""
    unknown = known.absent is not None and known.absent.overlay is Overlay.UNKNOWN
    return (
        known.truth is not None
        and known.truth.is_final
        and known.due_at is None
        and not unknown
        and known.final_since is not None
        and known.final_since <= before
    )
