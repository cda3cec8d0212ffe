"""One visit to one account, in virtual time: whose the account is, and what is kept between."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
import structlog

from ordersync.errors import ConfigError, LeaseLost, VenueRefused
from ordersync.leased import Holder
from ordersync.service import Visits, check_accounts
from ordersync.service.build import build_store
from ordersync.service.visits import TERM
from ordersync.simulator import Fault, Faults, Kind, Life
from tests.system.house import ago, built
from tests.virtual import VirtualClock, virtually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.house import House

KEY = {"time", "key_permissions"}
ABOUT_ORDERS = ("list", "get", "fills")
FILLED = Life.filled(ago(minutes=30))
ANOTHER = Holder(name="run on another host, process 7", process="another")


def visits_of(house: House) -> Visits:
    return Visits(house.settings(), house.clock)


@virtually
async def test_a_visit_makes_the_rows_true_and_gives_the_account_back(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(FILLED)
        visits = visits_of(house)
        visited = await visits.verify("main")
        assert (visited.asked, visited.updated, visited.failed) == (1, 1, 0)
        assert house.untrue(placed) == []
        another = visits_of(house)
        again = await another.verify("main")
        assert again.held_by is None
        assert again.updated == 0
        await visits.close()
        await another.close()


@virtually
async def test_who_does_not_get_the_account_asks_nothing_and_says_who_has_it(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = house.place(FILLED)
        store = build_store(house.settings(), house.clock)
        await store.open(create=True)
        leases = store.leases()
        await leases.claim_lease("main", ANOTHER, TERM)
        visits = visits_of(house)
        for visit in (
            visits.verify("main"),
            visits.cleanup("main", timedelta(0)),
            visits.audit("main", ago(hours=24)),
        ):
            assert (await visit).held_by == ANOTHER.name
        assert house.asked() == []
        # Its holder was killed: when the lease has ended, the next visit does the work.
        await house.wait(seconds=TERM.total_seconds())
        assert (await visits.verify("main")).updated == 1
        assert house.untrue(placed) == []
        await visits.close()
        await store.close()


@virtually
async def test_two_deployments_with_other_settings_do_not_serve_one_account(
    tmp_path: Path,
) -> None:
    """They would undo each other's rows: the second is told which settings differ."""
    async with built(tmp_path) as house:
        placed = house.place(FILLED)
        store = build_store(house.settings(), house.clock)
        await store.open(create=True)
        leases = store.leases()
        stranger = msgspec.structs.replace(ANOTHER, config={"orders.table": "theirs"})
        await leases.claim_lease("main", stranger, TERM)
        visits = visits_of(house)
        with pytest.raises(ConfigError, match="by other settings") as refused:
            await visits.verify("main")
        assert "orders.table" in refused.value.what
        assert refused.value.mend
        assert house.word(placed) == "pending"
        await visits.close()
        await store.close()


@virtually
async def test_a_visit_whose_lease_is_lost_breaks_off_and_writes_nothing(tmp_path: Path) -> None:
    faults = Faults([Fault(kind=Kind.LATENCY, on="list", value=9.0)])
    async with built(tmp_path, faults=faults) as house:
        placed = house.place(FILLED)
        visits = visits_of(house)
        async with asyncio.TaskGroup() as group:
            visit = group.create_task(lost(visits))
            await house.wait(seconds=1)
            # Somebody who knows that we are dead, and errs.
            store = build_store(house.settings(), house.clock)
            await store.open(create=True)
            leases = store.leases()
            (ours,) = await leases.list_leases()
            taken = await leases.claim_lease("main", ANOTHER, TERM, over=ours.token)
            assert taken.holder == ANOTHER
        assert visit.result() < 9, "it did not wait for the answer"
        assert house.word(placed) == "pending"
        assert house.events() == []
        assert await leases.renew_lease(taken, TERM), "what is another's is not given back"
        await visits.close()
        await store.close()


async def lost(visits: Visits) -> float:
    began = asyncio.get_running_loop().time()
    with pytest.raises(LeaseLost):
        await visits.verify("main")
    return asyncio.get_running_loop().time() - began


@virtually
async def test_a_long_visit_keeps_the_account_by_signs_of_life(tmp_path: Path) -> None:
    faults = Faults([Fault(kind=Kind.LATENCY, on="list", count=3, value=9.0)])
    async with built(tmp_path, faults=faults) as house:
        for _ in range(1_200):  # more than one list shows: twelve questions
            house.place(FILLED)
        visits, others = visits_of(house), visits_of(house)
        async with asyncio.TaskGroup() as group:
            visit = group.create_task(visits.verify("main"))
            for _ in range(4):
                await house.wait(seconds=2)
                assert (await others.verify("main")).held_by is not None
        assert visit.result().updated == 1_200
        await visits.close()
        await others.close()


