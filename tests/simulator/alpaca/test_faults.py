"""What goes wrong with Alpaca's REST, and in which shapes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from ordersync.simulator import Fault, Kind, alpaca, serving
from ordersync.simulator.alpaca import Life, World
from ordersync.simulator.faults import Faults
from tests.simulator.alpaca.asking import ORDERS
from tests.simulator.asking import NOON
from tests.virtual import VirtualClock, run_virtually

if TYPE_CHECKING:
    from tests.simulator.alpaca.asking import Broker

SECOND = timedelta(seconds=1)


@pytest.fixture
def ids(broker: Broker) -> list[str]:
    """Six open orders, newest first."""
    return [
        broker.place(life=Life.open(), created_at=NOON - timedelta(minutes=age))
        for age in range(1, 7)
    ]


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault(kind=Kind.TOO_MANY, on="list"), 429, {"message": "too many requests."}),
        (
            Fault(kind=Kind.SERVER_ERROR, on="list", value=503),
            503,
            {"code": 50310000, "message": "internal server error occurred"},
        ),
        (
            Fault(kind=Kind.UNAUTHORIZED, on="list"),
            401,
            {"code": 40110000, "message": "request is not authorized"},
        ),
        (
            Fault(kind=Kind.FORBIDDEN, on="list"),
            403,
            {"code": 40310000, "message": "forbidden."},
        ),
    ],
)
async def test_another_answer_has_the_brokers_shape(
    broker: Broker, fault: Fault, status: int, body: dict[str, Any]
) -> None:
    broker.faults.add(fault)

    response = await broker.get(ORDERS)

    assert (response.status_code, response.json()) == (status, body)
    assert (await broker.get("/v2/clock")).status_code == 200


async def test_a_busy_broker_may_say_for_how_long(broker: Broker) -> None:
    broker.faults.add(Fault(kind=Kind.TOO_MANY, value=7))

    assert (await broker.get(ORDERS)).headers["retry-after"] == "7"


@pytest.mark.parametrize("kind", [Kind.HTML, Kind.GARBAGE, Kind.EMPTY, Kind.TRUNCATED_PAGE])
async def test_an_answer_may_be_no_json(broker: Broker, ids: list[str], kind: Kind) -> None:
    broker.faults.add(Fault(kind=kind, on="list"))

    response = await broker.get(ORDERS)

    assert len(ids) == 6
    assert response.status_code == (502 if kind is Kind.HTML else 200)
    with pytest.raises(json.JSONDecodeError):
        response.json()


async def test_a_stale_answer_is_about_the_past(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled(SECOND))
    broker.clock.go_on(4)
    broker.faults.add(Fault(kind=Kind.STALE, on="get", value=3.5))

    assert (await broker.order(order_id))["status"] == "new"


async def test_a_young_order_is_not_found_by_either_id(broker: Broker) -> None:
    order_id = broker.place(life=Life.open(), client_order_id="mine")
    broker.clock.go_on(1)
    broker.faults.add(Fault(kind=Kind.NOT_FOUND, value=2))

    async def statuses() -> list[int]:
        by_client = await broker.get(f"{ORDERS}:by_client_order_id", client_order_id="mine")
        by_id = await broker.get(f"{ORDERS}/{order_id}")
        return [by_id.status_code, by_client.status_code]

    assert await statuses() == [404, 404]
    broker.clock.go_on(1)
    assert await statuses() == [200, 200]


async def test_orders_are_forgotten(broker: Broker, ids: list[str]) -> None:
    broker.faults.add(Fault(kind=Kind.FORGETFUL, value=ids[0]))

    assert await broker.ids() == ids[1:]
    assert (await broker.get(f"{ORDERS}/{ids[0]}")).status_code == 404


async def test_everything_is_forgotten(broker: Broker, ids: list[str]) -> None:
    broker.faults.add(Fault(kind=Kind.FORGETFUL, on="list"))

    assert await broker.ids() == []
    assert (await broker.order(ids[0]))["id"] == ids[0]


async def test_a_forgetful_broker_still_cancels(broker: Broker, ids: list[str]) -> None:
    broker.faults.add(Fault(kind=Kind.FORGETFUL))

    assert (await broker.send("DELETE", f"{ORDERS}/{ids[0]}")).status_code == 204


async def test_half_of_a_page_is_lost(broker: Broker, ids: list[str]) -> None:
    broker.faults.add(Fault(kind=Kind.LOST_PAGE, on="list"))

    assert await broker.ids() == ids[:3]


@pytest.mark.parametrize(("value", "page"), [("missed", slice(4, 6)), ("twice", slice(2, 6))])
async def test_an_order_crosses_the_border_of_two_pages(
    broker: Broker, ids: list[str], value: str, page: slice
) -> None:
    broker.faults.add(Fault(kind=Kind.SHIFTING_PAGE, on="list", value=value))

    assert await broker.ids(limit=3) == ids[:3]
    assert await broker.ids(limit=3, before_order_id=ids[2]) == ids[page]


SPOILED = {
    Kind.UNKNOWN_STATUS: ("status", "settling"),
    Kind.WRONG_TYPE: ("filled_qty", {"value": [1, None]}),
    Kind.NAN: ("filled_qty", "NaN"),
    Kind.HUGE_NUMBER: ("filled_qty", "1" + "0" * 400),
    Kind.FUTURE_TIME: ("updated_at", "2999-12-31T23:59:59.999999Z"),
}


@pytest.mark.parametrize("kind", SPOILED)
async def test_a_field_of_one_order_is_spoiled(broker: Broker, ids: list[str], kind: Kind) -> None:
    broker.faults.add(Fault(kind=kind, order_ids=frozenset(ids[2:3])))
    field, value = SPOILED[kind]

    listed = await broker.listed()

    assert [order["id"] for order in listed if order[field] == value] == [ids[2]]
    assert (await broker.order(ids[2]))[field] == value
    assert (await broker.order(ids[1]))[field] != value


async def test_a_field_is_missing_from_some_order(broker: Broker, ids: list[str]) -> None:
    broker.faults.add(Fault(kind=Kind.MISSING_FIELD, on="list", value="filled_qty"))

    assert sum("filled_qty" not in order for order in await broker.listed()) == 1
    assert len(ids) == 6


async def test_fills_are_spoiled_by_their_order(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled(), created_at=NOON - SECOND * 5)
    broker.faults.add(Fault(kind=Kind.MISSING_FIELD, value="qty", order_ids=frozenset([order_id])))

    (fill,) = (await broker.get("/v2/account/activities/FILL")).json()

    assert "qty" not in fill


@pytest.mark.parametrize(
    ("kind", "value", "error", "lasts"),
    [
        (Kind.LATENCY, 20, None, 20),
        (Kind.TIMEOUT, None, httpx2.ReadTimeout, 30),
        (Kind.DROP, None, httpx2.RemoteProtocolError, 0),
    ],
)
def test_an_answer_may_be_late_or_never_come(
    kind: Kind, value: float | None, error: type[Exception] | None, lasts: float
) -> None:
    async def main() -> float:
        clock = VirtualClock()
        world = World(clock.now)
        account = world.open_account()
        faults = Faults([Fault(kind=kind, value=value)])
        async with (
            serving(alpaca.app(world, faults)) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client,
        ):
            began = clock.monotonic()
            if error is None:
                await client.get("/v2/clock", headers=account.key.headers)
            else:
                with pytest.raises(error):
                    await client.get("/v2/clock", headers=account.key.headers)
            return clock.monotonic() - began

    assert lasts <= run_virtually(main) + 0.1 <= lasts + 0.3
