"""The same house at Alpaca: the simulated broker, and the service beside it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2

from ordersync.simulator import Faults, alpaca, serving
from ordersync.simulator.alpaca import Life
from tests.system.house import TABLE, Placed, Premises, ago, naive
from tests.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from starlette.types import ASGIApp

    from ordersync.simulator.alpaca.condition import PlacedOrder

PORT = 8701
HOUR = timedelta(hours=1)
STATUSES = (
    *("new", "accepted", "pending_new", "accepted_for_bidding", "held", "pending_review"),
    *("partially_filled", "stopped", "suspended", "calculated", "done_for_day"),
    *("pending_cancel", "pending_replace", "filled", "canceled", "expired", "rejected"),
    "replaced",
)
STATUS_WORDS = {f"w_{status}": [status] for status in (*STATUSES, "unknown")}
"""A word of the bot's for every status."""

BODY = alpaca.limit("AAPL", "buy", "4", "100")


@dataclass(kw_only=True)
class AlpacaHouse(Premises):
    """A bot that trades at Alpaca. Its account is one of paper trading, unless it is said."""

    symbol = "AAPL"

    world: alpaca.World
    account: alpaca.Account
    paper: bool = True

    def place(
        self,
        life: Life | None = None,
        *,
        age: timedelta = HOUR,
        body: Mapping[str, object] = BODY,
        leg_lives: tuple[Life, ...] = (),
        **row: object,
    ) -> Placed:
        """An order of this age at the broker, and a row about it; `row` says it otherwise."""
        return self.tell(self.order(life, age=age, body=body, leg_lives=leg_lives), **row)

    def order(
        self,
        life: Life | None = None,
        *,
        age: timedelta = HOUR,
        body: Mapping[str, object] = BODY,
        leg_lives: tuple[Life, ...] = (),
    ) -> PlacedOrder:
        """An order at the broker that is in no row."""
        return self.world.place(
            self.account.account_id,
            body,
            life=life if life is not None else Life.open(),
            leg_lives=leg_lives,
            created_at=self.clock.now() - age,
        )

    def tell(self, order: PlacedOrder, **row: object) -> Placed:
        """The bot's row about an order of the broker's."""
        return self.note(order.order_id, order.client_order_id, order.created_at, row)

    def legs(self, placed: Placed, **row: object) -> list[Placed]:
        """Rows about the legs of an order."""
        parent = self.world.order(placed.order_id)
        assert parent is not None
        found = [self.world.order(leg) for leg in parent.legs]
        return [self.tell(leg, **row) for leg in found if leg is not None]

    def replace(self, placed: Placed) -> PlacedOrder:
        """The order that takes the place of this one; the bot asked for it without waiting."""
        order = self.world.order(placed.order_id)
        assert order is not None
        return self.world.replace(order.order_id, replace(order.terms, limit_price=Decimal(101)))

    async def patch(self, order_id: str, **body: str) -> str:
        """The bot asks the broker to replace an order; the id of the new one."""
        async with httpx2.AsyncClient(base_url=self.url, headers=self.account.key.headers) as bot:
            answer = await bot.patch(f"/v2/orders/{order_id}", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def left(self, order_id: str) -> Decimal:
        """How much of an order is not filled."""
        order = self.world.order(order_id)
        assert order is not None
        return (order.terms.qty or Decimal(0)) - self.world.truth(order_id).filled_qty

    def new_id(self) -> str:
        return self.world.new_id()

    def truth_of(self, order_id: str, at: datetime | None = None) -> alpaca.Truth:
        return self.world.truth(order_id, at)

    def steady_at(self) -> datetime:
        return self.world.steady_at()

    def section(self, url: str, key: alpaca.ApiKey | alpaca.Token | None) -> dict[str, Any]:
        key_file = (key or self.account.key).write(self.folder / "alpaca.json")
        return {
            "venue": "alpaca",
            "paper": self.paper,
            "key_file": str(key_file),
            "rest_url": url,
        }


def crowd(house: AlpacaHouse, count: int) -> None:
    """So many open orders, one a second, each with a row."""
    made = [house.order(age=ago(hours=3, seconds=-n)) for n in range(count)]
    house.insert_many(
        {
            "order_id": one.order_id,
            "client_id": one.client_order_id,
            "created_at": naive(one.created_at),
        }
        for one in made
    )


@contextlib.asynccontextmanager
async def at_alpaca(
    folder: Path,
    *,
    seed: int = 1,
    faults: Faults | None = None,
    table: str = TABLE,
    sync: dict[str, Any] | None = None,
    orders: dict[str, Any] | None = None,
    paper: bool = True,
    around: Callable[[ASGIApp], ASGIApp] | None = None,
    **broker: Any,  # noqa: ANN401 - whatever the broker takes
) -> AsyncIterator[AlpacaHouse]:
    """A house with a broker that is being served; call it in virtual time."""
    clock = VirtualClock()
    world = alpaca.World(clock.now, seed=seed)
    faults = faults or Faults()
    application = alpaca.app(world, faults, paper=paper, **broker)
    async with serving(around(application) if around else application, port=PORT) as url:
        house = AlpacaHouse(
            folder=folder,
            clock=clock,
            world=world,
            account=world.open_account(paper=paper),
            faults=faults,
            app=application,
            url=url,
            paper=paper,
            sync_settings=sync or {},
            orders_settings=orders or {},
        )
        house.sql(table)
        yield house
