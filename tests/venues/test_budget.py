"""The rate budget: what is spent never exceeds what the venue allows, over any span."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest

from ordersync.venues.budget import LONGEST_PAUSE, RateBudget
from tests.virtual import VirtualClock, run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Sequence

PER_SECOND, BURST = 15.0, 5
A_MOMENT = 1e-5


def budget_of(clock: VirtualClock) -> RateBudget:
    return RateBudget(clock, per_second=PER_SECOND, burst=BURST)


def check_rate(times: Sequence[float]) -> None:
    """In any span at most `burst` and what the rate allows in it."""
    for first, start in enumerate(times):
        for more, end in enumerate(times[first:], start=1):
            allowed = BURST + (end - start) * PER_SECOND
            assert more <= allowed + A_MOMENT, f"{more} calls from {start} to {end}"


@virtually
async def test_after_a_quiet_time_a_burst_and_then_the_rate() -> None:
    clock = VirtualClock()
    budget = budget_of(clock)
    await clock.sleep(60)
    times = []
    for _ in range(20):
        await budget.take()
        times.append(clock.monotonic() - 60)
    assert times[:BURST] == pytest.approx([0.0] * BURST, abs=A_MOMENT)
    steps = [later - earlier for earlier, later in pairwise(times[4:])]
    assert steps == pytest.approx([1 / PER_SECOND] * 15, abs=A_MOMENT)


@virtually
async def test_the_first_call_does_not_wait_and_a_start_is_no_quiet_time() -> None:
    clock = VirtualClock()
    budget = budget_of(clock)
    times = []
    for _ in range(3):
        await budget.take()
        times.append(clock.monotonic())
    assert times == pytest.approx([0.0, 1 / PER_SECOND, 2 / PER_SECOND], abs=A_MOMENT)


@virtually
async def test_a_quiet_hour_saves_up_no_more_than_one_burst() -> None:
    clock = VirtualClock()
    budget = budget_of(clock)
    times = []
    for _ in range(2):
        await clock.sleep(3600)
        for _ in range(30):
            await budget.take()
            times.append(clock.monotonic())
    check_rate(times)


@virtually
async def test_turns_are_given_in_the_order_of_asking() -> None:
    clock = VirtualClock()
    budget = budget_of(clock)
    turns: list[int] = []

    async def ask(number: int) -> None:
        await budget.take()
        turns.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(ask(number))
            if number % 7 == 0:
                await clock.sleep(0.05)
    assert turns == list(range(40))


@virtually
async def test_one_pause_holds_back_everybody_also_those_who_wait_already() -> None:
    clock = VirtualClock()
    budget = budget_of(clock)
    times: list[float] = []

    async def ask() -> None:
        await budget.take()
        times.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(ask())
        await clock.sleep(0.5)
        before = len(times)
        budget.pause(timedelta(seconds=10))
        await clock.sleep(5)
        budget.pause(timedelta(seconds=1))
        await clock.sleep(4)
        assert len(times) == before, "somebody asked during the pause"
    assert times[before] == pytest.approx(10.5, abs=A_MOMENT)
    check_rate(times)


@virtually
async def test_a_pause_has_a_longest() -> None:
    clock = VirtualClock()
    budget = budget_of(clock)
    budget.pause(timedelta(days=400))
    await budget.take()
    assert clock.monotonic() == pytest.approx(LONGEST_PAUSE.total_seconds(), abs=A_MOMENT)


@virtually
async def test_who_gives_up_waiting_takes_nobodys_turn() -> None:
    clock = VirtualClock()
    budget = budget_of(clock)
    budget.pause(timedelta(seconds=1))
    async with asyncio.TaskGroup() as group:
        impatient = [group.create_task(budget.take()) for _ in range(100)]
        await clock.sleep(0.5)
        for task in impatient:
            task.cancel()
    await budget.take()
    assert clock.monotonic() == pytest.approx(1.0, abs=A_MOMENT)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({}, 0.0),
        ({"x-ratelimit-remaining": "3"}, 0.0),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "9"}, 0.0),
        ({"x-ratelimit-remaining": "2", "x-ratelimit-reset": "9"}, 9.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9"}, 9.0),
        ({"x-ratelimit-remaining": "0"}, 1.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, 1.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "999999"}, 60.0),
        # 2026-11-20 12:00:07 UTC, in seconds of the epoch.
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795176007"}, 7.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795170000"}, 0.2),
        ({"x-ratelimit-remaining": "none", "x-ratelimit-reset": "9"}, 0.0),
        ({"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "9"}, 0.0),
        ({"x-ratelimit-remaining": "\xb2", "x-ratelimit-reset": "9"}, 0.0),
        ({"x-ratelimit-remaining": "9" * 5000, "x-ratelimit-reset": "9" * 5000}, 0.0),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "9" * 5000}, 1.0),
    ],
    ids=lambda each: str(each)[:70],
)
def test_the_venues_own_count_is_minded(headers: dict[str, str], waits: float) -> None:
    async def main() -> float:
        clock = VirtualClock()
        budget = budget_of(clock)
        budget.learn(headers, clock.now())
        await budget.take()
        return clock.monotonic()

    assert run_virtually(main) == pytest.approx(waits, abs=A_MOMENT)


@pytest.mark.parametrize("seed", range(20))
def test_the_rate_is_never_exceeded_whoever_asks_whenever(seed: int) -> None:
    """Many callers at random times, pauses and cancellations in between."""

    async def main() -> list[float]:
        dice = Random(seed)  # noqa: S311 - dice
        clock = VirtualClock()
        budget = budget_of(clock)
        times: list[float] = []

        async def ask() -> None:
            await clock.sleep(dice.random() * 20)
            for _ in range(dice.randint(1, 8)):
                await budget.take()
                times.append(clock.monotonic())
                if dice.random() < 0.05:
                    budget.pause(timedelta(seconds=dice.random() * 5))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask()) for _ in range(60)]
            for _ in range(5):
                await clock.sleep(dice.random() * 5)
                dice.choice(tasks).cancel()
        return times

    times = run_virtually(main, seed=seed)
    assert len(times) > 100
    check_rate(times)
