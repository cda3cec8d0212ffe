"""GET /v2/orders, as strict as the real one."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import alpaca
from ordersync.simulator.alpaca import Event, Life
from tests.simulator.alpaca.asking import ORDERS, STRANGER
from tests.simulator.asking import NOON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulator.alpaca.asking import Broker

SECOND = timedelta(seconds=1)


def aged(broker: Broker, count: int) -> list[str]:
    """So many orders, a second apart, the last of them a second old; oldest first."""
    return [
        broker.place(life=Life.open(), created_at=NOON - SECOND * age)
        for age in range(count, 0, -1)
    ]


async def test_a_list_is_a_bare_array_of_open_orders_newest_first(broker: Broker) -> None:
    ids = aged(broker, 3)
    broker.place(life=Life.filled(), created_at=NOON - SECOND * 9)

    response = await broker.get(ORDERS)

    assert isinstance(response.json(), list)
    assert [order["id"] for order in response.json()] == ids[::-1]


async def test_a_page_holds_50_by_default_and_500_at_most(broker: Broker) -> None:
    aged(broker, 501)

    assert len(await broker.ids()) == 50
    assert len(await broker.ids(limit=500)) == 500
    refused = await broker.get(ORDERS, limit=501)
    assert refused.status_code == 422
    assert refused.json() == {"code": 42210000, "message": "limit must be between 1 and 500"}


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "0"},
        {"limit": "ten"},
        {"status": "OPEN"},
        {"direction": "up"},
        {"side": "BUY"},
        {"nested": "yes"},
        {"after": "yesterday"},
        {"until": "2026-03-01T12:00:00"},
        {"before_order_id": "abc"},
        {"before_order_id": STRANGER, "after_order_id": STRANGER},
        {"before_order_id": STRANGER, "after": "2026-03-01"},
        {"after_order_id": STRANGER, "until": "2026-03-01"},
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    broker: Broker, params: dict[str, str]
) -> None:
    response = await broker.get(ORDERS, **params)

    assert response.status_code == 422
    assert response.json().keys() == {"code", "message"}


async def test_after_and_until_are_exclusive_and_about_the_time_of_submission(
    broker: Broker,
) -> None:
    created = NOON - timedelta(hours=2)
    ids = [
        broker.place(life=Life.open(), created_at=created, submitted_at=NOON - SECOND * age)
        for age in (3, 2, 1)
    ]
    first, last = "2026-03-01T11:59:57Z", "2026-03-01T11:59:59+00:00"

    assert await broker.ids(after=first, until=last) == [ids[1]]
    assert await broker.ids(after=first, direction="asc") == ids[1:]
    assert await broker.ids(until=last) == ids[1::-1]


async def test_the_ids_of_the_border_lead_from_page_to_page_either_way(broker: Broker) -> None:
    # All at one moment: a cursor by time would lose or repeat some.
    ids = sorted(broker.place(life=Life.open(), created_at=NOON) for _ in range(7))

    down: list[str] = await broker.ids(limit=3)
    while page := await broker.ids(limit=3, before_order_id=down[-1]):
        down += page
    up: list[str] = await broker.ids(limit=3, direction="asc")
    while page := await broker.ids(limit=3, direction="asc", after_order_id=up[-1]):
        up += page

    assert down == ids[::-1]
    assert up == ids


async def test_an_order_placed_between_two_pages_shifts_nothing(broker: Broker) -> None:
    ids = aged(broker, 4)
    first = await broker.ids(limit=2)
    broker.place(life=Life.open(), created_at=NOON)

    assert await broker.ids(limit=2, before_order_id=first[-1]) == ids[1::-1]


async def test_a_border_of_another_account_is_not_found(broker: Broker) -> None:
    other = broker.world.open_account()
    foreign = broker.world.place(other.account_id, alpaca.market("AAPL", "buy", "1")).order_id

    assert (await broker.get(ORDERS, after_order_id=foreign)).status_code == 404


async def test_orders_are_chosen_by_symbol_side_and_class(broker: Broker) -> None:
    life = Life.open()
    apple = broker.place(alpaca.limit("AAPL", "buy", "1", "150"), life=life)
    spy = broker.place(alpaca.limit("SPY", "sell", "1", "600"), life=life)
    coin = broker.place(alpaca.limit("BTC/USD", "buy", "1", "6000"), life=life)

    assert set(await broker.ids(symbols="AAPL,SPY")) == {apple, spy}
    assert await broker.ids(side="sell") == [spy]
    assert await broker.ids(asset_class="crypto") == [coin]
    assert len(await broker.ids(asset_class="all")) == 3


async def test_another_account_sees_nothing_of_it(broker: Broker) -> None:
    aged(broker, 2)
    other = broker.world.open_account()

    assert (await broker.send("GET", ORDERS, who=other)).json() == []


async def test_numbers_are_strings_or_null_and_times_have_a_zone(broker: Broker) -> None:
    broker.place(
        alpaca.limit("AAPL", "buy", "3", "150.10"),
        life=Life.filled(fills=((SECOND / 2, Decimal("0.5")),)),
        client_order_id="mine",
    )
    broker.clock.go_on(2)

    (order,) = await broker.listed(status="all")

    assert (order["qty"], order["filled_qty"]) == ("3", "3")
    assert (order["filled_avg_price"], order["limit_price"]) == ("150.1", "150.1")
    assert order["stop_price"] is order["notional"] is order["legs"] is None
    assert order["client_order_id"] == "mine"
    assert order["submitted_at"] == "2026-03-01T12:00:00Z"
    assert order["filled_at"] == "2026-03-01T12:00:01Z"
    assert order["order_type"] == order["type"] == "limit"
    assert order["order_class"] == ""


# Families


def bracket(
    broker: Broker, life: Life | None = None, leg_lives: Sequence[Life] = ()
) -> tuple[str, str, str]:
    entry = alpaca.limit("AAPL", "buy", "2", "150", time_in_force="day")
    wish = alpaca.bracket(entry, take_profit="160", stop_loss="140")
    parent = broker.place(wish, life=life, leg_lives=leg_lives)
    placed = broker.world.order(parent)
    assert placed is not None
    profit, loss = placed.legs
    return parent, profit, loss


async def test_the_legs_of_a_bracket_are_held_until_the_entry_is_filled(broker: Broker) -> None:
    parent, profit, loss = bracket(
        broker, Life.filled(SECOND * 2), leg_lives=[Life.filled(SECOND * 10)]
    )

    def family() -> list[str]:
        return [broker.status(each) for each in (parent, profit, loss)]

    broker.clock.go_on(1)
    assert family() == ["new", "held", "held"]
    broker.clock.go_on(5)
    assert family() == ["filled", "new", "held"]
    broker.clock.go_on(10)
    assert family() == ["filled", "filled", "canceled"]


async def test_the_stop_of_a_bracket_cancels_the_profit_taker(broker: Broker) -> None:
    parent, profit, loss = bracket(broker, Life.filled(SECOND), leg_lives=[Life.open()])
    broker.clock.go_on(5)
    broker.world.live(loss, Life.filled(SECOND))
    broker.clock.go_on(5)

    assert [broker.status(each) for each in (parent, profit, loss)] == [
        "filled",
        "canceled",
        "filled",
    ]


async def test_legs_go_with_an_entry_that_is_canceled(broker: Broker) -> None:
    family = bracket(broker, Life.open())
    broker.clock.go_on(1)
    assert (await broker.send("DELETE", f"{ORDERS}/{family[0]}")).status_code == 204
    broker.clock.go_on(1)

    assert [broker.status(each) for each in family] == ["canceled"] * 3


async def test_legs_follow_an_entry_that_fills_out_of_turn(broker: Broker) -> None:
    family = bracket(broker, Life.open(), leg_lives=[Life.open(timedelta())])
    broker.clock.go_on(1)
    broker.world.happen(family[0], Event.FILL)
    assert [broker.status(each) for each in family] == ["filled", "new", "held"]

    broker.world.happen(family[2], Event.FILL)
    assert [broker.status(each) for each in family] == ["filled", "canceled", "filled"]


async def test_legs_stay_where_a_fill_overtakes_the_cancel_of_their_entry(broker: Broker) -> None:
    family = bracket(broker, Life.filled(SECOND), leg_lives=[Life.open()])
    broker.clock.go_on(0.9)
    broker.world.cancel(family[0])
    broker.clock.go_on(2)

    assert [broker.status(each) for each in family] == ["filled", "new", "held"]


async def test_legs_are_listed_flat_or_below_their_parent(broker: Broker) -> None:
    parent, profit, loss = bracket(broker, Life.open())
    broker.clock.go_on(1)

    assert set(await broker.ids()) == {parent, profit, loss}
    assert [order["legs"] for order in await broker.listed()] == [None] * 3
    (nested,) = await broker.listed(nested="true")
    assert [leg["id"] for leg in nested["legs"]] == [profit, loss]
    assert [leg["status"] for leg in nested["legs"]] == ["held", "held"]
    alone = await broker.order(parent, nested=True)
    assert [leg["id"] for leg in alone["legs"]] == [profit, loss]
    assert (await broker.order(parent))["legs"] is None


async def test_a_filled_entry_is_open_as_long_as_its_legs_are(broker: Broker) -> None:
    parent, *_ = bracket(broker, Life.filled(), leg_lives=[Life.open()])
    broker.clock.go_on(5)

    assert parent not in await broker.ids()
    assert await broker.ids(nested="true") == [parent]


async def test_one_of_an_oco_pair_cancels_the_other(broker: Broker) -> None:
    wish = alpaca.oco("AAPL", "sell", "1", take_profit="210", stop_loss="190")
    parent = broker.place(wish, life=Life.filled(SECOND * 3))
    order = await broker.order(parent, nested="true")
    (leg,) = order["legs"]
    assert (leg["status"], leg["type"], leg["side"]) == ("held", "stop", "sell")
    broker.clock.go_on(5)

    assert (broker.status(parent), broker.status(leg["id"])) == ("filled", "canceled")


async def test_the_leg_of_an_oto_order_works_once_it_is_filled(broker: Broker) -> None:
    wish = alpaca.oto(alpaca.limit("AAPL", "buy", "1", "150"), stop_loss="140")
    parent = broker.place(wish, life=Life.filled(SECOND), leg_lives=[Life.open()])
    (leg,) = (await broker.order(parent, nested="true"))["legs"]
    assert leg["status"] == "held"
    broker.clock.go_on(3)

    assert broker.status(leg["id"]) == "new"


async def test_a_spread_has_no_symbol_and_its_legs_fill_with_it(broker: Broker) -> None:
    wish = alpaca.spread(
        "1",
        "10",
        ("AAPL271217C00200000", "3", "buy_to_open"),
        ("AAPL271217C00250000", "1", "sell_to_open"),
    )
    parent = broker.place(wish, life=Life.filled())
    broker.clock.go_on(2)

    order = await broker.order(parent, nested="true")

    assert order["symbol"] == order["side"] == order["asset_class"] == ""
    assert order["order_class"] == "mleg"
    assert [(leg["side"], leg["filled_qty"], leg["ratio_qty"]) for leg in order["legs"]] == [
        ("buy", "3", "3"),
        ("sell", "1", "1"),
    ]
    assert {leg["status"] for leg in order["legs"]} == {"filled"}
    fills = (await broker.get("/v2/account/activities/FILL")).json()
    assert {fill["order_id"] for fill in fills} == {leg["id"] for leg in order["legs"]}
