"""What each fault does to an answer, as a client sees it."""

# ruff: noqa: ANN401 - each example changes a fact or two of a whole

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from ordersync.simulator import Fault, Kind, Life, limit_gtc, serving
from tests.simulator.asking import BATCH, NOON, PREFIX, Exchange, claims_of, sign

SECOND = timedelta(seconds=1)


@pytest.fixture
def ids(exchange: Exchange) -> list[str]:
    """Six orders of the last minute, newest first, filled two seconds after their creation."""
    placed = [
        exchange.world.place(
            exchange.account.portfolio,
            "BTC-USD",
            "BUY",
            limit_gtc("1", "100"),
            life=Life.filled(2 * SECOND),
            created_at=NOON - (30 - n) * SECOND,
        ).order_id
        for n in range(6)
    ]
    return placed[::-1]


def spoil(exchange: Exchange, kind: Kind, **facts: Any) -> None:
    exchange.faults.add(Fault(kind=kind, **facts))


@pytest.mark.parametrize(
    ("kind", "value", "status", "body"),
    [
        (Kind.TOO_MANY, None, 429, '{"errors":[{"id":"rate_limit_exceeded",'),
        (Kind.SERVER_ERROR, None, 500, '{"error":"INTERNAL","code":13,'),
        (Kind.SERVER_ERROR, 503, 503, '{"error":"INTERNAL","code":13,'),
        (Kind.HTML, None, 502, "<html>"),
        (Kind.HTML, 504, 504, "<html>"),
        (Kind.UNAUTHORIZED, None, 401, "Unauthorized"),
        (Kind.FORBIDDEN, None, 403, '{"error":"PERMISSION_DENIED"'),
        (Kind.GARBAGE, None, 200, "<!doctype html>"),
        (Kind.GARBAGE, "NaN", 200, "NaN"),
        (Kind.EMPTY, None, 200, ""),
    ],
    ids=str,
)
async def test_something_else_answers(
    exchange: Exchange, kind: Kind, value: str | int | None, status: int, body: str
) -> None:
    spoil(exchange, kind, value=value)

    response = await exchange.get(BATCH)

    assert response.status_code == status
    assert response.text.startswith(body)
    assert bool(body) == bool(response.text)


async def test_a_429_may_say_how_long_to_wait(exchange: Exchange) -> None:
    spoil(exchange, Kind.TOO_MANY, value=2)

    assert (await exchange.get(BATCH)).headers["retry-after"] == "2"


async def test_a_fault_passes_and_the_answer_is_right_again(
    exchange: Exchange, ids: list[str]
) -> None:
    spoil(exchange, Kind.HTML, on="list", count=2)

    answers = [(await exchange.get(BATCH)).status_code for _ in range(3)]

    assert answers == [502, 502, 200]
    assert [order["order_id"] for order in await exchange.listed()] == ids


async def test_an_order_that_met_a_500_was_not_placed(exchange: Exchange) -> None:
    spoil(exchange, Kind.SERVER_ERROR, on="create")
    wish = {
        "client_order_id": "w",
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": limit_gtc("1", "100"),
    }

    assert (await exchange.post("/orders", wish)).status_code == 500
    assert await exchange.listed() == []


async def test_a_stale_answer_is_the_truth_of_some_seconds_ago(exchange: Exchange) -> None:
    order = exchange.world.place(
        exchange.account.portfolio,
        "BTC-USD",
        "BUY",
        limit_gtc("1", "100"),
        life=Life.filled(2 * SECOND),
    )
    exchange.clock.go_on(4)
    spoil(exchange, Kind.STALE, value=3, on="get")
    path = f"/orders/historical/{order.order_id}"

    assert (await exchange.listed())[0]["status"] == "FILLED"
    assert (await exchange.get(path)).json()["order"]["status"] == "OPEN"
    exchange.clock.go_on(1)
    assert (await exchange.get(path)).json()["order"]["status"] == "FILLED"


async def test_a_stale_answer_does_not_know_younger_orders(exchange: Exchange) -> None:
    order = exchange.world.place(
        exchange.account.portfolio, "BTC-USD", "BUY", limit_gtc("1", "100")
    )
    spoil(exchange, Kind.STALE, value=3)

    assert await exchange.listed() == []
    assert (await exchange.get(f"/orders/historical/{order.order_id}")).status_code == 404


async def test_canceling_knows_the_truth_however_stale_the_view(exchange: Exchange) -> None:
    order = exchange.world.place(
        exchange.account.portfolio,
        "BTC-USD",
        "BUY",
        limit_gtc("1", "100"),
        life=Life.filled(2 * SECOND),
    )
    exchange.clock.go_on(4)
    spoil(exchange, Kind.STALE, value=3)

    answer = await exchange.post("/orders/batch_cancel", {"order_ids": [order.order_id]})

    assert answer.json()["results"][0]["failure_reason"] == "COMMANDER_REJECTED_CANCEL_ORDER"


