"""The official coinbase-advanced-py, unmodified, listening to the simulator's user channel.

Prints what it hears, a line of JSON for each message, until an order is filled.
Usage: official_stream.py WS_URL KEY_FILE
"""

# ruff: noqa: T201 - stdout is its answer

from __future__ import annotations

import json
import queue
import sys

from coinbase.websocket import (  # type: ignore[import-not-found,unused-ignore]
    WebsocketResponse,
    WSUserClient,
)

PATIENCE_SECONDS = 30


def listen(url: str, key_file: str) -> None:
    heard: queue.Queue[str] = queue.Queue()
    client = WSUserClient(key_file=key_file, base_url=url, on_message=heard.put, retry=False)
    client.open()
    client.heartbeats()
    client.user(product_ids=[])
    filled = False
    while not filled:
        text = heard.get(timeout=PATIENCE_SECONDS)
        print(text, flush=True)
        message = json.loads(text)
        response = WebsocketResponse(message)
        if response.channel == "user":
            orders = [order for event in response.events for order in event.orders]
            filled = "FILLED" in [order.status for order in orders]
    client.close()


if __name__ == "__main__":
    listen(*sys.argv[1:])
