"""POST /orders and /orders/batch_cancel: what is taken in, and in which words it is not."""

# ruff: noqa: ANN401 - each example changes a fact or two of a whole

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Life, limit_gtc, market, stop_limit_gtc

if TYPE_CHECKING:
    from tests.simulator.asking import Exchange

CANCEL = "/orders/batch_cancel"


def wish(**changes: Any) -> dict[str, Any]:
    return {
        "client_order_id": "wish-1",
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": limit_gtc("0.1", "60000"),
        **changes,
    }


async def test_a_good_order_lives_from_then_on(exchange: Exchange) -> None:
    answer = (await exchange.post("/orders", wish())).json()

    order_id = answer["success_response"]["order_id"]
    assert answer == {
        "success": True,
        "success_response": {
            "order_id": order_id,
            "product_id": "BTC-USD",
            "side": "BUY",
            "client_order_id": "wish-1",
            "attached_order_id": "",
        },
        "order_configuration": limit_gtc("0.1", "60000"),
    }
    assert [order["status"] for order in await exchange.listed()] == ["PENDING"]
    exchange.clock.go_on(1)
    alone = (await exchange.get(f"/orders/historical/{order_id}")).json()["order"]
    assert alone["status"] == "OPEN"
    assert alone["client_order_id"] == "wish-1"


async def test_a_market_order_is_filled_a_second_later(exchange: Exchange) -> None:
    await exchange.post("/orders", wish(order_configuration=market(quote_size="100")))
    exchange.clock.go_on(1)

    assert [order["status"] for order in await exchange.listed()] == ["FILLED"]


async def test_a_replay_creates_nothing_and_returns_the_order_that_there_is(
    exchange: Exchange,
) -> None:
    first = (await exchange.post("/orders", wish())).json()
    second = (await exchange.post("/orders", wish(side="SELL"))).json()

    assert first == second
    assert len(await exchange.listed()) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"product_id": "NO-USD"}, "INVALID_PRODUCT_ID"),
        ({"side": "HOLD"}, "INVALID_SIDE"),
        ({"order_configuration": {}}, "UNSUPPORTED_ORDER_CONFIGURATION"),
        ({"order_configuration": {"iceberg": {}}}, "UNSUPPORTED_ORDER_CONFIGURATION"),
        ({"order_configuration": {"limit_limit_gtc": "1"}}, "UNSUPPORTED_ORDER_CONFIGURATION"),
        ({"order_configuration": limit_gtc("0", "1")}, "INVALID_SIZE_PRECISION"),
        ({"order_configuration": limit_gtc("NaN", "1")}, "INVALID_SIZE_PRECISION"),
        ({"order_configuration": limit_gtc("x", "1")}, "INVALID_SIZE_PRECISION"),
        ({"order_configuration": market()}, "INVALID_SIZE_PRECISION"),
        ({"order_configuration": {"limit_limit_gtc": {"base_size": 1}}}, "INVALID_SIZE_PRECISION"),
        ({"order_configuration": limit_gtc("1", "-2")}, "INVALID_PRICE_PRECISION"),
        ({"order_configuration": limit_gtc("1", "")}, "INVALID_LIMIT_PRICE"),
        (
            {"order_configuration": {"limit_limit_gtd": {"base_size": "1", "limit_price": "1"}}},
            "INVALID_REQUEST",
        ),
        ({"order_configuration": limit_gtc("1000", "60000")}, "INSUFFICIENT_FUND"),
        ({"order_configuration": market(quote_size="1000001")}, "INSUFFICIENT_FUND"),
    ],
    ids=str,
)
async def test_a_refused_order_is_a_200_that_says_no(
    exchange: Exchange, changes: dict[str, Any], reason: str
) -> None:
    response = await exchange.post("/orders", wish(**changes))

    answer = response.json()
    assert response.status_code == 200
    assert answer["success"] is False
    assert answer["error_response"]["error"] == reason
    assert answer["error_response"]["new_order_failure_reason"] == reason
    assert "success_response" not in answer
    assert await exchange.listed() == []


@pytest.mark.parametrize(
    "body",
    [[], "order", {}, wish(client_order_id=""), wish(order_configuration="all of it")],
    ids=str,
)
async def test_a_body_that_is_no_order_is_an_invalid_argument(
    exchange: Exchange, body: object
) -> None:
    assert (await exchange.post("/orders", body)).status_code == 400


async def test_a_body_that_is_no_json_is_an_invalid_argument(exchange: Exchange) -> None:
    response = await exchange.send("POST", "/orders", content=b"{")

    assert (response.status_code, response.json()["error"]) == (400, "INVALID_ARGUMENT")


async def test_canceling_is_answered_order_by_order(exchange: Exchange) -> None:
    def place(life: Life) -> str:
        return exchange.world.place(
            exchange.account.portfolio, "BTC-USD", "BUY", limit_gtc("1", "100"), life=life
        ).order_id

    rests, done = place(Life.open()), place(Life.filled())
    foreign = exchange.world.place("other", "BTC-USD", "BUY", limit_gtc("1", "100")).order_id
    exchange.clock.go_on(60)
    ids = [rests, rests, done, foreign, ""]

    results = (await exchange.post(CANCEL, {"order_ids": ids})).json()["results"]

    assert [(each["success"], each["failure_reason"]) for each in results] == [
        (True, "UNKNOWN_CANCEL_FAILURE_REASON"),
        (False, "DUPLICATE_CANCEL_REQUEST"),
        (False, "COMMANDER_REJECTED_CANCEL_ORDER"),
        (False, "UNKNOWN_CANCEL_ORDER"),
        (False, "INVALID_CANCEL_REQUEST"),
    ]
    assert [each["order_id"] for each in results] == ids


async def test_a_canceled_order_is_queued_first_and_says_why_it_ended(exchange: Exchange) -> None:
    order = exchange.world.place(
        exchange.account.portfolio,
        "BTC-USD",
        "SELL",
        stop_limit_gtc("1", "100", "101"),
        life=Life.open(),
    )
    await exchange.post(CANCEL, {"order_ids": [order.order_id]})
    queued = (await exchange.listed())[0]
    exchange.clock.go_on(1)
    canceled = (await exchange.listed())[0]

    assert (queued["status"], queued["pending_cancel"]) == ("CANCEL_QUEUED", True)
    assert (canceled["status"], canceled["pending_cancel"]) == ("CANCELLED", False)
    assert canceled["cancel_message"] == "User requested cancel"
    assert canceled["settled"] is False
    assert canceled["trigger_status"] == "STOP_PENDING"


@pytest.mark.parametrize("body", [{}, {"order_ids": []}, {"order_ids": ["x"] * 101}], ids=str)
async def test_nothing_and_more_than_a_hundred_cannot_be_canceled(
    exchange: Exchange, body: dict[str, Any]
) -> None:
    assert (await exchange.post(CANCEL, body)).status_code == 400
