"""Coinbase's user channel as a `pushed.Push`: connect, subscribe, and mind the numbering.

Facts (API reference "WebSocket Overview", "WebSocket Channels"; the official client): the first
subscription must arrive within 5 s; one channel a message; each message carries a token of its
own, which then lasts for the connection's life; a channel without updates is closed after 60 to
90 s, so heartbeats, one a second, are subscribed to as well. The main host serves the same
channel as the user host and stands in for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from websockets.exceptions import ConnectionClosed

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.pushed import Heard
from ordersync.truth.evidence import Silence
from ordersync.venues.coinbase.frames import Kind, Message, is_refusal, parse_message
from ordersync.venues.web_socket import how_it_closed, open_web_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime

    from websockets.asyncio.client import ClientConnection

    from ordersync.ports import Clock
    from ordersync.venues.coinbase.key import CdpKey

USER_HOST = "wss://advanced-trade-ws-user.coinbase.com"
MAIN_HOST = "wss://advanced-trade-ws.coinbase.com"

CONFIRM_SECONDS = 5.0
MANY = 1_000_000
BEATS_MISSED = timedelta(seconds=4)
MEND = "Check that the key is of this host, not expired, and may view."


class UserChannel:
    """The stream of one portfolio. Implements `pushed.Push`; only listens.

    `urls` are tried in turn, one a connection. `portfolio` tells whose key this is, once that
    is known; `now` is the venue's clock.
    """

    # Between two heartbeats lies a second: what is mute is noticed within three.
    quiet_limit = timedelta(seconds=2.75)
    safety_poll: timedelta | None = None

    def __init__(
        self,
        urls: Sequence[str],
        key: CdpKey,
        clock: Clock,
        *,
        now: Callable[[], datetime],
        portfolio: Callable[[], str | None],
    ) -> None:
        self._urls = urls
        self._key = key
        self._clock = clock
        self._now = now
        self._portfolio = portfolio
        self._turn = 0

    async def tell_again(self, since: datetime) -> Sequence[Heard]:
        """Nothing: a new subscription begins with a snapshot of what is open."""
        del since
        return ()

    @contextlib.asynccontextmanager
    async def subscribe(self) -> AsyncIterator[UserSubscription]:
        """Connect and subscribe to user and heartbeats; entered when the venue has confirmed."""
        url = self._urls[self._turn % len(self._urls)]
        try:
            socket = await open_web_socket(url, mend=MEND, venue_now=self._now)
            try:
                subscription = UserSubscription(socket, self._clock, self._portfolio)
                await subscription.confirm(lambda: self._key.stream_token(self._now()))
                yield subscription
            finally:
                await socket.close()
        except (VenueSilent, VenueRefused) as error:
            # However it ended: the next one is tried at the other host.
            self._turn += 1
            error.where = error.where or urlsplit(url).netloc
            raise


class UserSubscription:
    """One connection, with the place in its numbering. Implements `pushed.Subscription`."""

    def __init__(
        self, socket: ClientConnection, clock: Clock, portfolio: Callable[[], str | None]
    ) -> None:
        self._socket = socket
        self._clock = clock
        self._portfolio = portfolio
        self._early: deque[Heard] = deque()
        self._next: int | None = None
        self._beat: int | None = None
        self._beat_at = clock.monotonic()
        self._beat_said: datetime | None = None

    async def confirm(self, token: Callable[[], str]) -> None:
        """Subscribe, and wait for the venue's word on it. What comes meanwhile is kept.

        Raises VenueSilent or VenueRefused.
        """
        try:
            for channel in ("heartbeats", "user"):
                await self._send(type="subscribe", channel=channel, jwt=token())
            async with asyncio.timeout(CONFIRM_SECONDS):
                while True:
                    message, heard = await self._receive()
                    if heard is not None:
                        self._early.append(heard)
                    if message is None:
                        continue
                    if message.kind is Kind.ERROR:
                        raise _refusal(message.text)
                    if message.kind is Kind.ORDERS or "user" in message.channels:
                        return
        except TimeoutError:
            raise VenueSilent("the venue does not confirm the subscription.") from None
        except ConnectionClosed as closed:
            raise VenueSilent(f"the stream was closed at once ({how_it_closed(closed)}).") from None

    async def hear(self) -> Heard:
        """The next message. Raises VenueSilent when the stream has ended."""
        if self._early:
            return self._early.popleft()
        try:
            message, heard = await self._receive()
        except ConnectionClosed as closed:
            raise VenueSilent(f"the stream was closed ({how_it_closed(closed)}).") from None
        if message is not None and message.kind is Kind.ERROR:
            # It was good before: a new token, on a new connection, may be again.
            raise VenueSilent(f"the venue ended the stream: {message.text}.")
        if message is not None and self._misses_beats(message):
            raise VenueSilent("the heartbeats have stopped.")
        return heard or Heard()

    def _misses_beats(self, message: Message) -> bool:
        """Whether no heartbeat came for long, by our clock *and* by the venue's.

        By ours alone, a burst that we are slow to read would look like that; by the venue's, a
        message with a wrong time.
        """
        if self._beat_said is None or message.at is None:
            self._beat_said = self._beat_said or message.at
            return False
        waited = self._clock.monotonic() - self._beat_at > BEATS_MISSED.total_seconds()
        return waited and message.at - self._beat_said > BEATS_MISSED

    async def _send(self, **fields: str) -> None:
        await self._socket.send(msgspec.json.encode(fields).decode())

    async def _receive(self) -> tuple[Message | None, Heard | None]:
        """One message, and what it brings; None where it brings nothing of an order."""
        raw = await self._socket.recv(decode=False)
        message = parse_message(raw, self._portfolio())
        if isinstance(message, Silence):
            # It had a number, as all have; which orders it was about nobody knows.
            self._next = None if self._next is None else self._next + 1
            missed = "a message of the stream could not be read"
            return None, Heard(silences=(message,), missed=missed)
        missed = self._count(message)
        if message.sightings or message.silences or missed:
            return message, Heard(
                sightings=message.sightings,
                silences=message.silences,
                missed=missed,
                is_snapshot=message.is_snapshot,
            )
        return message, None

    def _count(self, message: Message) -> str:
        """Why something before this message may be missing; "" where nothing is.

        A lower number is a message that comes late or twice: merged like any other.
        """
        missed = ""
        if message.number is not None:
            if self._next is not None and message.number > self._next:
                missed = _missing(message.number - self._next)
            # A number out of all reason counts for nothing: it would make all that follow late.
            is_odd = self._next is not None and message.number - self._next > MANY
            self._next = None if is_odd else max(self._next or 0, message.number + 1)
        if message.kind is Kind.HEARTBEAT:
            self._beat_at, self._beat_said = self._clock.monotonic(), message.at
            if message.beat is not None:
                if self._beat is not None and message.beat > self._beat + 1:
                    missed = missed or "a heartbeat is missing"
                self._beat = max(self._beat or 0, message.beat)
        return missed


def _missing(count: int) -> str:
    if count > MANY:
        return "the numbering of the stream has jumped"
    are = "message of the stream is" if count == 1 else "messages of the stream are"
    return f"{count} {are} missing"


def _refusal(text: str) -> VenueSilent | VenueRefused:
    if is_refusal(text):
        return VenueRefused(f"the venue refuses the stream ({text}).", mend=MEND)
    return VenueSilent(f"the venue does not start the stream: {text}.")
