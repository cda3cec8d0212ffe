"""Silence never changes anything: no row, no truth, no case of absence; and it is told."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import Fault, Kind, Life
from tests.system.house import OPEN, House, Placed, SetClock, ago, built
from tests.virtual import run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path
    from typing import Any

MINUTE = timedelta(minutes=1)

MUTE = {
    "latency beyond patience": Fault(kind=Kind.LATENCY, value=25),
    "429": Fault(kind=Kind.TOO_MANY),
    "429 with a pause": Fault(kind=Kind.TOO_MANY, value=3),
    "500": Fault(kind=Kind.SERVER_ERROR),
    "html": Fault(kind=Kind.HTML),
    "timeout": Fault(kind=Kind.TIMEOUT),
    "drop": Fault(kind=Kind.DROP),
    "truncated page": Fault(kind=Kind.TRUNCATED_PAGE),
    "garbage": Fault(kind=Kind.GARBAGE),
    "other json": Fault(kind=Kind.GARBAGE, value='{"orders": {}, "has_next": 0}'),
    "empty": Fault(kind=Kind.EMPTY),
    "unauthorized": Fault(kind=Kind.UNAUTHORIZED),
    "forbidden": Fault(kind=Kind.FORBIDDEN),
}
SPOILT = {
    "unknown status": Fault(kind=Kind.UNKNOWN_STATUS),
    "no information": Fault(kind=Kind.UNKNOWN_STATUS, value="UNKNOWN_ORDER_STATUS"),
    "missing field": Fault(kind=Kind.MISSING_FIELD),
    "missing id": Fault(kind=Kind.MISSING_FIELD, value="order_id"),
    "wrong type": Fault(kind=Kind.WRONG_TYPE),
    "nan": Fault(kind=Kind.NAN),
    "huge number": Fault(kind=Kind.HUGE_NUMBER),
    "huge fee": Fault(kind=Kind.HUGE_NUMBER, value="total_fees"),
    "future time": Fault(kind=Kind.FUTURE_TIME, value="created_time"),
}
# Every kind on the endpoints that speak of orders; some on the others, where all are alike.
GRID = [(name, endpoint) for name in MUTE for endpoint in ("list", "get", "any")] + [
    (name, endpoint)
    for name in ("latency beyond patience", "500", "garbage", "forbidden", "empty")
    for endpoint in ("key_permissions", "time", "fills")
]


def sat_on(fault: Fault, endpoint: str, orders: frozenset[str] = frozenset()) -> Fault:
    return Fault(kind=fault.kind, on=endpoint, value=fault.value, order_ids=orders)


class Scene:
    """Rows of every need: stuck, changed since, ended wrongly, nameless at the venue, and gone."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.known = house.place(
            Life.filled(timedelta(minutes=90), fills=[(MINUTE, Decimal("0.2"))])
        )
        self.orders: list[Placed] = [self.known]
        self.gone: Placed | None = None

    async def prepare(self) -> None:
        """One honest pass that knows the first order; then half an hour, and the other rows."""
        await self.house.sync()
        await self.house.wait(minutes=31)
        place = self.house.place
        self.orders += [
            place(Life.filled()),
            place(Life.open(fills=[(MINUTE, Decimal("0.5"))])),
            place(Life.canceled(MINUTE, share=Decimal("0.4")), status="failed"),
            place(Life.filled(), order_id=None),
        ]
        self.gone = self.house.invent()

    @property
    def all(self) -> list[Placed]:
        return [*self.orders, *([self.gone] if self.gone else [])]

    def names(self) -> set[str]:
        """By what name a report tells of each row."""
        rows = [self.house.row(one.row_id) for one in self.all]
        return {row["order_id"] or row["client_id"] for row in rows}

    def check_nothing_is_invented(self, before: dict[int, dict[str, object]]) -> None:
        """Every row is as it was, or true."""
        for one in self.orders:
            row = self.house.row(one.row_id)
            assert row == before[one.row_id] or self.house.untrue(one) == [], row

    async def check_recovery(self) -> None:
        self.house.faults.clear()
        await self.house.sync()
        assert self.house.all_untrue(self.orders) == {}
        assert self.gone
        assert self.house.word(self.gone) == "unknown"


