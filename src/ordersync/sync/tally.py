"""The figures of this process, as they are now: counts, times and levels, by account and kind.

Implements `metered.Meter` with plain numbers in dictionaries: the way of an order pays for an
addition, and nothing waits. All of it happens in the service's loop.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, TypeVar

from ordersync.metered import KINDS_LIMIT, Count, Level, Span
from ordersync.truth.model import FINAL_PRECEDENCE, EventKind, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from ordersync.truth.model import Event

OTHER = "other"

Key = tuple[str, str]
"""An account and a kind."""

_T = TypeVar("_T")

_TELLS_TIME = frozenset({EventKind.CHANGED, EventKind.RESOLVED})
_UNTOLD = frozenset({Source.OPERATOR})


class Times:
    """How long something took: counts by bucket, the sum, and the worst since it was taken."""

    __slots__ = ("bounds", "counts", "seconds", "worst")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0
        self.worst = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds
        if seconds > self.worst:  # noqa: PLR1730 - a call of max costs as much as all the rest
            self.worst = seconds

    def take_worst(self) -> float:
        """The worst since this was asked last."""
        worst, self.worst = self.worst, 0.0
        return worst


class Tally:
    """Implements `metered.Meter`. `open_words` are those of a row that stand for open."""

    def __init__(self, open_words: Collection[str] = ()) -> None:
        self._open_words = frozenset(open_words)
        self.counts: dict[Count, dict[Key, float]] = {what: {} for what in Count}
        self.spans: dict[Span, dict[Key, Times]] = {what: {} for what in Span}
        self.levels: dict[Level, dict[Key, float]] = {what: {} for what in Level}
        self._watched_since: dict[str, datetime] = {}

    def watch(self, account: str, since: datetime) -> None:
        """What changed at the venue before somebody watched says nothing of how late we are."""
        self._watched_since[account] = since

    def count(self, what: Count, account: str, kind: str = "", times: float = 1) -> None:
        """So many more of these."""
        counts = self.counts[what]
        try:
            counts[account, kind] += times
        except KeyError:
            key = _new_key(counts, account, kind)
            counts[key] = counts.get(key, 0) + times

    def observe(self, what: Span, account: str, seconds: float, kind: str = "") -> None:
        """This took so long. A clock that was set back makes no time negative."""
        spans = self.spans[what]
        times = spans.get((account, kind))
        if times is None:
            times = spans.setdefault(_new_key(spans, account, kind), Times(what.bounds))
        times.add(seconds if seconds > 0 else 0.0)

    def set(self, what: Level, account: str, value: float, kind: str = "") -> None:
        """It stands so now."""
        levels = self.levels[what]
        key = (account, kind)
        levels[key if key in levels else _new_key(levels, account, kind)] = value

    def forget(self, what: Level, account: str) -> None:
        """Nobody knows any more how it stands: another process may."""
        levels = self.levels[what]
        for key in [key for key in levels if key[0] == account]:
            del levels[key]

    def committed(self, events: Sequence[Event]) -> None:
        """Count events by kind, and how late the truth was by source."""
        for event in events:
            self.count(Count.EVENTS, event.account, event.kind)
            late = event.latency_ms
            if late is None or event.kind not in _TELLS_TIME or event.source in _UNTOLD:
                continue
            since = self._watched_since.get(event.account)
            seconds = max(late, 0) / 1000
            if since is None or (event.at - since).total_seconds() < seconds:
                continue
            self.observe(Span.LATENCY, event.account, seconds, event.source)
            if event.before.word in self._open_words and _ended(event):
                self.count(Count.UNTRULY_BLOCKED, event.account, times=seconds)

    # --- what is read of it ------------------------------------------------------------------

    def total(self, what: Count, account: str, *kinds: str) -> float:
        """How many there were of an account, of these kinds where any are named."""
        found = self.counts[what]
        return sum(n for (a, k), n in found.items() if a == account and (not kinds or k in kinds))

    def times(self, what: Span, account: str) -> list[Times]:
        """What was timed of an account, of every kind."""
        return [times for (a, _), times in self.spans[what].items() if a == account]

    def level(self, what: Level, account: str) -> float | None:
        """How it stands, None where nobody told."""
        return self.levels[what].get((account, ""))


def _new_key(known: Mapping[Key, _T], account: str, kind: str) -> Key:
    """Bounded: whoever invents kinds without end fills no memory, and no Prometheus."""
    if kind and sum(1 for a, _ in known if a == account) >= KINDS_LIMIT:
        return account, OTHER
    return account, str(kind)


def _ended(event: Event) -> bool:
    """Whether the row takes another word because its order has ended."""
    if event.before.word == event.after.word:
        return False
    return (event.after.status or "").partition("+")[0] in FINAL_PRECEDENCE
