"""One order by either of its ids, fills, and what else can be read."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import alpaca
from ordersync.simulator.alpaca import Event, Life
from tests.simulator.alpaca.asking import ORDERS, STRANGER
from tests.simulator.asking import NOON

if TYPE_CHECKING:
    from tests.simulator.alpaca.asking import Broker

FILLS = "/v2/account/activities/FILL"
BY_CLIENT = f"{ORDERS}:by_client_order_id"
SECOND = timedelta(seconds=1)


async def test_an_order_is_found_by_either_of_its_ids(broker: Broker) -> None:
    order_id = broker.place(life=Life.open(), client_order_id="mine")

    by_client = await broker.get(BY_CLIENT, client_order_id="mine")

    assert by_client.json() == await broker.order(order_id)


async def test_an_unknown_order_is_404_with_its_code(broker: Broker) -> None:
    by_id = await broker.get(f"{ORDERS}/{STRANGER}")
    by_client = await broker.get(BY_CLIENT, client_order_id="nobody's")

    assert (by_id.status_code, by_client.status_code) == (404, 404)
    assert by_id.json() == {"code": 40410000, "message": f"order not found for {STRANGER}"}
    assert by_client.json() == {"code": 40410000, "message": "order not found for nobody's"}


async def test_an_order_of_another_account_is_unknown(broker: Broker) -> None:
    other = broker.world.open_account()
    wish = alpaca.market("AAPL", "buy", "1")
    foreign = broker.world.place(other.account_id, wish, client_order_id="theirs").order_id

    assert (await broker.get(f"{ORDERS}/{foreign}")).status_code == 404
    assert (await broker.get(BY_CLIENT, client_order_id="theirs")).status_code == 404


async def test_an_id_that_is_none_is_422_in_strange_words(broker: Broker) -> None:
    malformed = await broker.get(f"{ORDERS}/abc123")
    missing = await broker.get(BY_CLIENT)

    assert malformed.status_code == missing.status_code == 422
    assert malformed.json() == {"code": 40010001, "message": "order_id is missing"}


async def every_fill(broker: Broker, **params: str | int) -> list[list[dict[str, Any]]]:
    """Every page of fills, by the id of the last one on the page before."""
    pages: list[list[dict[str, Any]]] = []
    token = ""
    while True:
        page = (await broker.get(FILLS, page_token=token, **params)).json()
        if not page:
            return pages
        pages.append(page)
        token = page[-1]["id"]


async def test_fills_are_paged_by_the_id_of_the_last_one(broker: Broker) -> None:
    for age in range(5):
        life = Life.filled(SECOND, fills=((SECOND / 2, Decimal("0.4")),))
        broker.place(life=life, created_at=NOON - SECOND * 10 * (age + 1))

    pages = await every_fill(broker, page_size=3)
    upwards = await every_fill(broker, page_size=4, direction="asc")

    assert [len(page) for page in pages] == [3, 3, 3, 1]
    ids = [fill["id"] for page in pages for fill in page]
    assert ids == sorted(ids, reverse=True)
    assert [fill["id"] for page in upwards for fill in page] == ids[::-1]


async def test_a_fill_says_what_it_was_and_what_is_left(broker: Broker) -> None:
    life = Life.filled(SECOND * 2, fills=((SECOND, Decimal("0.25")),), price=Decimal("149.5"))
    order_id = broker.place(alpaca.limit("AAPL", "buy", "4", "150"), life=life)
    broker.clock.go_on(3)

    last, first = (await broker.get(FILLS)).json()

    assert first["id"].startswith("20260301120001000::")
    assert first["transaction_time"] == "2026-03-01T12:00:01Z"
    assert (first["type"], first["order_status"]) == ("partial_fill", "partially_filled")
    assert (first["qty"], first["cum_qty"], first["leaves_qty"]) == ("1", "1", "3")
    assert (last["type"], last["order_status"]) == ("fill", "filled")
    assert (last["qty"], last["cum_qty"], last["leaves_qty"]) == ("3", "4", "0")
    assert {last["order_id"], first["order_id"]} == {order_id}
    assert (last["price"], last["side"], last["symbol"]) == ("149.5", "buy", "AAPL")


async def test_fills_lag_behind_their_order(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled(SECOND, fills_lag=SECOND * 5))
    broker.clock.go_on(3)

    assert broker.status(order_id) == "filled"
    assert (await broker.get(FILLS)).json() == []
    broker.clock.go_on(5)
    assert len((await broker.get(FILLS)).json()) == 1


async def test_fills_are_chosen_by_time_or_by_day(broker: Broker) -> None:
    for hours in (30, 2):
        broker.place(life=Life.filled(SECOND), created_at=NOON - timedelta(hours=hours))

    async def count(**params: str) -> int:
        return len((await broker.get(FILLS, **params)).json())

    assert await count() == 2
    assert await count(after="2026-03-01T00:00:00Z") == 1
    assert await count(until="2026-03-01T00:00:00Z") == 1
    assert await count(date="2026-03-01") == 1
    assert await count(date="2026-02-27") == 0


@pytest.mark.parametrize(
    "params",
    [
        {"page_size": "101"},
        {"page_token": "next"},
        {"date": "2026-03-01", "after": "2026-03-01"},
        {"date": "today"},
    ],
)
async def test_a_query_for_fills_that_makes_no_sense_is_refused(
    broker: Broker, params: dict[str, str]
) -> None:
    broker.place(life=Life.filled(), created_at=NOON - SECOND * 5)

    assert (await broker.get(FILLS, **params)).status_code == 422


async def test_a_busted_fill_is_no_fill(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled())
    broker.clock.go_on(2)
    broker.world.happen(order_id, Event.TRADE_BUST)

    assert (await broker.get(FILLS)).json() == []


async def test_other_activities_are_none(broker: Broker) -> None:
    broker.place(life=Life.filled(), created_at=NOON - SECOND * 5)

    assert (await broker.get("/v2/account/activities/DIV")).json() == []
    assert len((await broker.get("/v2/account/activities", activity_types="DIV,FILL")).json()) == 1


async def test_the_account_says_who_it_is(broker: Broker) -> None:
    account = (await broker.get("/v2/account")).json()

    assert account["id"] == broker.account.account_id
    assert account["account_number"].startswith("PA")
    assert account["status"] == "ACTIVE"
    assert account["buying_power"] == "1000000"


async def test_the_clock_shows_new_york(broker: Broker) -> None:
    sunday = (await broker.get("/v2/clock")).json()
    broker.clock.at = NOON + timedelta(days=1, hours=4)
    monday = (await broker.get("/v2/clock")).json()

    assert sunday == {
        "timestamp": "2026-03-01T07:00:00-05:00",
        "is_open": False,
        "next_open": "2026-03-02T09:30:00-05:00",
        "next_close": "2026-03-02T16:00:00-05:00",
    }
    assert monday["is_open"] is True
    assert monday["next_open"] == "2026-03-03T09:30:00-05:00"


async def test_assets_are_told_by_class_and_by_symbol(broker: Broker) -> None:
    coins = (await broker.get("/v2/assets", asset_class="crypto")).json()

    assert [coin["symbol"] for coin in coins] == ["BTC/USD", "ETH/USD"]
    assert (await broker.get("/v2/assets/BTC/USD")).json() == coins[0]
    assert (await broker.get("/v2/assets/NONE")).status_code == 404
