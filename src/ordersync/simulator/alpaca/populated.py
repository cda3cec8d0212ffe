"""A world with something in it: one paper account and some forty orders of every kind.

The newest are minutes old and still moving, the oldest are weeks old; each status that an order
can have is there at least once, and each kind of family.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from ordersync.simulator.alpaca.assets import ASSETS
from ordersync.simulator.alpaca.life import Life
from ordersync.simulator.alpaca.terms import bracket, limit, market, oco, oto, spread
from ordersync.simulator.alpaca.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ordersync.simulator.alpaca.account import Account

RANDOM_ORDERS = 15
_BEAT = timedelta(milliseconds=7)
_HALF = Decimal("0.5")
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Scene:
    """One order of the cast: what it asks for, how long ago, and what becomes of it."""

    age: timedelta
    body: Mapping[str, object]
    life: Life
    leg_lives: tuple[Life, ...] = ()


def populate(now: Callable[[], datetime], seed: int) -> tuple[World, Account]:
    """Make a world and its one account. The same seed makes the same orders, as old as before."""
    world = World(now, seed=seed)
    account = world.open_account()
    moment = now()
    for number, scene in enumerate(_cast()):
        world.place(
            account.account_id,
            scene.body,
            life=scene.life,
            leg_lives=scene.leg_lives,
            # No two at one moment: the official client pages by time alone.
            created_at=moment - scene.age - number * _BEAT,
        )
    _extras(world, account, moment, Random(f"populated {seed}"))  # noqa: S311 - reproducible
    return world, account


def _cast() -> list[_Scene]:
    """Every kind of order once."""
    aapl, spy = limit("AAPL", "buy", "10", "195"), limit("SPY", "sell", "4", "560")
    coin = limit("BTC/USD", "buy", "0.01", "63000")
    half = ((_MINUTE, _HALF),)
    entry = bracket(aapl, take_profit="220", stop_loss="180")
    calls = spread(
        "1",
        "15",
        ("AAPL271217C00200000", "1", "buy_to_open"),
        ("AAPL271217C00250000", "1", "sell_to_open"),
    )
    return [
        _Scene(timedelta(seconds=20), aapl, Life.pending()),
        _Scene(_HOUR * 3, aapl, Life.accepted()),
        _Scene(_MINUTE * 5, coin, Life.of((0, "accepted"), (1, "accepted_for_bidding"))),
        _Scene(_HOUR, aapl, Life.of((0, "pending_review"))),
        _Scene(_HOUR, aapl, Life.open()),
        _Scene(_DAY * 3, spy, Life.open()),
        _Scene(_HOUR * 5, aapl, Life.open(fills=half)),
        _Scene(_HOUR * 6, aapl, Life.open(refuses_cancel=True)),
        _Scene(_HOUR * 2, aapl, Life.of((1, "new"), (2, "suspended"))),
        _Scene(_HOUR * 2, spy, Life.of((1, "new"), (2, "stopped"))),
        _Scene(_HOUR * 9, aapl, Life.of((1, "new"), (60, "done_for_day"))),
        _Scene(_HOUR * 9, spy, Life.of((1, "new"), (60, "done_for_day"), (90, "calculated"))),
        _Scene(_MINUTE * 2, aapl, Life.of((1, "new"), (60, "pending_cancel"))),
        _Scene(_MINUTE * 2, spy, Life.of((1, "new"), (60, "pending_replace"))),
        _Scene(_DAY, aapl, Life.of((1, "new"), (60, "replaced"))),
        _Scene(_DAY, aapl, Life.overnight(share=_HALF)),
        _Scene(_HOUR, market("AAPL", "buy", notional="250"), Life.filled()),
        _Scene(_HOUR * 2, market("TSLA", "sell", "3"), Life.filled()),
        _Scene(_DAY, coin, Life.filled(_HOUR, fills=half)),
        _Scene(_DAY * 40, spy, Life.filled(_DAY)),
        _Scene(_HOUR * 8, aapl, Life.canceled(_HOUR)),
        _Scene(_HOUR * 9, aapl, Life.canceled(_HOUR, share=_HALF)),
        _Scene(_DAY, limit("AAPL", "buy", "1", "150", time_in_force="day"), Life.expired(_HOUR)),
        _Scene(_DAY * 2, aapl, Life.expired(_DAY, share=_HALF)),
        _Scene(_HOUR * 7, aapl, Life.rejected()),
        _Scene(_HOUR, entry, Life.open()),
        _Scene(_DAY, entry, Life.filled(_MINUTE), (Life.open(),)),
        _Scene(_DAY * 2, entry, Life.filled(_MINUTE), (Life.filled(_HOUR),)),
        _Scene(_HOUR, oco("SPY", "sell", "1", take_profit="600", stop_loss="500"), Life.open()),
        _Scene(_HOUR, oto(aapl, stop_loss="170"), Life.filled(_MINUTE), (Life.open(),)),
        _Scene(_HOUR * 4, calls, Life.filled(_MINUTE)),
    ]


def _extras(world: World, account: Account, now: datetime, rng: Random) -> None:
    """Add the crowd: seeded orders over the last two days, the last of them minutes old."""
    assets = [asset for asset in ASSETS.values() if asset.asset_class != "us_option"]
    for _ in range(RANDOM_ORDERS):
        asset = rng.choice(assets)
        age = rng.choice((_MINUTE * 5, _HOUR * 3, _DAY * 2)) * rng.random()
        world.place(
            account.account_id,
            limit(
                asset.symbol,
                rng.choice(("buy", "sell")),
                str(Decimal(rng.randint(1, 50)) / 10),
                f"{asset.price * Decimal('0.99'):f}",
            ),
            life=Life.random(rng, span=_MINUTE * 10),
            created_at=now - age,
        )
