"""How the tests ask the simulated broker."""

# ruff: noqa: ANN401 - what is sent is for the broker to judge, not for a type

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from ordersync.simulator import Faults, alpaca
from tests.simulator.asking import Clock

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ordersync.simulator.alpaca import Account, Token

HOST = "http://127.0.0.1:8701"
ORDERS = "/v2/orders"
STRANGER = "00000000-0000-4000-8000-000000000000"


@dataclass(slots=True)
class Broker:
    """A world with one paper account, served in process, and somebody who asks it."""

    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    seed: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    world: alpaca.World = field(init=False)
    account: Account = field(init=False)
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        self.world = alpaca.World(self.clock.now, seed=self.seed)
        self.account = self.world.open_account(paper=self.options.get("paper", True))
        self.app = alpaca.app(self.world, self.faults, **self.options)

    def place(self, body: dict[str, object] | None = None, **more: Any) -> str:
        """An order of the account, of one share of AAPL unless told otherwise; its id."""
        wish = alpaca.limit("AAPL", "buy", "1", "150") if body is None else body
        return self.world.place(self.account.account_id, wish, **more).order_id

    async def send(
        self, method: str, path: str, *, who: Account | Token | None = None, **request: Any
    ) -> httpx2.Response:
        """One request with the account's key, with another's, or with a token."""
        who = self.account if who is None else who
        headers = who.key.headers if isinstance(who, alpaca.Account) else who.headers
        headers = {**headers, **request.pop("headers", {})}
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url=HOST) as client:
            return await client.request(method, path, headers=headers, **request)

    async def get(self, path: str, **params: Any) -> httpx2.Response:
        return await self.send("GET", path, params=params)

    async def listed(self, **params: Any) -> list[dict[str, Any]]:
        """The orders of one page."""
        response = await self.get(ORDERS, **params)
        assert response.status_code == 200, response.text
        orders: list[dict[str, Any]] = response.json()
        return orders

    async def ids(self, **params: Any) -> list[str]:
        return [order["id"] for order in await self.listed(**params)]

    async def order(self, order_id: str, **params: Any) -> dict[str, Any]:
        response = await self.get(f"{ORDERS}/{order_id}", **params)
        assert response.status_code == 200, response.text
        order: dict[str, Any] = response.json()
        return order

    async def post(self, body: object) -> httpx2.Response:
        return await self.send("POST", ORDERS, json=body)

    def status(self, order_id: str) -> str:
        return self.world.truth(order_id).status
