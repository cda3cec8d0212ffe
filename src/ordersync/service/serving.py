"""One configuration at work: all parts built, started and stopped in one TaskGroup."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ordersync import settings as configuration
from ordersync.clock import SystemClock
from ordersync.errors import AskAgain, VenueRefused, VenueSilent
from ordersync.ports import Meaning
from ordersync.service.build import (
    build_archive,
    build_ingest,
    build_log,
    build_store,
    build_venue,
    check_key,
    words_meaning,
)
from ordersync.service.doors import webhook_door
from ordersync.service.watching import Watch
from ordersync.service.web_door import check_exposure, serve_api
from ordersync.sync.accuracy import Accuracy
from ordersync.sync.answering import Answering
from ordersync.sync.audit import Audit, audit
from ordersync.sync.hints import Hints
from ordersync.sync.outbox import Outbox
from ordersync.sync.reconcile import Reconciler
from ordersync.sync.retention import Retention
from ordersync.sync.stream import Stream
from ordersync.sync.tally import Tally
from ordersync.sync.wanted import Wanted
from ordersync.sync.work import PassReport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime

    from ordersync.ports import Clock, Known, OrderStore, Venue
    from ordersync.pushed import Push
    from ordersync.settings import Settings
    from ordersync.sync.work import Work
    from ordersync.truth.model import Event

log = structlog.get_logger("ordersync")

MUCH_SKEW = timedelta(seconds=5)
"""From how far off the venue's clock ours is worth a word: nothing rests on it."""


