"""Webhooks out: what is owed is written down, sent, and struck off. At least once, in order.

The event log is the outbox. Each subscription has its own marks of the commits that were looked
at for it; what it wants of a page is put beside the new marks in one transaction. Only then is it
sent; what was taken is struck off. Of one order nothing is sent while an earlier event waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.errors import OrdersyncError
from ordersync.standard_webhooks import ID, SIGNATURE, TIMESTAMP
from ordersync.subscribed import Delivery, DeliveryState
from ordersync.sync.marks import Marks
from ordersync.sync.outbox import marks_after_rewind, read_page
from ordersync.sync.page import Wanted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ordersync.logged import EventLog, Place
    from ordersync.ports import Clock
    from ordersync.subscribed import Subscription, SubscriptionStore
    from ordersync.sync.page import Page
    from ordersync.truth.model import Event
    from ordersync.web.outgoing import Outgoing
    from ordersync.web.signing import SigningKey

LOOK_EVERY = timedelta(seconds=1)
LOOK_IDLY = timedelta(seconds=10)
"""Where there is no subscription; one that was made here is noticed at once."""

PAGE_EVENTS = 500
BATCH = 100
AT_ONCE = 4
"""So many orders' events are on their way to one address at a time."""

GIVEN_UP_AFTER = timedelta(days=3)
FORGOTTEN_AFTER = timedelta(days=30)
FORGET_EVERY = timedelta(hours=6)
BACK_OFF = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400))
"""After how long a delivery that failed is tried again; the last one from then on."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=10)
"""How long an address is left alone at which nothing gets through."""

GONE = 410
_decode_marks = msgspec.json.Decoder(Marks).decode

log = structlog.get_logger("ordersync")


def encode_marks(marks: Marks) -> str:
    """As a subscription keeps them."""
    return msgspec.json.encode(marks).decode()


def wanted_by(subscription: Subscription) -> Wanted:
    """Which events a subscription is about."""
    interest = subscription.interest
    return Wanted(
        accounts=frozenset(interest.accounts),
        owners=frozenset(interest.owners),
        kinds=frozenset(interest.kinds),
        symbols=frozenset(interest.symbols),
    )


class _Address(msgspec.Struct):
    """How it goes with one subscription's address, in this process."""

    is_at_work: bool = False
    failures: int = 0
    paused_until: datetime | None = None


