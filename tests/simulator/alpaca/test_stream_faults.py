"""What goes wrong on the stream of trade updates, fault by fault, as a client sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ordersync.simulator import Fault, Faults, StreamKind
from ordersync.simulator.alpaca import Life
from tests.simulator.alpaca.streaming import SECOND, events_of, trading, updates_of
from tests.virtual import run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Callable

# A client that is logged out while it authenticates fails in `begin`.
TROUBLES = (ConnectionClosed, InvalidStatus, ValueError, TimeoutError, AssertionError)
FILLS = Life.filled(SECOND * 2)  # told as pending_new, new, fill


def strike(kind: StreamKind, **when: Any) -> Fault:  # noqa: ANN401 - whatever a fault has
    return Fault(kind=kind, on="stream", **when)


async def story(*faults: Fault, life: Life = FILLS, seconds: float = 6) -> list[Any]:
    """Every frame of one order's life under these faults."""
    async with trading() as floor, floor.listening() as listener:
        for fault in faults:
            floor.faults.add(fault)
        floor.place(life)
        return await listener.until(seconds)


@pytest.mark.parametrize(
    ("fault", "events"),
    [
        (strike(StreamKind.DROP, call=3), ["pending_new", "new"]),
        (strike(StreamKind.NEVER_SENT, call=2), ["pending_new", "fill"]),
        (strike(StreamKind.DUPLICATE, call=2), ["pending_new", "new", "new", "fill"]),
        (strike(StreamKind.REORDER, call=2), ["pending_new", "fill", "new"]),
        (strike(StreamKind.DELAY, call=2, value=2.5), ["pending_new", "fill", "new"]),
        (strike(StreamKind.MUTE, after=1), ["pending_new"]),
        (strike(StreamKind.MUTE, call=1, value=1), ["fill"]),
        (strike(StreamKind.SILENCE, call=2), ["pending_new"]),
        (strike(StreamKind.HALF_OPEN, call=2), ["pending_new"]),
        (strike(StreamKind.REPEAT_OLD), ["pending_new", "new", "fill", "new"]),
        (strike(StreamKind.MISSING_HEARTBEAT), ["pending_new", "new", "fill"]),
        (strike(StreamKind.STALE_SNAPSHOT), ["pending_new", "new", "fill"]),
    ],
    ids=lambda value: str(value.kind) if isinstance(value, Fault) else "",
)
def test_a_frame_is_lost_late_or_told_too_often(fault: Fault, events: list[str]) -> None:
    assert events_of(run_virtually(lambda: story(fault))) == events


@virtually
async def test_an_old_update_says_that_nothing_was_filled() -> None:
    *_, fill, old = updates_of(await story(strike(StreamKind.REPEAT_OLD)))

    assert (fill["order"]["status"], old["order"]["status"]) == ("filled", "new")
    assert (old["order"]["filled_qty"], old["order"]["filled_at"]) == ("0", None)
    assert old["order"]["id"] == fill["order"]["id"]


@pytest.mark.parametrize(
    ("how", "sign"),
    [
        ("not_json", lambda f: isinstance(f, bytes) and f.startswith(b'{"stream"')),
        ("truncated_utf8", lambda f: isinstance(f, bytes) and b'"\xc3event"' in f),
        ("data_null", lambda f: f["data"] is None),
        ("orders_null", lambda f: f["data"]["order"] is None),
        ("unknown_channel", lambda f: f["stream"] == "trade_updates_v2"),
        ("unknown_event", lambda f: f["data"]["event"] == "reallocated"),
        ("unknown_status", lambda f: f["data"]["order"]["status"] == "settling"),
        ("wrong_types", lambda f: isinstance(f["data"]["order"]["status"], int)),
        ("future_time", lambda f: f["data"]["timestamp"].startswith("2999-")),
        ("huge", lambda f: len(str(f)) > 10 * 1024 * 1024),
        ("other_account", lambda f: f["data"]["event"] == "fill"),
    ],
)
def test_a_frame_is_damaged_and_those_around_it_are_not(
    how: str, sign: Callable[[Any], bool]
) -> None:
    frames = run_virtually(lambda: story(strike(StreamKind.GARBAGE, value=how, call=3)))

    assert len(frames) == 3
    assert sign(frames[2])
    assert events_of(frames[:2]) == ["pending_new", "new"]


