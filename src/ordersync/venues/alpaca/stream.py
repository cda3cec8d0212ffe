"""`trade_updates` as a `ports` Push: connecting, the first two messages, and signs of life.

The stream has no snapshot, no numbering and no replay: what is lost on it is only found by
asking, so its safety poll never ends. It has no heartbeats either; pings of our own take their
place. Frames are binary with JSON in them, or text.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.pushed import Heard
from ordersync.venues.alpaca import parse
from ordersync.venues.answers import FORBIDDEN, TOO_MANY, UNAUTHORIZED, UNREADABLE, retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime

    import msgspec

    from ordersync.ports import Clock
    from ordersync.venues.alpaca.key import AlpacaKey

_T = TypeVar("_T")

TRADE_UPDATES = "trade_updates"
NOT_ACCEPTABLE = 406
"""How the venue answers a second connection of one account, where it does not answer 429."""

PING_EVERY_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
CLOSE_SECONDS = 0.5
TAKEN_PAUSE = timedelta(seconds=10)
MAX_FRAME_BYTES = 32 * 1024 * 1024


class TradeUpdates:
    """The stream of one account. `venue_now` is the venue's clock, `poll` how often to ask."""

    quiet_limit = timedelta(seconds=3)

    def __init__(
        self,
        url: str,
        key: AlpacaKey,
        clock: Clock,
        *,
        venue_now: Callable[[], datetime],
        poll: Callable[[], timedelta],
        mend: str,
    ) -> None:
        self.url = url
        self._key = key
        self._clock = clock
        self._venue_now = venue_now
        self._poll = poll
        self._mend = mend
        self._not_before = clock.monotonic()

    @property
    def safety_poll(self) -> timedelta:
        """How often to ask all the same: nothing on the stream shows a loss."""
        return self._poll()

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Hearing]:
        """Connect and subscribe. Raises VenueSilent (ask again) or VenueRefused (the key)."""
        # One connection an account: who asks at once again after a refusal is refused again.
        await self._clock.sleep(timedelta(seconds=self._not_before - self._clock.monotonic()))
        connection = await self._connect()
        try:
            hearing = Hearing(connection, self.url, self._venue_now)
            await self._introduce(connection, hearing)
            yield hearing
        finally:
            await connection.close()

    async def _connect(self) -> ClientConnection:
        try:
            return await connect(
                self.url,
                ping_interval=None,
                compression=None,
                max_size=MAX_FRAME_BYTES,
                open_timeout=PATIENCE_SECONDS,
                close_timeout=CLOSE_SECONDS,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status in {UNAUTHORIZED, FORBIDDEN}:
                raise self._refused(f"the stream refuses the key ({status}).") from None
            if status in {NOT_ACCEPTABLE, TOO_MANY}:
                pause = retry_after(error.response.headers, self._venue_now()) or TAKEN_PAUSE
                self._not_before = self._clock.monotonic() + pause.total_seconds()
                raise VenueSilent(
                    f"the stream takes no other connection ({status}).",
                    where=self.url,
                    mend="One connection an account: is another program listening? "
                    "It is tried again.",
                ) from None
            raise _silent(f"the stream answers {status}.", self.url) from None
        except (OSError, TimeoutError, WebSocketException) as error:
            raise _silent(f"no connection ({type(error).__name__}).", self.url) from None

    async def _introduce(self, connection: ClientConnection, hearing: Hearing) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await connection.send(json.dumps(self._key.first_message()))
                said = await hearing.answer("authorization", parse.AUTHORIZATION)
                if said.status != "authorized":
                    raise self._refused(f"the stream says {said.status!r}.")
                listen = {"action": "listen", "data": {"streams": [TRADE_UPDATES]}}
                await connection.send(json.dumps(listen))
                on = await hearing.answer("listening", parse.LISTENING)
                if TRADE_UPDATES not in on.streams:
                    raise self._refused("the stream does not give this key trade updates.")
        except TimeoutError:
            raise _silent("no answer to the key in time.", self.url) from None
        except ConnectionClosed:
            raise _silent("it was closed before it began.", self.url) from None

    def _refused(self, what: str) -> VenueRefused:
        return VenueRefused(what, where=self.url, mend=self._mend)


class Hearing:
    """A subscription that the venue has confirmed. Implements `pushed.Subscription`."""

    def __init__(
        self, connection: ClientConnection, url: str, venue_now: Callable[[], datetime]
    ) -> None:
        self._connection = connection
        self._url = url
        self._venue_now = venue_now
        self._early: list[Heard] = []
        self._pong: Awaitable[float] | None = None

    async def hear(self) -> Heard:
        """The next message, or nothing at all where a ping was answered: it lives.

        Raises VenueSilent when the stream has ended, VenueRefused when the key is refused.
        """
        while not self._early:
            try:
                async with asyncio.timeout(PING_EVERY_SECONDS):
                    frame = await self._connection.recv(decode=False)
            except TimeoutError:
                if await self._has_answered():
                    return Heard()
                continue
            except ConnectionClosed as error:
                raise _silent(f"it was closed ({error}).", self._url) from None
            self._early += self._read(frame)
        return self._early.pop(0)

    async def answer(self, stream: str, decoder: msgspec.json.Decoder[_T]) -> _T:
        """The next word of that stream. Updates that come before it are kept."""
        while True:
            frame = await self._connection.recv(decode=False)
            try:
                said = parse.FRAME.decode(frame)
                if said.stream == stream:
                    return decoder.decode(bytes(said.data))
            except UNREADABLE:
                pass
            self._early += self._read(frame)

    async def _has_answered(self) -> bool:
        """Whether the last ping was answered; then the next one is sent."""
        pong = self._pong
        if pong is not None and not (isinstance(pong, asyncio.Future) and pong.done()):
            return False
        try:
            self._pong = await self._connection.ping()
        except ConnectionClosed as error:
            raise _silent(f"it was closed ({error}).", self._url) from None
        return pong is not None

    def _read(self, frame: bytes) -> list[Heard]:
        try:
            said = parse.FRAME.decode(frame)
            if said.stream == TRADE_UPDATES:
                return [parse.parse_update(bytes(said.data), self._venue_now())]
            if said.stream == "authorization":
                status = parse.AUTHORIZATION.decode(bytes(said.data)).status
                if status != "authorized":
                    raise VenueRefused(
                        f"the stream says {status!r}.", where=self._url, mend="Check the key."
                    )
            if said.stream == "listening":
                on = parse.LISTENING.decode(bytes(said.data)).streams
                if TRADE_UPDATES not in on:
                    raise _silent("it was turned off.", self._url)
        except UNREADABLE as error:
            return [parse.unreadable(frame, f"a message that cannot be read ({error})")]
        # A stream that is not ours, or news of what is known: it lives.
        return [Heard()]


def _silent(what: str, url: str) -> VenueSilent:
    return VenueSilent(what, where=url, mend="It is tried again.")
