"""How an account's open rows stand, counted out of the list of them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ordersync.listed import Listed, State
from ordersync.sampled import Standing
from ordersync.truth.urgency import LOUD_TIMES, Discrepancy, Urgency

if TYPE_CHECKING:
    from collections.abc import Collection

    from ordersync.listed import OrderLists

TROUBLES_KEPT = 20_000
"""How many rows that want to be looked at are in memory together; the others are counted."""

_TROUBLED = frozenset({State.STALE, State.SUSPECT, State.UNKNOWN})


class ListedStandings:
    """Implements `sampled.Standings`. `open_words` are those of a row that stand for open."""

    def __init__(
        self, lists: OrderLists, *, open_words: Collection[str], stale_after: timedelta
    ) -> None:
        self._lists = lists
        self._open_words = frozenset(open_words)
        self._stale_after = stale_after

    async def stand(self, account: str, now: datetime) -> Standing:
        """How the open rows of one account stand. Raises StoreBusy or StoreRefused."""
        counting = _Counting(account, now, self._open_words, self._stale_after)
        await self._lists.each_open(account, counting.take)
        return counting.standing()


class _Counting:
    """Takes one row after the other."""

    def __init__(
        self, account: str, now: datetime, open_words: Collection[str], stale_after: timedelta
    ) -> None:
        self._account = account
        self._now = now
        self._open_words = open_words
        self._stale_after = stale_after
        self._open = 0
        self._states: Counter[State] = Counter()
        self._discrepancies: Counter[str] = Counter()
        self._owners: Counter[str | None] = Counter()
        self._oldest: datetime | None = None
        self._next: datetime | None = None
        self._troubles: list[Listed] = []

    def take(self, one: Listed) -> None:
        """One more row."""
        self._states[one.state] += 1
        if one.row_word in self._open_words:
            self._open += 1
            self._owners[one.owner] += 1
        if one.discrepancy is not None:
            self._discrepancies[one.discrepancy.value] += 1
            wanted = one.state in _TROUBLED
            if wanted and len(self._troubles) < TROUBLES_KEPT:
                self._troubles.append(one)
        if one.last_verified_at is not None:
            self._oldest = min(self._oldest or one.last_verified_at, one.last_verified_at)
        if (at := self._changes_at(one)) is not None and at > self._now:
            self._next = min(self._next or at, at)

    def _changes_at(self, one: Listed) -> datetime | None:
        """When this row becomes stale, or critical, although nothing happens."""
        if one.age_seconds is None or one.urgency is Urgency.CRITICAL:
            return None
        begun = self._now - timedelta(seconds=one.age_seconds)
        if one.state in _TROUBLED:
            told = one.last_verified_at if one.discrepancy is Discrepancy.UNVERIFIED else None
            return max(begun, told or begun) + LOUD_TIMES * self._stale_after
        at = begun + self._stale_after
        if one.discrepancy in {None, Discrepancy.FILLS}:
            # Nobody vouches for it from then on.
            return max(at, (one.last_verified_at or self._now) + self._stale_after)
        return at

    def standing(self) -> Standing:
        """What was counted."""
        return Standing(
            account=self._account,
            at=self._now,
            open=self._open,
            stale=self._states[State.STALE],
            suspect=self._states[State.SUSPECT],
            unknown=self._states[State.UNKNOWN],
            discrepancies=dict(sorted(self._discrepancies.items())),
            owners=dict(self._owners),
            oldest_verified_at=self._oldest,
            troubles=tuple(self._troubles),
            next_at=self._next,
        )
