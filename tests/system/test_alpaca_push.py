"""Push at Alpaca: no snapshot, no numbering, no replay, so what is not told is asked for in time.

The orders here are older than the first steps at which a new row is asked about.
"""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect

from ordersync.simulator import Fault, Kind, StreamKind
from ordersync.simulator.alpaca import Event, Life
from ordersync.sync.stream import State
from tests.system.alpaca_house import STATUS_WORDS, AlpacaHouse, at_alpaca
from tests.system.house import Placed, ago, stream_of
from tests.virtual import virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from pathlib import Path

    from ordersync.service import Service

QUIET = 30.0
"""Seconds after the start from which only the stream and full passes look at a row in time."""

EVENTS = "SELECT body FROM ordersync_events ORDER BY log_id, n"
FRAME_SECONDS = 2.5
LINE_SECONDS = 5.0


@contextlib.asynccontextmanager
async def at_work(
    folder: Path,
    orders: int = 1,
    **broker: Any,  # noqa: ANN401
) -> AsyncIterator[tuple[AlpacaHouse, Service, list[Placed]]]:
    """A service with a live stream, and orders of which a quarter fills 10, 30, … s from now."""
    async with at_alpaca(folder, **broker) as house:
        placed = [
            house.place(
                Life.filled(
                    ago(hours=1, seconds=QUIET + 20 * (n + 1)),
                    fills=[(ago(hours=1, seconds=QUIET + 20 * n + 10), Decimal("0.25"))],
                )
            )
            for n in range(orders)
        ]
        async with house.running() as service:
            await house.wait(seconds=QUIET)
            assert stream_of(service).health.state is State.LIVE
            house.forget_asked()
            yield house, service, placed


async def until_told(
    house: AlpacaHouse, placed: Placed, filled: str, within: float, step: float = 0.01
) -> float:
    """Wait for the broker to fill so much, then for the row; how long the row was untrue."""
    while house.truth(placed).filled_qty < Decimal(filled):
        await house.wait(seconds=step)
    return await house.until_true(placed, within=within, step=step)


@virtually
async def test_a_fill_is_in_the_row_before_anybody_asks(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, _, (order,)):
        assert await until_told(house, order, "1", within=0.1) <= 0.1
        assert house.row(order.row_id)["filled_size"] == 1
        assert await until_told(house, order, "4", within=0.1) <= 0.1
        told = [json.loads(event)["source"] for (event,) in house.sql(EVENTS)]
        assert told == ["poll", "stream", "stream"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (StreamKind.DROP, None),
        (StreamKind.NEVER_SENT, None),
        (StreamKind.DELAY, 20),
        (StreamKind.REORDER, None),
    ],
)
@virtually
async def test_a_frame_that_is_lost_or_late_is_made_up_for_by_the_safety_poll(
    tmp_path: Path, kind: StreamKind, value: int | None
) -> None:
    async with at_work(tmp_path, orders=2) as (house, service, (order, other)):
        house.fault(kind, count=1, value=value)
        assert await until_told(house, order, "1", within=FRAME_SECONDS) <= FRAME_SECONDS
        assert await until_told(house, order, "4", within=0.1) <= 0.1
        # A frame that never came says that the stream is not to be trusted, until it tells again.
        await until_told(house, other, "1", within=FRAME_SECONDS)
        await house.wait(seconds=5)
        assert stream_of(service).health.state is State.LIVE
        assert house.untrue(order) == house.untrue(other) == []


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
        (StreamKind.MUTE, None),
    ],
)
@virtually
async def test_a_stream_that_ends_or_tells_nothing_is_made_up_for_and_is_there_again(
    tmp_path: Path, kind: StreamKind, value: int | None
) -> None:
    async with at_work(tmp_path, orders=3) as (house, service, (first, second, third)):
        # In the place of the first fill's frame: nothing else is said here unasked.
        house.fault(kind, count=1, value=value)
        assert await until_told(house, first, "1", within=LINE_SECONDS) <= LINE_SECONDS
        assert await until_told(house, first, "4", within=LINE_SECONDS) <= LINE_SECONDS
        await until_told(house, second, "1", within=LINE_SECONDS)
        await until_told(house, second, "4", within=LINE_SECONDS)
        await house.wait(seconds=5)
        health = stream_of(service).health
        assert health.state is State.LIVE
        assert len(house.connections) <= 4
        assert await until_told(house, third, "1", within=0.1) <= 0.1


