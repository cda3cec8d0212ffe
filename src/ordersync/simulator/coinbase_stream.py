"""Coinbase Advanced Trade's WebSocket for users: subscriptions, snapshots, updates, heartbeats.

One task serves a connection: it hears what the client said, tells what has changed, beats, and
then sleeps until the next of these is due. Time is the loop's, so it runs in virtual time too.
"""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import Response

from ordersync.simulator.auth import UnauthorizedError, authenticate_message
from ordersync.simulator.changes import Watch
from ordersync.simulator.kinds import Occasion
from ordersync.simulator.stream_json import heartbeat, snapshots, user_order
from ordersync.simulator.stream_line import Line, Streamed, Update
from ordersync.simulator.stream_session import Session
from ordersync.simulator.world import user_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from datetime import datetime

    from starlette.websockets import WebSocket

    from ordersync.simulator.account import Account
    from ordersync.simulator.answers import Json
    from ordersync.simulator.changes import Change
    from ordersync.simulator.faults import Faults
    from ordersync.simulator.world import World

SUBSCRIBE_WITHIN_SECONDS = 5
IDLE_SECONDS = (60, 90)
PRIVATE = frozenset(("user", "futures_balance_summary"))
# The last of these belong to another host, which serves `user` as well; here they are silent.
CHANNELS = PRIVATE | {
    "heartbeats",
    "candles",
    "level2",
    "market_trades",
    "status",
    "ticker",
    "ticker_batch",
}
POLICY, NORMAL = 1008, 1000


