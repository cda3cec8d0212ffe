"""A world with something in it: one account and some forty orders of every kind.

The newest are minutes old and still moving, the oldest are weeks old; each kind of life that an
order can have is there at least once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from ordersync.simulator.condition import MAKER_FEE
from ordersync.simulator.life import Life, Step, What
from ordersync.simulator.products import PRODUCTS
from ordersync.simulator.terms import limit_fok, limit_gtc, limit_gtd, market, stop_limit_gtc
from ordersync.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ordersync.simulator.account import Account

RANDOM_ORDERS = 22
_HALF = Decimal("0.5")
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Scene:
    """One order of the cast: what it asks for, how long ago, and what becomes of it."""

    age: timedelta
    configuration: Mapping[str, object]
    life: Life
    product_id: str = "BTC-USD"
    side: str = "BUY"
    placement_source: str = "RETAIL_ADVANCED"


def populate(now: Callable[[], datetime], seed: int) -> tuple[World, Account]:
    """Make a world and its one account. The same seed makes the same orders, as old as before."""
    world = World(now, seed=seed)
    account = world.open_account()
    moment = now()
    for scene in _cast(moment):
        world.place(
            account.portfolio,
            scene.product_id,
            scene.side,
            scene.configuration,
            life=scene.life,
            created_at=moment - scene.age,
            placement_source=scene.placement_source,
        )
    _extras(world, account, moment, Random(f"populated {seed}"))  # noqa: S311 - reproducible
    return world, account


def _cast(now: datetime) -> list[_Scene]:
    """Every kind of order once."""
    btc, eth = limit_gtc("0.01", "63000"), limit_gtc("0.5", "3100")
    half = ((_MINUTE, _HALF),)
    refused = Life(
        steps=(
            Step(after=_MINUTE, what=What.OPEN),
            Step(after=_MINUTE * 2, what=What.CANCEL_QUEUED),
            Step(after=_MINUTE * 3, what=What.OPEN),
        ),
        refuses_cancel=True,
    )
    edited = Life(
        steps=(
            Step(after=_MINUTE, what=What.OPEN),
            Step(after=_MINUTE * 2, what=What.EDIT_QUEUED),
        )
    )
    return [
        _Scene(timedelta(seconds=20), btc, Life.pending()),
        _Scene(_MINUTE, eth, Life.queued(), "ETH-USD"),
        _Scene(_HOUR, btc, Life.open()),
        _Scene(_DAY * 3, eth, Life.open(), "ETH-USD", "SELL"),
        _Scene(_HOUR * 5, btc, Life.open(fills=half)),
        _Scene(_MINUTE * 30, btc, refused),
        _Scene(_MINUTE * 40, btc, edited),
        _Scene(_HOUR, market(quote_size="250"), Life.filled()),
        _Scene(_HOUR * 2, market(base_size="0.02"), Life.filled(), side="SELL"),
        _Scene(_MINUTE, btc, Life.filled(_MINUTE / 2, settle_lag=_MINUTE * 2)),
        _Scene(_DAY, btc, Life.filled(_HOUR, fills=half)),
        _Scene(_DAY * 40, eth, Life.filled(_DAY), "ETH-USD"),
        _Scene(_HOUR * 8, btc, Life.canceled(_HOUR)),
        _Scene(_HOUR * 9, btc, Life.canceled(_HOUR, share=_HALF)),
        _Scene(_DAY, limit_gtd("0.01", "60000", now - _HOUR), Life.expired(_HOUR * 23)),
        _Scene(_DAY * 2, limit_gtd("0.01", "60000", now - _DAY), Life.expired(_DAY, share=_HALF)),
        _Scene(_HOUR * 6, limit_fok("0.2", "50000"), Life.canceled(_MINUTE / 60)),
        _Scene(_HOUR * 7, btc, Life.failed()),
        _Scene(_DAY * 5, stop_limit_gtc("0.01", "59000", "59500"), Life.open(), side="SELL"),
        _Scene(_DAY, market(quote_size="50"), Life.filled(), placement_source="RETAIL_SIMPLE"),
    ]


def _extras(world: World, account: Account, now: datetime, rng: Random) -> None:
    """Add the crowd: seeded orders over the last two days, the last of them minutes old."""
    products = list(PRODUCTS.values())
    for _ in range(RANDOM_ORDERS):
        product = rng.choice(products)
        age = rng.choice((_MINUTE * 5, _HOUR * 3, _DAY * 2)) * rng.random()
        price = f"{product.price * (1 - MAKER_FEE):f}"
        world.place(
            account.portfolio,
            product.product_id,
            rng.choice(("BUY", "SELL")),
            limit_gtc(str(Decimal(rng.randint(1, 50)) / 100), price),
            life=Life.random(rng, span=_MINUTE * 10),
            created_at=now - age,
        )
