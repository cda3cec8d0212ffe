"""Which commits of the event log were seen, where they do not appear in their order. Pure.

A number that is missing below the newest belongs to a commit that is still under way, or to one
that was given up: it is looked for until it can no longer appear. So an event is known by its
own mark and not by being above the last one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ordersync.logged import LATE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordersync.logged import Recent

MOST_GAPS = 100


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Numbers from `first` to `last` that have not appeared, missing since then."""

    first: int
    last: int
    since: datetime


class Marks(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All commits up to `newest` were seen, but for those in the gaps, which ascend."""

    newest: int = 0
    gaps: tuple[Gap, ...] = ()

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """Where to look for what may still appear, beside all that is above the newest."""
        return [(gap.first, gap.last) for gap in self.gaps]

    def has(self, log_id: int) -> bool:
        """Whether this commit was seen, or can no longer appear."""
        if log_id > self.newest:
            return False
        return not any(gap.first <= log_id <= gap.last for gap in self.gaps)

    def with_seen(self, log_ids: Iterable[int], now: datetime) -> Marks:
        """The marks once these were seen, too."""
        newest, gaps = self.newest, list(self.gaps)
        for log_id in sorted(set(log_ids)):
            if log_id > newest:
                if log_id > newest + 1:
                    gaps.append(Gap(newest + 1, log_id - 1, now))
                newest = log_id
            else:
                gaps = [part for gap in gaps for part in _without(gap, log_id)]
        return Marks(newest=newest, gaps=_few(gaps))

    def without_old(self, now: datetime) -> Marks:
        """The marks once gaps were looked into for the last time that can hold nothing more."""
        kept = tuple(gap for gap in self.gaps if now - gap.since <= LATE)
        return self if len(kept) == len(self.gaps) else Marks(newest=self.newest, gaps=kept)


def marks_at(newest: int, recent: Recent, now: datetime) -> Marks:
    """The marks of who begins at `newest`, where these are the recent commits that are there.

    What is missing among them, and between them and the last before them, may still appear.
    """
    return Marks(newest=min(recent.before, newest)).with_seen([*recent.numbers, newest], now)


def _without(gap: Gap, log_id: int) -> list[Gap]:
    if not gap.first <= log_id <= gap.last:
        return [gap]
    parts = (Gap(gap.first, log_id - 1, gap.since), Gap(log_id + 1, gap.last, gap.since))
    return [part for part in parts if part.first <= part.last]


def _few(gaps: list[Gap]) -> tuple[Gap, ...]:
    """Not more than so many: the oldest are joined, so what lies between is told once more."""
    while len(gaps) > MOST_GAPS:
        one, two, *rest = gaps
        gaps = [Gap(one.first, two.last, max(one.since, two.since)), *rest]
    return tuple(gaps)
