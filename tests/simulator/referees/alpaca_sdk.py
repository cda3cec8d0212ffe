"""The official alpaca-py, unmodified, asking the simulator; prints what it saw as JSON.

Usage: alpaca_sdk.py URL KEY_FILE read|trade|follow [ORDER_ID ...]
"""

# ruff: noqa: ANN401, T201 - the client's types are not here to be checked, and stdout is its answer

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from alpaca.common.exceptions import APIError  # type: ignore[import-not-found,unused-ignore]
from alpaca.trading.client import TradingClient  # type: ignore[import-not-found,unused-ignore]
from alpaca.trading.enums import (  # type: ignore[import-not-found,unused-ignore]
    OrderClass,
    OrderSide,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.requests import (  # type: ignore[import-not-found,unused-ignore]
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
)

STRANGER = "00000000-0000-4000-8000-000000000000"


def connect(url: str, key_file: str) -> Any:
    key = json.loads(Path(key_file).read_text())
    if "access_token" in key:
        return TradingClient(oauth_token=key["access_token"], url_override=url)
    return TradingClient(key["key_id"], key["secret_key"], url_override=url)


def plain(model: Any) -> Any:
    return json.loads(model.model_dump_json())


def error_of(call: Any, *args: Any) -> dict[str, Any]:
    """How the client reports a refusal."""
    try:
        call(*args)
    except APIError as error:
        return {"status": error.status_code, "code": error.code, "message": error.message}
    return {"status": 200}


def pages(client: Any, **query: Any) -> list[list[dict[str, Any]]]:
    """Every page of orders, by the time of the last one's submission."""
    found: list[list[dict[str, Any]]] = []
    until = None
    while True:
        request = GetOrdersRequest(limit=15, until=until, **query)
        page = client.get_orders(request)
        if not page:
            return found
        found.append([plain(order) for order in page])
        until = page[-1].submitted_at


def fill_pages(client: Any) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    token = None
    while True:
        query = {"page_size": 9, "page_token": token} if token else {"page_size": 9}
        page = client.get("/account/activities/FILL", query)
        if not page:
            return found
        found.append(page)
        token = page[-1]["id"]


def read(client: Any) -> dict[str, Any]:
    every = pages(client, status=QueryOrderStatus.ALL)
    ids = [order["id"] for page in every for order in page]
    return {
        "account": plain(client.get_account()),
        "clock": plain(client.get_clock()),
        "pages": every,
        "nested": pages(client, status=QueryOrderStatus.ALL, nested=True),
        "open": pages(client, status=QueryOrderStatus.OPEN),
        "closed": pages(client, status=QueryOrderStatus.CLOSED),
        "single": [plain(client.get_order_by_id(each)) for each in ids],
        "by_client": plain(client.get_order_by_client_id(every[0][0]["client_order_id"])),
        "fills": fill_pages(client),
        "errors": {
            "unknown": error_of(client.get_order_by_id, STRANGER),
            "uncancelable": error_of(client.cancel_order_by_id, STRANGER),
        },
    }


def trade(client: Any) -> dict[str, Any]:
    wish: dict[str, Any] = {
        "symbol": "AAPL",
        "qty": 2,
        "side": OrderSide.BUY,
        "time_in_force": TimeInForce.GTC,
    }
    limit = client.submit_order(
        LimitOrderRequest(limit_price=150.5, client_order_id="sdk-limit", **wish)
    )
    again = LimitOrderRequest(limit_price=150.5, client_order_id="sdk-limit", **wish)
    dear = LimitOrderRequest(limit_price=9_000_000, **wish)
    bracket = client.submit_order(
        MarketOrderRequest(
            order_class=OrderClass.BRACKET,
            take_profit=TakeProfitRequest(limit_price=220),
            stop_loss=StopLossRequest(stop_price=180),
            **wish,
        )
    )
    coin = client.submit_order(
        MarketOrderRequest(
            symbol="BTC/USD", notional=100, side=OrderSide.BUY, time_in_force=TimeInForce.GTC
        )
    )
    return {
        "limit": plain(limit),
        "bracket": plain(bracket),
        "coin": plain(coin),
        "duplicate": error_of(client.submit_order, again),
        "dear": error_of(client.submit_order, dear),
    }


def change(client: Any, order_id: str) -> dict[str, Any]:
    return {"heir": plain(client.replace_order_by_id(order_id, ReplaceOrderRequest(qty=3)))}


def cancel(client: Any, order_id: str) -> dict[str, Any]:
    client.cancel_order_by_id(order_id)
    return {
        "canceling": plain(client.get_order_by_id(order_id)),
        "all": [plain(each) for each in client.cancel_orders()],
    }


def follow(client: Any, *order_ids: str) -> dict[str, Any]:
    return {each: plain(client.get_order_by_id(each)) for each in order_ids}


if __name__ == "__main__":
    address, key, deed, *rest = sys.argv[1:]
    deeds: dict[str, Any] = {
        "read": read,
        "trade": trade,
        "change": change,
        "cancel": cancel,
        "follow": follow,
    }
    print(json.dumps(deeds[deed](connect(address, key), *rest)))
