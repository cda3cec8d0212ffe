"""GET /orders/historical/batch: filters, pages and refusals as the real exchange has them."""

# ruff: noqa: ANN401 - each example changes a fact or two of a whole

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Life, limit_fok, limit_gtc, market
from tests.simulator.asking import BATCH, NOON, Exchange

if TYPE_CHECKING:
    from ordersync.simulator.condition import PlacedOrder

HOUR = timedelta(hours=1)


def place(exchange: Exchange, **facts: Any) -> PlacedOrder:
    """A resting order for one BTC, unless `facts` say otherwise."""
    facts = {
        "product_id": "BTC-USD",
        "side": "BUY",
        "configuration": limit_gtc("1", "100"),
        "life": Life.open(),
        "created_at": NOON - HOUR,
        **facts,
    }
    return exchange.world.place(exchange.account.portfolio, **facts)


def place_many(exchange: Exchange, count: int, **facts: Any) -> list[str]:
    """Orders a second apart; the ids, newest first."""
    placed = [
        place(exchange, created_at=NOON - HOUR + timedelta(seconds=n), **facts).order_id
        for n in range(count)
    ]
    return placed[::-1]


async def test_an_order_has_every_field_and_numbers_are_strings(exchange: Exchange) -> None:
    place(exchange, life=Life.filled(settle_lag=timedelta()), client_order_id="mine")

    order = (await exchange.listed())[0]

    assert {
        "order_id", "product_id", "user_id", "order_configuration", "side", "client_order_id",
        "status", "time_in_force", "created_time", "completion_percentage", "filled_size",
        "average_filled_price", "fee", "number_of_fills", "filled_value", "pending_cancel",
        "size_in_quote", "total_fees", "size_inclusive_of_fees", "total_value_after_fees",
        "trigger_status", "order_type", "reject_reason", "settled", "product_type",
        "reject_message", "cancel_message", "order_placement_source", "outstanding_hold_amount",
        "is_liquidation", "last_fill_time", "edit_history", "leverage", "margin_type",
        "retail_portfolio_id", "originating_order_id", "attached_order_id",
        "attached_order_configuration", "last_update_time",
    } <= order.keys()  # fmt: skip
    assert not [name for name, value in order.items() if type(value) in {int, float}]
    assert {name: order[name] for name in ("filled_size", "average_filled_price", "fee")} == {
        "filled_size": "1",
        "average_filled_price": "100",
        "fee": "",
    }
    assert (order["total_fees"], order["total_value_after_fees"]) == ("0.4", "100.4")
    assert (order["status"], order["settled"], order["completion_percentage"]) == (
        "FILLED",
        True,
        "100",
    )
    assert order["created_time"] == "2026-03-01T11:00:00Z"
    assert order["last_fill_time"] == "2026-03-01T11:00:01Z"
    assert order["client_order_id"] == "mine"
    assert order["retail_portfolio_id"] == exchange.account.portfolio


async def test_a_partly_filled_order_is_said_to_be_open(exchange: Exchange) -> None:
    half = Life.open(fills=((timedelta(seconds=1), Decimal("0.5")),))
    place(exchange, life=half)

    order = (await exchange.listed())[0]

    assert (order["status"], order["filled_size"]) == ("OPEN", "0.5")
    assert order["completion_percentage"] == "50"
    assert order["settled"] is False


async def test_a_seller_gets_the_value_less_the_fees_and_a_buyer_pays_both(
    exchange: Exchange,
) -> None:
    for side in ("BUY", "SELL"):
        place(exchange, side=side, life=Life.filled())

    found = {order["side"]: order["total_value_after_fees"] for order in await exchange.listed()}

    assert found == {"BUY": "100.4", "SELL": "99.6"}


async def test_what_a_resting_order_holds_back_shrinks_with_its_fills(exchange: Exchange) -> None:
    half = Life.open(fills=((timedelta(seconds=1), Decimal("0.5")),))
    place(exchange, life=half, client_order_id="buy")
    place(exchange, life=half, side="SELL", client_order_id="sell")
    place(exchange, life=Life.canceled(), client_order_id="gone")

    found = await exchange.listed()

    holds = {order["client_order_id"]: order["outstanding_hold_amount"] for order in found}
    assert holds == {"buy": "50", "sell": "0.5", "gone": "0"}


