"""ccxt.pro's coinbase, unmodified, watching orders on the simulator's user channel.

Prints what each call of watch_orders gave, a line of JSON for each, until an order is closed.
Usage: ccxt_stream.py WS_URL KEY_FILE
"""

# ruff: noqa: T201 - stdout is its answer

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import ccxt.pro  # type: ignore[import-not-found,unused-ignore]
from ccxt_client import MARKETS, market  # type: ignore[import-not-found,unused-ignore]

PATIENCE_SECONDS = 30


async def watch(url: str, key_text: str) -> None:
    key = json.loads(key_text)
    exchange = ccxt.pro.coinbase({"apiKey": key["name"], "secret": key["privateKey"]})
    exchange.urls["api"] = {"rest": url.replace("ws", "http", 1), "ws": url}
    exchange.set_markets([market(symbol) for symbol in MARKETS])
    closed = False
    try:
        while not closed:
            orders = await asyncio.wait_for(exchange.watch_orders(), PATIENCE_SECONDS)
            closed = "closed" in [order["status"] for order in orders]
            print(json.dumps(orders), flush=True)
    finally:
        await exchange.close()


if __name__ == "__main__":
    address, key_file = sys.argv[1:]
    asyncio.run(watch(address, Path(key_file).read_text()))
