"""What is really open: totals, states and urgency; who is blocked; how the accounts are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import Fault, Kind, Life
from ordersync.simulator.kinds import StreamKind
from tests.system.caller import calling, with_api
from tests.system.house import ago
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

RARELY = {"interval": "10m"}


@virtually
async def test_totals_count_all_and_not_the_page(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:
        for _ in range(3):
            house.place(Life.open(), age=ago(hours=2))
        house.place(Life.open(), age=ago(seconds=1))
        house.invent(age=ago(hours=3))
        async with calling(house) as caller:
            await house.wait(seconds=60)
            for path in ("/api/v1/trades/sync-status", "/api/v1/orders/sync-status"):
                told = await caller.get(path, limit=2)
                assert len(told["orders"]) == 2
                assert told["next"]
                totals = told["totals"]
                assert (totals["open"], totals["suspect"], totals["unknown"]) == (5, 1, 0)
                assert (totals["fresh"], totals["normal"], totals["critical"]) == (1, 3, 1)
                assert totals["stale"] == 0
                assert totals["oldest_verified_age_seconds"] < 60
            (one,) = (await caller.get("/api/v1/orders", state="suspect"))["orders"]
            assert (one["stale"], one["urgency"]) == (False, "critical")
            assert (await caller.get("/api/v1/orders", state="stale"))["orders"] == []
            metrics = (await caller.ask("/metrics")).text
            assert 'ordersync_stale_orders{account="main"} 0.0' in metrics
            assert 'ordersync_suspect_orders{account="main"} 1.0' in metrics


@virtually
async def test_an_order_that_rests_is_not_stale_while_the_exchange_vouches_for_it(
    tmp_path: Path,
) -> None:
    async with with_api(tmp_path) as house:
        order = house.place(Life.open(), age=ago(days=3))
        async with calling(house) as caller:
            for _ in range(3):
                await house.wait(seconds=400)
                (one,) = (await caller.get("/api/v1/orders", state="open"))["orders"]
                assert (one["stale"], one["urgency"]) == (False, "normal")
                assert one["verified_age_seconds"] < 60
            house.faults.add(Fault(kind=Kind.SERVER_ERROR))
            await house.wait(seconds=400)
            (one,) = (await caller.get("/api/v1/orders", state="stale"))["orders"]
            assert one["row_id"] == str(order.row_id)
            assert (one["discrepancy"], one["urgency"]) == ("unverified", "warning")
            answer = await caller.ask("/readyz")
            assert answer.status_code == 503
            assert "1 of 1 accounts" in answer.json()["why"]
            await house.wait(minutes=60)
            (one,) = (await caller.get("/api/v1/orders", state="stale"))["orders"]
            assert one["urgency"] == "critical"


@virtually
async def test_an_untrue_row_is_told_as_such(tmp_path: Path) -> None:
    table = """
