"""How long a row is untrue when the stream fails, and what watching costs: in virtual time.

The real service and its connectors listen to the simulated exchange over a network in memory,
with up to 100 ms for a round trip. Nothing of it is this machine's speed: the seconds are those
that a venue's clock would have counted.
"""

from __future__ import annotations

import itertools
import shutil
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from benchmarks.measure import Line, Options
from ordersync.simulator import Life, StreamKind
from ordersync.sync.stream import State
from tests.system.house import ago, built, stream_of
from tests.virtual import Network, run_virtually

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.sync.stream import Health

QUIET_SECONDS = 100
LATENCY = (0.002, 0.05)
LOST = (
    ("a frame is lost", StreamKind.DROP, None, 2.0),
    ("a frame is late", StreamKind.DELAY, 30, 2.0),
    ("a frame is overtaken", StreamKind.REORDER, None, 2.0),
    ("a frame is never sent, all else is well", StreamKind.NEVER_SENT, None, 31.0),
)
ENDED = (
    ("half-open", StreamKind.HALF_OPEN, None),
    ("mute, heartbeats too", StreamKind.SILENCE, None),
    ("closed cleanly (1000)", StreamKind.CLOSE, 1000),
    ("cut (1006)", StreamKind.CLOSE, 1006),
    ("logged out", StreamKind.LOGOUT, None),
)
NOTICED_GOAL, TRUTH_GOAL = 3.0, 5.0
SHARE_GOAL = 0.02
COINBASE_A_SECOND = 30


class Seen(msgspec.Struct, frozen=True):
    """Seconds from the fault until it was noticed, and from the fill until the row was true."""

    noticed: float
    truth: float


def run(options: Options, folder: Path) -> list[Line]:
    """Each fault under several seeds: the worst of them. Then the steady state.

    Outside of any loop, because each story has one of its own.
    """
    seeds, lines = options.of(40, 4), list[Line]()
    names = itertools.count()

    def tell(kind: StreamKind, value: int | None, seed: int) -> Seen:
        place = folder / f"push-{next(names)}"
        place.mkdir()
        network = Network(seed, latency=LATENCY)
        try:
            return run_virtually(partial(_story, place, kind, value, seed), network=network)
        finally:
            shutil.rmtree(place)

    for what, kind, value, goal in LOST:
        worst = max(tell(kind, value, seed).truth for seed in range(seeds))
        lines.append(_line(f"virtual time: {what}; truth in the row, worst", worst, goal, seeds))
    for what, kind, value in ENDED:
        seen = [tell(kind, value, seed) for seed in range(seeds)]
        noticed, truth = max(s.noticed for s in seen), max(s.truth for s in seen)
        lines.append(
            _line(f"virtual time: stream {what}; noticed, worst", noticed, NOTICED_GOAL, seeds)
        )
        lines.append(
            _line(f"virtual time: stream {what}; truth in the row, worst", truth, TRUTH_GOAL, seeds)
        )
    place = folder / "push-steady"
    place.mkdir()
    calls, seconds = run_virtually(partial(_steady, place, options.of(1_000, 100)))
    share = calls / (COINBASE_A_SECOND * seconds)
    lines.append(
        Line(
            what="virtual time: REST share of Coinbase's budget, 1,000 open orders, live stream",
            unit="%",
            ours=share * 100,
            goal=f"<= {SHARE_GOAL * 100:g} %",
            met=share <= SHARE_GOAL,
            note=f"{calls} calls in {seconds:,} s",
        )
    )
    return lines


def _line(what: str, worst: float, goal: float, seeds: int) -> Line:
    return Line(
        what=what,
        unit="s",
        ours=worst,
        goal=f"<= {goal:g} s",
        met=worst <= goal,
        note=f"{seeds} seeds, round trip up to 100 ms",
    )


async def _story(place: Path, kind: StreamKind, value: int | None, seed: int) -> Seen:
    """A fill at some moment, and the fault a little before it (or in its place)."""
    fill = QUIET_SECONDS + 10 + (seed * 7919 % 30_000) / 1000
    async with built(place, seed=seed, pushes=True) as house:
        order = house.place(Life.filled(ago(hours=1, seconds=fill)))
        for _ in range(9):
            house.place()
        async with house.running() as service:
            health = stream_of(service).health
            before = (seed * 104_729 % 4_000) / 1000
            at = house.clock.now() + timedelta(seconds=fill)
            if kind in {one[1] for one in LOST}:
                # Of both frames that tell of the end, the one in the same instant before it too.
                await house.wait(seconds=fill - 0.5)
                assert health.state is State.LIVE
                house.fault(kind, count=2, value=value, order_ids=frozenset([order.order_id]))
                noticed = 0.0
            else:
                await house.wait(seconds=fill - before - 1)
                assert health.state is State.LIVE
                house.fault(kind, count=1, value=value)
                while not (
                    [t for t in house.connections[0].told if kind in t.faults]
                    or not house.connections[0].is_open
                ):
                    await house.wait(milliseconds=5)
                began = house.clock.monotonic()
                while _is_unnoticed(health):
                    await house.wait(milliseconds=5)
                noticed = house.clock.monotonic() - began
            await house.clock.sleep(at - house.clock.now())
            truth = await house.until_true(order, within=60, step=0.005)
            return Seen(noticed, truth)


def _is_unnoticed(health: Health) -> bool:
    return health.state is State.LIVE and health.connections == 1


async def _steady(place: Path, orders: int) -> tuple[int, int]:
    """Many orders that rest on the book while nothing happens: how many calls in ten minutes."""
    async with built(place, pushes=True) as house:
        for _ in range(orders):
            house.place()
        async with house.running() as service:
            await house.wait(minutes=3)
            assert stream_of(service).health.state is State.LIVE
            house.forget_asked()
            await house.wait(minutes=10)
            return len(house.asked()), 600
