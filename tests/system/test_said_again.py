"""A pass that remembers what rests comes to the same end as one that looks into everything."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.ports import Result
from ordersync.simulator import Fault, Faults, Kind, Life
from ordersync.sync import reconcile
from tests.system.house import OPEN, House, Placed, ago, built
from tests.virtual import run_virtually, virtually

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.sync.reconcile import Reconciler
    from ordersync.sync.work import PassReport

TABLES = (
    "trades",
    "ordersync_orders",
    "ordersync_events",
    "ordersync_absences",
    "ordersync_due",
    "ordersync_notes",
    "ordersync_accounts",
)


def told(report: PassReport) -> tuple[object, ...]:
    """All that a pass reports, but for orders of which nothing had to be written."""
    return (
        report.asked,
        report.sighted,
        report.not_found,
        report.undecided,
        report.failed,
        report.troubles,
        report.doubt,
        report.open_at_venue,
        report.unidentified,
        report.rows_written,
        [o for o in report.outcomes if o.result is not Result.UNCHANGED],
    )


def disturb(house: House, dice: Random, placed: list[Placed]) -> None:
    """One deed of a bot that knows nothing of ordersync."""
    one = dice.choice(placed)
    deed = dice.randrange(9)
    if deed == 0:
        placed.append(house.place(Life.random(dice, span=timedelta(minutes=9)), age=ago(minutes=1)))
    elif deed == 1:
        house.update(one.row_id, status=dice.choice((OPEN, "failed", "cancelled")))
    elif deed == 2:
        house.update(one.row_id, fee=dice.random())
    elif deed == 3:
        house.insert(order_id=one.order_id, client_id=one.client_id, created_at=None)
    elif deed == 4:
        house.update(one.row_id, order_id=None)
    elif deed == 5:
        house.update(one.row_id, order_id=one.order_id)
    elif deed == 6:
        house.sql("DELETE FROM trades WHERE id <> ? AND order_id = ?", one.row_id, one.order_id)
    elif deed == 7:
        with contextlib.suppress(ValueError):
            house.world.cancel(one.order_id)


async def tell(seed: int, folder: Path, heard: list[int]) -> list[Any]:
    """What each of many passes reports, and what the tables hold at the end."""
    dice = Random(f"said again {seed}")  # noqa: S311 - dice
    faults = Faults.from_seed(seed, within_calls=60)
    found: list[Any] = []
    zone = dice.choice(("UTC", "UTC", "Europe/Berlin"))
    async with built(folder, seed=seed, faults=faults, orders={"timezone": zone}) as house:
        placed = [house.place(age=ago(hours=dice.choice((1, 2, 30)))) for _ in range(25)]
        placed += [
            house.place(Life.random(dice, span=timedelta(minutes=20)), age=ago(minutes=3))
            for _ in range(15)
        ]
        house.invent()
        async with house.serving() as service:
            reconciler = service.reconcilers["main"]
            await service.check_key("main")
            for _ in range(55):
                for _ in range(dice.choice((0, 0, 1, 3))):
                    disturb(house, dice, placed)
                found.append(told(await reconciler.full_pass(house.clock.now())))
                heard.append(len(at_rest(reconciler)))
                await house.wait(seconds=30)
        found.append(house.dump(*TABLES))
    return found


def at_rest(reconciler: Reconciler) -> dict[int, str]:
    return reconciler._at_rest.words  # noqa: SLF001 - whether anything was remembered at all


@pytest.mark.parametrize("seed", [*range(12), 26, 43])
def test_passes_that_remember_write_and_report_what_thorough_ones_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    folders = [tmp_path / name for name in ("remembering", "thorough")]
    for folder in folders:
        folder.mkdir()
    remembered: list[int] = []
    remembering = run_virtually(partial(tell, seed, folders[0], remembered), seed=seed)
    monkeypatch.setattr(reconcile, "THOROUGH_EVERY", 1)
    thorough = run_virtually(partial(tell, seed, folders[1], []), seed=seed)
    for number, (one, other) in enumerate(zip(remembering, thorough, strict=True), start=1):
        assert one == other, f"pass {number}"
    assert max(remembered) > 20


@pytest.mark.parametrize("seed", [*range(10), 26])
def test_passes_that_read_in_parts_write_and_report_what_those_do_that_read_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    folders = [tmp_path / name for name in ("parts", "whole")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(reconcile, "THOROUGH_EVERY", 3)
    whole = run_virtually(partial(tell, seed, folders[1], []), seed=seed)
    monkeypatch.setattr(reconcile, "READ_AT_ONCE", 3)
    parts = run_virtually(partial(tell, seed, folders[0], []), seed=seed)
    for number, (one, other) in enumerate(zip(parts, whole, strict=True), start=1):
        assert by_order(one) == by_order(other), f"pass {number}"


def by_order(found: Any) -> Any:  # noqa: ANN401 - what `tell` found: passes, and at last tables
    """Without the order in which what was written was reported."""
    if not isinstance(found, tuple):
        return found
    *rest, outcomes = found
    return (*rest, sorted(outcomes, key=lambda outcome: outcome.key))


@virtually
async def test_an_order_at_rest_that_fills_is_true_after_the_next_pass(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled(timedelta(minutes=63)))
        quiet = [house.place() for _ in range(5)]
        async with house.running() as service:
            await house.wait(minutes=2)
            assert len(at_rest(service.reconcilers["main"])) == 6
            await house.wait(minutes=2)
            assert house.untrue(placed) == []
            assert {house.word(one) for one in quiet} == {OPEN}


@virtually
async def test_a_stale_view_that_says_old_words_again_undoes_nothing(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        fills = [(timedelta(minutes=62, seconds=20), Decimal("0.4"))]
        placed = house.place(Life.open(fills=fills))
        async with house.running():
            await house.wait(minutes=3)
            assert house.row(placed.row_id)["filled_size"] == 0.4
            house.faults.add(Fault(kind=Kind.STALE, value=300))
            await house.wait(minutes=1)
            assert house.row(placed.row_id)["filled_size"] == 0.4
        assert house.events() == ["changed", "changed"]


@virtually
async def test_an_order_at_rest_that_vanishes_is_suspected_as_any_other(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = [house.place() for _ in range(6)]
        async with house.running():
            await house.wait(minutes=2)
            ids = frozenset([placed[0].order_id])
            house.faults.add(Fault(kind=Kind.FORGETFUL, order_ids=ids))
            house.forget_asked()
            await house.wait(seconds=30)
            # Both sources and no more: those that were said again are witnesses enough.
            assert len(house.asked("list")) == 2
            assert house.absences() == {placed[0].order_id: "suspect"}
            house.faults.clear()
            await house.wait(minutes=1)
            assert house.absences() == {}


@virtually
async def test_a_second_row_wakes_an_order_at_rest(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place()
        async with house.running():
            await house.wait(minutes=2)
            second = house.insert(order_id=placed.order_id, status="unknown")
            await house.wait(minutes=1)
        assert house.row(second)["status"] == OPEN
        assert house.events("duplicate_rows") == ["duplicate_rows"]


@virtually
async def test_what_an_order_at_rest_costs_is_no_commit(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        for _ in range(30):
            house.place()
        async with house.running():
            await house.wait(minutes=2)
            before = house.dump()
            await house.wait(minutes=30)
            assert house.dump() == before
