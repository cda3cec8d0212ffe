"""What goes wrong on the stream, fault by fault, as a client sees it."""

# ruff: noqa: ANN401 - what a fault may say is for the schedule to judge

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ordersync.simulator import Fault, Faults, Kind, Life, StreamKind
from tests.simulator.streaming import (
    SECOND,
    in_snapshots,
    numbers_of,
    orders_of,
    place,
    told,
    trading,
)
from tests.virtual import run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HALF = Decimal("0.5")
FILLS = Life.filled(SECOND * 2)  # told as pending, open, open with nothing left, filled


def strike(kind: StreamKind, **when: Any) -> Fault:
    return Fault(kind=kind, on="stream", **when)


async def story(*faults: Fault, life: Life = FILLS, seconds: float = 4.5) -> list[Any]:
    """Every frame of one order's life, heartbeats included, under these faults."""
    async with trading(*faults) as floor, floor.listening() as listener:
        frames: list[Any] = list(await listener.begin("user", "heartbeats"))
        place(floor, life)
        return frames + await listener.until(seconds)


def statuses(frames: list[Any]) -> list[str]:
    return [order["status"] for order in orders_of(frames)]


# --- Frames about orders -------------------------------------------------------------------


@virtually
async def test_a_dropped_frame_leaves_a_gap() -> None:
    frames = await story(strike(StreamKind.DROP, call=4))

    assert statuses(frames) == ["PENDING", "OPEN", "OPEN"]
    numbers = numbers_of(frames)
    assert set(range(numbers[-1])) - set(numbers) == {8}


@virtually
async def test_a_frame_that_is_never_sent_leaves_none() -> None:
    frames = await story(strike(StreamKind.NEVER_SENT, call=4))

    assert statuses(frames) == ["PENDING", "OPEN", "OPEN"]
    assert numbers_of(frames) == list(range(len(frames)))


@virtually
async def test_a_fault_can_wait_for_an_order() -> None:
    async with trading() as floor, floor.listening() as listener:
        await listener.begin()
        place(floor, FILLS)
        order = place(floor, FILLS)
        ids = frozenset({order.order_id})
        floor.faults.add(strike(StreamKind.NEVER_SENT, call=4, order_ids=ids))
        frames = await listener.until(4)

    assert [status for status, *_ in told(frames, order)] == ["PENDING", "OPEN", "OPEN"]
    assert statuses(frames).count("FILLED") == 1


@virtually
async def test_a_frame_comes_twice_with_one_number() -> None:
    frames = await story(strike(StreamKind.DUPLICATE, call=2))

    assert statuses(frames) == ["PENDING", "OPEN", "OPEN", "OPEN", "FILLED"]
    twice = [f for f in frames if f["channel"] == "user" and f["events"][0]["type"] == "update"]
    assert twice[1] == twice[2]
    assert sorted(set(numbers_of(frames))) == list(range(len(frames) - 1))


@virtually
async def test_a_frame_comes_after_the_next_one_with_its_own_number() -> None:
    frames = await story(strike(StreamKind.REORDER, call=3))

    assert statuses(frames) == ["PENDING", "OPEN", "FILLED", "OPEN"]
    assert numbers_of(frames) != sorted(numbers_of(frames)) == list(range(len(frames)))


@virtually
async def test_a_held_frame_waits_for_no_other_than_a_heartbeat() -> None:
    frames = await story(strike(StreamKind.REORDER, call=4))

    assert statuses(frames)[-1] == "FILLED"
    index = next(n for n, frame in enumerate(frames) if "FILLED" in statuses([frame]))
    assert frames[index - 1]["channel"] == "heartbeats"
    assert frames[index - 1]["sequence_num"] == frames[index]["sequence_num"] + 1


@virtually
async def test_a_late_frame_keeps_its_number_and_is_overtaken() -> None:
    frames = await story(strike(StreamKind.DELAY, call=2, value=2.5))

    assert statuses(frames) == ["PENDING", "OPEN", "FILLED", "OPEN"]
    assert numbers_of(frames) != sorted(numbers_of(frames)) == list(range(len(frames)))


