"""ccxt's coinbase, unmodified, asking the simulator; prints what it saw as JSON.

Usage: ccxt_client.py URL KEY_FILE read|trade|follow [ORDER_ID ...]
"""

# ruff: noqa: ANN401, T201 - ccxt has no types, and stdout is its answer

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import ccxt  # type: ignore[import-not-found,unused-ignore]
from standing_clock import stand_still  # type: ignore[import-not-found,unused-ignore]

MARKETS = ("BTC/USD", "ETH/USD", "SOL/USD", "DOGE/USD", "BTC/USDC", "ETH/BTC")


def market(symbol: str) -> dict[str, Any]:
    """As little of a market as ccxt can place an order in."""
    base, quote = symbol.split("/")
    return {
        "id": f"{base}-{quote}",
        "symbol": symbol,
        "base": base,
        "quote": quote,
        "baseId": base,
        "quoteId": quote,
        "type": "spot",
        "spot": True,
        "active": True,
        "precision": {"amount": 1e-8, "price": 1e-2, "cost": 1e-8},
        "limits": {"amount": {}, "price": {}, "cost": {}},
    }


def connect(url: str, key_file: str) -> Any:
    key = json.loads(Path(key_file).read_text())
    exchange = ccxt.coinbase({"apiKey": key["name"], "secret": key["privateKey"]})
    exchange.urls["api"] = {"rest": url, "ws": url.replace("http", "ws")}
    exchange.session.trust_env = False
    exchange.enableRateLimit = False
    exchange.set_markets([market(symbol) for symbol in MARKETS])
    return exchange


def raw(orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the exchange said, beside what ccxt made of it."""
    return [
        {"ccxt": order["status"], "filled": order["filled"], **order["info"]} for order in orders
    ]


def error_of(call: Any, *args: Any) -> list[str]:
    """How ccxt reports a refusal: the class and its parents."""
    try:
        call(*args)
    except ccxt.BaseError as error:
        return [kind.__name__ for kind in type(error).__mro__ if kind is not object]
    return []


def by_hand(exchange: Any) -> list[list[dict[str, Any]]]:
    """Every page; ccxt leaves the cursor in the raw form of the page's newest order."""
    pages: list[list[dict[str, Any]]] = []
    cursor = None
    while True:
        found = exchange.fetch_orders(None, None, 15, {"cursor": cursor} if cursor else {})
        pages.append(raw(found)[::-1])
        cursors = [order["info"]["cursor"] for order in found if "cursor" in order["info"]]
        if not cursors:
            return pages
        cursor = cursors[0]


def read(exchange: Any) -> dict[str, Any]:
    pages = by_hand(exchange)
    ids = [order["order_id"] for page in pages for order in page]
    by_itself = {"paginate": True, "maxEntriesPerRequest": 10}
    return {
        "time": exchange.fetch_time({"method": "v3PublicGetBrokerageTime"}),
        "pages": pages,
        "paginated": raw(exchange.fetch_orders(None, None, None, by_itself)),
        "open": raw(exchange.fetch_open_orders()),
        "closed": raw(exchange.fetch_closed_orders()),
        "canceled": raw(exchange.fetch_canceled_orders()),
        "single": raw([exchange.fetch_order(each) for each in ids]),
        "trades": [trade["info"] for trade in exchange.fetch_my_trades(None, None, 100)],
        "errors": {
            "unknown": error_of(exchange.fetch_order, "00000000-0000-4000-8000-000000000000"),
            "malformed": error_of(exchange.fetch_order, "abc123"),
        },
    }


def trade(exchange: Any) -> dict[str, Any]:
    limit = exchange.create_order(
        "BTC/USD", "limit", "buy", 0.01, 50000, {"clientOrderId": "ccxt-limit"}
    )
    cost = {"clientOrderId": "ccxt-market", "cost": 100}
    bought = exchange.create_order("BTC/USD", "market", "buy", None, None, cost)
    refused = error_of(exchange.create_order, "BTC/USD", "limit", "buy", 10000, 50000)
    return {
        "limit": limit["id"],
        "market": bought["id"],
        "refused": refused,
        "cancel": exchange.cancel_orders([limit["id"]])[0]["info"],
        "canceling": exchange.fetch_order(limit["id"])["info"],
        "cancel_unknown": error_of(exchange.cancel_order, "00000000-0000-4000-8000-000000000000"),
    }


def follow(exchange: Any, *order_ids: str) -> dict[str, Any]:
    return {each: raw([exchange.fetch_order(each)])[0] for each in order_ids}


if __name__ == "__main__":
    stand_still()
    address, key_path, deed, *rest = sys.argv[1:]
    deeds = {"read": read, "trade": trade, "follow": follow}
    print(json.dumps(deeds[deed](connect(address, key_path), *rest)))