@pytest.mark.parametrize(("name", "endpoint"), GRID)
def test_no_answer_changes_nothing(tmp_path: Path, name: str, endpoint: str) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            scene = Scene(house)
            await scene.prepare()
            before = house.dump()
            rows = {one.row_id: house.row(one.row_id) for one in scene.all}
            house.faults.add(sat_on(MUTE[name], endpoint))
            report = await house.sync()
            assert scene.gone
            scene.check_nothing_is_invented(rows)
            if endpoint in {"list", "key_permissions", "any"}:
                assert house.dump() == before
                assert house.absences() == {}
                assert set(report.failed) == scene.names()
                assert report.troubles
                assert (report.sighted, report.not_found) == (set(), set())
            elif endpoint == "get":
                assert house.word(scene.gone) == OPEN
                assert scene.gone.order_id in report.failed
            else:
                # Nobody needs these two here: not the fills of orders that say all of it
                # themselves, nor the venue's clock where ours is right.
                assert house.all_untrue(scene.orders) == {}
            await scene.check_recovery()

    run_virtually(main)


@pytest.mark.parametrize("endpoint", ["list", "get", "any"])
@pytest.mark.parametrize("name", SPOILT)
def test_an_order_that_cannot_be_believed_changes_nothing_of_its_own(
    tmp_path: Path, name: str, endpoint: str
) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            scene = Scene(house)
            await scene.prepare()
            rows = {one.row_id: house.row(one.row_id) for one in scene.all}
            spoilt = frozenset(one.order_id for one in scene.orders)
            before = house.dump("ordersync_orders")
            house.faults.add(sat_on(SPOILT[name], endpoint, spoilt))
            report = await house.sync()
            if endpoint == "get":
                assert house.all_untrue(scene.orders) == {}
            if endpoint == "any":
                assert house.dump("ordersync_orders") == before
                assert {one.row_id: house.row(one.row_id) for one in scene.orders} == {
                    one.row_id: rows[one.row_id] for one in scene.orders
                }
                named = scene.names() - {scene.gone.order_id if scene.gone else ""}
                assert named <= set(report.failed), named - set(report.failed)
                assert not named & report.sighted
            scene.check_nothing_is_invented(rows)
            await scene.check_recovery()

    run_virtually(main)


