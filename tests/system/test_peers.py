"""The scenarios in which other systems were measured, each as it went for them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from ordersync.simulator import Fault, Kind, Life
from tests.system.house import OPEN, ago, built
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = timedelta(minutes=1)


@virtually
async def test_venue_down_for_ten_cycles_closes_no_live_order(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = [house.place(age=ago(days=2)) for _ in range(20)]
        async with house.running():
            await house.wait(seconds=31)
            before = house.dump()
            house.faults.add(Fault(kind=Kind.SERVER_ERROR))
            for _ in range(10):
                await house.wait(seconds=30)
            assert house.dump() == before
            house.faults.clear()
            await house.wait(minutes=1)
        assert {house.word(one) for one in placed} == {OPEN}
        assert house.events("suspect", "unknown") == []


@virtually
async def test_a_missed_fill_is_healed_within_one_pass(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled(timedelta(minutes=65)))
        await house.sync()
        assert house.word(placed) == OPEN
        await house.wait(minutes=6)
        report = await house.sync()
        assert report.rows_written == 1
        assert house.untrue(placed) == []


@virtually
async def test_partial_fill_and_cancel_while_blind_keeps_the_forty_percent(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        life = Life.canceled(timedelta(minutes=64), share=Decimal("0.4"))
        placed = house.place(life, age=ago(minutes=30))
        async with house.running():
            await house.wait(minutes=1)
            house.faults.add(Fault(kind=Kind.DROP))
            await house.wait(minutes=34)
            house.faults.clear()
            await house.wait(minutes=2)
        row = house.row(placed.row_id)
        assert (row["status"], row["filled_size"]) == ("completed", 0.4)
        assert house.untrue(placed) == []


@virtually
async def test_a_stale_open_after_the_end_is_blocked(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled(timedelta(minutes=60, seconds=1)))
        await house.wait(seconds=2)
        await house.sync()
        assert house.untrue(placed) == []
        house.faults.add(Fault(kind=Kind.STALE, value=3600))
        # The bot looks at the same stale view and reopens its row.
        house.update(placed.row_id, status=OPEN)
        await house.wait(seconds=60)
        await house.sync()
        assert house.word(placed) == "completed"
        assert house.row(placed.row_id)["filled_size"] == 1.0


@virtually
async def test_a_stale_open_after_a_partial_fill_is_blocked(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.open(fills=[(timedelta(minutes=59, seconds=58), Decimal("0.4"))]))
        await house.sync()
        assert house.row(placed.row_id)["filled_size"] == 0.4
        house.faults.add(Fault(kind=Kind.STALE, value=600))
        await house.sync()
        assert house.row(placed.row_id)["filled_size"] == 0.4
        assert house.events() == ["changed"]


@virtually
async def test_one_not_found_at_startup_keeps_the_row(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place()
        fresh = house.place(age=ago(minutes=10))
        ids = frozenset([fresh.order_id])
        house.faults.add(Fault(kind=Kind.FORGETFUL, order_ids=ids))
        report = await house.sync()
        assert house.word(fresh) == OPEN
        assert house.absences() == {fresh.order_id: "suspect"}
        assert fresh.order_id in report.failed
        house.faults.clear()
        await house.sync()
        assert house.absences() == {}


@virtually
async def test_not_found_then_seen_then_not_found_resets(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place(age=ago(days=2))
        placed = house.place(age=ago(days=2))
        await house.sync()
        ids = frozenset([placed.order_id])
        for _ in range(4):
            house.faults.add(Fault(kind=Kind.FORGETFUL, order_ids=ids))
            await house.sync()
            await house.wait(minutes=20)
            await house.sync()
            house.faults.clear()
            await house.wait(minutes=20)
            await house.sync()
            assert house.absences() == {}
        assert house.word(placed) == OPEN
        assert house.events("unknown") == []


@virtually
async def test_a_hundred_open_orders_that_did_not_change_cost_two_calls_at_most(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        for _ in range(100):
            house.place()
        async with house.running():
            await house.wait(minutes=3)
            house.forget_asked()
            before = house.dump()
            await house.wait(minutes=10)
            assert len(house.asked()) <= 2 * 20
            assert house.dump() == before


@virtually
async def test_a_fill_before_the_cancel_took_effect_is_not_lost(tmp_path: Path) -> None:
    """The cancel was accepted, the order filled all the same: nobody holds coins unnoticed."""
    async with built(tmp_path) as house:
        placed = house.place(Life.filled(timedelta(minutes=60, seconds=10)), status="cancelled")
        house.update(placed.row_id, filled_at=None)
        async with house.running():
            await house.wait(minutes=2)
        assert house.untrue(placed) == []
