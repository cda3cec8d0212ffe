"""A careless bot: places orders, writes them down as pending, and never looks back.

It is how many bots begin, and a stranger to ordersync: the exchange's protocol and its own
table are all that it knows. Run as: python -m ordersync.demo.careless_bot URL KEY_FILE DATABASE N
"""

from __future__ import annotations

import json
import random
import secrets
import sqlite3
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import jwt

CREATE = "/api/v3/brokerage/orders"
BOTS = ("careless", "grid", "momentum", "rebalancer")
"""The strategies of the program, as its table names them."""

MARKETS = {"BTC-USD": "0.002", "ETH-USD": "0.05", "SOL-USD": "1.5", "DOGE-USD": "400"}
PAUSE_SECONDS = 0.9


def place(client: httpx2.Client, key: dict[str, str], market: str, side: str) -> str:
    """Place a market order; the exchange's id of it."""
    now = int(time.time())
    claims = {
        "sub": key["name"],
        "iss": "cdp",
        "nbf": now,
        "exp": now + 120,
        "uri": f"POST {urlsplit(str(client.base_url)).netloc}{CREATE}",
    }
    headers = {"kid": key["name"], "nonce": secrets.token_hex()}
    token = jwt.encode(claims, key["privateKey"], algorithm="ES256", headers=headers)
    order = {
        "client_order_id": str(uuid.uuid4()),
        "product_id": market,
        "side": side,
        "order_configuration": {"market_market_ioc": {"base_size": MARKETS[market]}},
    }
    answer = client.post(CREATE, json=order, headers={"authorization": f"Bearer {token}"})
    answer.raise_for_status()
    return str(answer.json()["success_response"]["order_id"])


def main(url: str, key_file: str, database: str, orders: int) -> None:
    """Place so many orders, one after the other."""
    key = json.loads(Path(key_file).read_text(encoding="utf-8"))
    choose = random.Random(7)  # noqa: S311 - a bot's whim
    with httpx2.Client(base_url=url) as client:
        for _ in range(orders):
            time.sleep(PAUSE_SECONDS)
            market, side = choose.choice(list(MARKETS)), choose.choice(("BUY", "SELL"))
            bot = choose.choice(BOTS)
            order_id = place(client, key, market, side)
            with closing(sqlite3.connect(database, timeout=10.0)) as table, table:
                table.execute(
                    "INSERT INTO trades (bot_id, product_id, side, size, order_id, status)"
                    " VALUES (?, ?, ?, ?, ?, 'pending')",
                    (bot, market, side, float(MARKETS[market]), order_id),
                )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