class Service:
    """One configuration at work: a store, and for each account a venue and its reconciler."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        store: OrderStore,
        tally: Tally | None = None,
        listener: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        self.settings = settings
        self.tally = tally or Tally()
        self.clock = clock
        self.store = store
        self._ingest = build_ingest(settings, store, clock, self._tell)
        self._listener = listener
        self.outbox = Outbox(build_log(settings), clock)
        self.venues: dict[str, Venue] = {
            name: build_venue(settings, name, account, clock, self.tally)
            for name, account in settings.served_accounts.items()
        }
        self.reconcilers: dict[str, Reconciler] = {
            name: Reconciler(
                name,
                venue=venue,
                store=store,
                ingest=self._ingest,
                clock=clock,
                settings=settings.sync,
            )
            for name, venue in self.venues.items()
        }
        self.streams: dict[str, Stream] = {
            name: self._take_stream(name, venue.push)
            for name, venue in self.venues.items()
            if venue.push is not None
        }
        self.watch = self._take_watch()
        self.wanted = {name: self._take_wanted(name) for name in self.venues}
        self.answering = Answering(store, clock, self.wanted)
        self.shadow = False
        self.hints: dict[str, Hints] = {}
        self.troubles: dict[str, str] = {}
        kept = settings.retention or configuration.Retention()
        self.archive = build_archive(settings)
        self.retention = Retention(
            tuple(self.venues), store=store, archive=self.archive, clock=clock, batch=kept.batch
        )

    def _tell(self, events: Sequence[Event]) -> None:
        """What was committed, to whoever listens; and to the stream that should have told it."""
        for stream in self.streams.values():
            stream.compare(events)
        self.outbox.tell(events)
        self.watch.tell(events)
        if self._listener is not None:
            self._listener(events)

    async def check_key(self, account: str) -> str:
        """Refuse a key that can move money; "" or a warning about one that can trade.

        Raises ConfigError, VenueSilent or VenueRefused.
        """
        return await check_key(self.settings, account, self.venues[account])

    async def sync(
        self,
        *,
        older_than: timedelta | None = None,
        accept_absent: bool = False,
        progress: Callable[[int, int], None] | None = None,
        waiting: Callable[[int, timedelta], None] | None = None,
    ) -> list[PassReport]:
        """One pass over every account. A venue that cannot be asked fails its account alone."""
        reports = []
        for name, reconciler in self.reconcilers.items():
            trouble = await self._trouble_with(name)
            if trouble:
                report = PassReport(account=name, troubles={trouble: None})
                work = await reconciler.find_work(older_than=older_than)
                report.failed = {key[2:]: trouble for key in work.known}
                report.asked = len(work.known)
                reports.append(report)
                continue
            reports.append(
                await reconciler.sync_once(
                    older_than=older_than,
                    accept_absent=accept_absent,
                    progress=progress,
                    waiting=waiting,
                )
            )
        return reports

    async def audit(
        self, since: timedelta, *, progress: Callable[[int, int], None] | None = None
    ) -> list[Audit]:
        """Compare every account's rows with its venue, orphans included; write nothing."""
        start = self.clock.now() - since
        return [
            await self._compare(name, await r.find_work(again=True), start, progress)
            for name, r in self.reconcilers.items()
        ]

    async def preview(
        self,
        *,
        older_than: timedelta | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Audit]:
        """What `sync` would write into the rows; write nothing."""
        return [
            await self._compare(
                name,
                await r.find_work(older_than=older_than, again=older_than is not None),
                None,
                progress,
            )
            for name, r in self.reconcilers.items()
        ]

    async def _compare(
        self,
        name: str,
        work: Work,
        since: datetime | None,
        progress: Callable[[int, int], None] | None,
    ) -> Audit:
        trouble = await self._trouble_with(name)
        if trouble:
            failed = {key[2:]: trouble for key in work.known} or {name: trouble}
            return Audit(account=name, checked=len(work.known), failed=failed)
        return await audit(
            name,
            work,
            venue=self.venues[name],
            store=self.store,
            clock=self.clock,
            since=since,
            progress=progress,
        )

    async def run(self) -> None:
        """Keep every account true until cancelled, and move out what ended long ago."""
        kept = self.settings.retention
        await check_exposure(self.settings, self.clock)
        if kept is not None:
            await self.archive.check(make=True)
        with contextlib.suppress(AskAgain):  # the passes see to that, and tell of it
            told = await self.store.revision() is not None
            how = "noticed at once" if told else "looked for every second"
            log.info(f"New rows are {how}")
        async with (
            self.watch.opened(),
            webhook_door(self.settings, self.clock, self._take_hints) as self.hints,
            asyncio.TaskGroup() as group,
        ):
            if kept is not None:
                group.create_task(self.retention.run(kept.after), name="retention")
            for name in self.reconcilers:
                group.create_task(self._run_account(name), name=f"account {name}")
            if self.settings.web.enabled:
                group.create_task(serve_api(self), name="api")
                group.create_task(self.outbox.run(), name="outbox")

    def vouched(self, account: str, known: Known) -> datetime | None:
        """Since when an order is vouched for as far as it is known here, stored or not."""
        return self.wanted[account].verified_at(known)

    def _take_hints(self, name: str) -> Hints:
        return Hints(
            name,
            venue=self.venues[name],
            store=self.store,
            ingest=self._ingest,
            demand=self.reconcilers[name].demand,
            clock=self.clock,
        )

    def _take_stream(self, name: str, push: Push) -> Stream:
        return Stream(
            name,
            push,
            venue=self.venues[name],
            ingest=self._ingest,
            demand=self.reconcilers[name].demand,
            clock=self.clock,
        )

    def _take_watch(self) -> Watch:
        watch = Watch(
            self.settings, self.tally, self.clock, streams=self.streams, vouched=self.vouched
        )
        for name, reconciler in self.reconcilers.items():
            reconciler.demand.filled = watch.gap_filled(name)
        return watch

    def _take_wanted(self, name: str) -> Wanted:
        return Wanted(
            name,
            venue=self.venues[name],
            store=self.store,
            ingest=self._ingest,
            demand=self.reconcilers[name].demand,
            clock=self.clock,
            verify=self.reconcilers[name].verify,
        )

    async def _run_account(self, name: str) -> None:
        async with self.watch.account(name):
            await self._keep_account(name)

    async def _keep_account(self, name: str) -> None:
        told = ""
        while trouble := await self._trouble_with(name):
            if trouble != told:
                log.warning(f"Failed to sync: {trouble}", account=name)
            told = trouble
            await self.clock.sleep(self.settings.sync.interval)
        skew = self.venues[name].now() - self.clock.now()
        if abs(skew) > MUCH_SKEW:
            log.warning(
                f"This machine's clock is {abs(skew.total_seconds()):.0f} s off the venue's; "
                "the venue's is used. Set up time synchronisation (NTP).",
                account=name,
            )
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reconcilers[name].run(), name=f"reconcile {name}")
            group.create_task(self.wanted[name].run(), name=f"wanted {name}")
            if not self.shadow:
                group.create_task(self._accuracy(name).run(), name=f"accuracy {name}")
            if name in self.hints:
                group.create_task(self.hints[name].run(), name=f"webhooks {name}")
            if name in self.streams:
                group.create_task(self.streams[name].run(), name=f"stream {name}")
            else:
                log.info("No push here: ws_url is not set, so all is asked for", account=name)

    def _accuracy(self, name: str) -> Accuracy:
        return Accuracy(
            name,
            venue=self.venues[name],
            store=self.store,
            ingest=self._ingest,
            clock=self.clock,
            meter=self.tally,
        )

    async def _trouble_with(self, account: str) -> str:
        """Why this account's venue cannot be asked, "" where it can. Raises ConfigError."""
        try:
            warning = await self.check_key(account)
        except (VenueSilent, VenueRefused) as error:
            self.troubles[account] = str(error)
            return str(error)
        self.troubles.pop(account, None)
        if warning:
            log.warning(warning, account=account)
        return ""


@asynccontextmanager
async def serving(
    settings: Settings,
    *,
    create: bool,
    clock: Clock | None = None,
    shadow: bool = False,
    listener: Callable[[Sequence[Event]], None] | None = None,
) -> AsyncIterator[Service]:
    """A Service that is open: connections are made, the mapping is checked, all given back.

    `create` is the user's word for creating our tables; `shadow` decides and records but
    writes no row. `listener` hears of every event after its commit. Raises ConfigError,
    StoreBusy or StoreRefused.
    """
    clock = clock or SystemClock()
    if shadow:  # its rows stay as they are, so nothing of it is at rest
        settings = settings.model_copy(update={"retention": None})
    tally = Tally(words_meaning(settings, Meaning.OPEN))
    store = build_store(settings, clock, shadow=shadow, meter=tally)
    service = Service(settings, clock=clock, store=store, tally=tally, listener=listener)
    service.shadow = shadow
    try:
        await store.open(create=create)
        yield service
    finally:
        for venue in service.venues.values():
            await venue.close()
        await service.outbox.close()
        await store.close()
