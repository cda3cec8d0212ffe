"""The scene: an exchange with a past, and the table that the bot left behind.

Three of the stuck rows are from a real report: filled orders that a bot's table called pending
for hours, until their owner repaired the rows by hand.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from ordersync.simulator import Life, World, limit_gtc

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.simulator import Account

_HOUR = timedelta(hours=1)
_HALF = Decimal("0.5")
_SECOND = timedelta(seconds=1)

TABLE = """
CREATE TABLE trades (
  id INTEGER PRIMARY KEY, bot_id TEXT NOT NULL, product_id TEXT NOT NULL, side TEXT NOT NULL,
  size FLOAT NOT NULL, price FLOAT, fill_price FLOAT, fee FLOAT, order_id TEXT UNIQUE,
  status TEXT NOT NULL DEFAULT 'pending', created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  filled_at DATETIME)"""

CONFIGURATION = """\
[database]
url = "sqlite:///bot.db"

[orders]
table = "trades"
id = "id"
venue_order_id = "order_id"
status = "status"
symbol = "product_id"
side = "side"
created_at = "created_at"
filled_at = "filled_at"
avg_price = "fill_price"
fee = "fee"
owner = "bot_id"
account = "main"

[orders.status_words]
pending = ["open"]
completed = ["filled", "canceled+fills"]
cancelled = ["canceled", "expired", "replaced"]
failed = ["rejected"]
unknown = ["unknown"]

[accounts.main]
venue = "coinbase"
key_file = "coinbase.json"
rest_url = "{url}"
ws_url = "{stream}"

[web]
enabled = {is_served}
listen = "127.0.0.1:{port}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A row of the past: what the bot wrote, and what really became of the order."""

    order_id: str
    market: str
    size: str
    price: str
    age: timedelta
    life: Life | None
    word: str = "pending"
    side: str = "BUY"
    bot: str = "careless"


PAST = (
    Stuck(
        order_id="d1aaa054-747d-4f9a-8e3f-05fbf5e2cd10",
        market="AVNT-USDC",
        size="180",
        price="0.8373",
        age=3.2 * _HOUR,
        life=Life.filled(40 * _SECOND),
    ),
    Stuck(
        order_id="4ec285fe-0ef5-4012-ba2e-c1fde298d337",
        market="MOODENG-USD",
        size="690",
        price="0.2196",
        age=2.6 * _HOUR,
        life=Life.filled(90 * _SECOND),
    ),
    Stuck(
        order_id="137cd41e-605e-4e97-96ff-cdbc517da514",
        market="AVNT-USDC",
        size="195",
        price="0.7794",
        age=1.9 * _HOUR,
        life=Life.filled(25 * _SECOND),
    ),
    Stuck(
        order_id="5b1f6a52-6a2c-4d0e-9a57-3f6a0f3f9b01",
        market="ETH-USD",
        bot="grid",
        size="0.8",
        price="3150",
        age=5 * _HOUR,
        life=Life.canceled(_HOUR, share=_HALF),
    ),
    Stuck(
        order_id="0c9f7c0e-27a5-4b4c-8a9a-58d2f0c4e802",
        market="BTC-USD",
        bot="rebalancer",
        size="0.01",
        price="63000",
        age=7 * _HOUR,
        life=Life.canceled(_HOUR),
    ),
    Stuck(
        order_id="e3d0a7b4-91b6-4c43-a0f5-c6a1b2d3e403",
        market="SOL-USD",
        bot="momentum",
        size="12",
        price="148",
        age=4 * _HOUR,
        life=Life.filled(10 * _SECOND),
        word="failed",
    ),
    Stuck(
        order_id="9a7be6f1-3c58-4f0d-b1d6-7e8f9a0b1c04",
        market="BTC-USD",
        bot="rebalancer",
        size="0.004",
        price="51000",
        age=26 * _HOUR,
        life=Life.open(),
    ),
    Stuck(
        order_id="77777777-1234-4abc-8def-000000000005",
        market="DOGE-USD",
        size="900",
        price="0.11",
        age=70 * _HOUR,
        life=None,  # the exchange never heard of it
    ),
)

_MINUTE = timedelta(minutes=1)
_TENTH = Decimal("0.1")


def _works(number: int, market: str, size: str, price: str, bot: str) -> Stuck:
    """An order that works on, and of which a tenth is filled every now and then from now on."""
    age = number * 7 * _MINUTE
    fills = [(age + (number + 1) * (k + 1) * 5 * _SECOND, _TENTH) for k in range(9)]
    return Stuck(
        order_id=f"0a0b0c0d-0000-4000-8000-{number:012d}",
        market=market,
        size=size,
        price=price,
        age=age,
        life=Life.open(fills=fills),
        bot=bot,
    )


WORKING = tuple(
    _works(number, market, size, price, bot)
    for number, (market, size, price, bot) in enumerate(
        (
            ("BTC-USD", "0.05", "61200", "grid"),
            ("BTC-USD", "0.05", "60400", "grid"),
            ("BTC-USD", "0.05", "59600", "grid"),
            ("ETH-USD", "1.2", "3080", "grid"),
            ("ETH-USD", "1.2", "3010", "grid"),
            ("SOL-USD", "40", "139.5", "momentum"),
            ("DOGE-USD", "9000", "0.113", "momentum"),
            ("AVNT-USDC", "400", "0.7411", "careless"),
            ("MOODENG-USD", "1500", "0.2054", "careless"),
        ),
        start=1,
    )
)
"""Rows that are true from the beginning: most of a bot's orders are."""


def build_world() -> tuple[World, Account]:
    """The exchange, with what it knows of the past."""
    world = World(lambda: datetime.now(UTC), seed=7)
    account = world.open_account()
    now = world.now()
    for stuck in (*PAST, *WORKING):
        if stuck.life is not None:
            world.place(
                account.portfolio,
                stuck.market,
                stuck.side,
                limit_gtc(stuck.size, stuck.price),
                life=stuck.life,
                order_id=stuck.order_id,
                created_at=now - stuck.age,
            )
    return world, account


def write_past(database: Path, now: datetime) -> None:
    """The table as the bot left it."""
    with closing(sqlite3.connect(database)) as table, table:
        table.execute(TABLE)
        table.executemany(
            "INSERT INTO trades (bot_id, product_id, side, size, price, order_id, status,"
            " created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    stuck.bot,
                    stuck.market,
                    stuck.side,
                    float(stuck.size),
                    float(stuck.price),
                    stuck.order_id,
                    stuck.word,
                    (now - stuck.age).strftime("%Y-%m-%d %H:%M:%S"),
                )
                for stuck in (*PAST, *WORKING)
            ],
        )
