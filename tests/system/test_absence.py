"""What is gone is only called so when the account has proved itself, slowly, and by two ways."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import Fault, Kind, Life
from tests.system.house import OPEN, House, Placed, ago, built, naive, tallies
from tests.virtual import run_virtually, virtually

if TYPE_CHECKING:
    from pathlib import Path

DAYS = ago(days=2)
SELDOM = {"interval": "1m"}


def vanish(house: House, *placed: Placed) -> None:
    """From now on the exchange does not know these orders."""
    ids = frozenset(one.order_id for one in placed)
    house.faults.add(Fault(kind=Kind.FORGETFUL, order_ids=ids))


# --- an order that never was ---------------------------------------------------------------------


@virtually
async def test_one_sync_decides_about_an_order_that_never_was(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place()
        gone = house.invent()
        before = house.row(gone.row_id)
        began = house.clock.monotonic()
        report = await house.sync()
        took = house.clock.monotonic() - began
        assert house.row(gone.row_id) == {**before, "status": "unknown"}
        assert report.not_found == {gone.order_id}
        assert report.failed == {}
        assert 10 <= took < 12, "readings at least ten seconds apart"
        tally = tallies(house, gone)
        assert sum(tally.values()) >= 3
        assert tally.keys() == {"batch", "by_id"}
        assert house.events(order=gone.order_id) == ["suspect", "unknown"]


@virtually
async def test_an_order_is_only_unknown_a_day_after_its_creation(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        house.place()
        gone = house.invent(age=ago(hours=23, minutes=30))
        report = await house.sync()
        assert (house.word(gone), report.not_found) == (OPEN, set())
        assert house.absences() == {gone.order_id: "suspect"}
        async with house.running():
            await house.wait(minutes=29)
            assert house.word(gone) == OPEN
            await house.wait(minutes=2)
            assert house.word(gone) == "unknown"
        assert house.events(order=gone.order_id) == ["suspect", "unknown"]


@virtually
async def test_one_endpoint_alone_needs_ten_minutes(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place()
        gone = house.invent()
        house.faults.add(Fault(kind=Kind.SERVER_ERROR, on="get"))
        async with house.running():
            await house.wait(minutes=9, seconds=50)
            assert tallies(house, gone).keys() == {"batch"}
            assert tallies(house, gone)["batch"] >= 3
            assert house.word(gone) == OPEN
            await house.wait(minutes=2)
            assert house.word(gone) == "unknown"


@virtually
async def test_an_endpoint_that_cannot_show_a_witness_proves_no_absence(tmp_path: Path) -> None:
    """The look-up by id does not show the order that the batch has just shown."""
    async with built(tmp_path) as house:
        house.place()
        gone = house.invent()
        house.faults.add(Fault(kind=Kind.FORGETFUL, on="get"))
        await house.sync()
        assert tallies(house, gone).keys() == {"batch"}
        assert house.word(gone) == OPEN


@virtually
async def test_a_restart_in_the_middle_forgets_nothing(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place()
        gone = house.invent()
        async with house.running():
            await house.wait(seconds=1)
        first = tallies(house, gone)
        assert first
        assert house.word(gone) == OPEN
        await house.wait(seconds=30)
        async with house.running():
            await house.wait(seconds=1)
        assert sum(tallies(house, gone).values()) > sum(first.values())
        assert house.word(gone) == "unknown"


# --- an order that was there once ----------------------------------------------------------------


@virtually
async def test_an_order_once_sighted_is_given_an_hour(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        house.place(age=DAYS)
        gone = house.place(age=DAYS)
        async with house.running():
            await house.wait(minutes=1)
            vanish(house, gone)
            await house.wait(minutes=59)
            assert house.word(gone) == OPEN
            assert house.absences() == {gone.order_id: "suspect"}
            await house.wait(minutes=2)
            assert house.word(gone) == "unknown"
        kinds = house.events("suspect", "unknown", order=gone.order_id)
        assert kinds == ["suspect", "unknown"], "suspicion is told once"


@virtually
async def test_the_hour_is_counted_across_restarts(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place(age=DAYS)
        gone = house.place(age=DAYS)
        await house.sync()
        vanish(house, gone)
        for minutes, word in ((0, OPEN), (25, OPEN), (25, OPEN), (9, OPEN), (2, "unknown")):
            await house.wait(minutes=minutes)
            report = await house.sync()
            assert house.word(gone) == word
            assert (gone.order_id in report.failed) == (word == OPEN)


@virtually
async def test_any_sighting_starts_the_hour_anew(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        house.place(age=DAYS)
        gone = house.place(age=DAYS)
        async with house.running():
            await house.wait(minutes=1)
            vanish(house, gone)
            await house.wait(minutes=40)
            assert house.absences() == {gone.order_id: "suspect"}
            house.faults.clear()
            await house.wait(minutes=1)
            assert house.absences() == {}
            vanish(house, gone)
            await house.wait(minutes=50)
            assert house.word(gone) == OPEN
            await house.wait(minutes=12)
            assert house.word(gone) == "unknown"
        assert house.events("suspect", "resolved", "unknown", order=gone.order_id) == [
            "suspect",
            "resolved",
            "suspect",
            "unknown",
        ]


@virtually
async def test_silence_in_between_neither_counts_nor_resets(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place(age=DAYS)
        gone = house.place(age=DAYS)
        await house.sync()
        vanish(house, gone)
        await house.sync()
        counted = tallies(house, gone)
        house.faults.add(Fault(kind=Kind.SERVER_ERROR))
        for _ in range(5):
            await house.wait(minutes=10)
            await house.sync()
        assert tallies(house, gone) == counted
        assert house.word(gone) == OPEN
        house.faults.clear()
        vanish(house, gone)
        await house.wait(minutes=15)
        await house.sync()
        assert house.word(gone) == "unknown"


@virtually
async def test_an_order_that_comes_back_is_true_again(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        house.place(age=DAYS)
        gone = house.place(Life.canceled(ago(days=2, hours=2)), age=DAYS)
        await house.sync()
        vanish(house, gone)
        async with house.running():
            await house.wait(minutes=63)
            assert house.word(gone) == "unknown"
            house.faults.clear()
            await house.wait(minutes=62)
            assert house.untrue(gone) == []
        assert house.events(order=gone.order_id)[-1] in {"changed", "repaired"}


# --- when the account cannot prove itself --------------------------------------------------------


@virtually
async def test_a_key_of_another_portfolio_writes_nothing(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = [house.place(age=DAYS) for _ in range(3)]
        stranger = house.world.open_account("ed25519")
        before = house.dump("trades")
        report = await house.sync(key=stranger)
        assert "another portfolio" in report.doubt
        assert "accept-absent" in report.doubt
        assert set(report.failed) == {one.order_id for one in placed}
        assert house.dump("trades") == before
        assert (house.absences(), house.events()) == ({}, [])
        # Whether or not anything was kept of the account: not whose it is.
        kept = [body for (body,) in house.sql("SELECT body FROM ordersync_accounts")]
        assert all('"identity":null' in body for body in kept)
        # The right key afterwards finds everything as it was.
        report = await house.sync()
        assert (report.doubt, report.failed) == ("", {})


@virtually
async def test_a_wrong_key_that_keeps_running_never_marks_anything(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        placed = [house.place(age=DAYS) for _ in range(3)]
        right, house.account = house.account, house.world.open_account("ed25519")
        async with house.running():
            await house.wait(minutes=25)
        assert {house.word(one) for one in placed} == {OPEN}
        assert house.events() == []
        house.account = right
        await house.sync()


@virtually
async def test_an_account_that_changed_between_runs_is_doubted(tmp_path: Path) -> None:
    """Even where the other portfolio has orders of this table, and few are absent."""
    async with built(tmp_path) as house:
        ours = [house.place(age=DAYS) for _ in range(3)]
        await house.sync()
        stranger = house.world.open_account("ed25519")
        for _ in range(30):
            made = house.world.place(
                stranger.portfolio,
                "BTC-USD",
                "BUY",
                {"limit_limit_gtc": {"base_size": "1", "limit_price": "1"}},
                life=Life.open(),
                created_at=house.clock.now() - DAYS,
            )
            house.insert(order_id=made.order_id, created_at=naive(made.created_at))
        await house.wait(hours=2)
        report = await house.sync(key=stranger)
        assert "another account" in report.doubt
        assert {house.word(one) for one in ours} == {OPEN}
        assert house.absences() == {}
        assert {one.order_id for one in ours} <= set(report.failed)


@virtually
async def test_another_host_with_the_same_portfolio_is_another_account(tmp_path: Path) -> None:
    """A paper exchange may well know the portfolio, and few of its orders."""
    async with built(tmp_path) as house:
        for _ in range(3):
            house.place(age=DAYS)
        await house.sync()
        gone = house.invent()
        report = await house.sync(url="http://localhost:8700")
        assert "another account" in report.doubt
        assert house.word(gone) == OPEN
        await house.sync()
        assert house.word(gone) == "unknown"


@virtually
async def test_without_any_other_order_to_be_shown_nothing_is_marked(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        gone = house.invent()
        report = await house.sync()
        assert report.doubt
        assert house.word(gone) == OPEN
        async with house.running():
            await house.wait(minutes=30)
        assert house.word(gone) == OPEN


@virtually
async def test_a_row_long_finished_is_witness_enough(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place(Life.filled(), age=ago(days=30), status="completed")
        gone = house.invent()
        report = await house.sync()
        assert report.doubt == ""
        assert house.word(gone) == "unknown"


@pytest.mark.parametrize(
    ("asked", "gone", "verdict"),
    [
        (11, 10, True),
        (12, 11, False),
        (40, 10, True),
        (43, 11, False),
        (44, 11, True),
        (48, 13, False),
    ],
)
def test_more_than_ten_and_a_quarter_absent_are_no_verdict(
    tmp_path: Path, asked: int, gone: int, *, verdict: bool
) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            for _ in range(asked - gone):
                house.place(age=DAYS)
            invented = [house.invent() for _ in range(gone)]
            report = await house.sync()
            words = {house.word(one) for one in invented}
            assert words == ({"unknown"} if verdict else {OPEN})
            assert bool(report.doubt) is not verdict
            assert len(report.failed) == (0 if verdict else gone)
            if not verdict:
                assert house.absences() == {}

    run_virtually(main)


@virtually
async def test_a_persons_word_stands_for_the_accounts_proof(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        invented = [house.invent() for _ in range(14)]
        young = house.invent(age=ago(hours=3))
        report = await house.sync(accept_absent=True)
        assert {house.word(one) for one in invented} == {"unknown"}
        assert len(report.not_found) == 14
        assert house.word(young) == OPEN, "the age is not for a person to accept"


@virtually
async def test_a_persons_word_makes_silence_no_absence(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        gone = house.invent()
        house.faults.add(Fault(kind=Kind.SERVER_ERROR, on="list"))
        report = await house.sync(accept_absent=True)
        assert house.word(gone) == OPEN
        assert house.absences() == {}
        assert gone.order_id in report.failed


# --- afterwards ----------------------------------------------------------------------------------


@virtually(limit_seconds=40 * 86_400.0)
async def test_an_unknown_order_is_asked_for_hourly_then_daily_then_never(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place(Life.filled(), age=ago(days=3), status="completed")
        gone = house.invent()
        await house.sync()
        assert house.word(gone) == "unknown"

        async def asked(hours: float, step: float) -> int:
            """How many of the passes of these hours ask for it."""
            count = 0
            for _ in range(round(hours / step)):
                await house.wait(hours=step)
                house.forget_asked()
                await house.sync()
                count += any(gone.order_id in one.query for one in house.asked("list"))
            return count

        assert 4 <= await asked(hours=5, step=0.5) <= 5
        await house.wait(hours=19)
        await house.sync()
        assert 4 <= await asked(hours=5 * 24, step=8) <= 5
        await house.wait(hours=26 * 24)
        await house.sync()
        assert await asked(hours=3 * 24, step=12) == 0
        assert house.word(gone) == "unknown"


@virtually
async def test_a_finished_row_whose_order_is_gone_is_reported_and_left(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place()
        gone = house.invent(
            status="completed",
            filled_size=3.0,
            created_at=naive(house.clock.now() - DAYS),
            filled_at=naive(house.clock.now() - ago(hours=1)),
        )
        before = house.row(gone.row_id)
        await house.sync()
        await house.sync()
        assert house.row(gone.row_id) == before
        assert house.events(order=gone.order_id) == ["suspect", "missing_order"]


@virtually
async def test_a_truth_that_is_final_is_not_shaken_by_absence(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        house.place()
        placed = house.place(Life.filled(ago(hours=47)), age=DAYS)
        await house.sync()
        before = house.row(placed.row_id)
        vanish(house, placed)
        async with house.running():
            await house.wait(minutes=70)
            house.update(placed.row_id, status=OPEN)
            await house.wait(minutes=2)
        assert house.row(placed.row_id) == before
        assert house.absences() == {}


# --- rows without a name, or with half of one ----------------------------------------------------


@virtually
async def test_a_row_without_any_id_is_left_alone_and_told(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place()
        nameless = house.invent(order_id=None, client_id=None)
        blank = house.invent(order_id="", client_id=" ")
        before = house.dump("trades")
        report = await house.sync()
        assert {claim.row_id for claim in report.unidentified} == {nameless.row_id, blank.row_id}
        assert house.dump("trades") == before


@virtually
async def test_an_order_is_found_by_its_client_id_and_its_row_learns_the_venues(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = [
            house.place(Life.filled(), order_id=None),
            house.place(Life.filled(), order_id=None, age=DAYS),
            house.place(Life.filled(), order_id=None, source="RETAIL_SIMPLE"),
        ]
        report = await house.sync()
        assert report.failed == {}
        for one in placed:
            assert house.row(one.row_id)["order_id"] == one.order_id
            assert house.untrue(one) == []


@virtually
async def test_a_fresh_row_without_the_venues_id_is_true_within_seconds(tmp_path: Path) -> None:
    async with built(tmp_path) as house, house.running():
        await house.wait(seconds=40.2)
        placed = house.place(Life.filled(), age=ago(), order_id=None)
        assert await house.until_true(placed, within=4) <= 4


@virtually
async def test_an_order_gone_by_client_id_needs_ten_minutes_of_history(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        for _ in range(3):
            house.place(age=DAYS)
        gone = house.invent(order_id=None)
        async with house.running():
            await house.wait(minutes=9)
            assert house.word(gone) == OPEN
            await house.wait(minutes=3)
            assert house.word(gone) == "unknown"


@virtually
async def test_a_table_in_another_zone_judges_no_row_by_its_client_id(tmp_path: Path) -> None:
    """The bot writes local time; read as UTC, an order may be outside of the window searched."""
    async with built(tmp_path) as house:
        off = timedelta(hours=7)
        for _ in range(3):
            placed = house.place(age=DAYS)
            house.update(placed.row_id, created_at=naive(house.clock.now() - DAYS + off))
        gone = house.invent(order_id=None, created_at=naive(house.clock.now() - DAYS + off))
        found = house.place(Life.filled(), age=DAYS, order_id=None)
        house.update(found.row_id, created_at=naive(house.clock.now() - DAYS + off))
        async with house.running():
            await house.wait(minutes=30)
        assert house.word(gone) == OPEN
        assert house.word(found) == "completed", "a sighting is a sighting in any zone"


@virtually
async def test_no_verdict_by_client_id_where_many_are_absent(tmp_path: Path) -> None:
    """In several windows of history, few in each: the share counts for the pass."""
    async with built(tmp_path) as house:
        for days in (2, 10, 20, 30):
            house.place(age=ago(days=days))
        gone = [
            house.invent(order_id=None, age=ago(days=days, minutes=n))
            for days in (2, 10, 20, 30)
            for n in range(4)
        ]
        async with house.running():
            await house.wait(minutes=15)
        assert {house.word(one) for one in gone} == {OPEN}


@virtually
async def test_a_key_of_another_account_makes_no_absence_of_a_client_id(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        for _ in range(3):
            house.place(age=DAYS)
        await house.sync()
        gone = house.invent(order_id=None)
        stranger = house.world.open_account("ed25519")
        made = house.world.place(
            stranger.portfolio,
            "BTC-USD",
            "BUY",
            {"limit_limit_gtc": {"base_size": "1", "limit_price": "1"}},
            life=Life.open(),
            created_at=house.clock.now() - DAYS,
        )
        house.insert(order_id=made.order_id, created_at=naive(made.created_at))
        house.account = stranger
        async with house.running():
            await house.wait(minutes=15)
        assert house.word(gone) == OPEN
        assert gone.client_id not in house.absences()


@virtually
async def test_a_deleted_row_takes_its_case_out_of_the_world(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place(age=DAYS)
        gone = house.invent()
        async with house.running():
            await house.wait(seconds=2)
            house.sql("DELETE FROM trades WHERE id = ?", gone.row_id)
            await house.wait(minutes=2)
            house.forget_asked()
            await house.wait(minutes=2)
            assert house.asked()
            assert not any(gone.order_id in one.query for one in house.asked())