@virtually
async def test_an_old_open_is_repeated_after_filled() -> None:
    life = Life.filled(SECOND * 2, fills=((SECOND, HALF),))
    frames = await story(strike(StreamKind.REPEAT_OLD), life=life)

    assert statuses(frames) == ["PENDING", "OPEN", "OPEN", "OPEN", "FILLED", "OPEN"]
    old = orders_of(frames)[-1]
    assert (old["cumulative_quantity"], old["leaves_quantity"]) == ("1", "1")
    assert numbers_of(frames) == list(range(len(frames)))


@virtually
async def test_a_mute_stream_beats_on_without_a_gap() -> None:
    async with trading(strike(StreamKind.MUTE, call=2)) as floor, floor.listening() as listener:
        frames = await listener.begin("user", "heartbeats")
        place(floor, FILLS)
        frames += await listener.until(60)
        assert statuses(frames) == ["PENDING"]
        assert numbers_of(frames) == list(range(len(frames)))
        assert sum(frame["channel"] == "heartbeats" for frame in frames) >= 59
        # The next connection is well.
        async with floor.listening() as again:
            await again.begin()
            place(floor, FILLS)
            assert len(statuses(await again.until(3))) == 4


@pytest.mark.parametrize(
    "until", [{"value": 1.5, "count": 1}, {"lasts": timedelta(seconds=1.5)}], ids=str
)
def test_a_mute_stream_may_recover(until: dict[str, Any]) -> None:
    frames = run_virtually(lambda: story(strike(StreamKind.MUTE, **until)))

    assert statuses(frames) == ["OPEN", "FILLED"]
    assert orders_of(frames)[0]["leaves_quantity"] == "0"


@pytest.mark.parametrize(
    ("how", "sign"),
    [
        ("unknown_status", lambda f: f["events"][0]["orders"][0]["status"] == "SETTLING"),
        ("wrong_types", lambda f: isinstance(f["events"][0]["orders"][0]["status"], int)),
        ("orders_null", lambda f: f["events"][0]["orders"] is None),
        ("data_null", lambda f: f["events"] is None),
        ("unknown_event", lambda f: f["events"][0]["type"] == "amendment"),
        (
            "naked_numbers",
            lambda f: isinstance(f["events"][0]["orders"][0]["cumulative_quantity"], float),
        ),
        ("unknown_channel", lambda f: f["channel"] == "user_v2"),
        ("future_time", lambda f: f["timestamp"].startswith("2999-")),
        ("huge", lambda f: len(str(f)) > 10 * 1024 * 1024),
        ("not_json", lambda f: isinstance(f, bytes) and f.startswith(b'{"channel"')),
        ("truncated_utf8", lambda f: isinstance(f, bytes) and b"\xc3" in f),
    ],
)
def test_a_frame_is_damaged_and_those_around_it_are_not(
    how: str, sign: Callable[[Any], bool]
) -> None:
    frames = run_virtually(lambda: story(strike(StreamKind.GARBAGE, value=how, call=2)))

    damaged = frames[4]
    assert sign(damaged)
    whole = [*frames[:4], *frames[5:]]
    assert numbers_of(whole) == [n for n in range(len(frames)) if n != 4]
    assert statuses(whole) == ["PENDING", "OPEN", "FILLED"]


@virtually
async def test_an_order_of_another_account_is_told_instead() -> None:
    frames = await story(strike(StreamKind.GARBAGE, value="other_account", call=4))

    stranger, own = orders_of(frames)[3], orders_of(frames)[0]
    assert stranger["status"] == "FILLED"
    assert stranger["order_id"] != own["order_id"]
    assert stranger["retail_portfolio_id"] != own["retail_portfolio_id"]


# --- Snapshots and heartbeats --------------------------------------------------------------


@virtually
async def test_a_snapshot_may_be_older_than_the_last_event() -> None:
    async with trading(strike(StreamKind.STALE_SNAPSHOT, value=5)) as floor:
        order = place(floor, Life.filled(SECOND * 6))
        await floor.clock.sleep(8)
        place(floor, Life.open())
        async with floor.listening() as listener:
            frames = await listener.begin()
    assert in_snapshots(frames) == [[order.order_id]]
    assert frames[1]["events"][0]["orders"][0]["status"] == "OPEN"
    assert frames[1]["timestamp"].startswith("2026-11-20T12:00:08.")


