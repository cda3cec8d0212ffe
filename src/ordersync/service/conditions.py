"""How each account is kept at the moment, gathered from its parts."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from ordersync.metered import Count, Level
from ordersync.sync.health import State
from ordersync.web.api.conditions import (
    AccountShown,
    BudgetShown,
    ExchangeShown,
    Gap,
    LeaseShown,
    PollingShown,
    StreamShown,
    StreamState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordersync.leased import Lease, Leases
    from ordersync.ports import Clock
    from ordersync.settings import Settings
    from ordersync.sync.reconcile import Reconciler
    from ordersync.sync.stream import Stream
    from ordersync.sync.tally import Tally
    from ordersync.sync.tenure import Tenure

MINUTE, READ_EVERY = timedelta(minutes=1), timedelta(seconds=5)

SILENT_AFTER = timedelta(seconds=10)
"""How long an answer may take: as long as a call waits for it."""

SILENT_CALLS = 3
"""So many calls in a row without an answer are no accident, however quickly each of them failed."""

_STATES = {
    State.CONNECTING: StreamState.CONNECTING,
    State.LIVE: StreamState.LIVE,
    State.DEGRADED: StreamState.FAILED,
}


class Kept(Protocol):
    """As much of a service as this needs. `troubles`: by account why it cannot be asked."""

    settings: Settings
    clock: Clock
    tally: Tally
    reconcilers: dict[str, Reconciler]
    streams: dict[str, Stream]
    troubles: dict[str, str]
    shadow: bool
    tenures: dict[str, Tenure]
    leases: Leases


class Conditions:
    """Implements `web.api.faces.Conditions`."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._began_at = kept.clock.now()
        self._calls: dict[str, deque[tuple[datetime, float]]] = {}

    async def now(self, verified: Mapping[str, datetime | None]) -> list[AccountShown]:
        """Each account; `verified` is when all of it was last verified, as it is stored."""
        leases = {one.account: one for one in await self._kept.leases.list_leases()}
        return [
            self._shown(name, verified.get(name), leases.get(name))
            for name in self._kept.settings.served_accounts
        ]

    def _shown(self, name: str, verified_at: datetime | None, lease: Lease | None) -> AccountShown:
        kept, polling = self._kept, PollingShown()
        passed = kept.reconcilers[name].demand.passed
        if passed is not None:
            polling = PollingShown(
                last_pass_at=passed.at,
                lasted_seconds=round(passed.lasted.total_seconds(), 3),
                asked=passed.asked,
                failed=passed.failed,
                why=passed.why or None,
            )
        stream, shown = self._stream(name), None
        if lease is not None:
            shown = LeaseShown(
                holder=lease.holder.name, until=lease.until, mine=self._is_here(name)
            )
        return AccountShown(
            account=name,
            venue=kept.settings.accounts[name].venue,
            stream=stream,
            polling=polling,
            lease=shown,
            budget=self._budget(name),
            exchange=self._exchange(name),
            shadow=kept.shadow,
            last_verified_at=verified_at,
            degraded=self._why(name, stream, verified_at) or None,
        )

    def _is_here(self, name: str) -> bool:
        return self._kept.tenures[name].lease is not None

    def _why(self, name: str, stream: StreamShown, verified_at: datetime | None) -> str:
        kept = self._kept
        if self._is_here(name):
            if trouble := kept.troubles.get(name):
                return trouble
            if self._exchange(name).answers is False:
                return "the exchange does not answer"
            if stream.state is StreamState.FAILED:
                return f"push: {kept.streams[name].health.why}"
        late, now = kept.settings.sync.stale_after, kept.clock.now()
        passed = kept.reconcilers[name].demand.passed
        if passed is not None and not passed.asked and now - passed.at <= late:
            return ""  # a pass of late found nothing to verify
        if verified_at is None or now - verified_at > late:
            return "its orders were not verified of late"
        return ""

    def _stream(self, name: str) -> StreamShown:
        if name not in self._kept.streams or not self._is_here(name):
            return StreamShown(state=StreamState.OFF)
        health, gap = self._kept.streams[name].health, None
        if (last := health.last) is not None:
            seconds = round(last.lasted.total_seconds(), 3)
            gap = Gap(at=last.at, why=last.why, seconds=seconds, orders=last.orders)
        return StreamShown(state=_STATES[health.state], since=health.since, last_gap=gap)

    def _exchange(self, name: str) -> ExchangeShown:
        """Whether it answers: by what it was asked last, and by what it still owes."""
        tally, now = self._kept.tally, self._kept.clock.now()
        answered, asked = tally.level(Level.ANSWERED_AT, name), tally.level(Level.ASKED_AT, name)
        if not self._is_here(name) or (answered is None and asked is None):
            return ExchangeShown()
        unanswered = int(tally.level(Level.UNANSWERED, name) or 0)
        owed = now - datetime.fromtimestamp(asked, UTC) if asked else None
        is_silent = owed is not None and (owed > SILENT_AFTER or unanswered >= SILENT_CALLS)
        return ExchangeShown(
            answers=not is_silent,
            last_answer_at=None if answered is None else datetime.fromtimestamp(answered, UTC),
            silent_seconds=None if owed is None else round(owed.total_seconds(), 3),
            unanswered_calls=unanswered,
        )

    def _budget(self, name: str) -> BudgetShown:
        """As its figures were told last; of calls, how many since the reading a minute ago."""
        tally, now = self._kept.tally, self._kept.clock.now()
        left, limit = tally.level(Level.BUDGET_LEFT, name), tally.level(Level.CALL_LIMIT, name)
        until = tally.level(Level.PAUSED_UNTIL, name)
        paused = datetime.fromtimestamp(until, UTC) if until else None
        return BudgetShown(
            share=self._kept.settings.accounts[name].share,
            left=None if left is None else int(left),
            limit=None if limit is None else int(limit),
            calls_last_minute=self._calls_since(name, now),
            paused_until=paused if paused is not None and paused > now else None,
        )

    def _calls_since(self, name: str, now: datetime) -> int | None:
        """Null where nobody asked for so long that nothing was read a minute ago."""
        total = self._kept.tally.total(Count.CALLS, name)
        read = self._calls.setdefault(name, deque([(self._began_at, 0.0)]))
        if now - read[-1][0] >= 2 * MINUTE:
            read.clear()
        if not read or now - read[-1][0] >= READ_EVERY:
            read.append((now, total))
        while len(read) > 1 and now - read[1][0] >= MINUTE:
            read.popleft()
        began, before = read[0]
        if now - began < MINUTE:
            # Younger than a minute: all of its calls are of the last one.
            return int(total) if began == self._began_at else None
        return round((total - before) * (MINUTE / (now - began)))
