"""What reviewers found in push: each of these went wrong once."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.pushed import Heard
from ordersync.simulator import Fault, Life, StreamKind
from ordersync.simulator.kinds import Kind
from ordersync.sync.stream import State
from ordersync.truth.evidence import Sighting
from ordersync.truth.model import (
    Event,
    EventEvidence,
    EventKind,
    EventOrder,
    Report,
    Side,
    Source,
    Status,
)
from tests.system.house import House, Placed, ago, built, stream_of, venue_of
from tests.system.test_push import EVENTS, QUIET, at_work, until_told
from tests.virtual import VirtualClock, virtually

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from datetime import datetime
    from pathlib import Path

    from ordersync.service import Service


def found_by_asking(house: House, service: Service, order: Placed) -> Event:
    return Event(
        at=house.clock.now(),
        account="main",
        order=EventOrder(venue_order_id=order.order_id),
        kind=EventKind.CHANGED,
        source=Source.POLL,
        evidence=EventEvidence(
            answer="sighting", endpoint="batch", venue_time=venue_of(service).now()
        ),
        before=Side(status="new", filled_qty="0"),
        after=Side(status="filled", filled_qty="1"),
    )


def told(service: Service, order: Placed, *, ago_seconds: float = 0, **what: Any) -> Heard:  # noqa: ANN401
    at = venue_of(service).now() - timedelta(seconds=ago_seconds)
    report = Report(
        as_of=at,
        changed_at=at,
        venue_order_id=order.order_id,
        client_order_id=order.client_id,
        **{"status": Status.NEW, "filled_qty": Decimal(0), **what},
    )
    return Heard(sightings=(Sighting(report=report, endpoint="user_channel"),))


class BusyClock(VirtualClock):
    """Time goes on between any two looks at the clock, as it does outside of tests."""

    ticks = 0

    def now(self) -> datetime:
        self.ticks += 1
        return super().now() + timedelta(microseconds=self.ticks)


@pytest.mark.parametrize("pushes", [False, True])
@virtually
async def test_full_passes_come_whatever_the_clock_does_meanwhile(
    tmp_path: Path,
    pushes: bool,  # noqa: FBT001 - pytest hands it in
) -> None:
    async with built(tmp_path, pushes=pushes) as house:
        house.service_clock = BusyClock()
        wrong = house.place(Life.filled(ago(minutes=5)), age=ago(minutes=10), status="failed")
        house.place()
        if pushes:
            house.fault(StreamKind.REFUSE, value=403)
        async with house.running():
            await house.until_true(wrong, within=3)
            await house.wait(minutes=1)
            house.forget_asked()
            ticks = house.service_clock.ticks
            await house.wait(minutes=5)
            assert house.service_clock.ticks - ticks < 50_000, "it does not spin"
        every = 2 if pushes else 30
        assert len(house.asked("list")) == pytest.approx(300 / every, rel=0.25)


@virtually
async def test_a_frame_in_the_same_turn_as_the_answer_stops_nothing(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, service, (order,)):
        stream = stream_of(service)
        stream.compare([found_by_asking(house, service, order)])
        stream._take(told(service, order))  # noqa: SLF001 - both in one turn of the loop
        await house.wait(seconds=5)
        assert stream.health.state is State.LIVE


@pytest.mark.parametrize("kind", [Kind.FORBIDDEN, Kind.UNAUTHORIZED, Kind.SERVER_ERROR])
@virtually
async def test_a_gap_is_not_read_while_the_venue_refuses_a_part_of_it(
    tmp_path: Path, kind: Kind
) -> None:
    async with built(tmp_path, pushes=True) as house:
        for _ in range(249):
            house.place()
        lost = house.place(Life.filled(ago(hours=1, seconds=QUIET + 30)))
        async with house.running() as service:
            await house.wait(seconds=QUIET)
            assert stream_of(service).health.state is State.LIVE
            house.fault(StreamKind.DROP, count=3)
            while house.truth(lost).filled_qty == 0:
                await house.wait(milliseconds=5)
            refused = Fault(kind=kind, on="list", after=1, lasts=timedelta(seconds=30))
            house.faults.add(refused)
            await house.wait(seconds=6)
            assert stream_of(service).health.state is State.DEGRADED
            await house.until_true(lost, within=60)


@virtually
async def test_a_late_frame_does_not_win_over_what_was_confirmed_since(tmp_path: Path) -> None:
    async with built(tmp_path, pushes=True) as house:
        order = house.place()
        async with house.running() as service:
            await house.wait(seconds=QUIET + 200)
            late = told(service, order, ago_seconds=100, status=Status.PENDING_CANCEL)
            before = house.sql(EVENTS)
            stream_of(service)._take(late)  # noqa: SLF001 - the stream is no liar by itself
            await house.wait(seconds=3)
            assert house.sql(EVENTS) == before


@virtually
async def test_a_number_finer_than_any_stops_nothing(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, service, (order,)):
        price = Decimal("1e-99999999999")
        heard = told(service, order, filled_qty=Decimal("0.1"), avg_price=price)
        stream_of(service)._take(heard)  # noqa: SLF001
        await house.wait(seconds=3)
        assert house.events("quarantined") == ["quarantined"]
        assert house.untrue(order) == []


@virtually
async def test_an_account_whose_only_order_is_absent_can_be_live(tmp_path: Path) -> None:
    async with built(tmp_path, pushes=True) as house:
        house.invent(age=timedelta(hours=3))
        async with house.running() as service:
            await house.wait(seconds=QUIET)
            assert stream_of(service).health.state is State.LIVE


@virtually
async def test_a_stream_that_nobody_can_write_is_not_live(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, service, (order,)):
        await house.wait(seconds=29)
        with house.locked(service):
            await house.wait(seconds=2)
            assert stream_of(service).health.state is State.DEGRADED
        await house.until_true(order, within=5, step=0.1)
        await house.wait(seconds=20)
        assert stream_of(service).health.state is State.LIVE


@virtually
async def test_the_last_word_of_the_log_on_push_is_true(
    tmp_path: Path, logs: list[MutableMapping[str, Any]]
) -> None:
    async with at_work(tmp_path) as (house, service, _):
        for n in range(300):
            stream_of(service)._take(Heard(missed=f"{n + 1} messages are missing"))  # noqa: SLF001
            await house.wait(milliseconds=200)
        await house.wait(seconds=20)
        assert stream_of(service).health.state is State.LIVE
        said = [line["event"] for line in logs if "Push is" in line["event"]]
        assert said[-1] == "Push is live"
        assert len(said) <= 20


@virtually
async def test_what_is_looked_up_after_an_end_is_no_stale_order(
    tmp_path: Path, logs: list[MutableMapping[str, Any]]
) -> None:
    async with at_work(tmp_path) as (house, _, (order,)):
        await house.wait(seconds=55)
        logs.clear()
        await until_told(house, order, "1", within=1)
        await house.wait(seconds=1)
        said = [line["event"] for line in logs]
        # A pass falls into the same second; the look-up itself is not told of as one.
        assert len([line for line in said if line.startswith(("Found", "No stale"))]) <= 1
        assert json.loads(house.sql(EVENTS)[-1][0])["after"]["word"] == "completed"