@pytest.mark.parametrize("status", [401, 403, 406, 429, 503])
@virtually
async def test_a_broker_that_turns_the_stream_away_is_asked_instead_and_not_stormed(
    tmp_path: Path, status: int, logs: list[MutableMapping[str, Any]]
) -> None:
    async with at_alpaca(tmp_path) as house:
        order = house.place(Life.filled(ago(hours=1, seconds=120)))
        house.fault(StreamKind.REFUSE, value=status, lasts=timedelta(minutes=5))
        async with house.running() as service:
            await house.wait(seconds=119)
            assert stream_of(service).health.state is State.DEGRADED
            assert await until_told(house, order, "4", within=LINE_SECONDS) <= LINE_SECONDS
            assert len(house.connections) <= 14
            assert [one.status for one in house.asked() if one.status != 200] == []
            house.faults.clear()
            await house.wait(seconds=70)
            assert stream_of(service).health.state is State.LIVE
        said = [line["event"] for line in logs if "Push is degraded" in line["event"]]
        assert str(status) in said[0]
        assert len(said) <= 119 / 10, "of the same thing every ten seconds at most"


@virtually
async def test_what_is_told_twice_is_written_once(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, _, (order,)):
        house.fault(StreamKind.DUPLICATE)
        before = len(house.sql(EVENTS))
        await until_told(house, order, "4", within=0.1)
        await house.wait(seconds=5)
        assert len(house.sql(EVENTS)) == before + 2


@virtually
async def test_an_old_open_after_the_end_reopens_nothing(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, _, (order,)):
        house.fault(StreamKind.REPEAT_OLD)
        await until_told(house, order, "4", within=0.1)
        before = house.dump("trades")
        await house.wait(seconds=30)
        assert house.dump("trades") == before


@pytest.mark.parametrize(
    "how",
    [
        "not_json",
        "wrong_types",
        "huge",
        "unknown_channel",
        "truncated_utf8",
        "unknown_status",
        "unknown_event",
        "other_account",
        "future_time",
        "orders_null",
        "data_null",
        "naked_numbers",
    ],
)
@virtually
async def test_garbage_writes_nothing_wrong_and_the_stream_lives_on(
    tmp_path: Path, how: str
) -> None:
    async with at_work(tmp_path, orders=2) as (house, service, (first, second)):
        before = len(house.sql(EVENTS))
        house.fault(StreamKind.GARBAGE, count=1, value=how)
        late = await until_told(house, first, "1", within=FRAME_SECONDS)
        if how in {"unknown_event", "naked_numbers"}:
            assert late <= 0.1, "what an event is called, or how a number is spelled, is no matter"
        assert await until_told(house, first, "4", within=FRAME_SECONDS) <= FRAME_SECONDS
        await until_told(house, second, "1", within=FRAME_SECONDS)
        await house.wait(seconds=5)
        assert stream_of(service).health.state is State.LIVE
        events = [json.loads(event) for (event,) in house.sql(EVENTS)[before:]]
        # An order of nobody's is kept, for its row may come; it is written nowhere.
        changed = [e for e in events if e["kind"] == "changed" and e["order"]["row_id"]]
        told = [float(e["after"]["filled_qty"]) for e in changed]
        # What is told again after it was asked for may say more exactly when that was.
        assert [filled for filled, _ in groupby(told)] == [1, 4, 1]
        assert {e["kind"] for e in events} <= {"changed", "confirmed", "quarantined"}


