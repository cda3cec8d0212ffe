"""One order over HTTP: by every name, asked about before it is told, with its past."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from ordersync.metered import Span
from ordersync.service import build_views
from ordersync.simulator import Fault, Kind, Life
from tests.system.caller import calling, with_api
from tests.system.house import TABLE, ago
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

RARELY = {"interval": "10m"}


@virtually
async def test_an_order_goes_by_its_row_the_exchanges_id_and_the_bots_own(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        order = house.place(Life.open())
        house.place(Life.open())
        async with calling(house) as caller:
            for name in (order.row_id, order.order_id, order.client_id):
                told = await caller.get(f"/api/v1/orders/{name}")
                assert told["order"]["row_id"] == str(order.row_id)
                assert told["verified"] is True
                assert told["why"] is None
            missing = await caller.problem("/api/v1/orders/0815", 404)
            assert "GET /api/v1/orders" in missing["mend"]
            # The column may think that 01 is 1.
            await caller.problem(f"/api/v1/orders/0{order.row_id}", 404)


@virtually
async def test_a_row_that_carries_its_second_order_goes_by_its_key(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        first, second = house.place(Life.filled()), house.place(Life.open())
        async with calling(house) as caller:
            await house.wait(seconds=5)
            house.sql("DELETE FROM trades WHERE id = ?", second.row_id)
            house.sql(
                "UPDATE trades SET order_id = ?, client_id = ?, status = 'pending' WHERE id = ?",
                second.order_id,
                second.client_id,
                first.row_id,
            )
            await house.wait(seconds=5)
            told = await caller.get(f"/api/v1/orders/{first.row_id}")
            assert told["order"]["venue_order_id"] == second.order_id
        (found,) = await build_views(house.settings()).find(str(first.row_id))
        assert found.venue_order_id == second.order_id


@virtually
async def test_a_name_may_have_any_letters_and_is_never_taken_for_another_call(
    tmp_path: Path,
) -> None:
    """`1/sync` is an order of its own: asking for it must not verify the order `1`."""
    table = TABLE.replace("id INTEGER PRIMARY KEY", "id TEXT PRIMARY KEY")
    names = ["1", "1/sync", "a/b", "a%2Fb", "/", "ünï 漢", "x?y#z", "history", "é" * 90]
    async with with_api(tmp_path, table=table, orders={"owner": "bot_id"}) as house:
        for number, name in enumerate(names, 100):
            house.place(Life.open(), id=str(number), bot_id=f"bot {name}")
            house.sql("UPDATE trades SET id = ? WHERE id = ?", name, str(number))
        async with calling(house) as caller:
            for name in names:
                path = f"/api/v1/orders/{quote(name, safe='')}"
                for told in (await caller.get(path), await caller.get(f"{path}/history")):
                    assert told["order"]["row_id"] == name
                for post in (f"{path}/sync", path.replace("orders/", "trades/sync-order-status/")):
                    told = await caller.post(post)
                    assert told["before"]["row_id"] == told["after"]["row_id"] == name
                owner = await caller.get(f"/api/v1/owners/{quote(f'bot {name}', safe='')}")
                assert owner["orders"] == [name]
            wrong = await caller.problem("/api/v1/orders/%00", 422)
            assert wrong["errors"][0]["where"] == "path.id"


@virtually
async def test_a_name_that_several_orders_have_is_a_problem_that_lists_them(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        one = house.place(Life.open())
        other = house.place(Life.open(), client_id=one.client_id)
        async with calling(house) as caller:
            several = await caller.problem(f"/api/v1/orders/{one.client_id}", 409)
            assert {o["row_id"] for o in several["orders"]} == {
                str(one.row_id),
                str(other.row_id),
            }


@virtually
async def test_an_order_of_another_account_is_not_found_there(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        order = house.place(Life.open())
        async with calling(house) as caller:
            path = f"/api/v1/orders/{order.row_id}"
            assert (await caller.ask(path, params={"account": "main"})).is_success
            await caller.problem(path, 404, params={"account": "paper"})


@virtually
async def test_what_is_older_than_wanted_is_asked_about_before_it_is_told(tmp_path: Path) -> None:
    async with with_api(tmp_path, sync={**RARELY, "stale_after": "10s"}) as house:
        order = house.place(Life.filled(ago(hours=1, seconds=200)))
        async with calling(house) as caller:
            await house.wait(seconds=205)
            house.forget_asked()
            path = f"/api/v1/orders/{order.row_id}"
            stale = await caller.get(path)
            assert stale["order"]["row_word"] == "pending"
            assert stale["verified"] is False
            assert "not asked" in stale["why"]
            assert house.asked() == []
            fresh = await caller.get(path, max_age=2)
            assert fresh["order"]["row_word"] == "completed"
            assert (fresh["order"]["state"], fresh["verified"]) == ("final", True)
            assert fresh["order"]["source"] == "demand"
            assert house.untrue(order) == []
            asked = len(house.asked())
            assert asked >= 1
            assert (await caller.get(path, max_age=60))["verified"] is True
            assert len(house.asked()) == asked


@virtually
async def test_a_silent_exchange_is_told_and_never_guessed(tmp_path: Path) -> None:
    async with with_api(tmp_path, sync=RARELY) as house:
        order = house.place(Life.filled(ago(hours=1, seconds=200)))
        async with calling(house) as caller:
            await house.wait(seconds=205)
            house.faults.add(Fault(kind=Kind.SERVER_ERROR))
            told = await caller.get(f"/api/v1/orders/{order.row_id}", max_age=2)
            assert told["verified"] is False
            assert told["why"]
            assert told["order"]["row_word"] == "pending"
            assert told["order"]["exchange_status"] == "new"


@virtually
async def test_syncing_an_order_shows_it_before_and_after(tmp_path: Path) -> None:
    async with with_api(tmp_path, sync=RARELY) as house:
        placed = [house.place(Life.filled(ago(hours=1, seconds=200))) for _ in range(2)]
        async with calling(house) as caller:
            await house.wait(seconds=205)
            for order, path in zip(
                placed,
                ("/api/v1/orders/{}/sync", "/api/v1/trades/sync-order-status/{}"),
                strict=True,
            ):
                told = await caller.post(path.format(order.order_id))
                assert told["before"]["row_word"] == "pending"
                assert told["after"]["row_word"] == "completed"
                assert told["verified"] is True
                assert house.untrue(order) == []
            path = f"/api/v1/orders/{placed[0].row_id}/sync"
            await caller.problem(path, 422, method="POST", json={"force": True})
            await caller.problem(path, 422, method="POST", json=[])
            headers = {"content-type": "application/json"}
            await caller.problem(path, 400, method="POST", content=b"{", headers=headers)


@virtually
async def test_syncing_everything_tells_what_was_done(tmp_path: Path) -> None:
    async with with_api(tmp_path, sync=RARELY) as house:
        placed = [house.place(Life.filled(ago(hours=1, seconds=200))) for _ in range(3)]
        async with calling(house) as caller:
            await house.wait(seconds=205)
            told = await caller.post("/api/v1/sync")
            assert told == {
                "accounts": [
                    {
                        "account": "main",
                        "asked": 3,
                        "updated": 3,
                        "not_found": 0,
                        "failed": 0,
                        "failures": {},
                    }
                ]
            }
            assert house.all_untrue(placed) == {}


@virtually
async def test_the_past_of_an_order_comes_in_pages_oldest_first(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        order = house.place(Life.filled(ago(hours=1, seconds=60)))
        async with calling(house) as caller:
            await house.wait(seconds=120)
            for _ in range(2):
                house.update(order.row_id, status="pending")
                await house.wait(seconds=60)
            path = f"/api/v1/orders/{order.row_id}/history"
            whole = await caller.get(path)
            kinds = [event["kind"] for event in whole["events"]]
            assert kinds[0] == "changed"
            assert kinds.count("repaired") == 2
            assert whole["next"] is None
            seen, page = [], await caller.get(path, limit=1)
            while True:
                seen += page["events"]
                if page["next"] is None:
                    break
                page = await caller.get(path, limit=1, cursor=page["next"])
            assert seen == whole["events"]


@virtually
async def test_a_fresh_truth_costs_one_read_and_the_store_nothing(tmp_path: Path) -> None:
    async with with_api(tmp_path, sync=RARELY) as house:
        order = house.place(Life.open())
        async with calling(house) as caller:

            def requests() -> int:
                timed = caller.service.tally.times(Span.DATABASE, "")
                return sum(sum(one.counts) for one in timed)

            path = f"/api/v1/orders/{order.row_id}"
            await caller.get(path, max_age=0)
            house.forget_asked()
            before = requests()
            assert before > 0
            assert (await caller.get(path, max_age=60))["verified"] is True
            # Another thread reads it, over a connection of its own.
            assert requests() - before <= 1  # the look whether somebody wrote, on its own time
            assert house.asked() == []
