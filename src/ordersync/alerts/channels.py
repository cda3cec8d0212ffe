"""Ways to a person, each with a queue and a worker of its own: none holds up another.

A message that cannot be delivered is tried again for a while; that a channel fails is told in
the log, counted, and kept for `status`. What would be too many messages goes together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog

from ordersync.alerted import ChannelHealth
from ordersync.alerts.messages import text_of, title_of
from ordersync.alerts.patience import patiently
from ordersync.errors import OrdersyncError
from ordersync.metered import Count, Delivery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.alerted import AlertLog, Loudness
    from ordersync.alerts.messages import Message
    from ordersync.metered import Meter
    from ordersync.ports import Clock
    from ordersync.settings import Channel

GATHER = timedelta(milliseconds=300)
"""How long a message waits for others of the same moment."""

APART = timedelta(seconds=5)
WITHIN = timedelta(seconds=30)
"""After this a carrier that hangs is given up; what it does in the end is nobody's matter."""

PAUSES = (timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))
QUEUE_LIMIT = 200

log = structlog.get_logger("ordersync")


class Refused(Exception):
    """The carrier could not deliver. Its text says why, without any address."""


class Carrier(Protocol):
    """Delivers one text to one address. `defect` says why that address is none, else ""."""

    defect: str

    async def carry(self, title: str, text: str, loudness: Loudness, messages: bytes) -> None:
        """Deliver it; `messages` is the same as JSON. Raises Refused."""


class Way:
    """One channel at work. `run` ends only by cancellation."""

    def __init__(
        self,
        channel: Channel,
        carrier: Carrier,
        *,
        clock: Clock,
        meter: Meter,
        told: AlertLog,
        link: str,
        per_hour: int,
    ) -> None:
        self.channel = channel
        self.health = ChannelHealth(name=channel.name)
        self._carrier = carrier
        self._clock = clock
        self._meter = meter
        self._told = told
        self._link = link
        self._per_hour = per_hour
        self._queue: deque[Message] = deque(maxlen=QUEUE_LIMIT)
        self._arrived = asyncio.Event()
        self._sent: deque[float] = deque(maxlen=per_hour)

    def put(self, message: Message) -> None:
        """Take it along, as far as it is for this channel. Never waits."""
        wanted = self.channel.wants
        parts = tuple(part for part in message.parts if wanted(part.kind, message.account))
        if parts:
            self._queue.append(msgspec.structs.replace(message, parts=parts))
            self.health.waiting = len(self._queue)
            self._arrived.set()

    async def run(self) -> None:
        """Deliver what comes, for ever; an address that is none is told of before that."""
        await self._look_back()
        while True:
            await self._arrived.wait()
            await self._clock.sleep(GATHER)
            await self._clock.sleep(self.turn())
            self._arrived.clear()
            messages = list(self._queue)
            self._queue.clear()
            if messages:  # else they went along with others
                await self._deliver(messages)

    def sent(self) -> None:
        """One more message has left."""
        self._sent.append(self._clock.monotonic())

    def turn(self) -> timedelta:
        """How long this channel has to wait before its next message."""
        now = self._clock.monotonic()
        if not self._sent:
            return timedelta(0)
        wait = self._sent[-1] + APART.total_seconds() - now
        if len(self._sent) == self._per_hour:
            wait = max(wait, self._sent[0] + 3_600 - now)
        return timedelta(seconds=max(wait, 0.0))

    async def _deliver(self, messages: list[Message]) -> None:
        """Try until it is delivered or patience ends; what comes meanwhile joins it."""
        for pause in (*PAUSES, None):
            self.sent()
            why = await self.send(messages)
            if not why:
                return
            if pause is None:
                break
            await self._clock.sleep(pause)
            messages = [*messages, *self._queue][-QUEUE_LIMIT:]
            self._queue.clear()
        log.error(
            f"Alerts are lost: channel {self.channel.name} did not take them: {why}",
            channel=self.channel.name,
            messages=len(messages),
        )

    async def send(self, messages: Sequence[Message]) -> str:
        """Deliver once; "" where that was done, else why not. Never raises."""
        loudest = max((m.loudness for m in messages), key=lambda one: one.rank)
        body = msgspec.json.encode({"link": self._link, "messages": messages})
        why = ""
        try:
            async with asyncio.timeout(WITHIN.total_seconds()):
                await self._carrier.carry(
                    title_of(messages), text_of(messages, self._link), loudest, body
                )
        except TimeoutError:
            why = f"no answer within {WITHIN.total_seconds():.0f} s."
        except Refused as refusal:
            why = str(refusal)
        await self._note(why)
        return why

    async def _look_back(self) -> None:
        """How it did before, and whether its address is another now."""
        name, defect = self.channel.name, self._carrier.defect
        try:
            kept = (await patiently(self._told.read())).get(f"channel {name}")
            before = msgspec.json.decode(kept, type=ChannelHealth) if kept else None
        except (OrdersyncError, msgspec.DecodeError) as error:
            # Given up: how it was is worth less than what waits to be told.
            log.warning(f"Failed to read how channel {name} was: {error}", channel=name)
            before = None
        health = self.health
        if before is not None:
            health.failed_at, health.delivered_at = before.failed_at, before.delivered_at
            # What another address failed at says nothing of this one.
            health.why = before.why if before.is_usable else ""
        health.is_usable = not defect
        if defect:
            await self._tell(defect)
        elif before is not None and not before.is_usable:
            await self._keep()

    async def _note(self, why: str) -> None:
        """Count and tell, and keep what has changed."""
        ended = Delivery.FAILED if why else Delivery.DELIVERED
        self._meter.count(Count.ALERTS, self.channel.name, ended)
        await self._tell(why)

    async def _tell(self, why: str) -> None:
        name, health, now = self.channel.name, self.health, self._clock.now()
        was_well = not health.why
        health.waiting = len(self._queue)
        if why:
            health.failed_at = now
            log.error(f"Channel {name} does not take alerts: {why}", channel=name)
        else:
            health.delivered_at = now
            if not was_well:
                log.info(f"Channel {name} takes alerts again", channel=name)
        health.why = why
        await self._keep()

    async def _keep(self) -> None:
        name = self.channel.name
        try:
            body = msgspec.json.encode(self.health)
            await patiently(self._told.keep(f"channel {name}", body))
        except OrdersyncError as error:
            log.warning(f"Failed to keep how channel {name} is: {error}", channel=name)