@virtually
async def test_two_visits_of_one_process_do_not_meet_in_one_account(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place(FILLED)
        visits = visits_of(house)
        one, other = await asyncio.gather(visits.verify("main"), visits.verify("main"))
        assert one.updated == 1
        assert (other.held_by or "").startswith("this process")
        await visits.close()


@virtually
async def test_a_tick_right_after_another_does_nothing_and_costs_no_call(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        house.place(Life.open())
        visits = visits_of(house)
        await visits.verify("main", ago(seconds=15))
        house.forget_asked()
        assert (await visits.verify("main", ago(seconds=15))).fresh
        assert house.asked() == []
        await house.wait(seconds=15)
        assert (await visits.verify("main", ago(seconds=15))).asked == 1
        assert (await visits.verify("main")).asked == 1, "whoever asks without it is answered"
        await visits.close()


@virtually
async def test_a_time_to_come_from_a_host_whose_clock_is_wrong_is_not_fresh(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        house.place(Life.open())
        visits = visits_of(house)
        await visits.verify("main")
        house.sql(
            "UPDATE ordersync_accounts SET body = json_set(body, '$.verified_at', ?)",
            (house.clock.now() + timedelta(hours=1)).isoformat(),
        )
        assert not (await visits.verify("main", ago(seconds=15))).fresh
        await visits.close()


class SetClock(VirtualClock):
    """A machine whose time of day is an hour off."""

    def __init__(self, hours: int) -> None:
        super().__init__()
        self._off = timedelta(hours=hours)

    def now(self) -> datetime:
        return super().now() + self._off


@pytest.mark.parametrize("hours", [1, -1])
@virtually
async def test_a_worker_on_a_machine_an_hour_off_is_told_and_writes_the_same(
    tmp_path: Path, hours: int
) -> None:
    async with built(tmp_path) as house:
        placed = [house.place(FILLED), house.place(Life.open())]
        wrong, right = Visits(house.settings(), SetClock(hours)), visits_of(house)
        with structlog.testing.capture_logs() as logs:
            visited = await wrong.verify("main", ago(seconds=15))
        assert (visited.updated, visited.failed) == (1, 0)
        assert any("clock is 3600.0 s off" in line["event"] for line in logs)
        assert any("Set up time synchronisation" in line["event"] for line in logs)
        assert house.all_untrue(placed) == {}
        # Its times keep nobody else away, and what others write is not new to it.
        assert not (await right.verify("main", ago(seconds=15))).fresh
        assert (await wrong.verify("main", ago(seconds=15))).updated == 0
        assert house.events("conflict", "quarantined", "suspect") == []
        await wrong.close()
        await right.close()


@virtually
async def test_between_visits_the_venue_need_not_say_again_whose_key_it_is(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        house.place(Life.open())
        visits = visits_of(house)
        await visits.verify("main")
        house.forget_asked()
        await visits.verify("main")
        assert {one.endpoint for one in house.asked()} & KEY == set()
        await house.wait(minutes=16)
        await visits.verify("main")
        assert {one.endpoint for one in house.asked()} >= KEY
        await visits.close()


@virtually
async def test_a_cleanup_and_an_audit_of_one_account(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        old = house.place(FILLED, age=ago(hours=30))
        visits = visits_of(house)
        found = await visits.audit("main", ago(hours=24))
        assert found.differences > 0
        assert house.word(old) == "pending"
        assert (await visits.cleanup("main", ago(hours=48))).asked == 0
        assert (await visits.cleanup("main", ago(hours=24))).updated == 1
        assert (await visits.audit("main", ago(hours=24))).differences == 0
        await visits.close()


@virtually
async def test_a_venue_that_refuses_the_key_fails_the_visit_and_not_the_next(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = house.place(FILLED)
        visits = visits_of(house)
        house.faults.add(Fault(kind=Kind.UNAUTHORIZED, lasts=ago(seconds=5)))
        with pytest.raises(VenueRefused):
            await visits.verify("main")
        assert house.word(placed) == "pending"
        await house.wait(seconds=6)
        assert (await visits.verify("main")).updated == 1, "the account was given back"
        await visits.close()


@virtually
async def test_only_the_venues_visited_last_are_kept(tmp_path: Path) -> None:
    """And one at a time is enough: nothing else depends on what is kept."""
    more = {"celery": {"accounts_kept": 1}}
    async with built(tmp_path, more=more) as house:
        house.orders_settings["account"] = {"column": "bot_id", "values": {"1": "main", "2": "b"}}
        house.more_accounts["b"] = house.section(house.url, None)
        house.place(FILLED)
        house.place(FILLED, bot_id=2)
        visits = visits_of(house)
        for name in ("main", "b", "main"):
            await visits.verify(name)
        keys = [one for one in house.asked("key_permissions") if one.status == 200]
        assert len(keys) >= 3
        await visits.close()


@virtually
async def test_only_accounts_that_rows_belong_to_can_be_named(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        settings = house.settings()
        assert check_accounts(settings, "main", where="x") == ["main"]
        assert check_accounts(settings, ["main", "main"], where="x") == ["main"]
        nobody: list[object] = [(), [], None, 7, {"main": 1}]
        for nothing in nobody:
            with pytest.raises(ConfigError, match="it names no account"):
                check_accounts(settings, nothing, where="x")
        with pytest.raises(ConfigError, match="there is no account 'mian'") as refused:
            check_accounts(settings, ["main", "mian"], where="beat_schedule: mine")
        assert refused.value.where == "beat_schedule: mine"
        assert "main" in refused.value.mend
