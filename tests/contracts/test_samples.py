"""The contract of Samples: what a minute was is what is read, and hours are made of minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from ordersync.metered import LATENCY_BOUNDS
from ordersync.sampled import HOURS_KEPT, MINUTE, MINUTES_KEPT, Latency, Sample
from ordersync.store.aside import Aside
from ordersync.store.samples import SampleLog
from ordersync.sync.objectives import objectives
from tests.contracts.bench import TRADES, mapped

if TYPE_CHECKING:
    from tests.contracts.bench import Bench, Opened
    from tests.contracts.conftest import Open

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def samples_of(it: Opened) -> SampleLog:
    return SampleLog(Aside(it.bench.database, it.orders, where="ordersync.toml"))


def sample(minute: int = 0, *, account: str = "main", calls: int = 2, stale: int = 0) -> Sample:
    counts = [0] * (len(LATENCY_BOUNDS) + 1)
    counts[LATENCY_BOUNDS.index(0.5)] = 1
    return Sample(
        account=account,
        at=START + minute * MINUTE,
        seconds=60.0,
        open=7,
        stale=stale,
        discrepancies={"status": stale},
        found={"repaired": 2},
        latency=Latency(counts=tuple(counts), seconds=0.4, worst=0.4),
        calls=calls,
        calls_failed=1,
        watched_seconds=120.0,
        accuracy_sampled=1,
    )


async def test_a_sample_is_read_as_it_was_written(opened: Open) -> None:
    it = samples_of(await opened())
    assert await it.first_at("main") is None
    await it.keep([sample(1), sample(0), sample(0, account="other")])
    assert await it.list_since(START) == [sample(0), sample(0, account="other"), sample(1)]
    assert await it.list_since(START + MINUTE) == [sample(1)]
    assert await it.first_at("main") == START
    await it.keep([sample(1, calls=9)])
    assert [one.calls for one in await it.list_since(START + MINUTE)] == [9]


async def test_minutes_become_hours_that_add_up_and_no_minute_counts_twice(opened: Open) -> None:
    it = samples_of(await opened())
    await it.keep([sample(minute, stale=minute % 7) for minute in (0, 1, 59, 60, 180)])
    await it.keep([sample(0, account="other")])
    now = START + MINUTES_KEPT + timedelta(hours=2, minutes=30)
    await it.roll_up("main", now)
    await it.roll_up("main", now)
    first, other, second, young = await it.list_since(START)
    assert (other, young) == (sample(0, account="other"), sample(180, stale=5))
    assert (first.at, second.at) == (START, START + timedelta(hours=1))
    assert (first.calls, first.calls_failed, first.seconds) == (6, 3, 180.0)
    assert (first.stale, first.open, first.discrepancies) == (3, 7, {"status": 3})
    assert (first.latency.count, first.latency.worst) == (3, 0.4)
    assert first.latency.seconds == pytest.approx(1.2)
    assert second.calls == 2


async def test_a_minute_that_comes_late_joins_its_hour(opened: Open) -> None:
    it = samples_of(await opened())
    now = START + MINUTES_KEPT + timedelta(hours=2)
    for minute in (3, 30):
        await it.keep([sample(minute)])
        await it.roll_up("main", now)
    (hour,) = await it.list_since(START)
    assert (hour.at, hour.calls, hour.latency.count) == (START, 4, 2)


async def test_hours_that_are_too_old_are_dropped(opened: Open) -> None:
    it = samples_of(await opened())
    await it.keep([sample(0)])
    await it.roll_up("main", START + MINUTES_KEPT + timedelta(hours=1))
    assert len(await it.list_since(START)) == 1
    await it.roll_up("main", START + HOURS_KEPT + timedelta(minutes=1))
    assert await it.list_since(START) == []


async def test_of_very_many_minutes_no_hour_is_cut(opened: Open) -> None:
    it = samples_of(await opened())
    counted = 1_030
    await it.keep([sample(minute) for minute in range(counted)])
    now = START + timedelta(days=4)
    await it.roll_up("main", now)
    seen = await it.list_since(START)
    assert sum(one.calls for one in seen) == 2 * counted
    await it.roll_up("main", now)
    seen = await it.list_since(START)
    assert len(seen) == 18
    assert sum(one.calls for one in seen) == 2 * counted


async def test_what_was_kept_before_there_were_finer_buckets_is_within_its_first_bound(
    opened: Open,
) -> None:
    it = samples_of(await opened())
    counts = (7, 2, *[0] * 14)  # from 50 ms on: 16 of them
    late = Latency(counts=counts, seconds=0.2, worst=0.09)
    await it.keep([msgspec.structs.replace(sample(0), latency=late), sample(1)])
    read, young = await it.list_since(START)
    assert (read.latency.within(0.05), read.latency.within(0.1), read.latency.count) == (7, 9, 9)
    assert read.latency.within(0.025) == 0
    # Old minutes and new ones are figures of one window, and become one hour.
    assert objectives([read, young], timedelta(days=30), START + MINUTE).within_30s == 1
    await it.roll_up("main", START + MINUTES_KEPT + timedelta(hours=1))
    (hour,) = await it.list_since(START)
    assert (hour.latency.within(0.05), hour.latency.count) == (7, 10)


async def test_before_our_tables_are_there_nothing_is_found(bench: Bench) -> None:
    bench.create(TRADES)
    it = SampleLog(Aside(bench.database, mapped(), where="ordersync.toml"))
    assert await it.list_since(START) == []
    assert await it.first_at("main") is None