async def test_a_quote_sized_order_says_so_and_is_filled_in_base(exchange: Exchange) -> None:
    place(exchange, configuration=market(quote_size="640"), life=Life.filled())

    order = (await exchange.listed())[0]

    assert order["size_in_quote"] is True
    assert order["size_inclusive_of_fees"] is True
    assert order["order_configuration"] == {"market_market_ioc": {"quote_size": "640"}}
    assert 0.0099 < float(order["filled_size"]) < 0.01


async def test_pages_follow_the_cursor_newest_first(exchange: Exchange) -> None:
    ids = place_many(exchange, 7)

    assert await exchange.every_page(limit=3) == [ids[:3], ids[3:6], ids[6:]]


async def test_the_last_page_says_so_even_when_it_is_full(exchange: Exchange) -> None:
    ids = place_many(exchange, 6)

    assert await exchange.every_page(limit=3) == [ids[:3], ids[3:]]


async def test_a_new_order_does_not_shift_the_pages(exchange: Exchange) -> None:
    ids = place_many(exchange, 4)
    first = (await exchange.get(BATCH, limit=2)).json()
    place(exchange, created_at=NOON)

    second = (await exchange.get(BATCH, limit=2, cursor=first["cursor"])).json()

    assert [order["order_id"] for order in second["orders"]] == ids[2:]


async def test_without_a_limit_a_page_holds_a_hundred(exchange: Exchange) -> None:
    place_many(exchange, 130)

    assert [len(page) for page in await exchange.every_page()] == [100, 30]


async def test_sorting_by_update_is_unstable_while_orders_change(exchange: Exchange) -> None:
    """The documentation warns of it; here it can be seen."""
    ids = place_many(exchange, 3)
    first = (await exchange.get(BATCH, limit=1, sort_by="LAST_UPDATE_TIME")).json()
    exchange.world.cancel(ids[2])

    rest = await exchange.listed(sort_by="LAST_UPDATE_TIME", cursor=first["cursor"])

    assert first["orders"][0]["order_id"] == ids[0]
    assert [order["order_id"] for order in rest] == [ids[1]]


async def test_orders_can_be_asked_for_by_their_ids(exchange: Exchange) -> None:
    ids = place_many(exchange, 5)
    unknown = exchange.world.new_id()

    found = await exchange.listed(order_ids=[ids[3], unknown, ids[1]])

    assert [order["order_id"] for order in found] == [ids[1], ids[3]]


async def test_orders_asked_for_by_their_ids_come_in_pages_too(exchange: Exchange) -> None:
    ids = place_many(exchange, 5)

    assert await exchange.every_page(order_ids=ids, limit=2) == [ids[:2], ids[2:4], ids[4:]]


async def test_a_hundred_ids_are_accepted_and_more_are_not(exchange: Exchange) -> None:
    ids = place_many(exchange, 101)

    assert len(await exchange.listed(order_ids=ids[:100])) == 100
    assert (await exchange.get(BATCH, order_ids=ids)).status_code == 400


@pytest.mark.parametrize("by_id", [True, False])
async def test_simple_orders_are_hidden_unless_asked_for(
    exchange: Exchange, *, by_id: bool
) -> None:
    advanced = place(exchange).order_id
    simple = place(exchange, placement_source="RETAIL_SIMPLE").order_id
    ids = {"order_ids": [advanced, simple]} if by_id else {}

    plain = await exchange.listed(**ids)
    asked = await exchange.listed(order_placement_source="RETAIL_SIMPLE", **ids)

    assert [order["order_id"] for order in plain] == [advanced]
    assert [order["order_id"] for order in asked] == [simple]


async def test_the_window_includes_its_start_and_excludes_its_end(exchange: Exchange) -> None:
    ids = place_many(exchange, 4, life=Life.filled())
    second = [(NOON - HOUR + timedelta(seconds=n)).isoformat() for n in range(4)]

    found = await exchange.listed(start_date=second[1], end_date=second[3])

    assert [order["order_id"] for order in found] == ids[1:3]


async def test_the_window_is_ignored_for_open_orders(exchange: Exchange) -> None:
    place_many(exchange, 4)

    assert len(await exchange.listed(order_status="OPEN", start_date=NOON.isoformat())) == 4


