"""POST, PATCH and DELETE: what is accepted, what is refused, and what becomes of it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import alpaca
from ordersync.simulator.alpaca import Life
from tests.simulator.alpaca.asking import ORDERS, STRANGER

if TYPE_CHECKING:
    from tests.simulator.alpaca.asking import Broker

LIMIT = alpaca.limit("AAPL", "buy", "2", "150")
SECOND = timedelta(seconds=1)


async def test_an_order_is_placed_as_pending_and_gets_a_life(broker: Broker) -> None:
    placed = await broker.post({**alpaca.market("AAPL", "buy", "1"), "client_order_id": "mine"})

    assert placed.status_code == 200
    order = placed.json()
    assert (order["status"], order["client_order_id"]) == ("pending_new", "mine")
    broker.clock.go_on(2)
    assert broker.status(order["id"]) == "filled"


async def test_numbers_may_come_bare(broker: Broker) -> None:
    placed = await broker.post({**LIMIT, "qty": 2, "limit_price": 150.5})

    assert (placed.json()["qty"], placed.json()["limit_price"]) == ("2", "150.5")


async def test_an_order_without_a_client_order_id_gets_one(broker: Broker) -> None:
    assert len((await broker.post(LIMIT)).json()["client_order_id"]) == 36


async def test_the_legs_come_with_the_answer(broker: Broker) -> None:
    placed = await broker.post(alpaca.bracket(LIMIT, take_profit="160", stop_loss="140"))

    legs = placed.json()["legs"]
    assert [(leg["type"], leg["side"], leg["status"]) for leg in legs] == [
        ("limit", "sell", "held"),
        ("stop", "sell", "held"),
    ]


async def test_a_client_order_id_is_good_once(broker: Broker) -> None:
    await broker.post({**LIMIT, "client_order_id": "mine"})

    again = await broker.post({**LIMIT, "client_order_id": "mine"})

    assert again.status_code == 422
    assert again.json() == {"code": 40010001, "message": "client_order_id must be unique"}


async def test_what_nobody_can_pay_is_forbidden(broker: Broker) -> None:
    refused = await broker.post({**LIMIT, "qty": "10000"})

    assert refused.status_code == 403
    assert refused.json() == {
        "code": 40310000,
        "message": "insufficient buying power",
        "buying_power": "1000000",
        "cost_basis": "1500000",
    }


BAD = {
    "no symbol": {"symbol": None},
    "strange symbol": {"symbol": "NONE"},
    "no side": {"side": None},
    "strange side": {"side": "long"},
    "no type": {"type": None},
    "no duration": {"time_in_force": None},
    "no size": {"qty": None},
    "two sizes": {"notional": "5"},
    "no price": {"limit_price": None},
    "zero": {"qty": "0"},
    "not a number": {"qty": "many"},
    "truth": {"qty": True},
    "long client id": {"client_order_id": "x" * 129},
    "notional gtc limit": {"qty": None, "notional": "5"},
    "market with a price": {"type": "market"},
    "trailing without": {"type": "trailing_stop"},
    "extended ioc": {"extended_hours": True, "time_in_force": "ioc"},
    "crypto day": {"symbol": "BTC/USD", "time_in_force": "day"},
    "option ioc": {"symbol": "AAPL271217C00200000", "time_in_force": "ioc"},
    "bracket alone": {"order_class": "bracket"},
    "oto of both": {
        "order_class": "oto",
        "take_profit": {"limit_price": "1"},
        "stop_loss": {"stop_price": "1"},
    },
    "oto of half": {"order_class": "oto", "stop_loss": {"limit_price": "1"}},
    "mleg alone": {"order_class": "mleg"},
    "strange class": {"order_class": "otoco"},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
async def test_an_order_that_makes_no_sense_is_422(broker: Broker, change: dict[str, Any]) -> None:
    refused = await broker.post({**LIMIT, **change})

    assert refused.status_code == 422
    assert refused.json().keys() == {"code", "message"}
    assert await broker.ids(status="all") == []


async def test_a_body_that_is_no_object_is_400(broker: Broker) -> None:
    assert (await broker.send("POST", ORDERS, content=b"[1")).status_code == 400


# Canceling


async def test_a_cancel_is_asked_for_and_granted_later(broker: Broker) -> None:
    order_id = broker.place(life=Life.open())
    broker.clock.go_on(1)

    asked = await broker.send("DELETE", f"{ORDERS}/{order_id}")

    assert (asked.status_code, asked.content) == (204, b"")
    order = await broker.order(order_id)
    assert (order["status"], order["canceled_at"]) == ("pending_cancel", None)
    assert order["cancel_requested_at"] == "2026-03-01T12:00:01Z"
    broker.clock.go_on(1)
    order = await broker.order(order_id)
    assert (order["status"], order["canceled_at"]) == ("canceled", "2026-03-01T12:00:01.3Z")


async def test_a_filled_order_is_not_canceled_any_more(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled())
    broker.clock.go_on(2)

    refused = await broker.send("DELETE", f"{ORDERS}/{order_id}")

    assert refused.status_code == 422
    assert refused.json() == {
        "code": 42210000,
        "message": 'order is already in "filled" state',
    }


async def test_an_unknown_order_is_not_canceled(broker: Broker) -> None:
    assert (await broker.send("DELETE", f"{ORDERS}/{STRANGER}")).status_code == 404


async def test_an_order_that_is_being_replaced_is_not_canceled(broker: Broker) -> None:
    order_id = broker.place(life=Life.open())
    broker.clock.go_on(1)
    await broker.send("PATCH", f"{ORDERS}/{order_id}", json={"qty": "3"})

    assert (await broker.send("DELETE", f"{ORDERS}/{order_id}")).status_code == 422


async def test_all_that_can_be_canceled_is_named(broker: Broker) -> None:
    working = {broker.place(life=Life.open()) for _ in range(3)}
    broker.place(life=Life.filled())
    broker.clock.go_on(2)

    asked = await broker.send("DELETE", ORDERS)

    assert asked.status_code == 207
    assert {each["id"] for each in asked.json()} == working
    assert {each["status"] for each in asked.json()} == {200}
    broker.clock.go_on(1)
    assert await broker.ids() == []


# Replacing


async def changed(broker: Broker, order_id: str, **change: Any) -> Any:  # noqa: ANN401 - JSON
    response = await broker.send("PATCH", f"{ORDERS}/{order_id}", json=change)
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_replaced_order_has_an_heir_with_another_id(broker: Broker) -> None:
    old = broker.place(LIMIT, life=Life.open())
    broker.clock.go_on(1)

    new = await changed(broker, old, limit_price="151")

    assert new["id"] != old
    assert (new["replaces"], new["status"], new["limit_price"]) == (old, "pending_new", "151")
    assert broker.status(old) == "pending_replace"
    broker.clock.go_on(1)
    order = await broker.order(old)
    assert (order["status"], order["replaced_by"]) == ("replaced", new["id"])
    assert order["replaced_at"] == "2026-03-01T12:00:01.3Z"
    assert broker.status(new["id"]) == "new"


async def test_an_heir_takes_over_what_the_old_order_leaves(broker: Broker) -> None:
    old = broker.place(LIMIT, life=Life.open(fills=((SECOND / 2, Decimal("0.25")),)))
    broker.clock.go_on(1)

    new = await changed(broker, old, limit_price="151")

    assert new["qty"] == "1.5"


async def test_an_old_order_may_fill_before_it_is_replaced(broker: Broker) -> None:
    old = broker.place(LIMIT, life=Life.filled(SECOND))
    broker.clock.go_on(0.9)

    new = await changed(broker, old, qty="3")
    broker.clock.go_on(2)

    assert (broker.status(old), broker.status(new["id"])) == ("filled", "rejected")
    assert (await broker.order(old))["replaced_by"] is None


async def test_a_replacement_may_be_refused(broker: Broker) -> None:
    old = broker.place(LIMIT, life=Life.open(refuses_replace=True))
    broker.clock.go_on(1)

    new = await changed(broker, old, qty="3")
    assert broker.status(old) == "pending_replace"
    broker.clock.go_on(1)

    assert (broker.status(old), broker.status(new["id"])) == ("new", "rejected")


@pytest.mark.parametrize(
    ("life", "wish", "change"),
    [
        (Life.pending(), LIMIT, {"qty": "3"}),
        (Life.accepted(), LIMIT, {"qty": "3"}),
        (Life.filled(), LIMIT, {"qty": "3"}),
        (Life.open(), LIMIT, {}),
        (Life.open(), LIMIT, {"stop_price": "3"}),
        (Life.open(), LIMIT, {"qty": "-1"}),
        (Life.open(), LIMIT, {"time_in_force": "often"}),
        (Life.open(), alpaca.market("AAPL", "buy", notional="5"), {"qty": "1"}),
    ],
)
async def test_what_cannot_be_replaced_is_422(
    broker: Broker, life: Life, wish: dict[str, object], change: dict[str, object]
) -> None:
    order_id = broker.place(wish, life=life)
    broker.clock.go_on(2)

    refused = await broker.send("PATCH", f"{ORDERS}/{order_id}", json=change)

    assert refused.status_code == 422
    assert len(await broker.ids(status="all")) == 1


async def test_a_replaced_profit_taker_leaves_the_stop_alone(broker: Broker) -> None:
    wish = alpaca.bracket(LIMIT, take_profit="160", stop_loss="140")
    parent = broker.place(wish, life=Life.filled(SECOND), leg_lives=[Life.open()])
    profit, loss = (leg["id"] for leg in (await broker.order(parent, nested="true"))["legs"])
    broker.clock.go_on(3)

    heir = await changed(broker, profit, limit_price="165")
    broker.clock.go_on(1)

    assert broker.status(profit) == "replaced"
    assert broker.status(loss) == "held"
    broker.world.cancel(heir["id"])
    broker.clock.go_on(1)
    assert broker.status(loss) == "canceled"