async def test_a_new_order_is_not_found_for_a_while(exchange: Exchange) -> None:
    order = exchange.world.place(
        exchange.account.portfolio,
        "BTC-USD",
        "BUY",
        limit_gtc("1", "100"),
        life=Life.filled(SECOND),
    )
    spoil(exchange, Kind.NOT_FOUND, value=2)
    exchange.clock.go_on(1.5)
    path = f"/orders/historical/{order.order_id}"

    assert (await exchange.get(path)).status_code == 404
    assert await exchange.listed() == []
    exchange.clock.go_on(0.5)
    assert (await exchange.get(path)).json()["order"]["status"] == "FILLED"
    assert len(await exchange.listed()) == 1


async def test_a_forgetful_endpoint_forgets_everything(exchange: Exchange, ids: list[str]) -> None:
    spoil(exchange, Kind.FORGETFUL)

    page = (await exchange.get(BATCH)).json()
    assert (page["orders"], page["has_next"], page["cursor"]) == ([], False, "")
    assert (await exchange.get(f"/orders/historical/{ids[0]}")).status_code == 404
    assert (await exchange.get("/orders/historical/fills")).json()["fills"] == []


async def test_a_forgetful_endpoint_forgets_only_whom_it_names(
    exchange: Exchange, ids: list[str]
) -> None:
    spoil(exchange, Kind.FORGETFUL, value=ids[1], on="list")

    assert [o["order_id"] for o in await exchange.listed()] == [ids[0], *ids[2:]]
    assert (await exchange.get(f"/orders/historical/{ids[1]}")).status_code == 200


@pytest.mark.usefixtures("ids")
async def test_a_truncated_page_ends_in_the_middle(exchange: Exchange) -> None:
    spoil(exchange, Kind.TRUNCATED_PAGE)

    response = await exchange.get(BATCH)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        response.json()


async def test_a_lost_page_looks_complete_and_is_not(exchange: Exchange, ids: list[str]) -> None:
    spoil(exchange, Kind.LOST_PAGE)

    page = (await exchange.get(BATCH, limit=4)).json()

    assert [order["order_id"] for order in page["orders"]] == ids[:2]
    assert (page["has_next"], page["cursor"]) == (False, "")


@pytest.mark.parametrize("by_update", [False, True])
async def test_an_order_between_two_pages_is_missed_or_seen_twice(
    exchange: Exchange, ids: list[str], *, by_update: bool
) -> None:
    sort = {"sort_by": "LAST_UPDATE_TIME"} if by_update else {}
    spoil(exchange, Kind.SHIFTING_PAGE)
    missed = await exchange.every_page(limit=3, **sort)
    exchange.faults.clear()
    spoil(exchange, Kind.SHIFTING_PAGE, value="twice")
    twice = await exchange.every_page(limit=3, **sort)

    assert missed == [ids[:3], ids[4:]]
    assert twice == [ids[:3], ids[2:]]


DAMAGE: list[tuple[Kind, str | None, str, Any]] = [
    (Kind.UNKNOWN_STATUS, None, "status", "SETTLING"),
    (Kind.UNKNOWN_STATUS, "HALTED", "status", "HALTED"),
    (Kind.MISSING_FIELD, None, "status", None),
    (Kind.MISSING_FIELD, "order_id", "order_id", None),
    (Kind.WRONG_TYPE, None, "filled_size", {"value": [1, None]}),
    (Kind.WRONG_TYPE, "status", "status", {"value": [1, None]}),
    (Kind.NAN, None, "filled_size", "NaN"),
    (Kind.NAN, "total_fees", "total_fees", "NaN"),
    (Kind.HUGE_NUMBER, None, "filled_size", "1" + "0" * 400),
    (Kind.FUTURE_TIME, None, "last_fill_time", "2999-12-31T23:59:59.999999Z"),
    (Kind.FUTURE_TIME, "created_time", "created_time", "2999-12-31T23:59:59.999999Z"),
]


@pytest.mark.parametrize(("kind", "value", "field", "expected"), DAMAGE, ids=str)
async def test_one_order_of_a_page_is_damaged_and_the_others_are_not(
    exchange: Exchange, ids: list[str], kind: Kind, value: str | None, field: str, expected: Any
) -> None:
    sound = await exchange.listed()
    spoil(exchange, kind, value=value)

    damaged = await exchange.listed()

    victims = [n for n, order in enumerate(damaged) if order != sound[n]]
    assert len(victims) == 1
    victim = damaged[victims[0]]
    assert victim.get(field) == expected
    assert {**sound[victims[0]], field: expected} == {field: expected, **victim}
    alone = (await exchange.get(f"/orders/historical/{ids[0]}")).json()["order"]
    assert alone.get(field) == expected


async def test_damage_may_be_meant_for_one_order(exchange: Exchange, ids: list[str]) -> None:
    spoil(exchange, Kind.UNKNOWN_STATUS, order_ids=frozenset(ids[2:3]))

    statuses = [order["status"] for order in await exchange.listed()]
    other = (await exchange.get(f"/orders/historical/{ids[0]}")).json()["order"]

    assert statuses == ["FILLED", "FILLED", "SETTLING", "FILLED", "FILLED", "FILLED"]
    assert other["status"] == "FILLED"