async def test_open_means_neither_pending_nor_queued(exchange: Exchange) -> None:
    place(exchange, life=Life.pending())
    queued = place(exchange, life=Life.queued()).order_id
    rests = place(exchange).order_id
    canceling = place(exchange).order_id
    exchange.world.cancel(canceling)

    found = await exchange.listed(order_status="OPEN")

    assert [order["order_id"] for order in found] == [rests]
    assert [o["order_id"] for o in await exchange.listed(order_status="QUEUED")] == [queued]


async def test_at_most_a_thousand_open_orders_are_listed(exchange: Exchange) -> None:
    place_many(exchange, 1010)

    pages = await exchange.every_page(order_status="OPEN", limit=600)

    assert [len(page) for page in pages] == [600, 400]
    assert [len(page) for page in await exchange.every_page(limit=1000)] == [1000, 10]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"product_ids": ["ETH-USD", "SOL-USD"]}, {"eth"}),
        ({"product_id": "ETH-USD"}, {"eth"}),
        ({"order_side": "SELL"}, {"sold"}),
        ({"order_types": "MARKET"}, {"market"}),
        ({"order_types": ["LIMIT", "MARKET"]}, {"eth", "sold", "market", "fok", "gone"}),
        ({"time_in_forces": ["FILL_OR_KILL", "IMMEDIATE_OR_CANCEL"]}, {"market", "fok"}),
        ({"order_status": ["CANCELLED", "EXPIRED"]}, {"gone"}),
        ({"product_type": "FUTURE"}, set()),
        ({"product_type": "SPOT", "order_status": "FILLED"}, {"market", "fok"}),
    ],
    ids=lambda each: str(each) if isinstance(each, dict) else "",
)
async def test_filters_narrow_the_list(
    exchange: Exchange, filters: dict[str, Any], expected: set[str]
) -> None:
    place(exchange, client_order_id="eth", product_id="ETH-USD")
    place(exchange, client_order_id="sold", side="SELL")
    place(
        exchange,
        client_order_id="market",
        configuration=market(base_size="1"),
        life=Life.filled(),
    )
    place(exchange, client_order_id="fok", configuration=limit_fok("1", "2"), life=Life.filled())
    place(exchange, client_order_id="gone", life=Life.canceled())

    found = await exchange.listed(**filters)

    assert {order["client_order_id"] for order in found} == expected


@pytest.mark.parametrize(
    "params",
    [
        {"order_status": ["OPEN", "FILLED"]},
        {"order_status": ["OPEN", "PENDING"]},
        {"order_status": "PENDING"},
        {"order_status": "PARTIALLY_FILLED"},
        {"order_status": "open"},
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "many"},
        {"limit": "-5"},
        {"cursor": "page2"},
        {"cursor": "bm90IGEgY3Vyc29y"},
        {"order_ids": ["abc123"]},
        {"order_side": "HOLD"},
        {"order_types": "ICEBERG"},
        {"time_in_forces": "GTC"},
        {"sort_by": "PRICE"},
        {"order_placement_source": "MOBILE"},
        {"start_date": "2026-03-01"},
        {"start_date": "2026-03-01T12:00:00"},
        {"end_date": "yesterday"},
        {"contract_expiry_type": "PERPETUAL"},
    ],
    ids=str,
)
async def test_what_the_real_one_refuses_is_refused(
    exchange: Exchange, params: dict[str, Any]
) -> None:
    response = await exchange.get(BATCH, **params)

    assert response.status_code == 400
    assert response.json()["error"] == "INVALID_ARGUMENT"
    assert response.json()["code"] == 3
    assert response.json()["message"]


async def test_a_list_is_complete_in_its_envelope(exchange: Exchange) -> None:
    empty = (await exchange.get(BATCH)).json()

    assert empty == {
        "orders": [],
        "sequence": "0",
        "has_next": False,
        "cursor": "",
        "proof_token_required": False,
    }


async def test_an_order_of_the_future_is_not_listed_yet(exchange: Exchange) -> None:
    place(exchange, created_at=NOON + HOUR)

    assert await exchange.listed() == []
    exchange.clock.go_on(3600)
    assert len(await exchange.listed()) == 1
