"""Who watches over a service: figures, metrics and alerts, put together.

None of it is on the way of an order: what fails here is told, and orders are kept true.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import structlog

from ordersync.metered import Level, Span
from ordersync.ports import Meaning
from ordersync.service.build import build_lists, build_samples, build_told, words_meaning
from ordersync.service.channels import open_ways
from ordersync.service.reached import ToldChannels
from ordersync.sync.standing import ListedStandings
from ordersync.sync.stream import State
from ordersync.sync.watching import Watcher
from ordersync.truth.model import EventKind
from ordersync.web.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from ordersync.alerts.channels import Way
    from ordersync.alerts.desk import Desk
    from ordersync.ports import Clock, Known
    from ordersync.sampled import Standing
    from ordersync.settings import Settings
    from ordersync.store.listing import TableLists
    from ordersync.sync.stream import Stream
    from ordersync.sync.tally import Tally
    from ordersync.truth.model import Event

Work: TypeAlias = "Callable[[], Awaitable[None]]"

NEWS = frozenset(
    {
        EventKind.SUSPECT,
        EventKind.UNKNOWN,
        EventKind.RESOLVED,
        EventKind.UNWRITABLE,
        EventKind.CONTESTED,
    }
)
"""Events after which the rows are looked at at once: somebody may have to know."""


MEND_PAUSE = timedelta(minutes=1)

log = structlog.get_logger("ordersync")


class Watch:
    """Watches the accounts of a service."""

    def __init__(
        self,
        settings: Settings,
        tally: Tally,
        clock: Clock,
        *,
        streams: Mapping[str, Stream],
        vouched: Callable[[str, Known], datetime | None],
    ) -> None:
        self._settings = settings
        self._tally = tally
        self._clock = clock
        self._streams = streams
        self._vouched = vouched
        self.samples = build_samples(settings)
        self._told = build_told(settings)
        self.channels = ToldChannels(settings, self._told, clock)
        venues = {name: account.venue for name, account in settings.served_accounts.items()}
        self.metrics = Metrics(
            tally,
            venues,
            self._look,
            channels=[channel.name for channel in settings.alerts.channels],
        )
        for name in venues:
            tally.set(Level.LEASE, name, 0)
        self._lists: TableLists | None = None
        self._standings: ListedStandings | None = None
        self._making = asyncio.Lock()
        self._watchers: dict[str, Watcher] = {}
        self._desks: dict[str, Desk] = {}
        self._ways: list[Way] = []

    def tell(self, events: Sequence[Event]) -> None:
        """What was committed."""
        self._tally.committed(events)
        for desk in self._desks.values():
            desk.hear_events(events)
        for account in {event.account for event in events if event.kind in NEWS}:
            if (watcher := self._watchers.get(account)) is not None:
                watcher.nudge()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Channels deliver while the block runs."""
        self._ways = await open_ways(self._settings, self._clock, self._tally, self._told)
        async with _beside(self._clock, [way.run for way in self._ways]):
            try:
                yield
            finally:
                if self._lists is not None:
                    self._lists.close()

    @asynccontextmanager
    async def account(self, name: str) -> AsyncIterator[None]:
        """This account is watched while the block runs: by whoever keeps it, nobody else."""
        desk = self._open_desk(name) if self._ways else None
        watcher = Watcher(
            name,
            tally=self._tally,
            samples=self.samples,
            standings=self,
            clock=self._clock,
            hear=desk.hear if desk is not None else _nobody,
        )
        self._watchers[name] = watcher
        if desk is not None:
            self._desks[name] = desk
        self._tally.set(Level.LEASE, name, 1)
        works: list[Work] = [watcher.run, *([desk.run] if desk is not None else [])]
        await watcher.begin()
        try:
            async with _beside(self._clock, works):
                yield
        finally:
            del self._watchers[name]
            self._desks.pop(name, None)
            for level in Level:
                self._tally.forget(level, name)
            self._tally.set(Level.LEASE, name, 0)

    def gap_filled(self, name: str) -> Callable[[float], None]:
        """Takes how long it took until all was asked for that a stream may have missed."""
        return lambda seconds: self._tally.observe(Span.GAP, name, seconds)

    async def stand(self, account: str, now: datetime) -> Standing:
        """How the open rows of one account stand. Implements `sampled.Standings`."""
        async with self._making:  # several accounts come at once, and each would make its own
            if self._standings is None:
                self._standings = await self._make_standings()
        return await self._standings.stand(account, now)

    async def _make_standings(self) -> ListedStandings:
        settings, vouched = self._settings, self._vouched
        # It looks at the table first.
        lists = await asyncio.to_thread(build_lists, settings, self._clock, vouched)
        self._lists = lists
        return ListedStandings(
            lists,
            open_words=words_meaning(settings, Meaning.OPEN),
            stale_after=settings.sync.stale_after,
        )

    def _open_desk(self, name: str) -> Desk:
        from ordersync.alerts.desk import Desk  # noqa: PLC0415 - only where somebody is told

        settings = self._settings
        return Desk(
            name,
            settings.alerts,
            ways=self._ways,
            told=self._told,
            samples=self.samples,
            tally=self._tally,
            clock=self._clock,
            degraded=lambda: self._degraded(name),
            away=lambda: self._away(name),
            final_words=words_meaning(settings, Meaning.FINAL),
            key_expires=settings.accounts[name].key_expires,
        )

    def _away(self, name: str) -> tuple[datetime, str] | None:
        watcher = self._watchers.get(name)
        return watcher.away if watcher is not None else None

    def _degraded(self, name: str) -> tuple[datetime, str] | None:
        stream = self._streams.get(name)
        if stream is None or stream.health.state is State.LIVE:
            return None
        return stream.health.since, stream.health.why or "it never was live yet"

    def _look(self) -> None:
        """What is known of streams, as it is now."""
        for name in self._watchers:
            stream = self._streams.get(name)
            now = stream.health.state.value if stream is not None else "off"
            for state in ("off", *(one.value for one in State)):
                self._tally.set(Level.STREAM, name, float(state == now), state)
            queued = len(stream.backlog) if stream is not None else 0
            self._tally.set(Level.QUEUE, name, queued)


@asynccontextmanager
async def _beside(clock: Clock, works: Sequence[Work]) -> AsyncIterator[None]:
    """These go on while the block runs."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_kept_up(clock, work)) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _kept_up(clock: Clock, work: Work) -> None:
    """Whatever breaks here is a mistake of ours, and ends nothing that keeps orders true."""
    while True:
        try:
            await work()
        except Exception:  # never an answer about an order: figures and alerts only
            log.exception("Watching broke; it begins anew in a minute. Please report it")
        await clock.sleep(MEND_PAUSE)


def _nobody(standing: Standing) -> None:
    """Nobody is to be told."""
    del standing
