"""ccxt's alpaca, unmodified, asking and hearing the simulator; prints what it saw as JSON.

Usage: ccxt_alpaca.py URL KEY_FILE read|trade|cancel|watch [ORDER_ID ...]
"""

# ruff: noqa: ANN401, T201 - ccxt has no types, and stdout is its answer

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import ccxt.pro  # type: ignore[import-not-found,unused-ignore]

PATIENCE_SECONDS = 30
SYMBOLS = ("BTC/USD", "ETH/USD")
STRANGER = "00000000-0000-4000-8000-000000000000"


def market(symbol: str) -> dict[str, Any]:
    """As little of a market as ccxt can place an order in."""
    base, quote = symbol.split("/")
    return {
        "id": symbol,
        "symbol": symbol,
        "base": base,
        "quote": quote,
        "baseId": base,
        "quoteId": quote,
        "type": "spot",
        "spot": True,
        "active": True,
        "precision": {"amount": 1e-9, "price": 1e-2, "cost": 1e-8},
        "limits": {"amount": {}, "price": {}, "cost": {}},
    }


def connect(url: str, key_file: str) -> Any:
    key = json.loads(Path(key_file).read_text())
    exchange = ccxt.pro.alpaca({"apiKey": key["key_id"], "secret": key["secret_key"]})
    trading = url.replace("http", "ws") + "/stream"
    exchange.urls["api"] = {
        "trader": url,
        "broker": url,
        "market": url,
        "ws": {"crypto": trading + "/none", "trading": trading},
    }
    exchange.enableRateLimit = False
    exchange.set_markets([market(symbol) for symbol in SYMBOLS])
    return exchange


def raw(orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the broker said, beside what ccxt made of it."""
    return [
        {"ccxt": order["status"], "filled": order["filled"], **order["info"]} for order in orders
    ]


async def error_of(call: Any, *args: Any) -> list[str]:
    """How ccxt reports a refusal: the class and its parents."""
    try:
        await call(*args)
    except ccxt.BaseError as error:
        return [kind.__name__ for kind in type(error).__mro__ if kind is not object]
    return []


async def read(exchange: Any) -> dict[str, Any]:
    # Up to its own 500: ccxt passes no cursor on.
    orders = raw(await exchange.fetch_orders("BTC/USD", None, 500))
    return {
        "orders": orders,
        "open": raw(await exchange.fetch_open_orders("BTC/USD")),
        "closed": raw(await exchange.fetch_closed_orders("BTC/USD")),
        "single": raw([await exchange.fetch_order(each["id"], "BTC/USD") for each in orders]),
        "trades": [trade["info"] for trade in await exchange.fetch_my_trades(None, None, 100)],
        "unknown": await error_of(exchange.fetch_order, STRANGER, "BTC/USD"),
    }


async def trade(exchange: Any) -> dict[str, Any]:
    create = exchange.create_order
    mine = {"clientOrderId": "ccxt-limit"}
    limit = await create("BTC/USD", "limit", "buy", 0.01, 50000, mine)
    return {
        "limit": raw([limit])[0],
        "dear": await error_of(create, "BTC/USD", "limit", "buy", 1000, 50000),
        "duplicate": await error_of(create, "BTC/USD", "limit", "buy", 0.01, 50000, mine),
    }


async def cancel(exchange: Any, order_id: str) -> dict[str, Any]:
    await exchange.cancel_order(order_id)
    return {"canceling": raw([await exchange.fetch_order(order_id, "BTC/USD")])[0]}


async def watch(exchange: Any) -> None:
    """Print what each call of watch_orders gave, until an order is closed."""
    closed = False
    print(json.dumps([]), flush=True)
    while not closed:
        orders = await asyncio.wait_for(exchange.watch_orders(), PATIENCE_SECONDS)
        closed = "closed" in [order["status"] for order in orders]
        print(json.dumps(orders), flush=True)


async def main(address: str, key: str, deed: str, *rest: str) -> None:
    exchange = connect(address, key)
    deeds: dict[str, Any] = {"read": read, "trade": trade, "cancel": cancel}
    try:
        if deed == "watch":
            await watch(exchange)
        else:
            print(json.dumps(await deeds[deed](exchange, *rest)))
    finally:
        await exchange.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
