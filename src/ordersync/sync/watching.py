"""Who watches an account: how its rows stand, what each minute was, and what became of that.

Beside the way of an order: it reads on connections of its own, writes one small row a minute,
and whatever fails here is told and tried again.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from ordersync.errors import AskAgain, OrdersyncError
from ordersync.metered import LATENCY_BOUNDS, Count, Level, Span
from ordersync.sampled import MINUTE, Latency, Sample, Standing
from ordersync.truth.model import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordersync.ports import Clock
    from ordersync.sampled import Samples, Standings
    from ordersync.sync.tally import Tally

LOOK_EVERY = timedelta(seconds=15)
"""How often the rows are looked at while nothing is about to happen."""

LEAST_PAUSE = timedelta(seconds=1)
SHARE = 50
"""A look that takes long comes less often: it never takes more than this part of the time."""

PENDING_LIMIT = 180
"""How many minutes wait in memory for a database that is away."""

ROLL_UP_EVERY = timedelta(minutes=10)
KNOWN_OWNERS_FOR = timedelta(hours=24)
ANSWERED = ("answered", "not_found")

FOUND = tuple(
    kind.value
    for kind in EventKind
    if kind not in {EventKind.CHANGED, EventKind.CONFIRMED, EventKind.RESOLVED, EventKind.CORRECTED}
)
"""The kinds of events that tell of something wrong: a row, an order, or what is said of it."""

log = structlog.get_logger("ordersync")


class Watcher:
    """Watches one account. `run` ends only by cancellation.

    `hear` is told of each look at the rows. `away` is since when these cannot be read, and why;
    None while they can.
    """

    def __init__(
        self,
        account: str,
        *,
        tally: Tally,
        samples: Samples,
        standings: Standings,
        clock: Clock,
        hear: Callable[[Standing], None],
    ) -> None:
        self.account = account
        self.standing: Standing | None = None
        self.away: tuple[datetime, str] | None = None
        self._tally = tally
        self._samples = samples
        self._standings = standings
        self._clock = clock
        self._hear = hear
        self._nudged = asyncio.Event()
        self._owners: dict[str | None, datetime] = {}
        self._watched = 0.0
        self._pending: list[Sample] = []
        self._before = _Totals()
        self._latency = [0] * (len(LATENCY_BOUNDS) + 1)
        self._worst: Standing | None = None

    async def begin(self) -> None:
        """Learn since when this account is watched: what changed before says nothing of us."""
        now = self._clock.now()
        try:
            since = await self._samples.first_at(self.account) or now
        except OrdersyncError as error:
            log.warning(f"Failed to read the figures: {error}", account=self.account)
            since = now
        self._tally.watch(self.account, since)

    async def run(self) -> None:
        """Look and keep, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_on(), name=f"look at {self.account}")
            group.create_task(self._keep_on(), name=f"figures of {self.account}")

    def nudge(self) -> None:
        """Something happened: look soon."""
        self._nudged.set()

    # --- how it stands -----------------------------------------------------------------------

    async def _look_on(self) -> None:
        before = self._clock.monotonic()
        while True:
            pause = LOOK_EVERY
            try:
                pause = await self._look()
                self.away = None
            except OrdersyncError as error:
                since, told = self.away or (self._clock.now(), "")
                self.away = since, str(error)
                if str(error) != told:
                    log.warning(f"Failed to look at the rows: {error}", account=self.account)
            now = self._clock.monotonic()
            self._count_blocked(now - before)
            before = now
            await self._wait(pause)

    async def _look(self) -> timedelta:
        """Look once; how long to wait for the next time."""
        began, now = self._clock.monotonic(), self._clock.now()
        standing = await self._standings.stand(self.account, now)
        lasted = timedelta(seconds=self._clock.monotonic() - began)
        self._note(standing)
        self._hear(standing)
        pause = LOOK_EVERY
        if standing.next_at is not None:
            pause = min(pause, standing.next_at - now)
        return max(pause, LEAST_PAUSE, lasted * SHARE)

    async def _wait(self, pause: timedelta) -> None:
        """For so long; when nudged only for the least, in which more may happen."""
        self._nudged.clear()
        try:
            async with asyncio.timeout(pause.total_seconds()):
                await self._nudged.wait()
        except TimeoutError:
            return
        await self._clock.sleep(LEAST_PAUSE / 2)

    def _note(self, standing: Standing) -> None:
        account, tally = self.account, self._tally
        self.standing = standing
        self._worst = standing if self._worst is None else _worse(self._worst, standing)
        for level, value in (
            (Level.OPEN, standing.open),
            (Level.STALE, standing.stale),
            (Level.SUSPECT, standing.suspect),
            (Level.UNKNOWN, standing.unknown),
            (Level.OWNERS_BLOCKED, len(standing.owners)),
        ):
            tally.set(level, account, value)
        tally.forget(Level.DISCREPANCIES, account)
        for kind, value in standing.discrepancies.items():
            tally.set(Level.DISCREPANCIES, account, value, kind)
        tally.forget(Level.VERIFIED_AT, account)
        if standing.oldest_verified_at is not None:
            tally.set(Level.VERIFIED_AT, account, standing.oldest_verified_at.timestamp())
        for owner in standing.owners:
            self._owners[owner] = standing.at
        seen_since = standing.at - KNOWN_OWNERS_FOR
        self._owners = {one: at for one, at in self._owners.items() if at >= seen_since}

    def _count_blocked(self, seconds: float) -> None:
        """The time since the last look, for every bot that is known."""
        if self.standing is not None:
            self._watched += seconds * max(1, len(self._owners))
            blocked = seconds * len(self.standing.owners)
            self._tally.count(Count.BLOCKED, self.account, times=blocked)

    # --- what each minute was ----------------------------------------------------------------

    async def _keep_on(self) -> None:
        """At the end of each minute, keep it; after a while, make hours of the oldest."""
        began, since, rolled = self._clock.now(), self._clock.monotonic(), 0.0
        while True:
            # Where the clock was set meanwhile, a minute is still no longer than one.
            left = _next_minute(began) - self._clock.now()
            await self._clock.sleep(min(left, MINUTE))
            now, until = self._clock.now(), self._clock.monotonic()
            self._pending.append(self.take(began, until - since))
            del self._pending[:-PENDING_LIMIT]
            began, since = now, until
            try:
                await self._samples.keep(self._pending)
                self._pending.clear()
                if not rolled or until - rolled >= ROLL_UP_EVERY.total_seconds():
                    await self._samples.roll_up(self.account, now)
                    rolled = until
            except AskAgain as error:
                log.warning(f"Failed to keep the figures: {error}", account=self.account)
            except OrdersyncError as error:
                # A person has to mend it; when it is mended, no restart should be needed.
                log.error(f"Failed to keep the figures: {error}", account=self.account)  # noqa: TRY400 - explained

    def take(self, began: datetime, lasted: float) -> Sample:
        """What was counted since the last time, which was `lasted` seconds ago."""
        tally, account = self._tally, self.account
        before, self._before = self._before, _Totals.of(tally, account)
        counts = [0] * len(self._latency)
        seconds, worst = 0.0, 0.0
        for times in tally.times(Span.LATENCY, account):
            counts = [a + b for a, b in zip(counts, times.counts, strict=True)]
            seconds += times.seconds
            worst = max(worst, times.take_worst())
        latest, self._latency = self._latency, counts
        watched, self._watched = self._watched, 0.0
        worse, self._worst = self._worst or Standing(account=account, at=began), self.standing
        limit = tally.level(Level.CALL_LIMIT, account)
        after = self._before
        after.latency_seconds = seconds
        return Sample(
            account=account,
            at=began,
            seconds=round(lasted, 3),
            open=worse.open,
            stale=worse.stale,
            suspect=worse.suspect,
            unknown=worse.unknown,
            discrepancies=worse.discrepancies,
            found=after.found_since(before),
            latency=Latency(
                counts=tuple(a - b for a, b in zip(counts, latest, strict=True)),
                seconds=round(seconds - before.latency_seconds, 3),
                worst=worst,
            ),
            calls=int(after.calls - before.calls),
            calls_failed=int(after.failed - before.failed),
            call_limit=None if limit is None else round(limit),
            watched_seconds=round(watched, 3),
            blocked_seconds=round(after.blocked - before.blocked, 3),
            untruly_blocked_seconds=round(after.untruly - before.untruly, 3),
            accuracy_sampled=int(after.sampled - before.sampled),
            accuracy_wrong=int(after.wrong - before.wrong),
        )


