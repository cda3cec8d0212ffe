"""What an operator does over HTTP: a backlog is cleaned up, shown first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.simulator import Life
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
async def test_a_wish_that_is_not_whole_or_not_known_is_refused(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        for wish in (
            {},
            {**WISH, "dry_run": "no"},
            {"dry_run": True, "reason": ""},
            {**WISH, "dry_run": True, "older_than": "soon"},
            {**WISH, "dry_run": True, "accept_absent": True},
        ):
            wrong = await caller.problem("/api/v1/cleanup", 422, method="POST", json=wish)
            assert wrong["errors"][0]["where"].startswith("body")