@virtually
async def test_the_counter_of_heartbeats_skips_one() -> None:
    frames = await story(strike(StreamKind.MISSING_HEARTBEAT, call=3))

    beats = [f["events"][0]["heartbeat_counter"] for f in frames if f["channel"] == "heartbeats"]
    assert [beat - beats[0] for beat in beats] == [0, 1, 3, 4]
    assert numbers_of(frames) == list(range(len(frames)))


# --- The line ------------------------------------------------------------------------------


@virtually
async def test_silence_keeps_the_socket_open_and_uses_numbers() -> None:
    frames = await story(strike(StreamKind.SILENCE, after=4, count=1, value=3), seconds=9)

    assert statuses(frames) == ["PENDING"]
    numbers = numbers_of(frames)
    missing = [n for n in range(numbers[-1]) if n not in numbers]
    assert len(missing) == 6
    assert missing == list(range(missing[0], missing[-1] + 1))


@virtually
async def test_a_silent_socket_answers_pings() -> None:
    async with trading(strike(StreamKind.SILENCE, after=2)) as floor, floor.listening() as listener:
        await listener.begin()
        place(floor, FILLS)
        assert await listener.until(30) == []
        await asyncio.wait_for(await listener.connection.ping(), 1)


@virtually
async def test_a_half_open_socket_answers_nothing_until_the_client_leaves() -> None:
    async with trading(strike(StreamKind.HALF_OPEN, after=3, count=1)) as floor:
        async with floor.listening(ping_interval=None, close_timeout=2) as listener:
            await listener.begin("user", "heartbeats")
            place(floor, FILLS)
            assert await listener.until(300) == []
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(await listener.connection.ping(), 30)
            await listener.subscribe("heartbeats")
            assert await listener.until(30) == []
            assert floor.streams[0].is_open
        await floor.clock.sleep(1)
        assert not floor.streams[0].is_open
        assert floor.streams[0].close_code is None


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011])
def test_a_connection_is_closed_with_any_code(code: int) -> None:
    async def main() -> None:
        async with trading(strike(StreamKind.CLOSE, after=4, count=1, value=code)) as floor:
            async with floor.listening() as listener:
                await listener.begin("user", "heartbeats")
                place(floor, FILLS)
                frames, received = await listener.rest()
            assert (statuses(frames), received) == (["PENDING"], code)
            assert floor.streams[0].close_code == code
            async with floor.listening() as listener:
                assert numbers_of(await listener.begin()) == [0, 1]

    run_virtually(main)


@virtually
async def test_a_logout_is_said_before_the_end() -> None:
    logout = strike(StreamKind.LOGOUT, after=2, count=1)
    async with trading(logout) as floor, floor.listening() as listener:
        await listener.begin()
        place(floor, FILLS)
        frames, code = await listener.rest()
    assert frames == [{"type": "error", "message": "authentication failure"}]
    assert code == 1000


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_a_handshake_is_refused(status: int) -> None:
    async def main() -> None:
        async with trading(strike(StreamKind.REFUSE, call=2, value=status)) as floor:
            async with floor.listening():
                pass
            with pytest.raises(InvalidStatus) as refused:
                async with floor.listening():
                    pass
            assert refused.value.response.status_code == status
            async with floor.listening() as listener:
                assert numbers_of(await listener.begin()) == [0, 1]
            assert [each.refused for each in floor.streams] == [None, status, None]

    run_virtually(main)


@virtually
async def test_a_client_notices_a_half_open_socket_by_its_pings() -> None:
    async with trading(strike(StreamKind.HALF_OPEN, after=2)) as floor:
        options: dict[str, Any] = {"ping_interval": 1, "ping_timeout": 1, "close_timeout": 1}
        async with floor.listening(**options) as listener:
            await listener.begin()
            place(floor, FILLS)
            with pytest.raises(ConnectionClosed):
                await listener.next()
        await floor.clock.sleep(1)
        assert not floor.streams[0].is_open