class _Totals:
    """What has been counted of an account so far."""

    __slots__ = (
        *("blocked", "calls", "failed", "found", "latency_seconds", "sampled", "untruly", "wrong"),
    )

    def __init__(self) -> None:
        self.found = dict.fromkeys(FOUND, 0)
        self.calls = self.failed = self.blocked = self.untruly = 0.0
        self.sampled = self.wrong = self.latency_seconds = 0.0

    @classmethod
    def of(cls, tally: Tally, account: str) -> _Totals:
        """As they are now."""
        made = cls()
        made.calls = tally.total(Count.CALLS, account)
        made.failed = made.calls - tally.total(Count.CALLS, account, *ANSWERED)
        made.blocked = tally.total(Count.BLOCKED, account)
        made.untruly = tally.total(Count.UNTRULY_BLOCKED, account)
        made.sampled = tally.total(Count.ACCURACY_SAMPLED, account)
        made.wrong = tally.total(Count.ACCURACY_WRONG, account)
        made.found = {kind: int(tally.total(Count.EVENTS, account, kind)) for kind in FOUND}
        return made

    def found_since(self, before: _Totals) -> dict[str, int]:
        """How many more of each kind that tells of something wrong, where there were any."""
        more = {kind: self.found[kind] - before.found[kind] for kind in FOUND}
        return {kind: n for kind, n in more.items() if n}


def _worse(one: Standing, other: Standing) -> Standing:
    """The most that there were at once of each, over both."""
    kinds = {*one.discrepancies, *other.discrepancies}
    return Standing(
        account=one.account,
        at=other.at,
        open=max(one.open, other.open),
        stale=max(one.stale, other.stale),
        suspect=max(one.suspect, other.suspect),
        unknown=max(one.unknown, other.unknown),
        discrepancies={
            kind: max(one.discrepancies.get(kind, 0), other.discrepancies.get(kind, 0))
            for kind in sorted(kinds)
        },
    )


def _next_minute(moment: datetime) -> datetime:
    since = datetime(1970, 1, 1, tzinfo=UTC)
    return moment + MINUTE - (moment - since) % MINUTE
