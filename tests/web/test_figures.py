"""The figures over HTTP: objectives over three windows, plots, and what Prometheus scrapes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ordersync.metered import LATENCY_BOUNDS, Count, Meter
from ordersync.sampled import HOUR, MINUTE, Latency, Sample
from ordersync.sync.objectives import objectives, points
from ordersync.sync.tally import OTHER, Tally
from ordersync.truth.model import EventKind
from ordersync.web.metrics import Metrics

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def late(*seconds: float) -> Latency:
    """As the watcher keeps them."""
    counts = [0] * (len(LATENCY_BOUNDS) + 1)
    for one in seconds:
        counts[next((n for n, b in enumerate(LATENCY_BOUNDS) if one <= b), -1)] += 1
    return Latency(counts=tuple(counts), seconds=sum(seconds), worst=max(seconds, default=0.0))


def sample(minutes_ago: float, *seconds: float, account: str = "main", **more: Any) -> Sample:  # noqa: ANN401 - any field
    at = NOON - timedelta(minutes=minutes_ago)
    return Sample(account=account, at=at, seconds=60.0, latency=late(*seconds), **more)


def test_percentiles_are_of_all_that_changed_in_the_window() -> None:
    fast = [sample(n, 0.2, 0.2, 0.2) for n in range(1, 31)]
    found = objectives([*fast, sample(5, 100.0), sample(70, 5_000.0)], HOUR, NOON)
    latency = found.latency_seconds
    assert latency.count == 91
    assert (latency.p50 or 0) <= 0.25
    assert (latency.p95 or 0) <= 0.25
    assert 0.25 < (objectives([sample(1, 0.2, 100.0)], HOUR, NOON).latency_seconds.p99 or 0) <= 100
    assert latency.max == 100.0
    assert found.within_30s == pytest.approx(90 / 91)
    assert found.within_2m == 1


def test_a_median_of_two_milliseconds_is_told_as_that() -> None:
    fast = [sample(n, 0.001, 0.002, 0.002, 0.003) for n in range(1, 31)]
    latency = objectives(fast, HOUR, NOON).latency_seconds
    assert 0 < (latency.p50 or 0) <= 0.002
    assert latency.max == 0.003
    first, *_ = points(fast, "1h", NOON)
    told = [bound for bound, count in first.latency["buckets"] if count]
    assert told == [0.001, 0.002, 0.005]


def test_the_promises_that_are_missed_are_named() -> None:
    kept = sample(1, 1.0, accuracy_sampled=10, watched_seconds=60.0)
    assert objectives([kept], HOUR, NOON).missed() == []
    missed = sample(
        2,
        200.0,
        accuracy_sampled=10,
        accuracy_wrong=1,
        watched_seconds=60.0,
        untruly_blocked_seconds=12.0,
    )
    sentences = objectives([kept, missed], HOUR, NOON).missed()
    assert len(sentences) == 4
    assert "95.00%" in sentences[2]


def test_nothing_is_claimed_where_nobody_watched() -> None:
    found = objectives([], HOUR, NOON)
    assert (found.latency_seconds.p99, found.accuracy.value, found.availability.value) == (
        None,
    ) * 3
    assert found.missed() == []


def test_accounts_stand_side_by_side_and_minutes_one_after_the_other() -> None:
    samples = [
        sample(3, open=2, calls=1, discrepancies={"status": 1}, found={"repaired": 2}),
        sample(2, open=5, calls=1, found={"repaired": 1, "conflict": 1}),
        sample(2, account="other", open=4, calls=1, discrepancies={"status": 1}),
    ]
    first, second = points(samples, "1h", NOON)
    assert (first.open, second.open, second.calls) == (2, 9, 2)
    (whole,) = points(samples, "30d", NOON + MINUTE)
    assert (whole.open, whole.calls, whole.discrepancies) == (9, 3, {"status": 2})
    # What was found adds up, and what stood at once does not.
    assert whole.found == {"conflict": 1, "repaired": 3}


def test_a_kind_with_a_million_values_stays_bounded() -> None:
    tally: Meter = Tally()
    for n in range(1_000):
        tally.count(Count.EVENTS, "main", f"kind {n}")
    assert isinstance(tally, Tally)
    counts = tally.counts[Count.EVENTS]
    assert len(counts) <= 101
    assert counts["main", OTHER] == 900
    assert sum(counts.values()) == 1_000
    text = Metrics(tally, {"main": "coinbase"}, lambda: None).text()
    assert text.count(b"ordersync_events_total{") == len(counts) + len(EventKind)


def test_what_is_not_counted_yet_is_0_so_that_the_first_of_it_is_an_increase() -> None:
    metrics = Metrics(Tally(), {"main": "coinbase"}, lambda: None, channels=["phone"])
    text = metrics.text().decode()
    for series in (
        'ordersync_events_total{account="main",kind="unknown"}',
        'ordersync_venue_calls_total{account="main",result="key_refused"}',
        'ordersync_accuracy_wrong_total{account="main"}',
        'ordersync_alerts_total{channel="phone",result="failed"}',
    ):
        assert f"{series} 0.0\n" in text
