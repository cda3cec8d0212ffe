"""How the tests ask the simulated exchange: a clock, tokens of every make, and a client."""

# ruff: noqa: ANN401 - what is sent is for the exchange to judge, not for a type

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519

from ordersync.simulator import Faults, World, app

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ordersync.simulator import Account

PREFIX = "/api/v3/brokerage"
BATCH = "/orders/historical/batch"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOST = "127.0.0.1:8700"


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is told to go on."""

    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def go_on(self, seconds: float) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at


def claims_of(account: Account, method: str, path: str, now: datetime) -> dict[str, Any]:
    """What the official SDK claims in its token."""
    begins = int(now.timestamp())
    return {
        "sub": account.key.name,
        "iss": "cdp",
        "nbf": begins,
        "exp": begins + 120,
        "uri": f"{method} api.coinbase.com{PREFIX}{path}",
    }


def sign(account: Account, claims: dict[str, Any], **header: Any) -> str:
    """A token with these claims, signed by the account's key."""
    headers = {"kid": account.key.name, "nonce": "c0ffee", **header}
    secret = account.key.private_key
    if secret.startswith("-----BEGIN"):
        return jwt.encode(claims, secret, algorithm="ES256", headers=headers)
    key = ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret)[:32])
    return jwt.encode(claims, key, algorithm="EdDSA", headers=headers)


@dataclass(slots=True)
class Exchange:
    """A world with one account, served in process, and somebody who asks it."""

    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    seed: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    world: World = field(init=False)
    account: Account = field(init=False)
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        self.world = World(self.clock.now, seed=self.seed)
        self.account = self.world.open_account()
        self.app = app(self.world, self.faults, **self.options)

    async def send(
        self,
        method: str,
        path: str,
        *,
        account: Account | None = None,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        **request: Any,
    ) -> httpx2.Response:
        """One request, with a token such as the official SDK makes."""
        who = account or self.account
        if token is None:
            token = sign(who, claims_of(who, method, path, self.clock.now()))
        sent = {"authorization": f"Bearer {token}", **(headers or {})}
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            return await client.request(method, PREFIX + path, headers=sent, **request)

    async def get(
        self, path: str, account: Account | None = None, **params: Any
    ) -> httpx2.Response:
        return await self.send("GET", path, account=account, params=params)

    async def post(
        self, path: str, body: object, account: Account | None = None
    ) -> httpx2.Response:
        return await self.send("POST", path, account=account, json=body)

    async def listed(self, **params: Any) -> list[dict[str, Any]]:
        """The orders of one page."""
        response = await self.get(BATCH, **params)
        assert response.status_code == 200, response.text
        orders: list[dict[str, Any]] = response.json()["orders"]
        return orders

    async def every_page(self, **params: Any) -> list[list[str]]:
        """The order ids of every page, as a client reads them that follows the cursor."""
        pages, cursor = [], ""
        while True:
            page = (await self.get(BATCH, cursor=cursor, **params)).json()
            pages.append([order["order_id"] for order in page["orders"]])
            cursor = page["cursor"]
            assert page["has_next"] == bool(cursor)
            if not cursor:
                return pages
