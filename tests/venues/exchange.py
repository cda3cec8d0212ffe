"""A Coinbase to ask: the simulated one, or one that says exactly what a test wrote down."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.responses import Response

from ordersync.simulator import Faults, Life, World, app, limit_gtc, serving
from ordersync.venues.coinbase.key import CdpKey
from ordersync.venues.coinbase.venue import Coinbase
from tests.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime, timedelta

    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ordersync.simulator import Account
    from ordersync.simulator.exchange import Served

PORT = 8700
BATCH = "/api/v3/brokerage/orders/historical/batch"
FILLS = "/api/v3/brokerage/orders/historical/fills"
ONE = "/api/v3/brokerage/orders/historical/"


def key_of(account: Account) -> CdpKey:
    secret = base64.b64decode(account.key.private_key)[:32]
    return CdpKey(account.key.name, Ed25519PrivateKey.from_private_bytes(secret))


@dataclass
class Exchange:
    """The simulated exchange, one account at it, and the venue that asks."""

    clock: VirtualClock
    world: World
    account: Account
    faults: Faults
    app: Starlette
    venue: Coinbase

    def place(
        self,
        life: Life | None = None,
        *,
        created_at: datetime | None = None,
        source: str = "RETAIL_ADVANCED",
        client_id: str | None = None,
        portfolio: str | None = None,
    ) -> str:
        made = self.world.place(
            portfolio or self.account.portfolio,
            "BTC-USD",
            "BUY",
            limit_gtc("1", "100"),
            life=life or Life.open(),
            created_at=created_at,
            placement_source=source,
            client_order_id=client_id,
        )
        return made.order_id

    def strangers(self, count: int) -> list[str]:
        """Ids that nobody has."""
        return [self.world.new_id() for _ in range(count)]

    def asked(self, endpoint: str = "") -> list[Served]:
        return [one for one in self.app.state.served if endpoint in {"", one.endpoint}]


@contextlib.asynccontextmanager
async def exchange(
    *,
    faults: Faults | None = None,
    door: Callable[[ASGIApp], ASGIApp] = lambda inner: inner,
    slow: timedelta | None = None,
    **options: Any,  # noqa: ANN401 - whatever the exchange takes
) -> AsyncIterator[Exchange]:
    """The exchange, served; call it in virtual time. `door` may stand before it.

    `slow` is by how much our clock lags behind the exchange's.
    """
    clock = VirtualClock()
    world = World((lambda: clock.now() + slow) if slow else clock.now)
    faults = faults or Faults()
    application = app(world, faults, **options)
    account = world.open_account("ed25519")
    async with serving(door(application), port=PORT) as url:
        venue = Coinbase(key_of(account), clock, rest_url=url)
        try:
            yield Exchange(clock, world, account, faults, application, venue)
        finally:
            await venue.close()


@dataclass
class Script:
    """Says the answers that were written down, in turn; the last one again and again."""

    answers: dict[str, list[object]]
    queries: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        self.queries.append((path, scope["query_string"].decode()))
        place = next(place for place in self.answers if path.startswith(place))
        waiting = self.answers[place]
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        await Response(text, status, media_type="application/json")(scope, receive, send)


@contextlib.asynccontextmanager
async def scripted(**answers: list[object]) -> AsyncIterator[tuple[Coinbase, Script]]:
    """A venue whose exchange says `batch=[…]`, `one=[…]`, `fills=[…]`, in turn."""
    places = {"batch": BATCH, "fills": FILLS, "one": ONE, "time": "/api/v3/brokerage/time"}
    places["permissions"] = "/api/v3/brokerage/key_permissions"
    script = Script({places[name]: said for name, said in answers.items()})
    clock = VirtualClock()
    key = CdpKey("organizations/a/apiKeys/b", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    async with serving(script, port=PORT) as url:
        venue = Coinbase(key, clock, rest_url=url)
        try:
            yield venue, script
        finally:
            await venue.close()