class Deliveries:
    """Sends what is owed to subscriptions, until cancelled."""

    def __init__(
        self,
        store: SubscriptionStore,
        event_log: EventLog,
        outgoing: Outgoing,
        key: SigningKey,
        clock: Clock,
    ) -> None:
        self._store = store
        self._log = event_log
        self._outgoing = outgoing
        self._key = key
        self._clock = clock
        self._news = asyncio.Event()
        self._addresses: dict[str, _Address] = {}
        self._forgot_at: datetime | None = None
        self._told = ""
        self._is_idle = True

    def tell(self, events: Sequence[Event]) -> None:
        """This process has committed: let what is owed be looked for at once."""
        if events and not self._is_idle:
            self._news.set()

    def wake(self) -> None:
        """Something has to be sent again: let it be looked for at once."""
        for address in self._addresses.values():
            address.failures, address.paused_until = 0, None
        self._news.set()

    async def wait_for_subscription(self) -> None:
        """Until there is one to send to."""
        while True:
            self._news.clear()
            with contextlib.suppress(OrdersyncError):  # it is looked for again
                if await self._store.list_all():
                    return
            await self._wait(LOOK_IDLY)

    async def run(self) -> None:
        """Look for what is owed whenever told to, else every second, and send it."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._news.clear()
                pause = LOOK_EVERY
                try:
                    if not await self._look(group):
                        pause = LOOK_IDLY
                    self._told = ""
                except OrdersyncError as error:
                    # Whatever the database has: orders go on being verified. Nothing is lost,
                    # for it is in the log, and owed.
                    if str(error) != self._told:
                        log.warning(f"Subscriptions wait: {error}")
                    self._told = str(error)
                    await self._clock.sleep(LOOK_EVERY)
                await self._wait(pause)

    async def _wait(self, pause: timedelta) -> None:
        """Until there is news, but not longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await self._news.wait()

    # --- what is owed ----------------------------------------------------------------------

    async def _look(self, group: asyncio.TaskGroup) -> bool:
        """Whether there is anybody to send to."""
        now = self._clock.now()
        served = [one for one in await self._store.list_all() if one.stopped_at is None]
        self._forget_all_but({one.subscription_id for one in served})
        alike: dict[str, list[Subscription]] = {}
        for one in served:
            alike.setdefault(one.marks, []).append(one)
        for marks, together in alike.items():
            await self._owe(marks, together)
        if self._forgot_at is None or now - self._forgot_at >= FORGET_EVERY:
            self._forgot_at = now
            if served:
                await self._store.drop_dead(now - FORGOTTEN_AFTER)
        for one in served:
            address = self._addresses.setdefault(one.subscription_id, _Address())
            paused = address.paused_until is not None and now < address.paused_until
            if not address.is_at_work and not paused:
                address.is_at_work = True
                group.create_task(self._serve(one, address), name=f"to {one.subscription_id}")
        self._is_idle = not served
        return bool(served)

    def _forget_all_but(self, served: Collection[str]) -> None:
        """What was removed or stopped has no address any more, once nothing is on its way."""
        for one in [one for one in self._addresses if one not in served]:
            if not self._addresses[one].is_at_work:
                del self._addresses[one]

    async def _owe(self, text: str, together: Sequence[Subscription]) -> None:
        """Read on from these marks, and write down what these subscriptions want of it."""
        marks = _decode_marks(text)
        page = await read_page(self._log, self._clock, marks, PAGE_EVENTS)
        reached = page.marks
        if not page.messages:
            reached = await marks_after_rewind(self._log, marks) or reached
        after = text if reached == marks else encode_marks(reached)
        if after == text and not page.messages:
            return
        for one in together:
            await self._store.owe(one, after, self._wanted(one, page))
        if not page.is_last:
            self._news.set()

    def _wanted(self, subscription: Subscription, page: Page) -> list[Delivery]:
        wanted, now = wanted_by(subscription), self._clock.now()
        return [
            Delivery(
                place=logged.place,
                account=logged.account,
                order_key=logged.order_key,
                body=logged.body,
                put_at=now,
                due_at=now,
            )
            for message in page.messages
            if wanted.fits(message)
            for logged in (message.logged,)
        ]

    # --- sending ---------------------------------------------------------------------------

    async def _serve(self, subscription: Subscription, address: _Address) -> None:
        """Send what is due, batch after batch, until there is none or nothing gets through."""
        this = subscription.subscription_id
        try:
            while True:
                due = await self._store.list_due(this, self._clock.now(), BATCH)
                if not due or not await self._send_all(subscription, address, due):
                    return
        except OrdersyncError as error:
            # What was not struck off is sent again: the receiver knows it by its id.
            log.warning(f"A subscription waits: {error}", subscription=this)
            address.paused_until = self._clock.now() + FIRST_PAUSE
        finally:
            address.is_at_work = False

    async def _send_all(
        self, subscription: Subscription, address: _Address, due: Sequence[Delivery]
    ) -> bool:
        """Of each order in turn, some orders at a time; whether all were taken."""
        by_order: dict[tuple[str, str], list[Delivery]] = {}
        for one in due:
            by_order.setdefault((one.account, one.order_key), []).append(one)
        queue = list(by_order.values())[::-1]
        taken: list[Place] = []
        failed: list[Delivery] = []

        async def send_some() -> None:
            while queue and not failed:
                for one in queue.pop():
                    after = await self._send(subscription, one)
                    if after is not None:
                        failed.append(after)
                        break
                    taken.append(one.place)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(AT_ONCE, len(queue))):
                    group.create_task(send_some())
        finally:
            # Though canceled: what was taken need not be sent again.
            if taken:
                await self._store.strike_off(subscription.subscription_id, taken, self._clock.now())
        now = self._clock.now()
        if not failed:
            address.failures = 0
            return True
        for one in failed:
            await self._store.keep_failure(subscription.subscription_id, one)
        address.failures = 0 if taken else address.failures + 1
        if address.failures:
            pause = FIRST_PAUSE * 2 ** min(address.failures - 1, 10)
            asked = max((one.due_at for one in failed), default=now) - now
            address.paused_until = now + max(min(pause, LONGEST_PAUSE), min(asked, LONGEST_PAUSE))
            dead = await self._store.bury(subscription.subscription_id, now - GIVEN_UP_AFTER)
            if dead:
                log.warning(
                    f"{dead} events were owed to a subscription for three days and are given up",
                    subscription=subscription.subscription_id,
                )
        return False

    async def _send(self, subscription: Subscription, delivery: Delivery) -> Delivery | None:
        """One request; None where it was taken, else how the delivery stands now."""
        this, now = subscription.subscription_id, self._clock.now()
        if subscription.key_mark != self._key.mark:
            why = "its secret was made from another key than the one in subscriptions.key_file."
            return self._after_failure(delivery, why, None)
        body, at = delivery.body.encode(), str(int(now.timestamp()))
        webhook_id = str(delivery.place)
        signature = self._key.secret_for(this).sign(webhook_id, at, body)
        headers = {
            "content-type": "application/json",
            ID: webhook_id,
            TIMESTAMP: at,
            SIGNATURE: signature,
        }
        answered = await self._outgoing.post(subscription.url, body, headers)
        if answered.is_taken:
            return None
        if answered.status == GONE:
            await self._store.stop(this, self._clock.now(), "it answers 410: it wants no more.")
            log.warning("A subscription was stopped: it answers 410", subscription=this)
        return self._after_failure(delivery, answered.why, answered.pause)

    def _after_failure(self, delivery: Delivery, why: str, pause: timedelta | None) -> Delivery:
        now = self._clock.now()
        wait = BACK_OFF[min(delivery.attempts, len(BACK_OFF) - 1)]
        wait *= random.uniform(0.9, 1.1)  # noqa: S311 - not all at once
        if pause is not None:
            wait = max(wait, min(pause, BACK_OFF[-1]))
        is_dead = now - delivery.put_at >= GIVEN_UP_AFTER
        return msgspec.structs.replace(
            delivery,
            state=DeliveryState.DEAD if is_dead else DeliveryState.WAITING,
            due_at=now + wait,
            attempts=delivery.attempts + 1,
            tried_at=now,
            failure=why,
        )
