"""Cancelled at any await, and two at once: the end is the same, and each change is told once."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Fault, Kind, Life
from tests.system.house import House, Placed, ago, built
from tests.virtual import VirtualLoop, run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MINUTE = timedelta(minutes=1)
POINTS = 36


class Steps:
    """Counts the rounds of the running loop, and does something in one of them."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.count = 0
        self._at: int | None = None
        self._action: Callable[[], object] = int
        self._loop = loop
        # asyncio has no other place between two steps than its own private one.
        self._round: Callable[[], None] = vars(asyncio.BaseEventLoop)["_run_once"].__get__(loop)
        vars(loop)["_run_once"] = self._counted

    def at(self, count: int, action: Callable[[], object]) -> None:
        self.count, self._at, self._action = 0, count, action

    def _counted(self) -> None:
        self.count += 1
        if self.count == self._at:
            self._action()
        self._round()


def folder_in(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def furnish(house: House) -> list[Placed]:
    """Orders of several needs, so that a pass goes through every room."""
    return [
        house.place(Life.filled(3 * MINUTE, fills=[(MINUTE, Decimal("0.5"))])),
        house.place(Life.canceled(MINUTE, share=Decimal("0.4")), status="failed"),
        house.place(Life.open(fills=[(MINUTE, Decimal("0.25"))])),
        house.place(Life.filled(), order_id=None),
        house.place(Life.filled(), source="RETAIL_SIMPLE"),
    ]


def hide_fill_times(house: House) -> None:
    """One order of each page does not tell when it filled: its fills are asked for as well."""
    house.faults.add(Fault(kind=Kind.MISSING_FIELD, on="list", value="last_fill_time"))


def told(house: House) -> dict[str, list[str]]:
    """The kinds of events of each order, in their order."""
    found: dict[str, list[str]] = {}
    for kind, key in house.sql("SELECT kind, order_key FROM ordersync_events ORDER BY log_id, n"):
        found.setdefault(key, []).append(kind)
    return found


def check_told_once(house: House) -> None:
    """One event for each version of each truth, and none twice."""
    versions: dict[str, int] = dict(house.sql("SELECT order_key, version FROM ordersync_orders"))
    changes: dict[str, Any] = {
        key: sum(kind in {"changed", "confirmed"} for kind in kinds)
        for key, kinds in told(house).items()
    }
    assert {key: changes.get(key, 0) for key in versions} == versions
    ids = house.sql("SELECT log_id, n FROM ordersync_events")
    assert len(set(ids)) == len(ids)


async def undisturbed(house: House) -> tuple[list[Any], int]:
    """What the rows are after an undisturbed pass, and how many steps it takes."""
    steps = Steps()
    steps.at(0, int)
    await house.sync()
    return house.dump("trades")["trades"], steps.count


@pytest.mark.parametrize("part", range(4))
def test_a_sync_cancelled_at_any_step_can_be_done_again(tmp_path: Path, part: int) -> None:
    expected, count = run_virtually(partial(_whole, folder_in(tmp_path, "whole")))
    points = [1 + count * n // POINTS for n in range(POINTS)]
    ended = [
        run_virtually(partial(_cut, folder_in(tmp_path, str(point)), point, expected))
        for point in points[part::4]
    ]
    assert any(ended), "no cut left anything half done: the points are too late"


async def _whole(folder: Path) -> tuple[list[Any], int]:
    async with built(folder) as house:
        hide_fill_times(house)
        placed = furnish(house)
        rows, count = await undisturbed(house)
        assert house.all_untrue(placed) == {}
        return rows, count


async def _cut(folder: Path, point: int, expected: list[Any]) -> bool:
    """Cancel at this step; then to the end. Whether the first attempt had left work to do."""
    async with built(folder) as house:
        hide_fill_times(house)
        placed = furnish(house)
        steps = Steps()
        async with asyncio.TaskGroup() as group:
            cut = group.create_task(house.sync())
            steps.at(point, cut.cancel)
        check_nothing_invented(house, placed)
        report = await house.sync()
        assert report.failed == {}
        await house.wait(seconds=70)
        await house.sync()
        assert house.dump("trades")["trades"] == expected
        check_told_once(house)
        await house.wait(seconds=70)
        await house.sync()
        before = house.dump()
        await house.sync()
        assert house.dump() == before
        return report.rows_written > 0


def check_nothing_invented(house: House, placed: list[Placed]) -> None:
    """Each row is true or untouched; only the time of a fill comes in an answer of its own."""
    for one in placed:
        untrue = [what for what in house.untrue(one) if not what.startswith("filled_at None")]
        row = house.row(one.row_id)
        untouched = row["filled_size"] is None and row["status"] in {"pending", "failed"}
        assert not untrue or untouched, (row, untrue)


@contextlib.contextmanager
def connections() -> Iterator[list[sqlite3.Connection]]:
    """Every connection that is made in the block. A hook cannot be taken out: it falls asleep."""
    made: list[sqlite3.Connection] = []
    listens = True

    def heard(event: str, about: tuple[Any, ...]) -> None:
        if listens and event == "sqlite3.connect/handle":
            made.append(about[0])

    sys.addaudithook(heard)
    try:
        yield made
    finally:
        listens = False


def is_closed(connection: sqlite3.Connection) -> bool:
    try:
        return connection.total_changes < 0
    except sqlite3.ProgrammingError:
        return True


def test_a_sync_cancelled_while_it_ends_still_gives_all_back(tmp_path: Path) -> None:
    expected, count = run_virtually(partial(_whole, folder_in(tmp_path, "whole")))
    for point in range(count - 12, count):
        folder = folder_in(tmp_path, str(point))
        with connections() as made:
            run_virtually(partial(_cut, folder, point, expected))
        assert made
        assert all(map(is_closed, made)), f"cut in step {point} of {count}"


@pytest.mark.parametrize("part", range(2))
def test_a_case_of_absence_survives_being_cut_anywhere(tmp_path: Path, part: int) -> None:
    async def main(point: int, folder: Path) -> None:
        async with built(folder) as house:
            house.place()
            gone = house.invent()
            steps = Steps()
            async with asyncio.TaskGroup() as group:
                cut = group.create_task(house.sync())
                steps.at(point, cut.cancel)
            assert house.word(gone) in {"pending", "unknown"}
            await house.sync()
            assert house.word(gone) == "unknown"
            assert house.events(order=gone.order_id) == ["suspect", "unknown"]

    for point in range(5 + 40 * part, 400, 80):
        run_virtually(partial(main, point, folder_in(tmp_path, str(point))))


@virtually
async def test_the_running_service_can_be_stopped_at_any_time(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = [house.place(Life.filled(timedelta(seconds=n)), age=ago()) for n in range(1, 30)]
        for n in range(30):
            async with house.running():
                await house.wait(seconds=0.03 + 0.041 * n)
        async with house.running():
            await house.wait(seconds=40)
        assert house.all_untrue(placed) == {}
        check_told_once(house)


@pytest.mark.parametrize("seed", range(3))
def test_two_services_on_one_table_tell_each_change_once(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        async with built(tmp_path, seed=seed) as house:
            gone = house.invent()
            placed = furnish(house)
            async with house.running():
                await house.wait(seconds=0.137 * seed)
                async with house.running():
                    for n in range(20):
                        half = (timedelta(seconds=1), Decimal("0.5"))
                        life = Life.filled(timedelta(seconds=3 * n + 1), fills=[half])
                        placed.append(house.place(life, age=ago()))
                        await house.wait(seconds=2.9)
                    await house.wait(seconds=100)
                    assert house.all_untrue(placed) == {}
                    assert house.word(gone) == "unknown"
                    check_told_once(house)
                    before = house.dump()
                    await house.wait(minutes=3)
                    assert house.dump() == before
            assert house.events("conflict", "repaired", "contested") == []

    run_virtually(main, seed=seed)


@virtually
async def test_two_services_tell_once_of_an_order_that_is_gone(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place()
        gone = house.invent()
        async with house.running(), house.running():
            await house.wait(minutes=1)
        assert house.events(order=gone.order_id) == ["suspect", "unknown"]


@virtually
async def test_two_syncs_at_the_same_moment_write_each_row_once(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = [house.place(Life.filled()) for _ in range(40)]
        async with asyncio.TaskGroup() as group:
            both = [group.create_task(house.sync()) for _ in range(2)]
        assert house.all_untrue(placed) == {}
        assert sum(task.result().rows_written for task in both) == 40
        check_told_once(house)
