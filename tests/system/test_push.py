"""Push: what the exchange tells is in the row at once, and what it does not tell is asked for.

The orders here are older than the first steps at which a new row is asked about, so that only
the stream, or what watches it, can have made a row true in time.
"""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Life, StreamKind
from ordersync.sync.stream import State
from tests.system.house import House, Placed, SetClock, ago, built, naive, stream_of
from tests.virtual import virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from pathlib import Path

    from ordersync.service import Service

QUIET = 150.0
"""Seconds after the start from which only full passes and the stream look at a row."""

EVENTS = "SELECT body FROM ordersync_events ORDER BY log_id, n"
STATED_SECONDS = 2.0
NOTICED_SECONDS = 5.0


@contextlib.asynccontextmanager
async def at_work(
    folder: Path, orders: int = 1, *, quiet: float = QUIET
) -> AsyncIterator[tuple[House, Service, list[Placed]]]:
    """A service with a live stream and orders that fill at 1, 2, 3 … minutes from now."""
    async with built(folder, pushes=True) as house:
        placed = [
            house.place(
                Life.filled(
                    ago(hours=1, seconds=quiet + 60 * (n + 1)),
                    fills=[(ago(hours=1, seconds=quiet + 60 * n + 30), Decimal("0.25"))],
                )
            )
            for n in range(orders)
        ]
        async with house.running() as service:
            await house.wait(seconds=quiet)
            assert stream_of(service).health.state is State.LIVE
            house.forget_asked()
            yield house, service, placed


async def until_told(house: House, placed: Placed, filled: str, within: float) -> float:
    """Wait for the exchange to fill so much, then for the row; how long the row was untrue."""
    while house.truth(placed).filled_qty < Decimal(filled):
        await house.wait(milliseconds=10)
    return await house.until_true(placed, within=within, step=0.01)


@virtually
async def test_a_fill_is_in_the_row_before_anybody_asks(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, _, (order,)):
        assert await until_told(house, order, "0.25", within=0.1) <= 0.1
        assert house.row(order.row_id)["filled_size"] == 0.25
        assert await until_told(house, order, "1", within=1) <= 1
        assert house.events("changed", order=order.order_id)[-1:] == ["changed"]
        told = [json.loads(event)["source"] for (event,) in house.sql(EVENTS)]
        assert told.count("stream") >= 2


@virtually
async def test_when_and_how_dearly_an_order_ended_is_looked_up_at_once(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, _, (order,)):
        await until_told(house, order, "1", within=1)
        row, truth = house.row(order.row_id), house.truth(order)
        assert truth.last_fill_at is not None
        assert row["filled_at"] == naive(truth.last_fill_at)
        assert row["fee"] == float(truth.fee)


@virtually
async def test_a_stream_that_is_live_is_asked_about_no_more_than_without_one(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path, orders=9, quiet=200) as (house, _, _orders):
        await house.wait(minutes=5)
        passes = len(house.asked("list"))
        assert passes <= 5 * 60 / 30 + 9, "a pass every 30 s, and one look-up for each end"


@pytest.mark.parametrize("kind", [StreamKind.DROP, StreamKind.DELAY, StreamKind.REORDER])
@virtually
async def test_a_frame_that_is_lost_or_late_is_made_up_for_in_two_seconds(
    tmp_path: Path, kind: StreamKind
) -> None:
    async with at_work(tmp_path) as (house, service, (order,)):
        house.fault(kind, count=1, value=20 if kind is StreamKind.DELAY else None)
        assert await until_told(house, order, "0.25", within=STATED_SECONDS) <= STATED_SECONDS
        await house.wait(seconds=5)
        assert stream_of(service).health.state is State.LIVE


@virtually
async def test_a_missing_heartbeat_means_that_something_may_be_missing(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, service, _):
        house.fault(StreamKind.MISSING_HEARTBEAT, count=1)
        await house.wait(seconds=4)
        assert stream_of(service).health.gaps == 1
        assert house.asked("list"), "the gap was read"
        assert stream_of(service).health.state is State.LIVE


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (StreamKind.HALF_OPEN, None),
        (StreamKind.SILENCE, None),
        (StreamKind.CLOSE, 1000),
        (StreamKind.CLOSE, 1001),
        (StreamKind.CLOSE, 1006),
        (StreamKind.CLOSE, 1011),
        (StreamKind.LOGOUT, None),
    ],
)
@virtually
async def test_a_stream_that_ends_or_falls_silent_is_noticed_and_made_up_for(
    tmp_path: Path, kind: StreamKind, value: int | None
) -> None:
    async with at_work(tmp_path) as (house, service, (order,)):
        # A little before the partial fill, so that nobody is told of it.
        await house.wait(seconds=28)
        house.fault(kind, count=1, value=value)
        await house.wait(seconds=1.1 + 3)
        health = stream_of(service).health
        assert health.state is not State.LIVE or health.connections == 2
        await until_told(house, order, "0.25", within=NOTICED_SECONDS - 4.1)
        await house.wait(seconds=6)
        assert (health.state, health.connections) == (State.LIVE, 2)
        assert await until_told(house, order, "1", within=1) <= 1