@pytest.mark.parametrize("refusal", [429, 406, "after_auth"])
@virtually
async def test_where_another_program_listens_asking_takes_over_until_it_leaves(
    tmp_path: Path, refusal: object
) -> None:
    async with at_alpaca(tmp_path, second_connection=refusal) as house:
        order = house.place(Life.filled(ago(hours=1, seconds=120)))
        key = house.account.key
        async with connect(house.url.replace("http", "ws") + "/stream") as other:
            await other.send(
                json.dumps({"action": "auth", "key": key.key_id, "secret": key.secret_key})
            )
            await other.recv()
            async with house.running() as service:
                await house.wait(seconds=119)
                assert stream_of(service).health.state is State.DEGRADED
                assert "another program" in stream_of(service).health.why
                assert len(house.connections) <= 14
                assert await until_told(house, order, "4", within=FRAME_SECONDS) <= FRAME_SECONDS
                assert {one.status for one in house.asked()} == {200}
                await other.close()
                await house.wait(seconds=60)
                assert stream_of(service).health.state is State.LIVE


@virtually
async def test_done_for_day_resumes_the_next_morning(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path, orders={"status_words": STATUS_WORDS}) as house:
        life = Life.overnight(ago(hours=1, seconds=40), sleeps=ago(seconds=60))
        order = house.place(life, status="w_new")
        async with house.running():
            await house.wait(seconds=41)
            assert house.word(order) == "w_done_for_day"
            await house.wait(seconds=59.5)
            assert house.word(order) == "w_new"
            await house.wait(seconds=1)
            assert house.word(order) == "w_filled"


@virtually
async def test_what_takes_fills_back_is_set_aside_for_a_person(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, _, (order,)):
        await until_told(house, order, "1", within=0.1)
        house.world.happen(order.order_id, Event.TRADE_BUST)
        await house.wait(seconds=5)
        assert house.row(order.row_id)["filled_size"] == 1, "fills never shrink by a venue's word"
        assert "quarantined" in house.events(order=order.order_id)


@contextlib.asynccontextmanager
async def after_a_gap(folder: Path, ends: int, **broker: Any) -> AsyncIterator[AlpacaHouse]:  # noqa: ANN401
    """A stream that was cut and is there again; meanwhile so many orders were filled."""
    async with at_alpaca(folder, **broker) as house:
        filled = Life.filled(ago(hours=1, seconds=QUIET + 10), opens=ago(hours=1))
        placed = [house.place(filled) for _ in range(ends)]
        house.place()
        async with house.running() as service:
            await house.wait(seconds=QUIET)
            assert stream_of(service).health.state is State.LIVE
            house.forget_asked()
            house.fault(StreamKind.CLOSE, value=1006, count=1)
            house.fault(StreamKind.REFUSE, value=503, count=1)
            while not house.truth(placed[0]).final:
                await house.wait(milliseconds=10)
            await house.until_true(*placed, within=60, step=0.1)
            yield house


@virtually
async def test_the_ends_in_a_gap_come_in_one_call_where_the_venue_tells_them_again(
    tmp_path: Path,
) -> None:
    async with after_a_gap(tmp_path, ends=12) as house:
        assert house.asked("events")
        # A pass that was under way had asked for some already.
        assert len(house.asked("get")) <= 4
        told = {json.loads(event)["source"] for (event,) in house.sql(EVENTS)}
        assert "stream" in told


@virtually
async def test_the_ends_in_a_gap_are_asked_for_where_it_tells_nothing_again(
    tmp_path: Path,
) -> None:
    async with after_a_gap(tmp_path, ends=12, events=False) as house:
        # Asked once, then left alone for an hour.
        assert [one.status for one in house.asked("events")] == [404]
        assert len(house.asked("get")) >= 12


@virtually
async def test_a_replay_that_never_ends_keeps_nothing_waiting(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, service, (order,)):
        house.faults.add(Fault(kind=Kind.TIMEOUT, on="events", count=9))
        house.fault(StreamKind.CLOSE, value=1006, count=1)
        assert await until_told(house, order, "1", within=LINE_SECONDS) <= LINE_SECONDS
        await house.wait(seconds=20)
        assert stream_of(service).health.state is State.LIVE
        assert len(house.asked("events")) == 1