@virtually
async def test_what_was_struck_is_remembered() -> None:
    faults = (strike(StreamKind.DROP, call=2), strike(StreamKind.NEVER_SENT, call=3))
    async with trading(*faults) as floor, floor.listening() as listener:
        await listener.begin()
        place(floor, FILLS)
        await listener.until(3)
        updates = [each for each in floor.streams[0].told if each.status]

    assert [(each.status, each.sequence, each.left, each.faults) for each in updates] == [
        ("PENDING", 2, True, ()),
        ("OPEN", 3, False, ("drop",)),
        ("OPEN", None, False, ("never_sent",)),
        ("FILLED", 4, True, ()),
    ]


# --- The schedule --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": StreamKind.MUTE},
        {"kind": StreamKind.DROP, "on": "list"},
        {"kind": Kind.DROP, "on": "stream"},
        {"kind": Kind.STALE, "on": "stream"},
    ],
    ids=str,
)
def test_what_happens_on_the_stream_happens_nowhere_else(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not happen on"):
        Fault(**wrong)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (StreamKind.CLOSE, 1005),
        (StreamKind.REFUSE, 200),
        (StreamKind.GARBAGE, "dust"),
        (StreamKind.DELAY, "long"),
        (StreamKind.MUTE, -1),
    ],
)
def test_a_senseless_value_is_refused(kind: StreamKind, value: str | int) -> None:
    with pytest.raises(ValueError, match=f"value of {kind} is"):
        strike(kind, value=value)


def test_a_fault_file_names_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(
        """
        [[fault]]
        kind = "drop"
        on = "stream"
        call = 3

        [[fault]]
        kind = "mute"
        on = "stream"
        value = "20s"

        [[fault]]
        kind = "close"
        on = "stream"
        after = 5
        count = 1
        value = 1006

        [[fault]]
        kind = "drop"
        """
    )

    assert Faults.load(path).all == (
        strike(StreamKind.DROP, call=3),
        strike(StreamKind.MUTE, value=20.0),
        strike(StreamKind.CLOSE, after=5, count=1, value=1006),
        Fault(kind=Kind.DROP),
    )
    path.write_text('[[fault]]\nkind = "stale"\non = "stream"')
    with pytest.raises(ValueError, match="there is no 'stale'; use drop, never_sent"):
        Faults.load(path)


def test_calls_and_the_stream_are_counted_apart() -> None:
    async def main() -> None:
        any_call = Fault(kind=Kind.TOO_MANY, count=5)
        async with trading(any_call) as floor, floor.listening() as listener:
            await listener.begin()
            place(floor, FILLS)
            assert len(await listener.until(5)) == 4
            assert floor.faults.strike("list", floor.clock.now()) == (any_call,)

    run_virtually(main)


def test_seeded_schedules_have_stream_faults_where_asked_for() -> None:
    kinds = (*Kind, *StreamKind)
    schedules = [Faults.from_seed(seed, kinds=kinds).all for seed in range(80)]

    assert schedules == [Faults.from_seed(seed, kinds=kinds).all for seed in range(80)]
    met = {(fault.on == "stream", fault.kind) for schedule in schedules for fault in schedule}
    assert met == {(isinstance(kind, StreamKind), kind) for kind in kinds}
    assert not any(f.on == "stream" for n in range(80) for f in Faults.from_seed(n).all)


@pytest.mark.parametrize("seed", range(25))
def test_a_stream_under_any_seeded_faults_comes_to_its_end(seed: int) -> None:
    """Whoever connects again and again is told the truth in the end."""

    async def main() -> None:
        faults = Faults.from_seed(seed, kinds=tuple(StreamKind), within_calls=20)
        async with trading(*faults.all, seed=seed) as floor:
            for _ in range(40):
                place(floor, Life.filled(SECOND))
                with_limits: dict[str, Any] = {"ping_interval": 5, "ping_timeout": 5}
                try:
                    async with floor.listening(close_timeout=1, **with_limits) as listener:
                        await listener.begin("user", "heartbeats")
                        await listener.until(5)
                except (ConnectionClosed, InvalidStatus):
                    await floor.clock.sleep(1)
            async with floor.listening() as listener:
                frames = await listener.begin("user", "heartbeats")
                order = place(floor, FILLS)
                frames += await listener.until(5)
            assert numbers_of(frames) == list(range(len(frames)))
            assert told(frames, order)[-1] == ("FILLED", "2", "0")
        assert not any(each.is_open for each in floor.streams)

    run_virtually(main, seed=seed)