@virtually
async def test_a_frame_that_is_never_sent_is_found_by_the_next_pass_and_makes_it_doubtful(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path, orders=3) as (house, service, (first, second, third)):
        health = stream_of(service).health
        house.fault(StreamKind.NEVER_SENT, count=2, order_ids=frozenset([first.order_id]))
        assert await until_told(house, first, "0.25", within=31) <= 31
        assert health.state is State.LIVE
        await house.wait(seconds=NOTICED_SECONDS)
        assert (health.state, health.is_proven) == (State.DEGRADED, False)
        assert first.order_id in health.why
        asked = len(house.asked("list"))
        await house.wait(seconds=10)
        assert len(house.asked("list")) - asked >= 4, "it is watched closely"
        # The next change that it tells of proves it again.
        await until_told(house, second, "0.25", within=1)
        await house.wait(seconds=3)
        assert (health.state, health.is_proven) == (State.LIVE, True)
        assert await until_told(house, third, "0.25", within=0.1) <= 0.1


@pytest.mark.parametrize(
    "end",
    [
        Life.canceled(ago(hours=1, seconds=QUIET + 30), share=Decimal("0.3")),
        Life.expired(ago(hours=1, seconds=QUIET + 30), share=Decimal("0.3")),
        Life.canceled(ago(hours=1, seconds=QUIET + 30)),
    ],
    ids=["canceled+fills", "expired+fills", "canceled"],
)
@virtually
async def test_whatever_end_is_never_sent_is_found_and_makes_it_doubtful(
    tmp_path: Path, end: Life
) -> None:
    async with built(tmp_path, pushes=True) as house:
        order = house.place(end)
        async with house.running() as service:
            await house.wait(seconds=QUIET)
            house.fault(StreamKind.NEVER_SENT)
            await house.wait(seconds=30)
            await house.until_true(order, within=31)
            await house.wait(seconds=NOTICED_SECONDS)
            assert stream_of(service).health.is_proven is False


@virtually
async def test_a_clock_that_is_set_back_hides_no_frame_that_was_never_sent(tmp_path: Path) -> None:
    async with built(tmp_path, pushes=True) as house:
        clock = house.service_clock = SetClock()
        order = house.place(Life.canceled(ago(hours=1, seconds=QUIET + 30)))
        async with house.running() as service:
            await house.wait(seconds=QUIET)
            house.fault(StreamKind.NEVER_SENT)
            await house.wait(seconds=30)
            await house.until_true(order, within=31)
            clock.off = timedelta(hours=-1)
            await house.wait(seconds=NOTICED_SECONDS)
            assert stream_of(service).health.is_proven is False


@virtually
async def test_a_mute_stream_under_healthy_heartbeats_is_degraded_until_it_tells_again(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path, orders=3) as (house, service, (first, second, _)):
        health = stream_of(service).health
        house.fault(StreamKind.MUTE)
        await until_told(house, first, "0.25", within=31)
        await house.wait(seconds=NOTICED_SECONDS)
        assert health.state is State.DEGRADED
        await until_told(house, second, "0.25", within=3)
        assert health.connections >= 2, "a mute stream is opened anew"


@virtually
async def test_an_old_open_after_the_end_reopens_nothing(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, _, (order,)):
        house.fault(StreamKind.REPEAT_OLD)
        await until_told(house, order, "1", within=1)
        before = house.dump()
        await house.wait(seconds=10)
        assert house.untrue(order) == []
        assert house.dump("trades") == {"trades": before["trades"]}


@virtually
async def test_what_is_told_twice_is_written_once(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, _, (order,)):
        house.fault(StreamKind.DUPLICATE)
        before = house.sql(EVENTS)
        await until_told(house, order, "0.25", within=0.1)
        await house.wait(seconds=1)
        events = [json.loads(event) for (event,) in house.sql(EVENTS)[len(before) :]]
        (told,) = [event for event in events if event["source"] == "stream"]
        assert told["latency_ms"] < 100
        assert sum(one.order_id == order.order_id for one in house.connections[0].told) >= 1


@pytest.mark.parametrize(
    "how",
    [
        "not_json",
        "wrong_types",
        "huge",
        "unknown_channel",
        "truncated_utf8",
        "unknown_status",
        "other_account",
        "future_time",
        "orders_null",
    ],
)
@virtually
async def test_garbage_changes_no_order_and_the_stream_lives_on(tmp_path: Path, how: str) -> None:
    async with at_work(tmp_path, orders=2) as (house, service, (first, second)):
        house.fault(StreamKind.GARBAGE, count=1, value=how)
        # What was to be told of the first order is lost in it; the pass at the latest finds it.
        await until_told(house, first, "0.25", within=31)
        await house.wait(seconds=8)
        health = stream_of(service).health
        assert await until_told(house, second, "0.25", within=3) <= 3
        if how not in {"orders_null", "unknown_channel", "other_account"}:
            # Those three name no order of ours: as if nothing had been sent.
            assert health.connections == 1
        assert house.untrue(first) == house.untrue(second) == []


