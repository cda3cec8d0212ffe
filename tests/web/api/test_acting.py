"""What an operator does over HTTP: a backlog is cleaned up, shown first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.service import new_token
from ordersync.simulator import Life
from ordersync.tokened import Scope
from tests.system.caller import calling, with_api
from tests.system.house import ago
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

RARELY = {"interval": "10m"}
WISH = {"older_than": "30m", "reason": "the bot was down"}


@virtually
async def test_a_clean_up_is_shown_first_and_then_done(tmp_path: Path) -> None:
    async with with_api(tmp_path, sync=RARELY) as house:
        old = [house.place(Life.filled(ago(hours=1, seconds=200))) for _ in range(2)]
        house.place(Life.open(), age=ago(minutes=1))
        async with calling(house) as caller:
            await house.wait(seconds=205)
            before = house.dump()
            shown = await caller.post("/api/v1/cleanup", dry_run=True, **WISH)
            assert house.dump() == before
            assert (shown["dry_run"], shown["rows"], shown["failed"]) == (True, 2, 0)
            status = {"column": "status", "stored": "pending", "true": "completed"}
            for row in shown["changes"]:
                assert row["order"]["row_word"] == "pending"
                assert status in row["changes"]
            done = await caller.post("/api/v1/cleanup", dry_run=False, **WISH)
            assert (done["dry_run"], done["rows"], done["failed"]) == (False, 2, 0)
            for row in done["changes"]:
                assert row["order"]["row_word"] == "completed"
                assert status in row["changes"]
            assert house.all_untrue(old) == {}
            again = await caller.post("/api/v1/cleanup", dry_run=False, **WISH)
            assert (again["rows"], again["changes"]) == (0, [])


@virtually
async def test_a_persons_word_stands_for_the_accounts_proof_in_a_clean_up(tmp_path: Path) -> None:
    async with with_api(tmp_path, sync=RARELY) as house:
        gone = [house.invent() for _ in range(3)]
        young = house.invent(age=ago(hours=3))
        async with calling(house) as caller:
            await house.wait(seconds=60)
            told = await caller.post("/api/v1/cleanup", dry_run=False, **WISH)
            assert (told["rows"], told["failed"]) == (0, 4)
            told = await caller.post("/api/v1/cleanup", dry_run=False, accept_absent=True, **WISH)
            assert {row["order"]["row_word"] for row in told["changes"]} == {"unknown"}
            assert (told["rows"], list(told["failures"])) == (3, [young.order_id])
            assert {house.word(one) for one in gone} == {"unknown"}
            assert house.word(young) == "pending", "the age is not for a person to accept"


@virtually
async def test_a_wish_that_is_not_whole_or_not_known_is_refused(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        for wish in (
            {},
            {**WISH, "dry_run": "no"},
            {"dry_run": True, "reason": ""},
            {**WISH, "dry_run": True, "older_than": "soon"},
            {**WISH, "dry_run": True, "older_than": "999999d"},
            {**WISH, "dry_run": True, "accept_absent": "yes"},
        ):
            wrong = await caller.problem("/api/v1/cleanup", 422, method="POST", json=wish)
            assert wrong["errors"][0]["where"].startswith("body")


@virtually
async def test_what_a_person_knows_of_an_absent_order_is_shown_and_then_written(
    tmp_path: Path,
) -> None:
    async with with_api(tmp_path) as house:
        gone = house.invent(age=ago(hours=3))
        house.place(Life.open())  # so that the account proves itself
        async with calling(house) as caller:
            await house.wait(seconds=60)
            path = f"/api/v1/orders/{gone.row_id}/resolve"
            said = {"reason": "busted by phone", "by": "Ada", "status": "canceled"}
            before = house.dump("trades", "ordersync_events")
            shown = await caller.post(path, dry_run=True, **said)
            assert house.dump("trades", "ordersync_events") == before
            assert (shown["before"]["row_word"], shown["before"]["state"]) == ("pending", "suspect")
            assert (shown["after"]["row_word"], shown["after"]["state"]) == ("cancelled", "final")
            done = await caller.post(path, dry_run=False, **said)
            assert (done["after"]["row_word"], done["after"]["state"]) == ("cancelled", "final")
            assert house.word(gone) == "cancelled"
            past = await caller.get(f"/api/v1/orders/{gone.row_id}/history")
            (event,) = [e for e in past["events"] if e["kind"] == "resolved"]
            assert event["source"] == "operator"
            assert "Ada" in event["evidence"]["endpoint"]
            assert event["evidence"]["raw"] == "busted by phone"


@virtually
async def test_a_correction_overrules_the_exchange_and_names_the_token(tmp_path: Path) -> None:
    async with with_api(tmp_path, web={"require_token": True}) as house:
        order = house.place(Life.filled())
        settings = house.settings()
        token = await new_token(settings, "desk", Scope.OPERATE, None, house.clock)
        async with calling(house, token) as caller:
            await house.wait(seconds=10)
            path = f"/api/v1/orders/{order.order_id}/correct"
            said = {"reason": "bust", "dry_run": False, "status": "canceled", "filled_qty": "0"}
            done = await caller.post(path, **said)
            assert done["before"]["exchange_status"] == "filled"
            assert done["after"]["exchange_status"] == "canceled"
            assert house.word(order) == "cancelled"
            past = await caller.get(f"/api/v1/orders/{order.order_id}/history")
            assert "desk" in past["events"][-1]["evidence"]["endpoint"]


@virtually
async def test_what_does_not_apply_is_a_problem_that_says_why(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        order = house.place(Life.open())
        async with calling(house) as caller:
            path = f"/api/v1/orders/{order.order_id}/resolve"
            said = {"reason": "why not", "dry_run": True, "status": "canceled"}
            refused = await caller.problem(path, 409, method="POST", json=said)
            assert "nothing to resolve" in refused["detail"]
            assert refused["mend"]
            for wrong in ({"status": "gone"}, {"filled_qty": "-1"}, {"reason": ""}, {"x": 1}):
                await caller.problem(path, 422, method="POST", json={**said, **wrong})
