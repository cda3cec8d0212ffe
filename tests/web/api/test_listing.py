"""Orders over HTTP: rows beside what the exchange says, a page at a time."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import Life, limit_gtc
from tests.system.caller import calling, with_api
from tests.system.house import TABLE, ago
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    from httpx2 import Response


@virtually
async def test_open_orders_are_listed_beside_what_the_exchange_says(tmp_path: Path) -> None:
    async with with_api(tmp_path, orders={"owner": "bot_id"}) as house:
        order = house.place(Life.open(), age=ago(hours=2), bot_id=7)
        house.place(Life.filled())
        async with calling(house) as caller:
            listed = await caller.get("/api/v1/orders")
            (one,) = listed["orders"]
            assert listed["next"] is None
            assert one["row_id"] == str(order.row_id)
            assert one["venue_order_id"] == order.order_id
            assert one["client_order_id"] == order.client_id
            assert (one["owner"], one["account"], one["symbol"]) == ("7", "main", "BTC-USD")
            assert (one["row_word"], one["exchange_status"]) == ("pending", "new")
            assert (one["state"], one["stale"], one["discrepancy"]) == ("open", False, None)
            assert one["urgency"] == "normal"
            assert one["quantity"] == "1"
            assert one["age_seconds"] == pytest.approx(7205, abs=1)
            assert one["verified_age_seconds"] < 5


@virtually
async def test_final_orders_come_by_their_end_the_latest_first(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        placed = [house.place(Life.filled(ago(hours=1, seconds=60 * n))) for n in range(5)]
        async with calling(house) as caller:
            await house.wait(seconds=300)
            seen: list[str] = []
            cursor: str | None = None
            while True:
                more: dict[str, str] = {"cursor": cursor} if cursor else {}
                page = await caller.get("/api/v1/orders", state="final", limit=2, **more)
                assert len(page["orders"]) <= 2
                seen += [one["row_id"] for one in page["orders"]]
                cursor = page["next"]
                if cursor is None:
                    break
            assert seen == [str(one.row_id) for one in reversed(placed)]


@virtually
async def test_pages_of_open_orders_leave_none_out_and_none_twice(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        placed = [house.place(Life.open()) for _ in range(7)]
        async with calling(house) as caller:
            seen: list[str] = []
            page = await caller.get("/api/v1/orders", limit=3)
            while True:
                seen += [one["row_id"] for one in page["orders"]]
                if page["next"] is None:
                    break
                page = await caller.get("/api/v1/orders", limit=3, cursor=page["next"])
            assert seen == [str(one.row_id) for one in placed]


@virtually
async def test_a_cursor_of_another_query_is_refused(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        for _ in range(3):
            house.place(Life.open())
        async with calling(house) as caller:
            page = await caller.get("/api/v1/orders", limit=2)
            cursor = page["next"]
            path = "/api/v1/orders"
            other = await caller.problem(path, 400, params={"cursor": cursor, "symbol": "X"})
            assert "another query" in other["detail"]
            for broken in ("x", "", "ÿ", cursor[:-3], "W10"):
                await caller.problem(path, 400, params={"cursor": broken})


@virtually
@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "TEXT PRIMARY KEY"])
async def test_a_cursor_that_somebody_made_up_is_no_error_of_ours(tmp_path: Path, key: str) -> None:
    """With the mark of a page that is true, and a place that no page has."""
    table = TABLE.replace("id INTEGER PRIMARY KEY", f"id {key}")
    async with with_api(tmp_path, table=table) as house:
        for number in range(3):
            house.place(Life.open(), id=str(number))
        async with calling(house) as caller:
            page = await caller.get("/api/v1/orders", limit=2)
            mark, _ = json.loads(base64.urlsafe_b64decode(page["next"] + "=="))

            async def ask(*place: str) -> Response:
                made = base64.urlsafe_b64encode(json.dumps([mark, place]).encode())
                cursor = made.decode().rstrip("=")
                return await caller.ask("/api/v1/orders", params={"limit": 2, "cursor": cursor})

            for place in (["number\n5"], ["number"], ["text", "a\nb"], ["number", "5", "5"]):
                assert (await ask(*place)).status_code == 400
            for place in (["text", "~"], ["number", "9" * 19], ["number", "-" + "9" * 19]):
                assert (await ask(*place)).status_code == 200


@virtually
async def test_a_time_that_is_beyond_the_calendar_elsewhere_is_refused(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        for name, at in (
            ("until", "9999-12-31T23:59:59-05:00"),
            ("since", "0001-01-01T00:00:00+14:00"),
        ):
            about = {"state": "final", name: at}
            wrong = await caller.problem("/api/v1/orders", 422, params=about)
            assert wrong["errors"][0]["where"] == f"query.{name}"


@virtually
async def test_what_is_not_known_is_a_problem_that_names_the_place(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        wrong = await caller.problem("/api/v1/orders?onwer=7&limit=0", 422)
        assert [one["where"] for one in wrong["errors"]] == ["query.onwer"]
        wrong = await caller.problem("/api/v1/orders?state=x&limit=0", 422)
        assert {one["where"] for one in wrong["errors"]} == {"query.state", "query.limit"}
        await caller.problem("/api/v1/nothing", 404)
        await caller.problem("/api/v1/orders", 405, method="DELETE")
        answer = await caller.ask("/api/v1/subscriptions", method="DELETE")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


@virtually
async def test_a_slip_in_a_parameter_is_never_answered_as_if_nothing_had_been_wanted(
    tmp_path: Path,
) -> None:
    async with with_api(tmp_path) as house:
        order = house.place(Life.open())
        async with calling(house) as caller:
            for slip in (
                f"orders/{order.row_id}?maxage=2",
                f"orders/{order.row_id}?max_age=2&max_age=60",
                "orders?owner=7&owner=8",
                "trades/sync-status?limit=1&limit=2",
                "owners?owner=7",
                "slo?window=1h",
                "events?owner=7&last_event_id=0-0&last_event_id=1-0",
            ):
                wrong = await caller.problem(f"/api/v1/{slip}", 422)
                assert wrong["errors"][0]["where"].startswith("query."), slip
            await caller.problem("/api/v1/sync?dry_run=true", 422, method="POST")
            # Who watches over processes sends the same to all of them.
            for path in ("/healthz?a=1", "/readyz?a=1", "/metrics?a=1"):
                assert (await caller.ask(path)).status_code == 200


@virtually
async def test_it_is_alive_at_once_and_ready_when_all_was_verified(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        house.place(Life.open())
        async with calling(house) as caller:
            assert await caller.get("/healthz") == {"status": "alive"}
            assert await caller.get("/readyz") == {"ready": True, "why": None}


@virtually
async def test_orders_that_have_no_row_are_listed_as_the_totals_count_them(tmp_path: Path) -> None:
    async with with_api(tmp_path, pushes=True) as house:
        house.place(Life.open())
        async with calling(house) as caller:
            placed = []
            for _ in range(3):
                order = house.world.place(
                    house.account.portfolio,
                    house.symbol,
                    "BUY",
                    limit_gtc("1", "100"),
                    life=Life.open(),
                    created_at=house.clock.now(),
                )
                placed.append(order.order_id)
                await house.wait(seconds=3)
            assert (await caller.get("/api/v1/orphans"))["orders"] == []  # the bot may be slow
            await house.wait(minutes=2)
            first = await caller.get("/api/v1/orphans", limit=2)
            rest = await caller.get("/api/v1/orphans", limit=2, cursor=first["next"])
            found = first["orders"] + rest["orders"]
            assert [one["venue_order_id"] for one in found] == placed
            assert rest["next"] is None
            totals = (await caller.get("/api/v1/orders/sync-status"))["totals"]
            assert totals["orphans"] == len(found)
            assert {(one["row_id"], one["exchange_status"]) for one in found} == {(None, "new")}
            assert (await caller.get("/api/v1/orphans", account="other"))["orders"] == []
            await caller.problem("/api/v1/orphans?cursor=made-up", 400)