@virtually
async def test_an_order_of_another_account_is_told_instead() -> None:
    first, *_, last = updates_of(
        await story(strike(StreamKind.GARBAGE, value="other_account", call=3))
    )

    assert first["order"]["id"] != last["order"]["id"]
    assert first["order"]["client_order_id"] != last["order"]["client_order_id"]


@virtually
async def test_numbers_may_come_bare() -> None:
    *_, fill = updates_of(await story(strike(StreamKind.GARBAGE, value="naked_numbers", call=3)))

    assert (fill["price"], fill["qty"], fill["position_qty"]) == (150.0, 2.0, 2.0)
    assert (fill["order"]["filled_qty"], fill["order"]["notional"]) == (2.0, None)


@virtually
async def test_a_fault_can_wait_for_an_order() -> None:
    async with trading() as floor, floor.listening() as listener:
        floor.place(FILLS)
        order_id = floor.place(FILLS)
        floor.faults.add(strike(StreamKind.NEVER_SENT, call=3, order_ids=frozenset({order_id})))
        updates = updates_of(await listener.until(4))

    assert [u["event"] for u in updates if u["order"]["id"] == order_id] == ["pending_new", "new"]
    assert [u["event"] for u in updates].count("fill") == 1


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011])
def test_the_line_is_closed_or_cut(code: int) -> None:
    async def main() -> tuple[list[Any], int]:
        async with trading() as floor, floor.listening() as listener:
            floor.faults.add(strike(StreamKind.CLOSE, call=2, value=code))
            floor.place(FILLS)
            return await listener.rest()

    frames, closed = run_virtually(main)

    assert events_of(frames) == ["pending_new"]
    assert closed == code


@virtually
async def test_a_client_is_logged_out() -> None:
    async with trading() as floor, floor.listening() as listener:
        floor.faults.add(strike(StreamKind.LOGOUT, call=2))
        floor.place(FILLS)
        frames, code = await listener.rest()

    assert frames[-1]["data"]["status"] == "unauthorized"
    assert (events_of(frames), code) == (["pending_new"], 1000)


@virtually
async def test_a_handshake_is_refused() -> None:
    async with trading(strike(StreamKind.REFUSE, call=1, value=429)) as floor:
        with pytest.raises(InvalidStatus, match="429"):
            async with floor.connecting():
                pass
        async with floor.listening():
            pass


@virtually
async def test_a_half_open_line_keeps_the_place_until_the_client_leaves() -> None:
    async with trading() as floor:
        async with floor.listening() as listener:
            floor.faults.add(strike(StreamKind.HALF_OPEN, call=1))
            floor.place(FILLS)
            assert await listener.until(5) == []
            with pytest.raises(InvalidStatus, match="429"):
                async with floor.connecting():
                    pass
            listener.connection.transport.abort()
            await floor.clock.sleep(1)
        async with floor.listening() as again:
            floor.place(FILLS)
            assert len(await again.until(5)) == 3


@pytest.mark.parametrize("seed", range(25))
def test_a_stream_under_any_seeded_faults_comes_to_its_end(seed: int) -> None:
    async def main() -> None:
        async with trading() as floor:
            faults = Faults.from_seed(seed, within_calls=10, kinds=tuple(StreamKind))
            for fault in faults.all:
                floor.faults.add(fault)
            for _ in range(8):
                try:
                    # A silent line does not even answer: the client gives it up.
                    async with asyncio.timeout(20), floor.listening() as listener:
                        floor.place(FILLS)
                        await listener.until(8)
                        listener.connection.transport.abort()
                except TROUBLES:
                    await floor.clock.sleep(1)
            floor.faults.clear()
            await floor.clock.sleep(2)
            async with floor.listening() as listener:
                floor.place(FILLS)
                assert events_of(await listener.until(4)) == ["pending_new", "new", "fill"]

    run_virtually(main)
