"""GET of one order, of fills, of the key's permissions, of the time, and of what there is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import Life, limit_gtc, market
from tests.simulator.asking import NOON, Exchange

if TYPE_CHECKING:
    import httpx2

FILLS = "/orders/historical/fills"
SECOND = timedelta(seconds=1)


async def test_one_order_comes_in_an_envelope_and_equals_its_row_in_the_list(
    exchange: Exchange,
) -> None:
    order = exchange.world.place(
        exchange.account.portfolio, "BTC-USD", "BUY", limit_gtc("1", "100")
    )

    alone = (await exchange.get(f"/orders/historical/{order.order_id}")).json()

    assert alone == {"order": (await exchange.listed())[0]}


@pytest.mark.parametrize("word", ["NOT_FOUND", "unknown"])
async def test_an_unknown_order_is_an_honest_404_in_either_spelling(word: str) -> None:
    exchange = Exchange(options={"not_found": word})

    response = await exchange.get(f"/orders/historical/{exchange.world.new_id()}")

    assert response.status_code == 404
    assert response.json() == {
        "error": word,
        "error_details": "order with this orderID was not found",
        "message": "order with this orderID was not found",
    }


async def test_an_id_that_is_no_uuid_is_an_invalid_argument(exchange: Exchange) -> None:
    response = await exchange.get("/orders/historical/abc123")

    assert (response.status_code, response.json()["error"]) == (400, "INVALID_ARGUMENT")


async def test_a_simple_order_is_found_by_its_id(exchange: Exchange) -> None:
    order = exchange.world.place(
        exchange.account.portfolio,
        "BTC-USD",
        "BUY",
        limit_gtc("1", "100"),
        placement_source="RETAIL_SIMPLE",
    )

    response = await exchange.get(f"/orders/historical/{order.order_id}")

    assert response.json()["order"]["order_placement_source"] == "RETAIL_SIMPLE"


async def test_each_account_sees_only_its_own_orders(exchange: Exchange) -> None:
    other = exchange.world.open_account("ed25519")
    order = exchange.world.place(
        other.portfolio, "BTC-USD", "BUY", limit_gtc("1", "100"), life=Life.filled()
    )
    exchange.clock.go_on(60)
    path = f"/orders/historical/{order.order_id}"

    assert (await exchange.get(path)).status_code == 404
    assert await exchange.listed() == []
    assert (await exchange.get(FILLS)).json()["fills"] == []
    assert (await exchange.get(path, other)).status_code == 200
    assert len((await exchange.get(FILLS, other)).json()["fills"]) == 1


async def test_two_keys_may_open_the_same_portfolio(exchange: Exchange) -> None:
    second = exchange.world.open_account(portfolio=exchange.account.portfolio)
    order = exchange.world.place(
        exchange.account.portfolio, "BTC-USD", "BUY", limit_gtc("1", "100")
    )

    response = await exchange.get(f"/orders/historical/{order.order_id}", second)

    assert response.status_code == 200


async def test_fills_are_listed_newest_first_in_pages_without_has_next(
    exchange: Exchange,
) -> None:
    shares = [(SECOND * n, Decimal("0.1")) for n in range(1, 5)]
    order = exchange.world.place(
        exchange.account.portfolio,
        "BTC-USD",
        "SELL",
        limit_gtc("1", "100"),
        life=Life.open(fills=shares),
    )
    exchange.clock.go_on(60)

    first = (await exchange.get(FILLS, order_ids=order.order_id, limit=3)).json()
    last = (await exchange.get(FILLS, limit=3, cursor=first["cursor"])).json()

    assert set(first) == {"fills", "cursor"}
    times = [fill["trade_time"] for fill in first["fills"] + last["fills"]]
    assert times == [f"2026-03-01T12:00:0{n}Z" for n in (4, 3, 2, 1)]
    assert last["cursor"] == ""
    assert first["fills"][0] == {
        "entry_id": first["fills"][0]["entry_id"],
        "trade_id": first["fills"][0]["trade_id"],
        "order_id": order.order_id,
        "trade_time": "2026-03-01T12:00:04Z",
        "trade_type": "FILL",
        "price": "100",
        "size": "0.1",
        "commission": "0.04",
        "product_id": "BTC-USD",
        "sequence_timestamp": "2026-03-01T12:00:04Z",
        "liquidity_indicator": "MAKER",
        "size_in_quote": False,
        "user_id": order.user_id,
        "side": "SELL",
        "retail_portfolio_id": exchange.account.portfolio,
    }


async def test_a_fill_of_a_quote_sized_order_is_sized_in_quote(exchange: Exchange) -> None:
    exchange.world.place(
        exchange.account.portfolio,
        "BTC-USD",
        "BUY",
        market(quote_size="640"),
        life=Life.filled(),
    )
    exchange.clock.go_on(60)

    fill = (await exchange.get(FILLS)).json()["fills"][0]

    assert fill["size_in_quote"] is True
    assert 630 < float(fill["size"]) < 640


async def test_fills_may_lag_behind_the_order(exchange: Exchange) -> None:
    order = exchange.world.place(
        exchange.account.portfolio,
        "BTC-USD",
        "BUY",
        limit_gtc("1", "100"),
        life=Life.filled(SECOND, fills_lag=2 * SECOND),
    )
    exchange.clock.go_on(1)
    alone = (await exchange.get(f"/orders/historical/{order.order_id}")).json()

    assert alone["order"]["filled_size"] == "1"
    assert (await exchange.get(FILLS)).json()["fills"] == []
    exchange.clock.go_on(2)
    assert len((await exchange.get(FILLS)).json()["fills"]) == 1


async def test_fills_can_be_narrowed_by_product_time_and_trade(exchange: Exchange) -> None:
    for product_id in ("BTC-USD", "ETH-USD"):
        exchange.world.place(
            exchange.account.portfolio,
            product_id,
            "BUY",
            limit_gtc("1", "100"),
            life=Life.filled(2 * SECOND, fills=((SECOND, Decimal("0.5")),)),
        )
    exchange.clock.go_on(60)
    every = (await exchange.get(FILLS)).json()["fills"]

    async def count(**params: str) -> int:
        return len((await exchange.get(FILLS, None, **params)).json()["fills"])

    assert len(every) == 4
    assert await count(product_ids="ETH-USD") == 2
    assert await count(start_sequence_timestamp=(NOON + 2 * SECOND).isoformat()) == 2
    assert await count(end_sequence_timestamp=(NOON + 2 * SECOND).isoformat()) == 2
    assert await count(trade_ids=every[0]["trade_id"]) == 1
    assert (await exchange.get(FILLS, limit=5000)).status_code == 400
    assert (await exchange.get(FILLS, sort_by="LIMIT_PRICE")).status_code == 400


async def test_a_key_says_what_it_may_do(exchange: Exchange) -> None:
    exchange.world.admit(replace(exchange.account, can_trade=False, portfolio_type="CONSUMER"))

    assert (await exchange.get("/key_permissions")).json() == {
        "can_view": True,
        "can_trade": False,
        "can_transfer": False,
        "portfolio_uuid": exchange.account.portfolio,
        "portfolio_type": "CONSUMER",
    }


async def test_a_key_without_the_right_gets_403(exchange: Exchange) -> None:
    async def ask(*, can_view: bool) -> list[httpx2.Response]:
        allowed = replace(exchange.account, can_view=can_view, can_trade=not can_view)
        exchange.world.admit(allowed)
        cancel = {"order_ids": [exchange.world.new_id()]}
        return [await exchange.get(FILLS), await exchange.post("/orders/batch_cancel", cancel)]

    viewer, trader = await ask(can_view=True), await ask(can_view=False)

    assert [response.status_code for response in (*viewer, *trader)] == [200, 403, 403, 200]
    for response in (viewer[1], trader[0]):
        assert response.json()["error"] == "PERMISSION_DENIED"
        # The official client looks for exactly these characters.
        assert '"error_details":"Missing required scopes"' in response.text


async def test_the_time_is_public(exchange: Exchange) -> None:
    response = await exchange.send("GET", "/time", token="none")  # noqa: S106 - there is none

    assert response.json() == {
        "iso": "2026-03-01T12:00:00Z",
        "epochSeconds": str(int(NOON.timestamp())),
        "epochMillis": str(int(NOON.timestamp()) * 1000),
    }


async def test_a_get_may_carry_an_empty_json_body(exchange: Exchange) -> None:
    response = await exchange.send("GET", "/key_permissions", json={})

    assert response.status_code == 200


async def test_accounts_and_products_are_there_for_clients_that_load_them(
    exchange: Exchange,
) -> None:
    accounts = (await exchange.get("/accounts")).json()["accounts"]
    products = (await exchange.get("/products")).json()["products"]
    bitcoin = (await exchange.get("/products/BTC-USD")).json()

    assert {"USD", "BTC"} <= {account["currency"] for account in accounts}
    assert bitcoin in products
    assert (await exchange.get("/products/NO-USD")).status_code == 404


async def test_an_unknown_route_is_a_plain_404(exchange: Exchange) -> None:
    response = await exchange.get("/orders/nowhere/near")

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/plain")


async def test_more_than_thirty_requests_within_a_second_are_too_many(
    exchange: Exchange,
) -> None:
    answers = [await exchange.get("/key_permissions") for _ in range(31)]

    assert [answer.status_code for answer in answers] == [200] * 30 + [429]
    assert answers[-1].json() == {
        "errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]
    }
    assert answers[0].headers["x-ratelimit-limit"] == "30"
    assert answers[0].headers["x-ratelimit-remaining"] == "29"
    assert answers[-1].headers["x-ratelimit-remaining"] == "0"
    assert answers[-1].headers["x-ratelimit-reset"] == "1"


async def test_the_limit_is_each_users_own_and_passes_with_time(exchange: Exchange) -> None:
    other = exchange.world.open_account()
    for _ in range(30):
        await exchange.get("/key_permissions")

    assert (await exchange.get("/key_permissions", other)).status_code == 200
    exchange.clock.go_on(0.999)
    assert (await exchange.get("/key_permissions")).status_code == 429
    exchange.clock.go_on(0.001)
    assert (await exchange.get("/key_permissions")).status_code == 200


async def test_the_public_limit_is_ten(exchange: Exchange) -> None:
    answers = [(await exchange.get("/time")).status_code for _ in range(11)]

    assert answers == [200] * 10 + [429]


async def test_what_was_served_is_remembered(exchange: Exchange) -> None:
    await exchange.get("/key_permissions")
    await exchange.get(FILLS, limit=7)

    served = list(exchange.app.state.served)

    assert [(each.endpoint, each.query, each.status) for each in served] == [
        ("key_permissions", "", 200),
        ("fills", "limit=7", 200),
    ]
    assert {each.key_name for each in served} == {exchange.account.key.name}
