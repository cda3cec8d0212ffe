"""What runs for one account while this process serves it: begun from nothing each time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from ordersync.sync.accuracy import Accuracy
from ordersync.sync.hints import Hints
from ordersync.sync.orphans import Orphans
from ordersync.sync.reconcile import Reconciler
from ordersync.sync.stream import Stream
from ordersync.sync.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ordersync.metered import Meter
    from ordersync.ports import Clock, OrderStore, Venue
    from ordersync.settings import Settings
    from ordersync.sync.ingest import Ingest

log = structlog.get_logger("ordersync")


class Parts:
    """The parts of one account. What they remember is true only while nobody else writes."""

    def __init__(
        self,
        account: str,
        *,
        venue: Venue,
        store: OrderStore,
        ingest: Ingest,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self.account = account
        self.has_run = False
        self._venue = venue
        self._store = store
        self._ingest = ingest
        self._clock = clock
        self._follow_replace = settings.orders.follow_replace
        self.reconciler = Reconciler(
            account, venue=venue, store=store, ingest=ingest, clock=clock, settings=settings.sync
        )
        demand = self.reconciler.demand
        self.wanted = Wanted(
            account,
            venue=venue,
            store=store,
            ingest=ingest,
            demand=demand,
            clock=clock,
            verify=self.reconciler.verify,
        )
        self.hints = Hints(
            account, venue=venue, store=store, ingest=ingest, demand=demand, clock=clock
        )
        self.orphans = Orphans(
            account,
            venue=venue,
            store=store,
            ingest=ingest,
            clock=clock,
            rules=settings.orphans,
        )
        self.stream: Stream | None = None
        if venue.push is not None:
            self.stream = Stream(
                account, venue.push, venue=venue, ingest=ingest, demand=demand, clock=clock
            )

    async def run(self, retention: Coroutine[None, None, None] | None, meter: Meter | None) -> None:
        """All of them, for ever; samples of what ended are counted by the meter, if there is one.

        `retention` is the task that moves out what ended long ago.
        """
        self.has_run = True
        name = self.account
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reconciler.run(), name=f"reconcile {name}")
            group.create_task(self.wanted.run(), name=f"wanted {name}")
            group.create_task(self.hints.run(), name=f"webhooks {name}")
            group.create_task(self.orphans.run(), name=f"orphans {name}")
            if meter is not None:
                accuracy = Accuracy(
                    name,
                    venue=self._venue,
                    store=self._store,
                    ingest=self._ingest,
                    clock=self._clock,
                    meter=meter,
                    follow_replace=self._follow_replace,
                )
                group.create_task(accuracy.run(), name=f"accuracy {name}")
            if retention is not None:
                group.create_task(retention, name=f"retention {name}")
            if self.stream is not None:
                group.create_task(self.stream.run(), name=f"stream {name}")
            else:
                log.info("No push here: ws_url is not set, so all is asked for", account=name)
