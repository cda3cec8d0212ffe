"""One pass, or the running service, makes every kind of order true, and then leaves it alone."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import Fault, Kind, Life, Step, What, limit_gtd, market
from tests.system.house import OPEN, House, Placed, ago, built, naive
from tests.virtual import EPOCH, run_virtually, virtually

if TYPE_CHECKING:
    from pathlib import Path

HALF = Decimal("0.5")
MINUTE = timedelta(minutes=1)
AT_ONCE = timedelta(0)


def lives() -> dict[str, Life]:
    """Every way in which an order can stand after an hour."""
    parts = ((MINUTE, Decimal("0.1")), (2 * MINUTE, Decimal("0.25")))
    opening = Step(after=AT_ONCE, what=What.OPEN)
    return {
        "pending": Life.pending(),
        "queued": Life.queued(),
        "open": Life.open(),
        "partly filled": Life.open(fills=parts),
        "edit queued": Life(steps=(opening, Step(after=MINUTE, what=What.EDIT_QUEUED))),
        "cancel queued": Life(steps=(opening, Step(after=MINUTE, what=What.CANCEL_QUEUED))),
        "filled": Life.filled(),
        "filled in parts": Life.filled(5 * MINUTE, fills=parts),
        "filled late": Life.filled(timedelta(minutes=59)),
        "canceled": Life.canceled(MINUTE),
        "canceled with fills": Life.canceled(MINUTE, share=Decimal("0.4")),
        "expired": Life.expired(MINUTE),
        "expired with fills": Life.expired(MINUTE, share=HALF),
        "failed": Life.failed(),
    }


def place_every_kind(house: House) -> list[Placed]:
    placed = [house.place(life) for life in lives().values()]
    placed += [
        house.place(Life.filled(), terms=market(quote_size="250")),
        house.place(Life.filled(), terms=market(quote_size="50"), source="RETAIL_SIMPLE"),
        house.place(Life.canceled(MINUTE), source="RETAIL_SIMPLE"),
        house.place(
            Life.expired(30 * MINUTE, share=HALF),
            terms=limit_gtd("2", "90", EPOCH),
        ),
        # What the bot believes is wrong, in every way that it can be.
        house.place(Life.filled(), status="failed"),
        house.place(Life.filled(), status="cancelled"),
        house.place(Life.open(), status="completed"),
        house.place(Life.canceled(MINUTE), status="completed"),
        house.place(Life.canceled(MINUTE, share=HALF), status="failed"),
        house.place(Life.filled(), filled_size=0.25, avg_price=1.0, fee=99.0),
        house.place(Life.filled(), order_id=None),
        house.place(Life.open(), order_id=""),
    ]
    return placed


@virtually
async def test_one_sync_makes_every_kind_of_order_true(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = place_every_kind(house)
        report = await house.sync()
        assert house.all_untrue(placed) == {}
        assert (report.failed, report.doubt, report.not_found) == ({}, "", set())
        assert all(house.row(one.row_id)["order_id"] == one.order_id for one in placed)


@virtually
async def test_a_second_pass_writes_nothing(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        place_every_kind(house)
        await house.sync()
        for pause in (1.0, 61.0, 1.0, 3600.0):
            before = house.dump()
            report = await house.sync()
            assert report.rows_written == 0
            assert house.dump() == before
            await house.wait(seconds=pause)


@virtually
async def test_what_is_not_the_services_to_write_is_never_written(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = place_every_kind(house)
        theirs = ("id", "bot_id", "product_id", "client_id", "created_at")
        before = {one.row_id: [house.row(one.row_id)[name] for name in theirs] for one in placed}
        await house.sync()
        after = {one.row_id: [house.row(one.row_id)[name] for name in theirs] for one in placed}
        assert after == before


@virtually
async def test_the_running_service_makes_everything_true_and_keeps_quiet(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = place_every_kind(house)
        async with house.running():
            assert await house.until_true(*placed, within=5) <= 5
            await house.wait(minutes=3)
            before = house.dump()
            await house.wait(minutes=10)
            assert house.dump() == before


@pytest.mark.parametrize("seconds", [0.0, 0.3, 2.0, 10.0])
def test_the_end_of_a_fresh_order_is_in_its_row_within_seconds(
    tmp_path: Path, seconds: float
) -> None:
    """Asked at growing steps: the wait is never longer than the order is old."""

    async def main() -> None:
        async with built(tmp_path) as house, house.running():
            await house.wait(seconds=61.3)
            life = Life.filled(timedelta(seconds=seconds))
            placed = house.place(life, age=AT_ONCE)
            took = await house.until_true(placed, within=60, step=0.05)
            while not house.truth(placed).final:
                await house.wait(seconds=0.05)
                took += 0.05
            took += await house.until_true(placed, within=60, step=0.05)
            late = took - seconds
            assert late <= max(1.2, seconds + 1.0), late

    run_virtually(main)


@virtually
async def test_the_end_of_an_old_order_is_in_its_row_within_an_interval(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = [
            house.place(Life.filled(timedelta(hours=2, seconds=100 + 7 * n)), age=ago(hours=2))
            for n in range(12)
        ]
        async with house.running():
            for n, one in enumerate(placed):
                await house.wait(seconds=max(0.0, 100 + 7 * n - house.clock.monotonic()))
                while not house.truth(one).final:
                    await house.wait(seconds=0.01)
                assert await house.until_true(one, within=30.5, step=0.1) <= 30.5


@virtually
async def test_a_row_that_appears_after_its_order_has_ended_is_true_at_once(tmp_path: Path) -> None:
    async with built(tmp_path) as house, house.running():
        await house.wait(seconds=100.1)
        placed = house.place(Life.filled(), age=ago(seconds=30))
        assert await house.until_true(placed, within=1.0, step=0.05) <= 1.0


@virtually
async def test_a_fill_that_was_seen_before_the_row_is_projected_when_it_appears(
    tmp_path: Path,
) -> None:
    """Of 200 rows a list of all open orders is asked for, and it shows strangers too."""
    async with built(tmp_path) as house:
        for _ in range(200):
            house.place()
        early = house.place(Life.open(fills=[(MINUTE, HALF)]))
        cells = house.row(early.row_id)
        house.sql("DELETE FROM trades WHERE id = ?", early.row_id)
        await house.sync()
        assert house.events(order=early.order_id) == ["changed"]
        house.insert(**{name: cells[name] for name in ("id", "order_id", "created_at")})
        await house.sync()
        assert house.untrue(early) == []


@virtually
async def test_a_cancel_keeps_the_fills_that_came_before_it(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        life = Life.open(fills=[(MINUTE, Decimal("0.4"))])
        placed = house.place(life)
        async with house.running():
            await house.wait(seconds=45)
            house.world.cancel(placed.order_id)
            await house.wait(seconds=40)
        row = house.row(placed.row_id)
        assert (row["status"], row["filled_size"]) == ("completed", 0.4)
        assert house.untrue(placed) == []


@virtually
async def test_a_fill_that_overtakes_a_queued_cancel_counts(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        life = Life(
            steps=(
                Step(after=AT_ONCE, what=What.OPEN),
                Step(after=timedelta(seconds=62), what=What.FILL, share=HALF),
            ),
            cancel_lag=timedelta(seconds=10),
        )
        placed = house.place(life, age=MINUTE)
        house.world.cancel(placed.order_id)
        async with house.running():
            await house.wait(seconds=1)
            assert house.word(placed) == OPEN
            await house.wait(minutes=1)
        assert house.untrue(placed) == []
        assert house.word(placed) == "completed"


@virtually
async def test_a_refused_cancel_leaves_the_order_open(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.open(refuses_cancel=True))
        async with house.running():
            house.world.cancel(placed.order_id)
            await house.wait(minutes=2)
        assert house.untrue(placed) == []
        assert house.word(placed) == OPEN


@virtually
async def test_fees_that_settle_late_are_read_again(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        life = Life.filled(MINUTE, settle_lag=timedelta(minutes=20))
        placed = house.place(life, age=ago(minutes=10))
        async with house.running():
            await house.wait(seconds=20)
            assert house.word(placed) == "completed"
            assert not house.row(placed.row_id)["fee"]
            await house.wait(minutes=45)
        assert house.row(placed.row_id)["fee"] == float(house.truth(placed).final_fee) > 0
        asked = sum(placed.order_id in one.query for one in house.asked("list"))
        assert asked < 20, "an unsettled order is asked for at growing steps"


@virtually
async def test_a_final_order_is_asked_once_more_after_a_minute_and_then_never(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled())
        async with house.running():
            await house.wait(minutes=20)
        times = [one.at for one in house.asked("list") if placed.order_id in one.query]
        assert len(times) == 2
        assert timedelta(seconds=60) <= times[1] - times[0] <= timedelta(seconds=91)


@virtually
async def test_separate_syncs_take_the_last_look_too(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place(Life.filled())
        for pause, calls in ((30.0, 1), (40.0, 0), (100.0, 1), (100.0, 0)):
            house.forget_asked()
            await house.sync()
            assert len(house.asked("list")) == calls
            await house.wait(seconds=pause)


@pytest.mark.parametrize("field", ["last_fill_time", "average_filled_price"])
def test_fills_complete_what_the_order_does_not_say(tmp_path: Path, field: str) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            house.faults.add(Fault(kind=Kind.MISSING_FIELD, on="list", value=field))
            placed = house.place(Life.filled(3 * MINUTE, fills=[(MINUTE, HALF)]))
            await house.sync()
            assert house.untrue(placed) == []
            assert len(house.asked("fills")) == 1

    run_virtually(main)


@virtually
async def test_fills_that_lag_behind_their_order_are_found_at_the_last_look(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.faults.add(Fault(kind=Kind.MISSING_FIELD, on="list", value="last_fill_time"))
        life = Life.filled(MINUTE, fills_lag=timedelta(seconds=40))
        placed = house.place(life, age=MINUTE)
        async with house.running():
            await house.wait(seconds=10)
            assert house.row(placed.row_id)["filled_at"] is None
            await house.wait(minutes=2)
        assert house.untrue(placed) == []


@virtually
async def test_the_time_of_an_earlier_fill_is_not_taken_for_that_of_the_last(
    tmp_path: Path,
) -> None:
    """Known while the order was open; its end tells no time, the listing of fills does."""
    async with built(tmp_path) as house:
        life = Life.filled(timedelta(minutes=65), fills=[(MINUTE, HALF)])
        placed = house.place(life)
        async with house.running():
            await house.wait(minutes=1)
            house.faults.add(Fault(kind=Kind.MISSING_FIELD, on="list", value="last_fill_time"))
            await house.wait(minutes=8)
        assert house.untrue(placed) == []


@virtually
async def test_fills_that_nobody_could_tell_are_asked_for_until_somebody_does(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        house.faults.add(Fault(kind=Kind.MISSING_FIELD, on="list", value="last_fill_time"))
        house.faults.add(Fault(kind=Kind.SERVER_ERROR, on="fills"))
        placed = house.place(Life.filled())
        async with house.running():
            await house.wait(minutes=5)
            assert house.word(placed) == "completed"
            assert house.row(placed.row_id)["filled_at"] is None
            house.faults.clear()
            house.faults.add(Fault(kind=Kind.MISSING_FIELD, on="list", value="last_fill_time"))
            await house.wait(minutes=5)
        assert house.untrue(placed) == []


@virtually
async def test_orders_that_change_while_they_are_paged_are_true_in_the_end(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.faults.add(Fault(kind=Kind.LATENCY, value=0.5))
        placed = [
            house.place(Life.filled(timedelta(hours=1, milliseconds=37 * n))) for n in range(150)
        ]
        async with house.running():
            await house.wait(seconds=75)
        assert house.all_untrue(placed) == {}


@virtually
async def test_the_log_says_what_the_first_users_look_for(
    tmp_path: Path, logs: list[dict[str, str]]
) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled())
        async with house.running():
            await house.wait(minutes=3)
        said = [line["event"] for line in logs]
        assert f"Updating order {placed.order_id}: pending -> completed" in said
        assert "Found 1 stale orders to check" in said
        assert "Sync complete: 1 updated, 0 not found on exchange, 0 failed" in said
        assert "No stale orders found" in said
        assert len(said) < 12, "quiet while nothing happens"


# --- what it costs -------------------------------------------------------------------------------


def fewest_calls(rows: int, account: int, unlisted: int) -> int:
    """The floor of the design: pages or batches for all, batches for those not in the list."""
    batches = math.ceil(rows / 100)
    pages = batches if account > 1000 else math.ceil(account / 1000)
    return min(pages, batches) + (math.ceil(unlisted / 100) if pages < batches else 0)


@pytest.mark.parametrize(
    ("rows", "strangers", "unlisted"),
    [
        (1, 0, 0),
        (100, 0, 100),
        (101, 0, 0),
        (199, 0, 3),
        (200, 700, 0),
        (450, 0, 30),
        (950, 0, 250),
        (300, 900, 0),
        (1100, 0, 0),
    ],
)
def test_a_pass_over_known_orders_costs_next_to_the_fewest_calls(
    tmp_path: Path, rows: int, strangers: int, unlisted: int
) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            for n in range(rows):
                house.place(Life.pending() if n < unlisted else Life.open())
            for _ in range(strangers):
                house.world.place(
                    house.account.portfolio,
                    "BTC-USD",
                    "BUY",
                    {"limit_limit_gtc": {"base_size": "1", "limit_price": "2"}},
                    life=Life.open(),
                    created_at=EPOCH - timedelta(hours=3),
                )
            async with house.serving() as service:
                await service.sync()
                house.forget_asked()
                report = await service.reconcilers["main"].sync_once()
            assert report.failed == {}
            account = rows + strangers
            assert len(house.asked()) <= 1.1 * fewest_calls(rows, account, unlisted) + 1

    run_virtually(main)


@virtually
async def test_an_account_that_had_too_many_open_orders_to_list_is_listed_again(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        orders = [
            house.world.place(
                house.account.portfolio,
                "BTC-USD",
                "BUY",
                {"limit_limit_gtc": {"base_size": "1", "limit_price": "100"}},
                life=Life.open() if n < 250 else Life.canceled(timedelta(minutes=62)),
                created_at=EPOCH - timedelta(hours=1),
            )
            for n in range(1050)
        ]
        house.insert_many(
            {"order_id": one.order_id, "created_at": naive(one.created_at)} for one in orders[:250]
        )
        async with house.running():
            await house.wait(minutes=1)
            house.forget_asked()
            await house.wait(minutes=5)
            assert 30 <= len(house.asked()) <= 33
            await house.wait(minutes=7)
            house.forget_asked()
            await house.wait(minutes=5)
            assert len(house.asked()) <= 11


@virtually
async def test_ten_thousand_orders_are_verified_in_time_and_without_a_429(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = [
            house.world.place(
                house.account.portfolio,
                "BTC-USD",
                "BUY",
                {"limit_limit_gtc": {"base_size": "1", "limit_price": "100"}},
                life=Life.filled() if n % 100 == 0 else Life.open(),
                created_at=EPOCH - timedelta(hours=1),
            )
            for n in range(10_000)
        ]
        house.insert_many(
            {"order_id": one.order_id, "created_at": naive(one.created_at)} for one in placed
        )
        async with house.serving() as service:
            began = house.clock.monotonic()
            (report,) = await service.sync()
            took = house.clock.monotonic() - began
        assert len(report.sighted) == 10_000
        assert (report.rows_written, report.failed) == (100, {})
        calls = house.asked("list")
        assert len(calls) <= 1.1 * 100 + 1
        assert {one.status for one in house.asked()} == {200}
        assert took <= 1.1 * len(house.asked()) / 15 + 0.1