class Streams:
    """The endpoint. `sessions` remembers every connection that was tried, oldest first."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.sessions: list[Streamed] = []
        self._world = world
        self._faults = faults

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        now = self._world.now()
        record = Streamed(opened_at=now)
        self.sessions.append(record)
        try:
            for fault in self._faults.strike_stream(Occasion.CONNECTION, now):
                record.refused = fault.status(503)
                await websocket.send_denial_response(Response(status_code=record.refused))
                return
            rng = Random(f"stream {self._world.seed} {len(self.sessions)}")  # noqa: S311
            await _UserSession(self._world, self._faults, websocket, record, rng).run()
        finally:
            record.closed_at = self._world.now()


class _UserSession(Session[Line]):
    """One connection: what it subscribed to, and what is due on it."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        websocket: WebSocket,
        record: Streamed,
        rng: Random,
    ) -> None:
        super().__init__(websocket, Line(websocket, faults, world.now, record), world.now)
        self._world = world
        self._faults = faults
        self._record = record
        self._account: Account | None = None
        self._channels: dict[str, list[str]] = {}
        self._products: frozenset[str] = frozenset()  # of the user channel; empty means all
        self._watch: Watch | None = None
        self._subscribe_by = self._loop.time() + SUBSCRIBE_WITHIN_SECONDS
        self._idle_seconds = rng.uniform(*IDLE_SECONDS)
        self._beats_at = math.inf
        self._counter = rng.randint(1_000, 100_000)

    def turns(self) -> Sequence[Callable[[], Awaitable[object]]]:
        """Tell what changed and what was held back, beat, and lose patience."""
        return self._tell, self._beat, self._line.send_late, self._expire

    def due(self) -> float:
        """When the next beat, change or end of patience is."""
        due = min(self._beats_at, self._deadline)
        changes_at = None if self._watch is None else self._watch.next_at
        return due if changes_at is None else min(due, self.loop_time_of(changes_at))

    def leave(self) -> None:
        """Watch the orders no more."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    @property
    def _deadline(self) -> float:
        """When the exchange loses its patience, in the loop's time."""
        if not self._record.channels:
            return self._subscribe_by
        return self._line.said_at + self._idle_seconds

    async def _expire(self) -> None:
        if self._loop.time() >= self._deadline:
            await self._line.close(NORMAL if self._record.channels else POLICY)

    # What the client says

    async def obey(self, message: dict[str, Any]) -> None:
        """Subscribe or unsubscribe, or say what is wrong with the message."""
        kind, channel = message.get("type"), message.get("channel")
        products = message.get("product_ids") or []
        if kind not in {"subscribe", "unsubscribe"}:
            await self._line.error("invalid message: type must be subscribe or unsubscribe")
        elif not isinstance(channel, str) or channel not in CHANNELS:
            await self._line.error(f"invalid channel: {channel}")
        elif not isinstance(products, list) or not all(isinstance(p, str) for p in products):
            await self._line.error("invalid product_ids")
        elif not self._may(channel, message):
            await self._line.error("authentication failure")
            await self._line.close(POLICY)
        elif kind == "subscribe":
            await self._subscribe(channel, frozenset(products))
        else:
            await self._unsubscribe(channel, frozenset(products))

    def _may(self, channel: str, message: dict[str, Any]) -> bool:
        """Whether the message's token opens the channel. A public one needs none."""
        token = message.get("jwt")
        if channel not in PRIVATE and not token:
            return True
        try:
            account = authenticate_message(self._world.accounts, token, self._world.now())
        except UnauthorizedError:
            return False
        known = self._account or account
        if not account.can_view or account.portfolio != known.portfolio:
            return False
        self._account = account
        self._record.key_name = account.key.name
        return True

    async def _subscribe(self, channel: str, products: frozenset[str]) -> None:
        names = [channel]
        if channel in PRIVATE and self._account is not None:
            names = [user_of(self._account.portfolio)]
        was_subscribed = channel in self._channels
        self._channels[channel] = names
        if channel == "heartbeats" and not was_subscribed:
            self._beats_at = self._loop.time() + 1
        if channel == "user":
            # Never from fewer products to more by adding some to all.
            keeps_all = was_subscribed and not self._products
            widened = self._products | products if products and not keeps_all else frozenset()
            self._products = widened
        await self._acknowledge()
        if channel == "user" and self._account is not None and not self._line.over:
            await self._snapshot(self._account.portfolio, products)

    async def _unsubscribe(self, channel: str, products: frozenset[str]) -> None:
        if channel == "user":
            left = self._products - products
            if products and (left or not self._products):
                self._products = left
                await self._acknowledge()
                return
            self._products = frozenset()
            self.leave()
        elif channel == "heartbeats":
            self._beats_at = math.inf
        self._channels.pop(channel, None)
        await self._acknowledge()

    async def _acknowledge(self) -> None:
        subscriptions = cast("dict[str, Json]", dict(self._channels))
        self._record.channels = tuple({**dict.fromkeys(self._record.channels), **self._channels})
        event: Json = {"subscriptions": subscriptions}
        await self._line.say("subscriptions", event, self._world.now())

    # What the exchange says

    async def _snapshot(self, portfolio: str, products: frozenset[str]) -> None:
        now = self._world.now()
        if self._watch is None:
            # From here on updates; whatever happened before is in the snapshot.
            self._watch = Watch(self._world, portfolio, self._wake.set)
        stale = self._faults.strike_stream(Occasion.SNAPSHOT, now)
        age = max((fault.seconds(5) for fault in stale), default=0)
        at = self._world.moment_ago(age)
        rows: list[Json] = [cast("Json", row) for row in self._open_orders(portfolio, products, at)]
        for event in snapshots(rows):
            if self.ended:
                return
            await self._line.say("user", event, now)

    def _open_orders(
        self, portfolio: str, products: frozenset[str], at: datetime
    ) -> Iterator[dict[str, Json]]:
        for order in self._world.newest_first(portfolio):
            if order.created_at <= at and (not products or order.product_id in products):
                condition = self._world.condition(order, at)
                if not condition.final:
                    yield user_order(order, condition)

    async def _tell(self) -> None:
        if self._watch is None:
            return
        for change in self._watch.due(self._world.now()):
            if not self._products or change.order.product_id in self._products:
                for row in _rows(change):
                    await self._line.tell(Update(at=change.at, order=change.order, row=row))
                    if self.ended:
                        return

    async def _beat(self) -> None:
        if self._loop.time() < self._beats_at:
            return
        now = self._world.now()
        self._counter += 1 + len(self._faults.strike_stream(Occasion.HEARTBEAT, now))
        # A line that was blocked for a while does not beat faster afterwards.
        self._beats_at = max(self._beats_at + 1, self._loop.time())
        await self._line.say("heartbeats", heartbeat(now, self._counter), now)


def _rows(change: Change) -> Iterator[dict[str, Json]]:
    """Write down a change; before an order is FILLED it is OPEN with nothing left."""
    filled_before = change.before is not None and change.before.status == "FILLED"
    if change.condition.status == "FILLED" and not filled_before:
        yield user_order(change.order, change.condition, "OPEN")
    yield user_order(change.order, change.condition)