@pytest.mark.usefixtures("ids")
async def test_fills_and_permissions_can_be_damaged_too(exchange: Exchange) -> None:
    spoil(exchange, Kind.NAN, value="size", on="fills")
    spoil(exchange, Kind.MISSING_FIELD, value="portfolio_uuid", on="key_permissions")
    spoil(exchange, Kind.LOST_PAGE, on="fills")

    fills = (await exchange.get("/orders/historical/fills")).json()
    assert [fill["size"] for fill in fills["fills"]].count("NaN") <= 1
    assert len(fills["fills"]) == 3
    assert "has_next" not in fills
    assert "portfolio_uuid" not in (await exchange.get("/key_permissions")).json()


@pytest.mark.parametrize("kind", [Kind.UNKNOWN_STATUS, Kind.LOST_PAGE, Kind.TRUNCATED_PAGE])
async def test_damage_leaves_errors_and_empty_pages_alone(exchange: Exchange, kind: Kind) -> None:
    spoil(exchange, kind)

    refused = await exchange.get(BATCH, limit=0)
    unknown = await exchange.get(f"/orders/historical/{exchange.world.new_id()}")

    assert (refused.status_code, refused.json()["error"]) == (400, "INVALID_ARGUMENT")
    assert unknown.json()["error"] == "NOT_FOUND"
    if kind is not Kind.TRUNCATED_PAGE:
        assert await exchange.listed() == []


async def ask(exchange: Exchange, url: str, path: str = BATCH, **options: Any) -> httpx2.Response:
    """One request over a real socket."""
    token = sign(exchange.account, claims_of(exchange.account, "GET", path, NOON))
    async with httpx2.AsyncClient(trust_env=False, **options) as client:
        return await client.get(
            f"{url}{PREFIX}{path}", headers={"authorization": f"Bearer {token}"}
        )


async def test_a_dropped_connection_ends_without_an_answer(exchange: Exchange) -> None:
    spoil(exchange, Kind.DROP, count=1)

    async with serving(exchange.app) as url:
        with pytest.raises(httpx2.RemoteProtocolError):
            await ask(exchange, url)
        assert (await ask(exchange, url)).status_code == 200
    assert [each.status for each in exchange.app.state.served] == [0, 200]


async def test_an_order_whose_answer_was_dropped_is_placed_all_the_same(
    exchange: Exchange,
) -> None:
    spoil(exchange, Kind.DROP, on="create")
    wish = {
        "client_order_id": "lost",
        "product_id": "BTC-USD",
        "side": "BUY",
        "order_configuration": limit_gtc("1", "100"),
    }
    async with serving(exchange.app) as url, httpx2.AsyncClient(trust_env=False) as client:
        token = sign(exchange.account, claims_of(exchange.account, "POST", "/orders", NOON))
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.post(
                f"{url}{PREFIX}/orders", json=wish, headers={"authorization": f"Bearer {token}"}
            )

    assert [order["client_order_id"] for order in await exchange.listed()] == ["lost"]


async def test_a_timeout_lasts_until_the_client_leaves(exchange: Exchange) -> None:
    spoil(exchange, Kind.TIMEOUT, count=1)

    async with serving(exchange.app) as url:
        with pytest.raises(httpx2.ReadTimeout):
            await ask(exchange, url, timeout=httpx2.Timeout(60, read=1))
        assert (await ask(exchange, url)).status_code == 200


async def test_a_timeout_may_end_with_a_closed_connection(exchange: Exchange) -> None:
    spoil(exchange, Kind.TIMEOUT, value=0.02)

    async with serving(exchange.app) as url:
        with pytest.raises(httpx2.RemoteProtocolError):
            await ask(exchange, url, timeout=5)


async def test_latency_delays_an_answer_and_changes_nothing_else(exchange: Exchange) -> None:
    spoil(exchange, Kind.LATENCY, value=0.05)
    loop = asyncio.get_running_loop()

    began = loop.time()
    response = await exchange.get(BATCH)

    assert loop.time() - began >= 0.05
    assert response.status_code == 200


async def test_a_seeded_schedule_never_breaks_the_simulator_itself() -> None:
    """Whatever strikes, the exchange answers in one of its own ways, and in the end rightly."""
    from ordersync.simulator import Faults  # noqa: PLC0415

    silent = {Kind.DROP, Kind.TIMEOUT, Kind.LATENCY}
    for seed in range(40):
        loud = [kind for kind in Kind if kind not in silent]
        exchange = Exchange(faults=Faults.from_seed(seed, within_calls=5, kinds=loud))
        order = exchange.world.place(
            exchange.account.portfolio,
            "BTC-USD",
            "BUY",
            limit_gtc("1", "100"),
            life=Life.filled(2 * SECOND, fills=((SECOND, Decimal("0.5")),)),
        )
        for _ in range(60):
            exchange.clock.go_on(0.5)
            for path in (BATCH, f"/orders/historical/{order.order_id}"):
                response = await exchange.get(path)
                assert response.status_code in {200, 401, 403, 404, 429, 500, 502, 503, 504}
        assert [each["status"] for each in await exchange.listed()] == ["FILLED"]
