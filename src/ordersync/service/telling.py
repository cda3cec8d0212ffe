"""After the commit: who is told, put to work. Listeners and subscriptions, from the event log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.service.build import build_log, build_signing_key, build_subscriptions
from ordersync.sync.outbox import Outbox
from ordersync.web.deliveries import Deliveries
from ordersync.web.outgoing import Outgoing
from ordersync.web.subscribing import Subscriptions

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from ordersync.ports import Clock
    from ordersync.settings import Settings
    from ordersync.sync.tenure import Tenure
    from ordersync.truth.model import Event


DELIVERIES = "(webhooks out)"
"""By this name the lease for sending is held, as if it were an account: one process sends."""


class Telling:
    """What one process needs to tell others of events. `outgoing` is for whoever sends requests."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._log = build_log(settings)
        self._subscriptions = build_subscriptions(settings)
        self.outgoing = Outgoing(settings.subscriptions.allow)
        key = build_signing_key(settings)
        self.outbox = Outbox(self._log, clock)
        self.deliveries = Deliveries(self._subscriptions, self._log, self.outgoing, key, clock)
        self.subscriptions = Subscriptions(
            self._subscriptions,
            self._log,
            self.outgoing,
            key,
            clock,
            woken=self.deliveries.wake,
        )

    def tell(self, events: Sequence[Event]) -> None:
        """This process has committed these."""
        self.outbox.tell(events)
        self.deliveries.tell(events)

    def start(self, group: asyncio.TaskGroup, tenure: Tenure) -> None:
        """Tell others until cancelled; requests are sent while the lease for that is held."""
        group.create_task(self.outbox.run(), name="outbox")
        group.create_task(self._deliver(tenure), name="deliveries")

    async def _deliver(self, tenure: Tenure) -> None:
        """Nobody asks for the lease before there is anything to send."""
        await self.deliveries.wait_for_subscription()
        await tenure.run(self.deliveries.run)

    async def close(self) -> None:
        """Give back the connections."""
        await self.outgoing.close()
        await self._log.close()
        await self._subscriptions.close()
