"""Subscriptions as a person makes, looks at and ends them; `deliveries` sends."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from ordersync.logged import Place
from ordersync.subscribed import DeliveryState, Interest, Subscription
from ordersync.sync.outbox import marks_now
from ordersync.web.deliveries import encode_marks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.logged import EventLog
    from ordersync.ports import Clock
    from ordersync.subscribed import Delivery, SubscriptionStore
    from ordersync.web.outgoing import Outgoing
    from ordersync.web.signing import SigningKey

SUBSCRIPTIONS_LIMIT = 100
ID_PREFIX = "sub_"


class TooManySubscriptions(Exception):
    """There are as many as there may be."""


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription and how much is owed to it."""

    subscription: Subscription
    waiting: int
    dead: int


class Subscriptions:
    """What the API does with subscriptions. `woken` is called where something is to be sent."""

    def __init__(
        self,
        store: SubscriptionStore,
        event_log: EventLog,
        outgoing: Outgoing,
        key: SigningKey,
        clock: Clock,
        *,
        woken: Callable[[], None],
    ) -> None:
        self._store = store
        self._log = event_log
        self._outgoing = outgoing
        self._key = key
        self._clock = clock
        self._woken = woken

    async def make(self, url: str, interest: Interest) -> tuple[Subscription, str]:
        """A new one, about what happens from now on, and its secret, which is told nowhere else.

        Raises AddressRefused, TooManySubscriptions, ConfigError, StoreBusy or StoreRefused.
        """
        await self._outgoing.resolve(url)
        if len(await self._store.list_all()) >= SUBSCRIPTIONS_LIMIT:
            raise TooManySubscriptions
        self._key.make()
        marks = await marks_now(self._log, self._clock, await self._log.newest())
        made = Subscription(
            subscription_id=ID_PREFIX + secrets.token_hex(16),
            url=url,
            interest=interest,
            created_at=self._clock.now(),
            key_mark=self._key.mark,
            marks=encode_marks(marks),
        )
        await self._store.add(made)
        self._woken()
        return made, self._key.text_for(made.subscription_id)

    async def list_all(self) -> list[Subscribed]:
        """All, oldest first."""
        return [await self._with_counts(one) for one in await self._store.list_all()]

    async def get(self, subscription_id: str) -> Subscribed | None:
        """One of them."""
        for one in await self._store.list_all():
            if one.subscription_id == subscription_id:
                return await self._with_counts(one)
        return None

    async def remove(self, subscription_id: str) -> bool:
        """End it, and forget what is owed to it; False where there is none."""
        return await self._store.remove(subscription_id)

    async def list_deliveries(
        self, subscription_id: str, state: DeliveryState, after: Place | None, limit: int
    ) -> list[Delivery]:
        """What waits or is dead, by its place in the log."""
        first = after or Place(0, -1)
        return await self._store.list_deliveries(subscription_id, state, first, limit)

    async def send_again(self, subscription_id: str, places: Sequence[Place]) -> int:
        """Let these dead ones wait again, all where none are named; how many there were.

        One that was stopped goes on.
        """
        count = await self._store.revive(subscription_id, places, self._clock.now())
        await self._store.stop(subscription_id, None, None)
        self._woken()
        return count

    async def _with_counts(self, one: Subscription) -> Subscribed:
        counts = await self._store.count(one.subscription_id)
        return Subscribed(
            subscription=one,
            waiting=counts[DeliveryState.WAITING],
            dead=counts[DeliveryState.DEAD],
        )
