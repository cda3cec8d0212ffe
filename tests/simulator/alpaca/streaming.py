"""How the tests listen to the simulated broker: in virtual time, with a plain WebSocket."""

# ruff: noqa: ANN401 - what is sent is for the broker to judge, not for a type

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect

from ordersync.simulator import Faults, alpaca, serving
from ordersync.simulator.alpaca import Life, World
from tests.simulator.connection import StreamConnection
from tests.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ordersync.simulator import Fault
    from ordersync.simulator.alpaca import Account
    from ordersync.simulator.stream_line import Streamed

SECOND = timedelta(seconds=1)
LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}


@dataclass(slots=True)
class Listener(StreamConnection):
    """One connection to the stream, and what came on it."""

    account: Account

    async def ask(self, message: object) -> dict[str, Any]:
        await self.send(message)
        return await self.next()

    async def authenticate(self) -> dict[str, Any]:
        key = self.account.key
        data = {"key_id": key.key_id, "secret_key": key.secret_key}
        return await self.ask({"action": "authenticate", "data": data})

    async def begin(self) -> None:
        """Authenticate and listen."""
        assert (await self.authenticate())["data"]["status"] == "authorized"
        assert (await self.ask(LISTEN))["data"]["streams"] == ["trade_updates"]


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
    async def connecting(
        self, account: Account | None = None, **more: Any
    ) -> AsyncIterator[Listener]:
        url = self.url.replace("http", "ws") + "/stream"
        async with connect(url, max_size=None, compression=None, **more) as connection:
            yield Listener(connection, account or self.account)

    @contextlib.asynccontextmanager
    async def listening(self, account: Account | None = None) -> AsyncIterator[Listener]:
        async with self.connecting(account) as listener:
            await listener.begin()
            yield listener

    def place(self, life: Life, body: dict[str, object] | None = None, **more: Any) -> str:
        """Buy two shares; the order's id."""
        wish = alpaca.limit("AAPL", "buy", "2", "150") if body is None else body
        return self.world.place(self.account.account_id, wish, life=life, **more).order_id


@contextlib.asynccontextmanager
async def trading(*faults: Fault, **options: Any) -> AsyncIterator[Floor]:
    clock = VirtualClock()
    world = World(clock.now, seed=1)
    account = world.open_account(paper=options.get("paper", True))
    schedule = Faults(faults)
    application = alpaca.app(world, schedule, **options)
    async with serving(application) as url:
        yield Floor(clock, world, account, schedule, application.state.streams, url)


def updates_of(frames: list[Any]) -> list[dict[str, Any]]:
    """The trade updates among these frames."""
    return [
        frame["data"]
        for frame in frames
        if isinstance(frame, dict) and frame.get("stream") == "trade_updates"
    ]


def events_of(frames: list[Any]) -> list[str]:
    return [update["event"] for update in updates_of(frames)]