@virtually
async def test_a_venue_that_turns_the_stream_away_is_not_stormed(tmp_path: Path) -> None:
    async with built(tmp_path, pushes=True) as house:
        order = house.place(Life.filled(ago(hours=1, seconds=300)))
        house.fault(StreamKind.REFUSE, value=429, lasts=timedelta(minutes=20))
        async with house.running() as service:
            await house.wait(minutes=4, seconds=50)
            assert len(house.connections) <= 20
            assert stream_of(service).health.state is State.DEGRADED
            assert await until_told(house, order, "1", within=3) <= 3
            house.faults.clear()
            await house.wait(seconds=60)
            assert stream_of(service).health.state is State.LIVE


@virtually
async def test_a_key_that_the_stream_refuses_is_told_once_and_asked_rarely(
    tmp_path: Path, logs: list[MutableMapping[str, Any]]
) -> None:
    async with built(tmp_path, pushes=True) as house:
        house.place()
        house.fault(StreamKind.REFUSE, value=401, lasts=timedelta(minutes=20))
        async with house.running():
            await house.wait(minutes=5)
        assert len(house.connections) <= 6
        told = [line["event"] for line in logs if "refuses the stream" in line["event"]]
        assert len(told) <= 5
        assert "Check that the key" in told[0]


@virtually
async def test_what_the_stream_says_while_the_database_is_away_is_written_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as (house, service, (order,)):
        await house.wait(seconds=29)
        with house.locked(service):
            await house.wait(seconds=2)
            assert house.truth(order).filled_qty == Decimal("0.25")
            assert len(stream_of(service).backlog) == 1
        await house.until_true(order, within=5, step=0.1)


@virtually
async def test_fills_after_a_cancel_are_told_too(tmp_path: Path) -> None:
    async with built(tmp_path, pushes=True) as house:
        life = Life.filled(ago(hours=1, seconds=QUIET + 30), fills=[(ago(hours=1), Decimal("0.5"))])
        order = house.place(life)
        async with house.running():
            await house.wait(seconds=QUIET)
            house.world.cancel(order.order_id)
            await house.wait(seconds=5)
            assert house.untrue(order) == []


@virtually
async def test_an_order_that_the_stream_told_before_its_row_was_there_is_in_the_row_at_once(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as (house, _, _orders):
        made = house.world.place(
            house.account.portfolio,
            "BTC-USD",
            "BUY",
            {"limit_limit_gtc": {"base_size": "1", "limit_price": "100", "post_only": False}},
            life=Life.filled(timedelta(milliseconds=200)),
        )
        await house.wait(seconds=3)
        row_id = house.insert(
            order_id=made.order_id,
            client_id=made.client_order_id,
            created_at=naive(made.created_at),
        )
        placed = Placed(made.order_id, made.client_order_id, row_id)
        assert await house.until_true(placed, within=1.5, step=0.05) <= 1.5


@virtually
async def test_the_first_connection_reads_the_gap_before_it_counts_as_live(tmp_path: Path) -> None:
    async with built(tmp_path, pushes=True) as house:
        house.place(Life.filled(ago(minutes=30)))
        async with house.running() as service:
            while not house.connections:
                await house.wait(milliseconds=1)
            assert stream_of(service).health.state is State.CONNECTING
            await house.wait(seconds=2)
            assert stream_of(service).health.state is State.LIVE


@pytest.mark.parametrize("hours", [1, -1])
@virtually
async def test_a_machine_that_is_an_hour_off_is_told_of_it_and_writes_the_same(
    tmp_path: Path, hours: int, logs: list[MutableMapping[str, Any]]
) -> None:
    async with built(tmp_path, pushes=True) as house:
        clock = SetClock()
        clock.off, house.service_clock = timedelta(hours=hours), clock
        order = house.place(Life.filled(ago(hours=1, seconds=QUIET)))
        async with house.running() as service:
            await house.wait(seconds=QUIET - 1)
            assert stream_of(service).health.state is State.LIVE
            assert await until_told(house, order, "1", within=1) <= 1
        assert house.events("quarantined", "conflict", "suspect") == []
        assert any("clock is 3600.0 s off" in line["event"] for line in logs)


@virtually
async def test_a_clock_that_is_set_while_the_stream_is_heard_moves_no_truth(tmp_path: Path) -> None:
    async with built(tmp_path, pushes=True) as house:
        clock = SetClock()
        house.service_clock = clock
        fills = [(ago(hours=1, seconds=QUIET + 60 * n), Decimal("0.2")) for n in range(1, 4)]
        order = house.place(Life.open(fills=fills))
        async with house.running():
            for n, hours in ((1, 1), (2, -1), (3, 0)):
                await house.wait(seconds=QUIET if n == 1 else 55)
                clock.off = timedelta(hours=hours)
                await until_told(house, order, f"0.{2 * n}", within=0.1)
            house.world.cancel(order.order_id)
            # By a clock that was set on the lease has ended; until its renewal nothing is written.
            await house.until_true(order, within=20)
        assert house.events("quarantined", "conflict") == []