@pytest.mark.parametrize("name", SPOILT)
def test_an_order_that_cannot_be_believed_takes_no_other_with_it(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            placed = [house.place(Life.filled()) for _ in range(30)]
            victim = placed[11]
            house.faults.add(sat_on(SPOILT[name], "any", frozenset([victim.order_id])))
            report = await house.sync()
            assert [one for one in placed if house.untrue(one)] == [victim]
            assert set(report.failed) == {victim.order_id}
            assert house.word(victim) == OPEN

    run_virtually(main)


@pytest.mark.parametrize("name", sorted(SPOILT.keys() - {"no information", "missing id"}))
def test_what_cannot_be_believed_is_recorded_once_with_its_text(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            victim = house.place(Life.filled())
            house.faults.add(sat_on(SPOILT[name], "list"))
            for _ in range(3):
                await house.sync()
                await house.wait(minutes=1)
            assert house.events() == ["quarantined"]
            ((body,),) = house.sql("SELECT body FROM ordersync_events")
            assert victim.order_id in body

    run_virtually(main)


@pytest.mark.parametrize("name", sorted(MUTE.keys() - {"other json", "429 with a pause"}))
def test_the_running_service_outlives_an_outage_and_heals_by_itself(
    tmp_path: Path, name: str, logs: list[MutableMapping[str, Any]]
) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            scene = Scene(house)
            await scene.prepare()
            assert scene.gone
            settled = house.place(Life.open())
            async with house.running():
                await house.until_true(settled, *scene.orders, within=30)
                await house.wait(minutes=2)
                fresh = [house.place(Life.filled(timedelta(minutes=n)), age=ago()) for n in (1, 2)]
                await house.wait(seconds=0.2)
                house.faults.add(sat_on(MUTE[name], "any"))
                began = house.clock.now()
                await house.wait(seconds=70)
                before = house.dump()
                await house.wait(minutes=3)
                assert house.dump() == before
                assert any("Failed to sync" in line["event"] for line in logs)
                assert house.absences().keys() <= {scene.gone.order_id}
                # What was vouched for before stands, and nothing that was not.
                ((body,),) = house.sql("SELECT body FROM ordersync_accounts")
                verified_at = datetime.fromisoformat(json.loads(body)["verified_at"])
                assert verified_at < began or settled.order_id in body
                house.faults.clear()
                # A pass that has just begun waits for its time-outs first.
                await house.until_true(settled, *fresh, *scene.orders, within=62)

    run_virtually(main)


@virtually
async def test_a_service_that_starts_during_an_outage_begins_when_it_ends(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled())
        house.faults.add(Fault(kind=Kind.SERVER_ERROR))
        async with house.running():
            await house.wait(minutes=5)
            assert house.word(placed) == OPEN
            house.faults.clear()
            assert await house.until_true(placed, within=40) <= 40


@virtually
async def test_an_outage_in_the_middle_of_the_first_pass_does_not_end_the_service(
    tmp_path: Path,
) -> None:
    """The account cannot be identified just then: that is silence too."""
    async with built(tmp_path) as house:
        placed = [house.place(Life.filled()) for _ in range(3)]
        house.faults.add(Fault(kind=Kind.SERVER_ERROR, on="key_permissions", after=1))
        report = await house.sync()
        assert house.all_untrue(placed) == {}
        assert report.failed == {}
        house.faults.clear()
        gone = house.invent()
        await house.sync()
        assert house.word(gone) == "unknown"


@virtually
async def test_a_venue_whose_clock_makes_no_sense_does_not_end_the_service(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled())
        house.faults.add(Fault(kind=Kind.HUGE_NUMBER, on="time", value="epochMillis"))
        async with house.running():
            assert await house.until_true(placed, within=5) <= 5


@pytest.mark.parametrize("jump", [timedelta(minutes=5), timedelta(hours=-3)], ids=str)
def test_a_clock_that_is_set_while_the_service_runs_needs_no_restart(
    tmp_path: Path, jump: timedelta
) -> None:
    """Every token is of the wrong time then, and every answer a refusal of the key."""

    async def main() -> None:
        async with built(tmp_path) as house:
            placed = [house.place(), house.place(Life.filled(timedelta(minutes=63)))]
            exchange_now = house.world.now
            async with house.running():
                await house.wait(minutes=2)
                house.world.now = lambda: exchange_now() + jump
                await house.wait(minutes=3)
                house.world.now = exchange_now
                await house.wait(minutes=3)
                assert house.all_untrue(placed) == {}
            assert house.events("conflict", "quarantined", "unknown") == []

    run_virtually(main)


@virtually
async def test_a_clock_that_is_set_back_a_day_keeps_nobody_waiting_for_a_day(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        clock = house.service_clock = SetClock()
        late = house.place(Life.filled(timedelta(minutes=61)))
        lost = house.invent(age=timedelta(hours=3))
        async with house.running():
            await house.wait(seconds=50)
            clock.off = timedelta(days=-1)
            await house.until_true(late, within=45)
            house.forget_asked()
            await house.wait(minutes=3)
            # What was suspect goes on being asked about, and what a bot finishes is verified.
            assert len(house.asked("get")) >= 3
            finished = house.place(status="completed")
            await house.wait(minutes=2)
            assert house.untrue(finished) == []
            assert house.absences() == {lost.order_id: "suspect"}


@virtually
async def test_the_network_being_away_is_silence(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = [house.place(Life.filled(timedelta(minutes=61))), house.place(Life.open())]
        gone = house.invent()
        async with house.running():
            await house.wait(seconds=5)
            await house.until_true(placed[1], within=5)
            before = house.dump()
            network = house.network
            network.refuse(8700)
            network.cut(8700)
            await house.wait(minutes=5)
            assert house.dump() == before
            network.heal(8700)
            await house.until_true(*placed, within=40)
            await house.wait(seconds=60)
            assert house.word(gone) == "unknown"
