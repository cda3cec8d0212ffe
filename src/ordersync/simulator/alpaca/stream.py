"""Alpaca's WebSocket for users: authentication, listening, trade updates.

There is no snapshot, no number, no replay and no heartbeat: what happens while nobody listens is
never told. One task serves a connection: it hears what the client said, tells what has happened,
and then sleeps until the next of these is due. Time is the loop's, so it runs in virtual time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from starlette.responses import Response

from ordersync.simulator.alpaca.account import (
    UnauthorizedError,
    Visitor,
    visitor_of_key,
    visitor_of_token,
)
from ordersync.simulator.alpaca.line import TRADE_UPDATES, TradeLine, told
from ordersync.simulator.alpaca.updates import update_json
from ordersync.simulator.kinds import Occasion
from ordersync.simulator.stream_line import Streamed, Update
from ordersync.simulator.stream_session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from starlette.websockets import WebSocket

    from ordersync.simulator.alpaca.condition import PlacedOrder
    from ordersync.simulator.alpaca.world import World
    from ordersync.simulator.answers import Json
    from ordersync.simulator.faults import Faults

POLICY = 1008
SecondConnection: TypeAlias = Literal[406, 429, "after_auth"]


class TradeStreams:
    """The endpoint. `sessions` remembers every connection that was tried, oldest first."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        *,
        paper: bool,
        binary: bool,
        second_connection: SecondConnection,
    ) -> None:
        self.sessions: list[Streamed] = []
        self.world = world
        self.faults = faults
        self.paper = paper
        self.binary = binary
        self.second_connection = second_connection
        self.connected: dict[str, Streamed] = {}  # by account

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        now = self.world.now()
        record = Streamed(opened_at=now)
        self.sessions.append(record)
        try:
            for fault in self.faults.strike_stream(Occasion.CONNECTION, now):
                await self._refuse(websocket, record, fault.status(503))
                return
            if self.second_connection != "after_auth" and self._everybody_is_connected():
                await self._refuse(websocket, record, self.second_connection)
                return
            await _TradeSession(self, websocket, record).run()
        finally:
            record.closed_at = self.world.now()
            self.connected = {k: v for k, v in self.connected.items() if v is not record}

    async def _refuse(self, websocket: WebSocket, record: Streamed, status: int) -> None:
        record.refused = status
        await websocket.send_denial_response(Response(status_code=status))

    def _everybody_is_connected(self) -> bool:
        """Whether this connection can be nobody's first.

        A handshake does not say whose it is, so it is refused only where no account is left.
        """
        here = {a.account_id for a in self.world.accounts.values() if a.paper is self.paper}
        return bool(here) and here <= self.connected.keys()


class _TradeSession(Session[TradeLine]):
    """One connection: who it is, whether it listens, and what is due on it."""

    def __init__(self, streams: TradeStreams, websocket: WebSocket, record: Streamed) -> None:
        line = TradeLine(
            websocket,
            streams.faults,
            streams.world.now,
            record,
            binary=streams.binary,
            msgpack=websocket.headers.get("content-type") == "application/msgpack",
        )
        super().__init__(websocket, line, streams.world.now)
        self._streams = streams
        self._world = streams.world
        self._record = record
        self._visitor: Visitor | None = None
        self._last: tuple[datetime, int] | None = None  # set while it listens
        self._stop_observing: Callable[[], object] = _nothing

    def turns(self) -> Sequence[Callable[[], Awaitable[object]]]:
        """Tell the news, and what was held back."""
        return self._tell, self._line.send_late

    def due(self) -> float:
        """When the next thing happens to an order of the account that listens."""
        if self._last is None or self._visitor is None:
            return math.inf
        account_id = self._visitor.account.account_id
        coming = self._world.announcements.next_behind(account_id, self._last)
        return math.inf if coming is None else self.loop_time_of(coming.at)

    def leave(self) -> None:
        """Observe the account no more."""
        self._stop_observing()
        self._stop_observing = _nothing

    # What the client says

    async def obey(self, message: dict[str, Any]) -> None:
        """Authenticate, or choose what to listen to."""
        action = message.get("action")
        data = message.get("data")
        if action in {"authenticate", "auth"}:
            await self._authenticate(data if isinstance(data, dict) else message)
        elif action != "listen" or not isinstance(data, dict):
            await self._line.invalid()
        elif self._visitor is None:
            await self._line.authorization("unauthorized", "listen")
        else:
            await self._choose(data.get("streams"))

    async def _authenticate(self, data: dict[str, Any]) -> None:
        try:
            visitor = self._identify(data)
        except UnauthorizedError:
            await self._line.error("access key verification failed")
            return
        account_id = visitor.account.account_id
        other = self._streams.connected.get(account_id, self._record)
        if other is not self._record:
            await self._line.error("connection limit exceeded")
            await self._line.close(POLICY)
            return
        self._visitor = visitor
        self._record.key_name = visitor.credential
        self._streams.connected[account_id] = self._record
        await self._line.authorization("authorized", "authenticate")

    def _identify(self, data: dict[str, Any]) -> Visitor:
        """Find who this is, by the older message, by the newer one, or by a token in either."""
        accounts = self._world.accounts
        key_id = str(data.get("key_id") or data.get("key") or "")
        secret = str(data.get("secret_key") or data.get("secret") or "")
        token = data.get("oauth_token") or (secret if key_id == "oauth" else None)
        if token is not None:
            visitor = visitor_of_token(accounts, self._world.tokens, str(token), self._world.now())
        else:
            visitor = visitor_of_key(accounts.values(), key_id, secret)
        if visitor.account.paper is not self._streams.paper:
            raise UnauthorizedError("an account of the other host")
        return visitor

    async def _choose(self, wanted: object) -> None:
        """Listen to these streams, and to no others any more."""
        asked = wanted if isinstance(wanted, list) else []
        chosen = [TRADE_UPDATES] if TRADE_UPDATES in asked else []
        if not chosen:
            self.leave()
            self._last = None
        elif self._last is None and self._visitor is not None:
            # From here on; whatever happened before is never told.
            self._last = self._world.announcements.written_by(self._world.now())
            account_id = self._visitor.account.account_id
            self._stop_observing = self._world.observe(account_id, self._notice)
        self._record.channels = tuple(dict.fromkeys((*self._record.channels, *chosen)))
        await self._line.say("listening", cast("Json", {"streams": chosen}))

    def _notice(self, order: PlacedOrder) -> None:
        del order
        self._wake.set()

    # What the broker says

    async def _tell(self) -> None:
        while self._last is not None and self._visitor is not None:
            account_id = self._visitor.account.account_id
            news = self._world.announcements.next_behind(account_id, self._last)
            if news is None or news.at > self._world.now():
                return
            self._last = (news.at, news.serial)
            order = self._world.order(news.order_id)
            if order is not None:
                row = told(update_json(self._world, news))
                await self._line.tell(Update(at=news.at, order=order, row=row))
            if self.ended:
                return


def _nothing() -> None:
    """Stop nothing."""
