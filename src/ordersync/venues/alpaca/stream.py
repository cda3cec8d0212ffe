"""`trade_updates` as a `pushed.Push`: connecting, the first two messages, and signs of life.

The stream has no snapshot and no numbering: what is lost on it is only found by asking, so its
safety poll never ends. Another endpoint may tell it again (`replay`). It has no heartbeats
either; pings of our own take their place. Frames are binary with JSON in them, or text.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.pushed import Heard
from ordersync.venues.alpaca import parse
from ordersync.venues.answers import TOO_MANY, UNREADABLE
from ordersync.venues.web_socket import TurnedAway, how_it_closed, open_web_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    import msgspec
    from websockets.asyncio.client import ClientConnection

    from ordersync.venues.alpaca.key import AlpacaKey
    from ordersync.venues.alpaca.replay import Replay

_T = TypeVar("_T")

TRADE_UPDATES = "trade_updates"
NOT_ACCEPTABLE = 406
"""How the venue answers a second connection of one account, where it does not answer 429."""

PING_EVERY_SECONDS = 1.0
ANSWER_SECONDS = 5.0
TAKEN_PAUSE = timedelta(seconds=10)
CONNECTION_LIMIT = "connection limit"
"""What the answer to a key says where it is good, and somebody else listens with it."""


class TradeUpdates:
    """The stream of one account. `venue_now` is the venue's clock, `poll` how often to ask."""

    # Pings go out once a second: what is half-open is noticed within three.
    quiet_limit = timedelta(seconds=2.75)

    def __init__(
        self,
        url: str,
        key: AlpacaKey,
        *,
        venue_now: Callable[[], datetime],
        poll: Callable[[], timedelta],
        replay: Replay,
        mend: str,
    ) -> None:
        self.url = url
        self.tell_again = replay.since
        self._key = key
        self._venue_now = venue_now
        self._poll = poll
        self._mend = mend

    @property
    def safety_poll(self) -> timedelta:
        """How often to ask all the same: nothing on the stream shows a loss."""
        return self._poll()

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Hearing]:
        """Connect and subscribe. Raises VenueSilent (ask again) or VenueRefused (the key)."""
        try:
            connection = await self._connect()
            hearing = Hearing(connection, self._venue_now)
            try:
                await self._introduce(connection, hearing)
                yield hearing
            finally:
                await connection.close()
        except (VenueSilent, VenueRefused) as error:
            error.where = error.where or urlsplit(self.url).netloc
            raise

    async def _connect(self) -> ClientConnection:
        try:
            return await open_web_socket(self.url, mend=self._mend, venue_now=self._venue_now)
        except TurnedAway as away:
            if away.status in {NOT_ACCEPTABLE, TOO_MANY}:
                raise _taken(str(away.status), away.pause) from None
            raise

    async def _introduce(self, connection: ClientConnection, hearing: Hearing) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.send(json.dumps(self._key.first_message()))
                said = await hearing.answer("authorization", parse.AUTHORIZATION)
                if CONNECTION_LIMIT in said.message:
                    raise _taken(said.message)
                if not said.is_granted:
                    raise self._refused(f"the stream says {said}.")
                listen = {"action": "listen", "data": {"streams": [TRADE_UPDATES]}}
                await connection.send(json.dumps(listen))
                on = await hearing.answer("listening", parse.LISTENING)
                if TRADE_UPDATES not in on.streams:
                    raise self._refused("the stream does not give this key trade updates.")
        except TimeoutError:
            raise VenueSilent("the stream does not answer to the key.") from None
        except ConnectionClosed as closed:
            raise VenueSilent(f"the stream was closed at once ({how_it_closed(closed)}).") from None

    def _refused(self, what: str) -> VenueRefused:
        return VenueRefused(what, mend=self._mend)


class Hearing:
    """A subscription that the venue has confirmed. Implements `pushed.Subscription`."""

    def __init__(self, connection: ClientConnection, venue_now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._venue_now = venue_now
        self._early: list[Heard] = []
        self._pong: asyncio.Future[float] | None = None

    async def hear(self) -> Heard:
        """The next message, or nothing at all where a ping was answered: it lives.

        Raises VenueSilent when the stream has ended.
        """
        while not self._early:
            frame = await self._next()
            if frame is None:
                return Heard()
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

    async def _next(self) -> bytes | None:
        """The next frame, or None at the moment at which a ping was answered.

        A ping goes out after each second with neither. Not a moment later: an old answer would
        hide for a second more that nobody is there.
        """
        try:
            while True:
                try:
                    return await self._receive()
                except TimeoutError:
                    if self._pong is not None:
                        self._pong = None
                        return None
                    self._pong = cast("asyncio.Future[float]", await self._connection.ping())
        except ConnectionClosed as closed:
            raise _ended(closed) from None

    async def _receive(self) -> bytes:
        """The next frame. Raises TimeoutError at the answer to a ping, or when one is due."""
        pong = self._pong
        async with asyncio.timeout(PING_EVERY_SECONDS if pong is None else None) as patience:

            def be_answered(_: object) -> None:
                with suppress(RuntimeError):  # a frame came in the same moment
                    patience.reschedule(0)

            if pong is not None:
                pong.add_done_callback(be_answered)
            try:
                return await self._connection.recv(decode=False)
            finally:
                if pong is not None:
                    pong.remove_done_callback(be_answered)

    def _read(self, frame: bytes) -> list[Heard]:
        try:
            said = parse.FRAME.decode(frame)
            if said.stream == TRADE_UPDATES:
                return [parse.parse_update(bytes(said.data), self._venue_now())]
            if said.stream == "authorization":
                news = parse.AUTHORIZATION.decode(bytes(said.data))
                if not news.is_granted:
                    # It was good before, and may be again; if not, the next greeting tells.
                    raise VenueSilent(f"the venue ended the stream: {news}.")
            if said.stream == "listening":
                on = parse.LISTENING.decode(bytes(said.data)).streams
                if TRADE_UPDATES not in on:
                    raise VenueSilent("the stream was turned off.")
        except UNREADABLE as error:
            return [parse.unreadable(frame, f"a message that cannot be read ({error})")]
        # A stream that is not ours, or news of what is known: it lives.
        return [Heard()]


def _ended(closed: ConnectionClosed) -> VenueSilent:
    return VenueSilent(f"the stream was closed ({how_it_closed(closed)}).")


def _taken(said: str, pause: timedelta | None = None) -> VenueSilent:
    """Somebody else listens: who asks at once again is refused again."""
    silent = VenueSilent(
        f"the venue opens no other stream of this account ({said}).",
        mend="One connection an account: is another program listening, or `ordersync run`?",
    )
    silent.pause = pause or TAKEN_PAUSE
    return silent
