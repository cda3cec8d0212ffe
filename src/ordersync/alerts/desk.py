"""One account's desk: hears how it stands and what happened, and lets a person know.

It looks each second at what is counted anyway; whatever it is told of itself, it hears at once.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.alerted import Alert
from ordersync.alerts.causes import Book, State
from ordersync.alerts.messages import Cause
from ordersync.alerts.patience import patiently
from ordersync.errors import OrdersyncError
from ordersync.metered import Count
from ordersync.sync.objectives import WINDOWS, objectives
from ordersync.truth.model import EventKind, Status
from ordersync.truth.urgency import Discrepancy, Urgency

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import date

    from ordersync.alerted import AlertLog
    from ordersync.alerts.channels import Way
    from ordersync.listed import Listed
    from ordersync.ports import Clock
    from ordersync.sampled import Samples, Standing
    from ordersync.settings import Alerts
    from ordersync.sync.tally import Tally
    from ordersync.truth.model import Event

LOOK_EVERY = timedelta(seconds=1)
SETTLES = timedelta(seconds=45)
"""After a start everything is old until it was asked for once: nobody is woken for that. The same
where the machine's clock was set: what was verified seems older by as much."""

JUMPED = timedelta(seconds=20)

LIMITED_FOR = timedelta(minutes=10)
"""For how long after a 429 the rate limit counts as reached."""

AWAY_AFTER = timedelta(minutes=1)
"""So long the rows cannot be read before anybody hears of it: a server restarts within that."""

JUDGE_EVERY = timedelta(minutes=5)
LEAST_WATCHED = timedelta(minutes=10)
EXPIRES_SOON = timedelta(days=14)

log = structlog.get_logger("ordersync")


