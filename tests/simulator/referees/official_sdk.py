"""The official coinbase-advanced-py, unmodified, asking the simulator; prints what it saw as JSON.

Usage: official_sdk.py URL KEY_FILE production|own-host read|trade|follow [ORDER_ID ...]
"""

# ruff: noqa: ANN401, T201 - the SDK has no types, and stdout is its answer

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import urlsplit

import requests  # type: ignore[import-untyped,import-not-found,unused-ignore]
from coinbase.rest import RESTClient  # type: ignore[import-not-found,unused-ignore]
from requests.adapters import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
    HTTPAdapter,
)
from standing_clock import stand_still  # type: ignore[import-not-found,unused-ignore]


class _ToTheSimulator(HTTPAdapter):  # type: ignore[misc,unused-ignore]
    """The one thing that is changed: where the client's https requests go."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        target = urlsplit(request.url or "")
        request.url = target._replace(scheme="http", netloc=urlsplit(self._url).netloc).geturl()
        return super().send(request, *args, **kwargs)


def connect(url: str, key_file: str, way: str) -> Any:
    """A client whose token names either the production host or the simulator's own."""
    if way == "production":
        client = RESTClient(key_file=key_file, timeout=10, rate_limit_headers=True)
        client.session.mount("https://api.coinbase.com", _ToTheSimulator(url))
    else:
        host = urlsplit(url).netloc
        client = RESTClient(key_file=key_file, timeout=10, base_url=host)
        client.session.mount(f"https://{host}", _ToTheSimulator(url))
    client.session.trust_env = False
    return client


def error_of(call: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """How the client reports a refusal."""
    try:
        call(*args, **kwargs)
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        return {"status": status, "message": str(error)}
    return {"status": 200, "message": ""}


def pages(client: Any, **query: Any) -> list[list[dict[str, Any]]]:
    """Every page of orders, by the cursor."""
    found, cursor = [], None
    while True:
        page = client.list_orders(cursor=cursor, **query).to_dict()
        found.append(page["orders"])
        cursor = page["cursor"]
        if not page["has_next"]:
            return found


def fill_pages(client: Any, **query: Any) -> list[list[dict[str, Any]]]:
    found, cursor = [], None
    while True:
        page = client.get_fills(cursor=cursor, **query).to_dict()
        found.append(page["fills"])
        cursor = page["cursor"]
        if not cursor:
            return found


def read(client: Any) -> dict[str, Any]:
    every = pages(client, limit=15)
    ids = [order["order_id"] for page in every for order in page]
    permissions = client.get_api_key_permissions().to_dict()
    return {
        "permissions": {key: permissions[key] for key in ("can_view", "portfolio_uuid")},
        "time": client.get_unix_time().to_dict(),
        "pages": every,
        "open": pages(client, order_status=["OPEN"]),
        "by_ids": pages(client, order_ids=ids[:5]),
        "simple": pages(client, order_placement_source="RETAIL_SIMPLE"),
        "single": [client.get_order(each).to_dict()["order"] for each in ids],
        "fills": fill_pages(client, limit=9),
        "accounts": len(client.get_accounts().to_dict()["accounts"]),
        "products": len(client.get_products().to_dict()["products"]),
        "errors": {
            "mixed": error_of(client.list_orders, order_status=["OPEN", "FILLED"]),
            "pending": error_of(client.list_orders, order_status=["PENDING"]),
            "unknown": error_of(client.get_order, "00000000-0000-4000-8000-000000000000"),
            "malformed": error_of(client.get_order, "abc123"),
        },
    }


def trade(client: Any) -> dict[str, Any]:
    wish = {
        "client_order_id": "sdk-limit",
        "product_id": "BTC-USD",
        "base_size": "0.01",
        "limit_price": "50000",
    }
    limit = client.limit_order_gtc_buy(**wish).to_dict()
    order_id = limit["success_response"]["order_id"]
    return {
        "limit": limit,
        "replay": client.limit_order_gtc_buy(**wish).to_dict(),
        "market": client.market_order_buy(
            client_order_id="sdk-market", product_id="BTC-USD", quote_size="100"
        ).to_dict(),
        "refused": client.market_order_buy(
            client_order_id="sdk-refused", product_id="NO-USD", quote_size="100"
        ).to_dict(),
        "cancel": client.cancel_orders(
            [order_id, "00000000-0000-4000-8000-000000000000"]
        ).to_dict(),
        "canceling": client.get_order(order_id).to_dict()["order"],
    }


def follow(client: Any, *order_ids: str) -> dict[str, Any]:
    return {each: client.get_order(each).to_dict()["order"] for each in order_ids}


if __name__ == "__main__":
    stand_still()
    address, key, host_claim, deed, *rest = sys.argv[1:]
    deeds = {"read": read, "trade": trade, "follow": follow}
    print(json.dumps(deeds[deed](connect(address, key, host_claim), *rest)))
