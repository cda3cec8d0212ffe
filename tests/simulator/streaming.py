"""How the tests listen to the simulated exchange: in virtual time, with a plain WebSocket."""

# ruff: noqa: ANN401 - what is sent is for the exchange to judge, not for a type

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect

from ordersync.simulator import Faults, Life, World, app, limit_gtc, serving
from tests.simulator.asking import sign
from tests.simulator.connection import StreamConnection
from tests.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ordersync.simulator import Account, Fault, Streamed
    from ordersync.simulator.condition import PlacedOrder

SECOND = timedelta(seconds=1)
ORDER = limit_gtc("2", "100")


def stream_claims(account: Account, clock: VirtualClock) -> dict[str, Any]:
    """What the official SDK claims in the token of a WebSocket message."""
    begins = int(clock.now().timestamp())
    return {"sub": account.key.name, "iss": "cdp", "nbf": begins, "exp": begins + 120}


@dataclass(slots=True)
class Listener(StreamConnection):
    """One connection to the stream, and what came on it."""

    account: Account
    clock: VirtualClock

    async def subscribe(self, channel: str = "user", **more: Any) -> None:
        token = sign(self.account, stream_claims(self.account, self.clock))
        message = {"type": "subscribe", "channel": channel, "jwt": token, **more}
        await self.send({key: value for key, value in message.items() if value is not None})

    async def unsubscribe(self, channel: str = "user", **more: Any) -> None:
        await self.subscribe(channel, type="unsubscribe", **more)

    async def begin(self, *channels: str) -> list[dict[str, Any]]:
        """Subscribe to the channels, and pass over what comes at once."""
        for channel in channels or ("user",):
            await self.subscribe(channel)
        return await self.until(0.1)


@dataclass(slots=True)
class Floor:
    """A world with one account, served on the memory network, and those who listen."""

    clock: VirtualClock
    world: World
    account: Account
    faults: Faults
    streams: list[Streamed]
    url: str

    @contextlib.asynccontextmanager
    async def listening(
        self, account: Account | None = None, **options: Any
    ) -> AsyncIterator[Listener]:
        url = self.url.replace("http", "ws")
        options = {"max_size": None, "compression": None, **options}
        async with connect(url, **options) as connection:
            yield Listener(connection, account or self.account, self.clock)


@contextlib.asynccontextmanager
async def trading(*faults: Fault, seed: int = 1) -> AsyncIterator[Floor]:
    clock = VirtualClock()
    world = World(clock.now, seed=seed)
    account = world.open_account()
    schedule = Faults(faults)
    application = app(world, schedule)
    async with serving(application) as url:
        yield Floor(clock, world, account, schedule, application.state.streams, url)


def orders_of(frames: list[Any]) -> list[dict[str, Any]]:
    """The orders in the updates among these frames, in the order in which they came."""
    return [
        order
        for frame in frames
        if isinstance(frame, dict) and frame.get("channel") == "user"
        for event in frame["events"]
        if event["type"] == "update"
        for order in event["orders"] or ()
    ]


def numbers_of(frames: list[Any]) -> list[int]:
    """The sequence numbers of these frames."""
    return [frame["sequence_num"] for frame in frames]


def in_snapshots(frames: list[Any]) -> list[list[str]]:
    """The order ids of each snapshot among these frames."""
    return [
        [order["order_id"] for order in event["orders"]]
        for frame in frames
        if frame["channel"] == "user"
        for event in frame["events"]
        if event["type"] == "snapshot"
    ]


def told(frames: list[Any], order: PlacedOrder) -> list[tuple[str, str, str]]:
    """Status, filled and left of one order in each of its updates."""
    return [
        (each["status"], each["cumulative_quantity"], each["leaves_quantity"])
        for each in orders_of(frames)
        if each["order_id"] == order.order_id
    ]


def place(floor: Floor, life: Life, configuration: Any = None, **more: Any) -> PlacedOrder:
    """Buy something."""
    portfolio = more.pop("portfolio", floor.account.portfolio)
    product = more.pop("product", "BTC-USD")
    return floor.world.place(portfolio, product, "BUY", configuration or ORDER, life=life, **more)
