"""Alpaca in virtual time: how long a row is untrue, and what watching and verifying costs.

There is no numbering and no heartbeat on its stream, and 200 calls a minute are all there is. The
real service and its connectors watch the simulated broker over a network in memory; nothing of it
is this machine's speed.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from benchmarks.measure import Line, Options
from ordersync.simulator import StreamKind
from ordersync.simulator.alpaca import Life
from ordersync.sync.stream import State
from tests.system.alpaca_house import at_alpaca, crowd
from tests.system.house import ago, stream_of
from tests.virtual import Network, run_virtually

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.sync.stream import Health
    from tests.system.alpaca_house import AlpacaHouse

QUIET_SECONDS = 40
LATENCY = (0.002, 0.05)
FRAMES = (
    ("a frame is lost", StreamKind.DROP, None),
    ("a frame is late", StreamKind.DELAY, 30),
    ("a frame is overtaken", StreamKind.REORDER, None),
)
UNTOLD = (
    ("mute", StreamKind.MUTE, None),
    ("silent but for pings", StreamKind.SILENCE, None),
)
ENDED = (
    ("half-open", StreamKind.HALF_OPEN, None),
    ("closed cleanly (1000)", StreamKind.CLOSE, 1000),
    ("cut (1006)", StreamKind.CLOSE, 1006),
    ("logged out", StreamKind.LOGOUT, None),
)
FRAME_GOAL, LINE_GOAL, NOTICED_GOAL = 2.5, 5.0, 3.0
SHARE_GOAL = 0.35
A_MINUTE = 200
PAGE = 500
LOOK_UPS = {"get", "by_client_id", "fills"}


class Seen(msgspec.Struct, frozen=True):
    """Seconds from the fault until it was noticed, and from the fill until the row was true."""

    noticed: float
    truth: float


def run(options: Options, folder: Path) -> list[Line]:
    """Each fault under several seeds: the worst of them. Then the steady state, and one pass.

    Outside of any loop, because each story has one of its own.
    """
    names = itertools.count()
    few, many, crowded = options.of(40, 4), options.of(8, 1), options.of(1_000, 100)
    tries = [(seed, 10) for seed in range(few)] + [(seed, crowded) for seed in range(many)]
    seeds = f"{few} seeds at 10 open orders, {many} at {crowded:,}"

    def worst(kind: StreamKind, value: int | None) -> Seen:
        found = list[Seen]()
        for seed, orders in tries:
            place = folder / f"alpaca-{next(names)}"
            place.mkdir()
            network = Network(seed, latency=LATENCY)
            story = partial(_story, place, kind, value, seed, orders)
            found.append(run_virtually(story, network=network))
            shutil.rmtree(place)
        return Seen(max(one.noticed for one in found), max(one.truth for one in found))

    lines = [
        _line(f"{what}; truth in the row, worst", worst(kind, value).truth, FRAME_GOAL, seeds)
        for what, kind, value in FRAMES
    ]
    lines += [
        _line(f"stream {what}; truth in the row, worst", worst(kind, value).truth, LINE_GOAL, seeds)
        for what, kind, value in UNTOLD
    ]
    for what, kind, value in ENDED:
        seen = worst(kind, value)
        lines += [
            _line(f"stream {what}; noticed, worst", seen.noticed, NOTICED_GOAL, seeds),
            _line(f"stream {what}; truth in the row, worst", seen.truth, LINE_GOAL, seeds),
        ]
    for place in (steady := folder / "steady", verify := folder / "verify"):
        place.mkdir()
    lines.append(run_virtually(partial(_steady, steady, crowded)))
    lines.append(run_virtually(partial(_verify, verify, options.of(10_000, 1_000))))
    return lines


def _line(what: str, worst: float, goal: float, seeds: str) -> Line:
    return Line(
        what=f"virtual time: Alpaca: {what}",
        unit="s",
        ours=worst,
        goal=f"<= {goal:g} s",
        met=worst <= goal,
        note=f"{seeds}; round trip up to 100 ms",
    )


async def _story(place: Path, kind: StreamKind, value: int | None, seed: int, orders: int) -> Seen:
    """A fill at some moment, and the fault in its place or a little before."""
    fill = QUIET_SECONDS + 10 + (seed * 7919 % 30_000) / 1000
    async with at_alpaca(place, seed=seed) as house:
        order = house.place(Life.filled(ago(hours=1, seconds=fill)))
        crowd(house, orders - 1)
        async with house.running() as service, asyncio.TaskGroup() as group:
            at = house.clock.now() + timedelta(seconds=fill)
            # Nothing is said unasked on this stream: a line fails when another order is placed.
            is_frame = kind in {one[1] for one in FRAMES}
            before = 0.5 if is_frame else (seed * 104_729 % 5_000) / 1000
            await house.clock.sleep(at - house.clock.now() - timedelta(seconds=before))
            health = stream_of(service).health
            assert health.state is State.LIVE
            if is_frame:
                house.fault(kind, count=1, value=value, order_ids=frozenset([order.order_id]))
            else:
                house.fault(kind, count=1, value=value)
                house.order(Life.pending(), age=ago())
            noticing = group.create_task(_notice(house, health))
            await house.clock.sleep(at - house.clock.now())
            truth = await house.until_true(order, within=60, step=0.005)
            if kind not in {one[1] for one in ENDED}:
                noticing.cancel()
                return Seen(0.0, truth)
            return Seen(await noticing, truth)


async def _notice(house: AlpacaHouse, health: Health) -> float:
    """Wait until the stream is known to have ended; how long that took."""
    began = house.clock.monotonic()
    while health.state is State.LIVE and health.connections == 1:
        await house.wait(milliseconds=5)
    return house.clock.monotonic() - began


async def _steady(place: Path, orders: int) -> Line:
    """Many orders that rest on the book while nothing happens: the calls of ten minutes."""
    async with at_alpaca(place) as house:
        crowd(house, orders)
        async with house.running() as service:
            await house.wait(minutes=2)
            assert stream_of(service).health.state is State.LIVE
            house.forget_asked()
            await house.wait(minutes=10)
            asked = house.asked()
    assert {one.status for one in asked} == {200}, "a 429"
    watching = [one for one in asked if one.endpoint not in LOOK_UPS]
    share = len(watching) / (A_MINUTE * 10)
    return Line(
        what=f"virtual time: REST share of Alpaca's budget, {orders:,} open orders, live stream",
        unit="%",
        ours=share * 100,
        goal=f"<= {SHARE_GOAL * 100:g} %",
        met=share <= SHARE_GOAL,
        note=f"{len(watching)} calls and {len(asked) - len(watching)} look-ups in 10 min, no 429",
    )


async def _verify(place: Path, orders: int) -> Line:
    """One pass over many open orders, against pages at half of the venue's rate."""
    async with at_alpaca(place) as house:
        crowd(house, orders)
        began = house.clock.monotonic()
        report = await house.sync()
        took = house.clock.monotonic() - began
        assert len(report.sighted) == orders
        calls = len(house.asked())
    floor = -(-orders // PAGE) / (A_MINUTE / 2 / 60)
    return Line(
        what=f"virtual time: Alpaca: {orders:,} open orders verified",
        unit="s",
        ours=took,
        floor=floor,
        ratio=took / floor,
        goal="<= 1.10 x",
        met=took <= 1.1 * floor,
        note=f"{calls} calls; floor: full pages at half of {A_MINUTE} calls a minute",
    )
