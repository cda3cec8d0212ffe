"""Whether the promises are kept, out of the figures of each minute. Pure.

Truth within 30 s on average and 2 min at worst, 99.9 % accuracy, and no bot held up by an order
that has ended.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from ordersync.metered import LATENCY_BOUNDS
from ordersync.sampled import Sample, joined, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WINDOWS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "30d": timedelta(days=30),
}
STEPS = {"1h": timedelta(minutes=1), "24h": timedelta(minutes=5), "30d": timedelta(hours=1)}
LONGEST = WINDOWS["30d"]

MEAN_SECONDS, WORST_SECONDS = 30.0, 120.0

_Share = Annotated[float | None, Meta(description="A share, 0 to 1; null: nothing to tell from.")]
_Seconds = Annotated[float | None, Meta(description="Seconds; null: nothing changed.")]


class LatencyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """From the exchange's own time of a change to its commit."""

    mean: _Seconds = None
    p50: _Seconds = None
    p95: _Seconds = None
    p99: _Seconds = None
    max: _Seconds = None
    count: int = 0


class AccuracyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Finished orders that were verified again, and how many of them were wrong."""

    value: _Share = None
    sampled: int = 0
    wrong: int = 0


class AvailabilityFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Which share of the bots' time no row said untruly that an order works."""

    value: _Share = None
    blocked_seconds: float = 0.0
    untruly_blocked_seconds: float = 0.0


class Objectives(msgspec.Struct, frozen=True, kw_only=True):
    """The promises over one window."""

    latency_seconds: LatencyFigures
    within_30s: _Share
    within_2m: _Share
    accuracy: AccuracyFigures
    availability: AvailabilityFigures
    watched_seconds: Annotated[float, Meta(description="For how long anybody watched in it.")]

    def missed(self) -> list[str]:
        """Which of the promises are not kept, as sentences."""
        late, found = self.latency_seconds, list[str]()
        if late.mean is not None and late.mean > MEAN_SECONDS:
            found.append(f"the truth took {late.mean:.0f} s on average, not {MEAN_SECONDS:.0f} s")
        if late.max is not None and late.max > WORST_SECONDS:
            found.append(f"the truth took {late.max:.0f} s at worst, not {WORST_SECONDS:.0f} s")
        accuracy, availability = self.accuracy.value, self.availability.value
        if accuracy is not None and accuracy < TARGETS.accuracy:
            found.append(f"{accuracy:.2%} of what was finished was true, not 99.9 %")
        if availability is not None and availability < TARGETS.availability:
            held = self.availability.untruly_blocked_seconds
            found.append(f"bots were held up for {held:.0f} s by orders that had ended")
        return found


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """What is promised."""

    mean_seconds: float = MEAN_SECONDS
    max_seconds: float = WORST_SECONDS
    accuracy: float = 0.999
    availability: float = 1.0


TARGETS = Targets()


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a plot: all accounts together."""

    at: datetime
    open: int
    stale: int
    suspect: int
    unknown: int
    discrepancies: Annotated[
        dict[str, int], Meta(description="By kind, the most rows at once that differed.")
    ]
    found: Annotated[
        dict[str, int],
        Meta(description="By kind, how many events told of something wrong (`repaired`, …)."),
    ]
    latency: Annotated[
        dict[str, list[tuple[float | None, int]]],
        Meta(description="`buckets`: upper bound in seconds (null: none), and how many."),
    ]
    calls: int
    call_limit: Annotated[int | None, Meta(description="Calls a minute that may be made.")]
    success_ratio: _Share
    blocked_seconds: float
    untruly_blocked_seconds: float
    accuracy: _Share


def objectives(samples: Iterable[Sample], window: timedelta, now: datetime) -> Objectives:
    """The promises over a window that ends now, over all accounts of these samples."""
    inside = [one for one in samples if one.at > now - window]
    if not inside:
        nothing = Sample(account="", at=now, seconds=0.0)
        return _figures(nothing)
    by_account: dict[str, list[Sample]] = {}
    for one in inside:
        by_account.setdefault(one.account, []).append(one)
    return _figures(side_by_side([joined(some) for some in by_account.values()]))


def _figures(whole: Sample) -> Objectives:
    late = whole.latency
    count = late.count
    return Objectives(
        latency_seconds=LatencyFigures(
            mean=round(late.seconds / count, 3) if count else None,
            p50=_rounded(late.quantile(0.5)),
            p95=_rounded(late.quantile(0.95)),
            p99=_rounded(late.quantile(0.99)),
            max=round(late.worst, 3) if count else None,
            count=count,
        ),
        within_30s=late.within(MEAN_SECONDS) / count if count else None,
        within_2m=late.within(WORST_SECONDS) / count if count else None,
        accuracy=AccuracyFigures(
            value=whole.accuracy, sampled=whole.accuracy_sampled, wrong=whole.accuracy_wrong
        ),
        availability=AvailabilityFigures(
            value=whole.availability,
            blocked_seconds=round(whole.blocked_seconds, 3),
            untruly_blocked_seconds=round(whole.untruly_blocked_seconds, 3),
        ),
        watched_seconds=round(whole.seconds, 3),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def points(samples: Iterable[Sample], window: str, now: datetime) -> list[Point]:
    """The steps of a plot over a window that ends now; a step that nobody watched is not there."""
    step = STEPS[window]
    start = now - WINDOWS[window]
    slots: dict[datetime, dict[str, list[Sample]]] = {}
    for one in samples:
        if one.at > start:
            slots.setdefault(_slot(one.at, step), {}).setdefault(one.account, []).append(one)
    return [
        _point(at, side_by_side([joined(some) for some in accounts.values()]))
        for at, accounts in sorted(slots.items())
    ]


def _point(at: datetime, sample: Sample) -> Point:
    bounds: Sequence[float | None] = (*LATENCY_BOUNDS, None)
    ratio = sample.success_ratio
    return Point(
        at=at,
        open=sample.open,
        stale=sample.stale,
        suspect=sample.suspect,
        unknown=sample.unknown,
        discrepancies=sample.discrepancies,
        found=sample.found,
        latency={"buckets": list(zip(bounds, sample.latency.counts, strict=True))},
        calls=sample.calls,
        call_limit=sample.call_limit,
        success_ratio=None if ratio is None else round(ratio, 6),
        blocked_seconds=sample.blocked_seconds,
        untruly_blocked_seconds=sample.untruly_blocked_seconds,
        accuracy=sample.accuracy,
    )


def _slot(moment: datetime, step: timedelta) -> datetime:
    since = datetime(1970, 1, 1, tzinfo=UTC)
    return moment - (moment - since) % step
