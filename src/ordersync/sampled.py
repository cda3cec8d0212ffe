"""What is kept of the figures, minute by minute: the data, how they add up, and the port.

A Sample is what was counted in one spell of one account. Two of them add up to one of a longer
spell; so the hours are made of minutes, and the objectives of 30 days of hours.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from ordersync.listed import Listed
from ordersync.metered import LATENCY_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MINUTES_KEPT = timedelta(days=2)
HOURS_KEPT = timedelta(days=90)

NO_LATENCIES = (0,) * (len(LATENCY_BOUNDS) + 1)


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How late the truth was: counts by bucket (not cumulative), the sum and the worst."""

    counts: tuple[int, ...] = NO_LATENCIES
    seconds: float = 0.0
    worst: float = 0.0

    @property
    def count(self) -> int:
        """How many changes there were."""
        return sum(self.counts)

    def within(self, seconds: float) -> int:
        """How many of them took no longer than this, which has to be one of the bounds."""
        return sum(self.counts[: LATENCY_BOUNDS.index(seconds) + 1])

    def quantile(self, share: float) -> float | None:
        """Within how many seconds this share of the changes was true; None where none was.

        Linear inside its bucket, and never more than the worst.
        """
        wanted, below, lower = share * self.count, 0, 0.0
        for bound, count in zip((*LATENCY_BOUNDS, self.worst), self.counts, strict=True):
            if count and below + count >= wanted:
                inside = (wanted - below) / count
                return min(lower + (max(bound, lower) - lower) * inside, self.worst)
            below, lower = below + count, bound
        return None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One spell of one account: what was counted in it, and how it stood.

    `seconds` is for how long it was watched. `open` to `discrepancies` are the most that there
    were at once; all others add up. `found` are the events that told of something wrong, counted
    by kind. `watched_seconds` are the seconds of every bot that was
    known, `blocked_seconds` those in which it had an order working as far as the table said, and
    `untruly_blocked_seconds` those in which the exchange knew better.
    """

    account: str
    at: datetime
    seconds: float
    open: int = 0
    stale: int = 0
    suspect: int = 0
    unknown: int = 0
    discrepancies: dict[str, int] = {}
    found: dict[str, int] = {}
    latency: Latency = Latency()
    calls: int = 0
    calls_failed: int = 0
    call_limit: int | None = None
    watched_seconds: float = 0.0
    blocked_seconds: float = 0.0
    untruly_blocked_seconds: float = 0.0
    accuracy_sampled: int = 0
    accuracy_wrong: int = 0

    @property
    def success_ratio(self) -> float | None:
        """Which share of the calls was answered; None where there were none."""
        return 1 - self.calls_failed / self.calls if self.calls else None

    @property
    def accuracy(self) -> float | None:
        """Which share of the orders that were verified again was true; None without any."""
        return 1 - self.accuracy_wrong / self.accuracy_sampled if self.accuracy_sampled else None

    @property
    def availability(self) -> float | None:
        """Which share of the bots' time nobody was held up untruly; None where none was known."""
        if not self.watched_seconds:
            return None
        return max(0.0, 1 - self.untruly_blocked_seconds / self.watched_seconds)


def joined(samples: Sequence[Sample]) -> Sample:
    """Several spells of one account, one after the other, as one. There has to be one."""
    first = min(samples, key=lambda one: one.at)
    return _added(samples, first, _most)


def side_by_side(samples: Sequence[Sample]) -> Sample:
    """The same spell of several accounts as one: all of them were open at once."""
    return _added(samples, samples[0], sum)


def _most(values: Iterable[int]) -> int:
    return max(values)


def _added(samples: Sequence[Sample], first: Sample, at_once: _AtOnce) -> Sample:
    limits = [one.call_limit for one in samples if one.call_limit is not None]
    longest = max(one.seconds for one in samples)
    return Sample(
        account=first.account,
        at=first.at,
        seconds=longest if at_once is sum else sum(one.seconds for one in samples),
        open=at_once(one.open for one in samples),
        stale=at_once(one.stale for one in samples),
        suspect=at_once(one.suspect for one in samples),
        unknown=at_once(one.unknown for one in samples),
        discrepancies=_by_kind([one.discrepancies for one in samples], at_once),
        found=_by_kind([one.found for one in samples], sum),
        latency=Latency(
            counts=tuple(
                sum(each) for each in zip(*(one.latency.counts for one in samples), strict=True)
            ),
            seconds=sum(one.latency.seconds for one in samples),
            worst=max(one.latency.worst for one in samples),
        ),
        calls=sum(one.calls for one in samples),
        calls_failed=sum(one.calls_failed for one in samples),
        call_limit=at_once(limits) if limits else None,
        watched_seconds=sum(one.watched_seconds for one in samples),
        blocked_seconds=sum(one.blocked_seconds for one in samples),
        untruly_blocked_seconds=sum(one.untruly_blocked_seconds for one in samples),
        accuracy_sampled=sum(one.accuracy_sampled for one in samples),
        accuracy_wrong=sum(one.accuracy_wrong for one in samples),
    )


def _by_kind(counts: Sequence[dict[str, int]], together: _AtOnce) -> dict[str, int]:
    kinds = sorted({kind for one in counts for kind in one})
    return {kind: together(one.get(kind, 0) for one in counts) for kind in kinds}


class _AtOnce(Protocol):
    def __call__(self, values: Iterable[int], /) -> int: ...


class Samples(Protocol):
    """Where samples are kept. Raises StoreBusy (ask again) or StoreRefused (give up)."""

    async def keep(self, samples: Sequence[Sample]) -> None:
        """Write samples of minutes; the same one again replaces it."""

    async def first_at(self, account: str) -> datetime | None:
        """Since when there are samples of this account."""

    async def list_since(self, since: datetime) -> list[Sample]:
        """Those of all accounts that began since then, oldest first: minutes, and older hours."""

    async def roll_up(self, account: str, now: datetime) -> None:
        """Make hours of minutes older than MINUTES_KEPT; drop hours older than HOURS_KEPT."""


# --- how it stands -----------------------------------------------------------------------------


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How one account's open rows stand at a moment.

    `owners` are those that have an order working as far as the table says, and how many;
    `oldest_verified_at` is of the row that waits longest for the exchange's word, None without
    any. `next_at` is when another row may become stale although nothing happens.
    """

    account: str
    at: datetime
    open: int = 0
    stale: int = 0
    suspect: int = 0
    unknown: int = 0
    discrepancies: dict[str, int] = {}
    owners: dict[str | None, int] = {}
    oldest_verified_at: datetime | None = None
    troubles: tuple[Listed, ...] = ()
    next_at: datetime | None = None


class Standings(Protocol):
    """Looks how the rows stand. Raises StoreBusy (ask again) or StoreRefused (give up)."""

    async def stand(self, account: str, now: datetime) -> Standing:
        """How the open rows of one account stand."""