CREATE TABLE trades (
  id INTEGER PRIMARY KEY, product_id TEXT, order_id TEXT, client_id TEXT,
  status TEXT NOT NULL CHECK (status IN ('pending', 'cancelled', 'failed', 'unknown')),
  created_at DATETIME, filled_at DATETIME, filled_size FLOAT, avg_price FLOAT, fee FLOAT,
  reason TEXT
)"""
    async with with_api(tmp_path, table=table) as house:
        house.place(Life.filled(), age=ago(hours=2))
        async with calling(house) as caller:
            await house.wait(seconds=10)
            (one,) = (await caller.get("/api/v1/orders"))["orders"]
            assert (one["row_word"], one["exchange_status"]) == ("pending", "filled")
            assert (one["discrepancy"], one["stale"], one["state"]) == ("status", True, "stale")


@virtually
async def test_filters_leave_only_what_was_asked_for(tmp_path: Path) -> None:
    async with with_api(tmp_path, orders={"owner": "bot_id"}) as house:
        mine = house.place(Life.open(), bot_id=7, age=ago(hours=1))
        house.place(Life.open(), bot_id=8, age=ago(hours=5))
        async with calling(house) as caller:

            async def rows(**params: str) -> int:
                return len((await caller.get("/api/v1/orders", **params))["orders"])

            (one,) = (await caller.get("/api/v1/orders", owner="7"))["orders"]
            assert one["row_id"] == str(mine.row_id)
            since = (house.clock.now() - ago(hours=2)).isoformat()
            assert await rows(since=since) == await rows(until=since) == 1
            assert await rows(symbol="BTC-USD") == 2
            assert await rows(symbol="ETH-USD") == await rows(account="other") == 0
            assert await rows(state="stale") == await rows(state="final") == 0


@virtually
async def test_an_owner_is_blocked_by_its_open_rows(tmp_path: Path) -> None:
    async with with_api(tmp_path, orders={"owner": "bot_id"}) as house:
        first = house.place(Life.open(), bot_id=7, age=ago(hours=3))
        second = house.place(Life.open(), bot_id=7, age=ago(hours=1))
        house.place(Life.filled(), bot_id=8)
        async with calling(house) as caller:
            await house.wait(seconds=30)
            told = await caller.get("/api/v1/owners/7")
            assert told["blocked"] is True
            assert told["open_orders"] == 2
            assert told["orders"] == [str(first.row_id), str(second.row_id)]
            assert told["untruly_blocked_seconds_today"] == 0
            listed = {o["owner"]: o for o in (await caller.get("/api/v1/owners"))["owners"]}
            assert listed["7"] == told
            assert listed["8"]["blocked"] is False
            await caller.problem("/api/v1/owners/9", 404)


@virtually
async def test_how_long_an_owner_was_blocked_untruly_is_counted_once(tmp_path: Path) -> None:
    """Two orders fill at one moment, a minute after they were last looked at."""
    async with with_api(tmp_path, sync=RARELY, orders={"owner": "bot_id"}) as house:
        for _ in range(2):
            house.place(Life.filled(ago(hours=1, seconds=200)), bot_id=7)
        async with calling(house) as caller:
            await house.wait(seconds=205)
            await caller.post("/api/v1/sync")
            told = await caller.get("/api/v1/owners/7")
            assert told["blocked"] is False
            assert told["untruly_blocked_seconds_today"] == pytest.approx(10, abs=2)
            assert await caller.get("/api/v1/owners/7") == told


@virtually
async def test_accounts_tell_how_they_are_kept(tmp_path: Path) -> None:
    async with with_api(tmp_path, pushes=True) as house:
        house.place(Life.open())
        async with calling(house) as caller:
            (told,) = (await caller.get("/api/v1/accounts"))["accounts"]
            assert (told["account"], told["venue"]) == ("main", "coinbase")
            assert told["stream"]["state"] == "live"
            assert told["stream"]["last_gap"] is None
            assert told["polling"]["asked"] == 1
            assert told["degraded"] is None
            assert told["lease"]["mine"] is True
            budget = told["budget"]
            assert budget["share"] == 0.5
            assert budget["limit"] > 0
            assert budget["calls_last_minute"] == len(house.asked())  # all of its life so far
            assert told["exchange"]["answers"] is True
            assert told["exchange"]["silent_seconds"] is None
            assert told["shadow"] is False
            await house.wait(seconds=61)
            (told,) = (await caller.get("/api/v1/accounts"))["accounts"]
            assert told["budget"]["calls_last_minute"] > 0
            house.fault(StreamKind.CLOSE, count=1)
            await house.wait(seconds=30)
            (told,) = (await caller.get("/api/v1/accounts"))["accounts"]
            assert told["stream"]["state"] == "live"
            assert told["stream"]["last_gap"]["why"]
            assert told["stream"]["last_gap"]["seconds"] < 30
            assert str(house.folder) not in str(told)


@virtually
async def test_a_channel_that_takes_no_alerts_is_shown_with_the_accounts(tmp_path: Path) -> None:
    channels = [{"name": "phone", "url_file": "phone.url"}]
    async with (
        with_api(tmp_path, more={"alerts": {"channels": channels}}) as house,
        calling(house) as caller,
    ):
        (told,) = (await caller.get("/api/v1/accounts"))["channels"]
        assert told["name"] == "phone"
        assert "its address cannot be used" in told["why"]
        assert str(house.folder) not in told["why"]


@virtually
async def test_calls_are_counted_of_one_minute_however_long_nobody_asked(tmp_path: Path) -> None:
    async with with_api(tmp_path, sync={"interval": "10s"}) as house:
        house.place(Life.open())
        async with calling(house) as caller:
            await house.wait(minutes=30)
            (told,) = (await caller.get("/api/v1/accounts"))["accounts"]
            assert told["budget"]["calls_last_minute"] is None
            for _ in range(7):
                await house.wait(seconds=20)
                (told,) = (await caller.get("/api/v1/accounts"))["accounts"]
            assert told["budget"]["calls_last_minute"] == pytest.approx(6, abs=2)


@virtually
async def test_an_exchange_that_answers_nothing_is_named_before_patience_with_it_ends(
    tmp_path: Path,
) -> None:
    async with with_api(tmp_path, sync={"interval": "10s"}) as house:
        house.place(Life.open())
        async with calling(house) as caller:
            house.faults.add(Fault(kind=Kind.TIMEOUT, value=60))
            await house.wait(seconds=18)
            (told,) = (await caller.get("/api/v1/accounts"))["accounts"]
            assert told["exchange"]["answers"] is False
            assert told["exchange"]["silent_seconds"] > 9
            assert told["degraded"] == "the exchange does not answer"
            await house.wait(seconds=60)
            (told,) = (await caller.get("/api/v1/accounts"))["accounts"]
            assert told["exchange"]["unanswered_calls"] >= 3
            assert told["polling"]["failed"] == told["polling"]["asked"] == 1
            assert told["polling"]["why"]
            assert told["exchange"]["last_answer_at"] < told["polling"]["last_pass_at"]


@virtually
async def test_an_account_without_open_rows_is_not_called_behind(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        await house.wait(minutes=20)
        (told,) = (await caller.get("/api/v1/accounts"))["accounts"]
        assert told["polling"]["asked"] == 0
        assert told["degraded"] is None
