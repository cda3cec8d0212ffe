"""Who is told by a request to an address of his: subscriptions, and the port for them.

What is owed to a subscription is written down, event by event, before anything is sent; what was
taken is struck off after it was. So a crash repeats a message, and loses none. Beside `ports`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from ordersync.logged import Place

if TYPE_CHECKING:
    from collections.abc import Sequence


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """Which events a subscription is about: of each kind of name any, where none is given."""

    accounts: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """An address, and what is sent there.

    `key_mark` tells from which key its secret was made. `marks` say which commits were looked
    at for it, as text. `stopped_at` is when nothing more was to be sent, and why.
    """

    subscription_id: str
    url: str
    interest: Interest
    created_at: datetime
    key_mark: str
    marks: str = ""
    stopped_at: datetime | None = None
    stopped_why: str | None = None
    delivered: int = 0
    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    failure: str | None = None


class DeliveryState(StrEnum):
    """How a delivery stands; one that was taken is no longer there."""

    WAITING = "waiting"
    DEAD = "dead"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event that is owed to one subscription. `body` is what is sent.

    `put_at` is since when, `due_at` when to try next; `attempts` so far, the last at `tried_at`.
    """

    place: Place
    account: str
    order_key: str
    body: str
    state: DeliveryState = DeliveryState.WAITING
    put_at: datetime
    due_at: datetime
    attempts: int = 0
    tried_at: datetime | None = None
    failure: str | None = None


class SubscriptionStore(Protocol):
    """Where subscriptions and deliveries are kept. Raises StoreBusy or StoreRefused."""

    async def add(self, subscription: Subscription) -> None:
        """Keep it."""

    async def list_all(self) -> list[Subscription]:
        """All, oldest first."""

    async def remove(self, subscription_id: str) -> bool:
        """Forget it and all that is owed to it; False where there is none."""

    async def stop(self, subscription_id: str, at: datetime | None, why: str | None) -> None:
        """Send nothing more from then on; without a time: go on."""

    async def owe(
        self, subscription: Subscription, marks: str, deliveries: Sequence[Delivery]
    ) -> bool:
        """Write down what is owed, and the marks that were reached.

        False, and nothing written, where its marks are no longer those of `subscription`.
        """

    async def list_due(self, subscription_id: str, now: datetime, limit: int) -> list[Delivery]:
        """What is to be sent now, oldest first; not what waits behind one of the same order."""

    async def list_deliveries(
        self, subscription_id: str, state: DeliveryState, after: Place, limit: int
    ) -> list[Delivery]:
        """What waits or is dead, by its place."""

    async def count(self, subscription_id: str) -> dict[DeliveryState, int]:
        """How much waits, and how much is dead."""

    async def strike_off(self, subscription_id: str, places: Sequence[Place], at: datetime) -> None:
        """These were taken."""

    async def keep_failure(self, subscription_id: str, failed: Delivery) -> None:
        """An attempt failed: keep how this delivery stands now."""

    async def bury(self, subscription_id: str, put_before: datetime) -> int:
        """What has waited since before then is dead; how many there were."""

    async def revive(self, subscription_id: str, places: Sequence[Place], now: datetime) -> int:
        """Let dead ones wait again, all where none are named; how many there were."""

    async def drop_dead(self, put_before: datetime) -> int:
        """Forget what died and is owed since before then; how many there were."""

    async def close(self) -> None:
        """Give back the connection."""