class Desk:
    """Lets a person know of one account. `run` ends only by cancellation.

    `degraded` says since when its stream cannot be relied on, and why; None while it can be, or
    there is none; `away` the same of the database. `final_words` are those of a row that stand
    for an end.
    """

    def __init__(
        self,
        account: str,
        settings: Alerts,
        *,
        ways: Sequence[Way],
        told: AlertLog,
        samples: Samples,
        tally: Tally,
        clock: Clock,
        degraded: Callable[[], tuple[datetime, str] | None],
        away: Callable[[], tuple[datetime, str] | None],
        final_words: Collection[str],
        key_expires: date | None = None,
    ) -> None:
        self.account = account
        self.book = Book(account, settings.silences, repeat_after=settings.repeat_after)
        self._settings = settings
        self._ways = tuple(ways)
        self._told = told
        self._samples = samples
        self._tally = tally
        self._clock = clock
        self._degraded = degraded
        self._away = away
        self._final_words = frozenset(final_words)
        self._key_expires = key_expires
        self._seen = (clock.now(), clock.monotonic())
        self._hears_from = clock.monotonic() + SETTLES.total_seconds()
        self._nudged = asyncio.Event()
        self._counted: dict[str, float] = {}
        self._kept = 0
        self._is_refused = False
        self._limited_at: datetime | None = None
        self._judged_at: datetime | None = None

    # --- what it is told ---------------------------------------------------------------------

    def hear(self, standing: Standing) -> None:
        """How the rows stand now."""
        now = self._clock.now()
        self._mind_clock(now)
        if self._clock.monotonic() < self._hears_from:
            return
        suspect = [o for o in standing.troubles if o.discrepancy is Discrepancy.SUSPECT]
        troubles = [o for o in standing.troubles if o.discrepancy is not Discrepancy.SUSPECT]
        # Each is told of once, by the louder kind: else sixty orders would read as a hundred.
        long = [one for one in troubles if one.urgency is Urgency.CRITICAL]
        stale = [one for one in troubles if one.urgency is not Urgency.CRITICAL]
        self.book.settle(Alert.ORDER_STALE, self._causes(Alert.ORDER_STALE, stale), now)
        self.book.settle(Alert.ORDER_STALE_LONG, self._causes(Alert.ORDER_STALE_LONG, long), now)
        self.book.settle(Alert.ORDER_SUSPECT, self._causes(Alert.ORDER_SUSPECT, suspect), now)
        unverified = standing.discrepancies.get(Discrepancy.UNVERIFIED, 0)
        silent = []
        if 0 < standing.open <= unverified:
            since = standing.oldest_verified_at
            what = f"not since {since:%H:%M:%S}Z" if since else "not yet"
            silent = [Cause(kind=Alert.ACCOUNT_SILENT, account=self.account, what=what)]
        self.book.settle(Alert.ACCOUNT_SILENT, silent, now)
        self._nudged.set()

    def _mind_clock(self, now: datetime) -> None:
        (before, since), until = self._seen, self._clock.monotonic()
        self._seen = (now, until)
        if abs(now - before - timedelta(seconds=until - since)) > JUMPED:
            self._hears_from = until + SETTLES.total_seconds()

    def hear_events(self, events: Iterable[Event]) -> None:
        """What was committed."""
        now = self._clock.now()
        for event in events:
            kind = self._kind_of(event)
            if kind is None or event.account != self.account:
                continue
            order = event.order
            what = f"{event.before.word or '-'} -> {event.after.word or event.after.status}"
            if kind is Alert.ORPHAN:
                what = f"order {order.venue_order_id}"
            cause = Cause(
                kind=kind,
                account=self.account,
                subject=event.id,
                what=what,
                row_id=order.row_id,
                owner=order.owner,
                symbol=order.symbol,
            )
            self.book.happen(cause, now)
            self._nudged.set()

    def _kind_of(self, event: Event) -> Alert | None:
        if event.kind in {EventKind.REPAIRED, EventKind.CHANGED}:
            return Alert.FINAL_REPAIRED if self._was_wrong(event) else None
        return {
            EventKind.UNKNOWN: Alert.ORDER_UNKNOWN,
            EventKind.ORPHAN: Alert.ORPHAN,
        }.get(event.kind)

    def _was_wrong(self, event: Event) -> bool:
        """Whether a row said that its order had ended otherwise than it did, or that it had.

        An end that the exchange itself told otherwise before (fills that came late) is none.
        """
        before, after = event.before, event.after
        if before.word not in self._final_words or before.word == after.word:
            return False
        if event.kind is EventKind.REPAIRED or before.status is None:
            return True
        return not Status(before.status.partition("+")[0]).is_final

    def _causes(self, kind: Alert, troubles: Iterable[Listed]) -> list[Cause]:
        return [
            Cause(
                kind=kind,
                account=self.account,
                subject=one.row_id or "",
                what=f"{one.row_word or '-'} for {_span(one.age_seconds)}, {one.discrepancy}",
                row_id=one.row_id,
                owner=one.owner,
                symbol=one.symbol,
            )
            for one in troubles
        ]

    # --- what it sees ------------------------------------------------------------------------

    async def run(self) -> None:
        """Look, and let a person know, for ever."""
        await self._remember()
        while True:
            now = self._clock.now()
            self._look_at_counts(now)
            self._look_at_stream(now)
            self._look_at_database(now)
            self._look_at_key(now)
            await self._judge(now)
            if (message := self.book.compose(now)) is not None:
                for way in self._ways:
                    way.put(message)
            if self.book.changes != self._kept:
                await self._keep()
            await self._wait()

    async def _wait(self) -> None:
        self._nudged.clear()
        try:
            async with asyncio.timeout(LOOK_EVERY.total_seconds()):
                await self._nudged.wait()
        except TimeoutError:
            return

    def _look_at_counts(self, now: datetime) -> None:
        grown = {
            how: self._grew(how) for how in ("answered", "not_found", "key_refused", "limited")
        }
        if grown["key_refused"]:
            self._is_refused = True
        elif grown["answered"] or grown["not_found"]:
            self._is_refused = False
        refused = "the exchange says 401 or 403" if self._is_refused else ""
        self._settle(Alert.KEY_REFUSED, refused, now)
        if grown["limited"]:
            self._limited_at = now
        limited = ""
        if self._limited_at is not None and now - self._limited_at < LIMITED_FOR:
            limited = "the exchange answered 429"
        self._settle(Alert.RATE_LIMITED, limited, now)

    def _grew(self, how: str) -> bool:
        count = self._tally.total(Count.CALLS, self.account, how)
        before, self._counted[how] = self._counted.get(how, 0.0), count
        return count > before

    def _look_at_stream(self, now: datetime) -> None:
        degraded, what = self._degraded(), ""
        if degraded is not None and now - degraded[0] >= self._settings.degraded_after:
            what = f"since {degraded[0]:%H:%M:%S}Z: {degraded[1]}"
        self._settle(Alert.ACCOUNT_DEGRADED, what, now)

    def _look_at_database(self, now: datetime) -> None:
        away, what = self._away(), ""
        if away is not None and now - away[0] >= AWAY_AFTER:
            what = f"since {away[0]:%H:%M:%S}Z: {away[1]}"
        self._settle(Alert.DATABASE_AWAY, what, now)

    def _look_at_key(self, now: datetime) -> None:
        day, what = self._key_expires, ""
        if day is not None:
            end = datetime(day.year, day.month, day.day, tzinfo=UTC)
            if end - now < EXPIRES_SOON:
                what = f"on {day}, by accounts.{self.account}.key_expires"
        self._settle(Alert.KEY_EXPIRES, what, now)

    async def _judge(self, now: datetime) -> None:
        """Whether the promises are kept, over the last hour."""
        if self._judged_at is not None and abs(now - self._judged_at) < JUDGE_EVERY:
            return
        self._judged_at = now
        window = WINDOWS["1h"]
        try:
            samples = await patiently(self._samples.list_since(now - window))
        except OrdersyncError as error:
            log.warning(f"Failed to read the figures: {error}", account=self.account)
            return
        ours = [one for one in samples if one.account == self.account]
        found = objectives(ours, window, now)
        is_known = found.watched_seconds >= LEAST_WATCHED.total_seconds()
        self._settle(Alert.OBJECTIVE_MISSED, "; ".join(found.missed()) if is_known else "", now)

    def _settle(self, kind: Alert, what: str, now: datetime) -> None:
        causes = [Cause(kind=kind, account=self.account, what=what)] if what else []
        self.book.settle(kind, causes, now)

    # --- what was told -----------------------------------------------------------------------

    async def _remember(self) -> None:
        """What was told before a restart is not told again."""
        try:
            kept = (await patiently(self._told.read())).get(f"account {self.account}")
            if kept is not None:
                self.book.state = msgspec.json.decode(kept, type=State)
        except (OrdersyncError, msgspec.DecodeError) as error:
            log.warning(f"Failed to read what was told: {error}", account=self.account)

    async def _keep(self) -> None:
        changes = self.book.changes
        try:
            body = msgspec.json.encode(self.book.state)
            await patiently(self._told.keep(f"account {self.account}", body))
            self._kept = changes
        except OrdersyncError as error:
            log.warning(f"Failed to keep what was told: {error}", account=self.account)


def _span(age: float | None) -> str:
    seconds = int(age or 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
