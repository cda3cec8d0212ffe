"""Two ordersyncs on one database: one serves an account, the other stands by and takes over."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync.errors import ConfigError
from ordersync.ports import OrderName, Severity
from ordersync.service import examine
from ordersync.simulator import Fault, Kind, Life
from ordersync.sync.hints import Took
from tests.system.house import OPEN, ago, built
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.service import Service
    from tests.system.house import House

ELSEWHERE = "another-host:7"


def serves(service: Service) -> bool:
    return service.tenures["main"].lease is not None


def holder(house: House) -> tuple[str, int]:
    ((name, token),) = house.sql("SELECT holder, token FROM ordersync_leases")
    return str(name), int(token)


def let_another_take_it(house: House, *, seconds: float) -> None:
    """As a process on another host does it, which then says nothing more."""
    until = house.clock.now() + timedelta(seconds=seconds)
    house.sql(
        "UPDATE ordersync_leases SET holder = ?, process = ?, token = token + 1, until_at = ?",
        ELSEWHERE,
        "another boot",
        until.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    )


@virtually
async def test_one_serves_the_account_and_the_other_asks_the_exchange_nothing(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = [house.place(Life.filled(timedelta(minutes=65))) for _ in range(3)]
        async with house.running() as first:
            await house.wait(seconds=5)
            async with house.running() as second:
                assert (serves(first), serves(second)) == (True, False)
                await house.wait(seconds=5)
                house.forget_asked()
                calls = second.venues["main"].calls  # type: ignore[attr-defined]
                await house.until_true(*placed, within=400)
                assert second.venues["main"].calls == calls == 0  # type: ignore[attr-defined]
                assert (serves(first), serves(second)) == (True, False)
        assert house.all_untrue(placed) == {}


@virtually
async def test_one_that_stops_cleanly_is_followed_at_once(tmp_path: Path) -> None:
    async with (
        built(tmp_path, pushes=True) as house,
        asyncio.TaskGroup() as group,
        house.serving() as first,
        house.serving() as second,
    ):
        tasks = [group.create_task(one.run()) for one in (first, second)]
        await house.wait(seconds=5)
        assert (serves(first), serves(second)) == (True, False)
        placed = house.place(Life.filled(timedelta(0)), age=ago(seconds=0))
        tasks[0].cancel()
        await house.wait(seconds=1)
        assert (serves(first), serves(second)) == (False, True)
        await house.until_true(placed, within=2)
        later = house.place(Life.filled(timedelta(seconds=3)), age=ago(seconds=0))
        await house.until_true(later, within=5, step=0.1)
        assert holder(house)[1] == 2
        tasks[1].cancel()


@virtually
async def test_one_on_another_host_that_died_is_followed_when_its_lease_ends(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled(timedelta(minutes=61)))
        async with house.running():
            await house.wait(seconds=1)
        let_another_take_it(house, seconds=4)
        async with house.running() as service:
            await house.wait(seconds=3.9)
            assert not serves(service)
            await house.wait(seconds=0.2)
            assert serves(service)
            assert holder(house)[0] != ELSEWHERE
            await house.until_true(placed, within=90)


@virtually
async def test_one_that_was_paused_until_its_lease_went_writes_nothing_and_stands_by(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house, house.running() as service:
        await house.wait(seconds=5)
        let_another_take_it(house, seconds=100)
        placed = house.place(Life.filled(timedelta(minutes=0)))
        before = house.dump()
        await house.wait(seconds=80)
        assert not serves(service)
        assert house.dump() == before
        assert house.word(placed) == OPEN
        house.forget_asked()
        await house.wait(seconds=15)
        assert house.asked() == []
        # That one, too, is gone at last.
        await house.wait(seconds=10)
        assert serves(service)
        await house.until_true(placed, within=30)


@virtually
async def test_one_that_cannot_reach_the_database_keeps_its_stream_and_its_lease(
    tmp_path: Path,
) -> None:
    async with built(tmp_path, pushes=True) as house, house.running() as service:
        await house.wait(seconds=5)
        with house.locked(service):
            await house.wait(seconds=150)
            assert serves(service)
        await house.wait(seconds=20)
        assert serves(service)
        assert holder(house)[1] == 1
        assert len(house.connections) == 1


@virtually
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"orders_settings": {"fee": None}}, "orders.fee"),
        ({"orders_settings": {"where": "bot_id = 1"}}, "orders.where"),
        ({"orders_settings": {"follow_replace": True}}, "orders.follow_replace"),
    ],
)
async def test_one_with_other_settings_is_refused_while_the_first_lives(
    tmp_path: Path, change: dict[str, dict[str, object]], named: str
) -> None:
    async with built(tmp_path) as house:
        async with house.running():
            await house.wait(seconds=1)
            for name, value in change.items():
                setattr(house, name, value)
            async with house.serving() as second:
                with pytest.raises(ExceptionGroup) as refused:
                    await second.run()
        error: BaseException = refused.value
        while isinstance(error, ExceptionGroup):
            (error,) = error.exceptions
        assert isinstance(error, ConfigError)
        assert named in error.what
        assert error.mend
        # When the first has ended, its settings bind nobody.
        async with house.running() as third:
            await house.wait(seconds=1)
            assert serves(third)


@virtually
async def test_one_of_this_machine_that_was_killed_is_followed_at_once_by_any_settings(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        async with house.running():
            await house.wait(seconds=1)
        ((process,),) = house.sql("SELECT process FROM ordersync_leases")
        let_another_take_it(house, seconds=60)
        child = subprocess.Popen([sys.executable, "-c", ""])  # noqa: ASYNC220 - it is what is asked about
        child.wait()
        place, bar, rest = str(process).rpartition("|")
        _, started, number = rest.split()
        of_child = f"{place}{bar} {child.pid} {started} {number}"
        house.sql("UPDATE ordersync_leases SET process = ?, config = ?", of_child, '{"a": "b"}')
        async with house.running() as service:
            await house.wait(seconds=0.1)
            assert serves(service)


@virtually
async def test_one_of_another_machine_is_never_taken_for_dead(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        async with house.running():
            await house.wait(seconds=1)
        ((process,),) = house.sql("SELECT process FROM ordersync_leases")
        let_another_take_it(house, seconds=60)
        place, bar, _ = str(process).rpartition("|")
        for mark in (f"another {place}{bar} 999999999 1 1", "", "celery", f"{bar} 999999999 1 1"):
            house.sql("UPDATE ordersync_leases SET process = ?", mark)
            async with house.running() as service:
                await house.wait(seconds=2)
                assert not serves(service)


@virtually
async def test_doctor_says_who_serves_and_what_differs(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        async with house.running():
            await house.wait(seconds=1)
            found = await examine(house.settings(), house.clock)
            (lease,) = [one for one in found if one.about == "main: lease"]
            assert lease.severity is Severity.OK
            assert "serves this account" in lease.what
            house.orders_settings = {"fee": None}
            found = await examine(house.settings(), house.clock)
            (lease,) = [one for one in found if one.about == "main: lease"]
            assert lease.severity is Severity.ERROR
            assert "orders.fee" in lease.what
        found = await examine(house.settings(), house.clock)
        (lease,) = [one for one in found if one.about == "main: lease"]
        assert "nobody serves" in lease.what


@virtually
async def test_what_is_nobody_elses_business_may_differ(tmp_path: Path) -> None:
    async with built(tmp_path) as house, house.running():
        await house.wait(seconds=1)
        house.sync_settings = {"interval": "10s"}
        async with house.running() as second:
            await house.wait(seconds=5)
            assert not serves(second)


@virtually
async def test_a_standby_that_is_asked_lets_the_one_who_serves_ask_the_exchange(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled(timedelta(minutes=60, seconds=8)))
        async with house.running() as first, house.running() as second:
            await house.wait(seconds=10)
            assert (serves(first), serves(second)) == (True, False)
            assert house.word(placed) == OPEN
            (answer,) = await second.answering.fresh(
                "main", [OrderName(placed.order_id)], timedelta(0)
            )
            assert (answer.is_verified, answer.why) == (True, "")
            assert answer.known is not None
            assert answer.known.truth is not None
            assert answer.known.truth.is_final
            assert house.untrue(placed) == []
            assert second.venues["main"].calls == 0  # type: ignore[attr-defined]
            house.faults.add(Fault(kind=Kind.DROP))
            (answer,) = await second.answering.fresh(
                "main", [OrderName(placed.order_id)], timedelta(0)
            )
            assert not answer.is_verified
            assert answer.why
        assert house.sql("SELECT count(*) FROM ordersync_requests") == [(0,)]


@virtually
async def test_a_webhook_that_comes_to_a_standby_reaches_the_one_who_serves(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled(timedelta(minutes=60, seconds=8)))
        async with house.running(), house.running() as second:
            await house.wait(seconds=10)
            names = [OrderName(placed.order_id)]
            assert await second.owners["main"].take("m1", names) is Took.TAKEN
            assert house.untrue(placed) == []
            assert await second.owners["main"].take("m1", names) is Took.REPEATED
            assert second.venues["main"].calls == 0  # type: ignore[attr-defined]


@virtually
async def test_a_pass_that_is_wanted_at_a_standby_is_made_by_the_one_who_serves(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled(timedelta(minutes=60, seconds=8)))
        async with house.running(), house.running() as second:
            await house.wait(seconds=10)
            report = await second.owners["main"].next_pass()
            assert (report.asked, report.rows_written, report.failed) == (1, 1, {})
            assert house.untrue(placed) == []
            assert second.venues["main"].calls == 0  # type: ignore[attr-defined]


@virtually
async def test_what_a_standby_wants_is_done_by_whoever_takes_over(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled(timedelta(minutes=60, seconds=8)))
        async with house.running():
            await house.wait(seconds=1)
        let_another_take_it(house, seconds=6)
        async with house.running() as service:
            await house.wait(seconds=4)
            took = await service.owners["main"].take("m1", [OrderName(placed.order_id)])
            assert took is Took.TAKEN
            assert serves(service)


@virtually
async def test_one_pass_on_demand_needs_no_lease(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        async with house.running():
            await house.wait(seconds=1)
        let_another_take_it(house, seconds=600)
        placed = house.place(Life.filled(timedelta(0)))
        await house.sync()
        assert house.untrue(placed) == []
        assert holder(house)[0] == ELSEWHERE
