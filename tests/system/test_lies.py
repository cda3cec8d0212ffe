"""Answers that look right and are not: old ones, pages with holes, endpoints that forget."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import Fault, Faults, Kind, Life
from tests.system.house import OPEN, ago, built
from tests.virtual import run_virtually, virtually

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = timedelta(minutes=1)
DAYS = ago(days=2)


def forget(on: str, *order_ids: str) -> Fault:
    return Fault(kind=Kind.FORGETFUL, on=on, order_ids=frozenset(order_ids))


@virtually
async def test_a_stale_read_does_not_reopen_what_has_ended(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = [
            house.place(Life.filled(timedelta(minutes=60, seconds=5))),
            house.place(Life.canceled(timedelta(minutes=60, seconds=5), share=Decimal("0.4"))),
        ]
        async with house.running():
            await house.until_true(*placed, within=5)
            await house.wait(seconds=6)
            await house.until_true(*placed, within=31)
            house.faults.add(Fault(kind=Kind.STALE, value=120))
            for _ in range(400):
                await house.wait(seconds=0.5)
                assert house.all_untrue(placed) == {}
        assert house.events("conflict", "repaired") == []


@virtually
async def test_a_stale_read_takes_no_fill_back(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.open(fills=[(timedelta(minutes=60, seconds=2), Decimal("0.5"))]))
        async with house.running():
            await house.wait(seconds=35)
            assert house.row(placed.row_id)["filled_size"] == 0.5
            house.faults.add(Fault(kind=Kind.STALE, value=60))
            for _ in range(120):
                await house.wait(seconds=0.5)
                assert house.row(placed.row_id)["filled_size"] == 0.5


@virtually
async def test_an_order_too_young_for_a_stale_view_is_not_even_suspect(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place()
        house.faults.add(Fault(kind=Kind.STALE, value=20))
        async with house.running():
            await house.wait(seconds=70)
            fresh = house.place(Life.filled(), age=ago())
            await house.until_true(fresh, within=60)
        assert house.events("suspect", "unknown", order=fresh.order_id) == []


@virtually
async def test_a_new_order_that_cannot_be_seen_yet_is_kept(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place()
        house.faults.add(Fault(kind=Kind.NOT_FOUND, value=120))
        async with house.running():
            fresh = house.place(Life.filled(), age=ago())
            await house.wait(seconds=110)
            assert house.word(fresh) == OPEN
            await house.until_true(fresh, within=45)
        assert house.events("suspect", "unknown", order=fresh.order_id) == []


@virtually
async def test_a_new_order_that_cannot_be_seen_for_long_is_suspect_and_then_cleared(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        house.place()
        house.faults.add(Fault(kind=Kind.NOT_FOUND, value=1200))
        async with house.running():
            fresh = house.place(Life.filled(), age=ago())
            await house.wait(minutes=15)
            assert house.word(fresh) == OPEN
            assert house.absences() == {fresh.order_id: "suspect"}
            await house.wait(minutes=6)
            assert house.untrue(fresh) == []
        told = house.events(order=fresh.order_id)
        assert told == ["suspect", "resolved", "changed"]
        assert house.absences() == {}


@pytest.mark.parametrize("value", ["missed", "twice"])
def test_pages_that_shift_lose_no_order_for_good(tmp_path: Path, value: str) -> None:
    """Of 450 open orders in pages of 100 one is on no page, or on two."""

    async def main() -> None:
        async with built(tmp_path) as house:
            house.faults.add(Fault(kind=Kind.SHIFTING_PAGE, value=value, on="list"))
            house.faults.add(Fault(kind=Kind.TRUNCATED_PAGE, on="list", count=1))
            rows = [
                house.world.place(
                    house.account.portfolio,
                    "BTC-USD",
                    "BUY",
                    {"limit_limit_gtc": {"base_size": "1", "limit_price": "1"}},
                    life=Life.open(),
                    created_at=house.clock.now() - DAYS,
                )
                for _ in range(450)
            ]
            house.insert_many({"order_id": one.order_id} for one in rows)
            report = await house.sync()
            assert report.sighted == {one.order_id for one in rows}
            assert house.absences() == {}

    run_virtually(main)


@virtually
async def test_a_page_that_lacks_its_half_makes_nothing_unknown(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = [house.place(age=DAYS) for _ in range(30)]
        house.faults.add(Fault(kind=Kind.LOST_PAGE, on="list"))
        report = await house.sync()
        assert report.doubt, "half of all orders absent: the account is doubted"
        assert len(report.failed) == 15
        async with house.running():
            await house.wait(minutes=30)
        assert {house.word(one) for one in placed} == {OPEN}
        assert house.events("suspect", "unknown") == []


@virtually
async def test_a_page_that_lacks_a_few_is_contradicted_by_the_single_look_up(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = [house.place(Life.filled(), age=DAYS) for _ in range(12)]
        house.faults.add(Fault(kind=Kind.LOST_PAGE, on="list"))
        report = await house.sync()
        assert (report.failed, report.not_found) == ({}, set())
        assert house.all_untrue(placed) == {}
        assert house.events("suspect", "unknown") == []


@pytest.mark.parametrize("on", ["list", "get"])
def test_an_endpoint_that_forgets_an_order_marks_nothing(tmp_path: Path, on: str) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            house.place(age=DAYS)
            placed = house.place(Life.filled(timedelta(days=2, hours=1)), age=DAYS)
            house.faults.add(forget(on, placed.order_id))
            async with house.running():
                await house.wait(minutes=20)
                assert house.word(placed) == OPEN
                await house.wait(minutes=60)
                assert house.untrue(placed) == []
            assert house.events("suspect", "unknown", "missing_order") == []

    run_virtually(main)


@virtually
async def test_endpoints_that_forget_in_turn_mark_nothing(tmp_path: Path) -> None:
    """At every moment one of the two does not see it, and for some none does."""
    async with built(tmp_path, sync={"interval": "1m"}) as house:
        house.place(age=DAYS)
        placed = house.place(age=DAYS)
        async with house.running():
            for n in range(8):
                house.faults.clear()
                await house.wait(minutes=1)
                house.faults.add(forget("any", placed.order_id))
                await house.wait(minutes=5)
                house.faults.clear()
                house.faults.add(forget(("list", "get")[n % 2], placed.order_id))
                await house.wait(minutes=4)
                assert house.word(placed) == OPEN
        assert house.events("unknown") == []


@virtually
async def test_what_both_endpoints_forget_for_an_hour_is_marked_although_it_lives(
    tmp_path: Path,
) -> None:
    """What no guard can tell from the truth: one old order, forgotten by every endpoint, while
    the account shows all others. Marked after the hour that a sighted order is given; the next
    look that finds it takes the mark away."""
    async with built(tmp_path, sync={"interval": "1m"}) as house:
        house.place(age=DAYS)
        placed = house.place(Life.filled(timedelta(days=2, hours=2)), age=DAYS)
        async with house.running():
            await house.wait(minutes=1)
            house.faults.add(forget("any", placed.order_id))
            await house.wait(minutes=58)
            assert house.word(placed) == OPEN
            await house.wait(minutes=4)
            assert house.word(placed) == "unknown"
            house.faults.clear()
            await house.wait(minutes=61)
            assert house.untrue(placed) == []
        kinds = house.events("suspect", "unknown", "resolved", order=placed.order_id)
        assert kinds == ["suspect", "unknown", "resolved"]


@virtually
async def test_an_account_that_forgets_everything_is_doubted(tmp_path: Path) -> None:
    async with built(tmp_path, sync={"interval": "1m"}) as house:
        placed = [house.place(age=DAYS) for _ in range(5)]
        async with house.running():
            await house.wait(minutes=1)
            house.faults.add(forget("any"))
            await house.wait(hours=2)
            assert {house.word(one) for one in placed} == {OPEN}
            assert house.absences() == {}
        report = await house.sync()
        assert "another portfolio" in report.doubt
        assert set(report.failed) == {one.order_id for one in placed}


@pytest.mark.parametrize("seed", range(6))
def test_a_storm_of_lies_ends_in_the_truth(tmp_path: Path, seed: int) -> None:
    lying = (Kind.STALE, Kind.NOT_FOUND, Kind.SHIFTING_PAGE, Kind.LOST_PAGE)

    async def main() -> None:
        faults = Faults.from_seed(seed, kinds=lying, most=12, within_calls=80)
        async with built(tmp_path, seed=seed, faults=faults) as house, house.running():
            placed = []
            for n in range(15):
                placed.append(house.place(Life.filled(timedelta(seconds=5 * n)), age=ago()))
                await house.wait(seconds=4)
            await house.wait(minutes=8)
            assert [one for one in placed if house.untrue(one)] == []
            assert house.events("unknown", "suspect", "conflict") == []

    run_virtually(main)
