"""One configuration at work: all parts built, started and stopped in one TaskGroup."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from ordersync import settings as configuration
from ordersync.clock import SystemClock
from ordersync.errors import AskAgain, VenueRefused, VenueSilent
from ordersync.judging import judge_clock
from ordersync.ports import Meaning, Severity
from ordersync.service.build import (
    build_archive,
    build_ingest,
    build_store,
    build_venue,
    check_key,
    words_meaning,
)
from ordersync.service.doors import webhook_door
from ordersync.service.holder import is_dead, this_holder, this_process
from ordersync.service.parts import Parts
from ordersync.service.telling import DELIVERIES, Telling
from ordersync.service.watching import Watch
from ordersync.service.web_door import check_exposure, serve_api
from ordersync.sync.anew import begin_anew
from ordersync.sync.answering import Answering
from ordersync.sync.audit import Audit, audit
from ordersync.sync.operator import Operator
from ordersync.sync.owner import Desk, Owner
from ordersync.sync.retention import Retention
from ordersync.sync.tally import Tally
from ordersync.sync.tenure import Tenure
from ordersync.sync.work import PassReport
from ordersync.venues.hosts import Hosts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime, timedelta

    from ordersync.ports import Clock, Known, OrderStore, Venue
    from ordersync.settings import Settings
    from ordersync.sync.reconcile import Reconciler
    from ordersync.sync.stream import Stream
    from ordersync.sync.work import Work
    from ordersync.truth.model import Event

log = structlog.get_logger("ordersync")


class Service:
    """One configuration at work: a store, and for each account a venue and its reconciler."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        store: OrderStore,
        tally: Tally | None = None,
        shadow: bool = False,
        listener: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        self.settings = settings
        self.tally = tally or Tally()
        self.clock = clock
        self.store = store
        self.shadow = shadow
        self._ingest = build_ingest(settings, store, clock, self._tell)
        self._listener = listener
        self.telling = Telling(settings, clock)
        hosts = Hosts(clock)
        self.venues: dict[str, Venue] = {
            name: build_venue(settings, name, account, clock, self.tally, hosts=hosts)
            for name, account in settings.served_accounts.items()
        }
        self.parts: dict[str, Parts] = {}
        self.reconcilers: dict[str, Reconciler] = {}
        self.streams: dict[str, Stream] = {}
        self.watch = Watch(settings, self.tally, clock, streams=self.streams, vouched=self.vouched)
        for name in self.venues:
            self._make_parts(name)
        self.leases = store.leases()
        self.tenures = {
            name: Tenure(
                name, holder, leases=self.leases, store=store, clock=clock, is_dead=is_dead
            )
            for name, holder in this_holder(settings, list(self.venues)).items()
        }
        self.sending = Tenure(
            DELIVERIES,
            this_process(),
            leases=self.leases,
            store=store,
            clock=clock,
            is_dead=is_dead,
        )
        self.owners = {name: self._find_owner(name) for name in self.venues}
        self.answering = Answering(store, clock, self.owners)
        self.operator = self._take_operator()
        self.troubles: dict[str, str] = {}
        kept = settings.retention or configuration.Retention()
        self.archive = build_archive(settings)
        self.retention = Retention(
            tuple(self.venues), store=store, archive=self.archive, clock=clock, batch=kept.batch
        )

    def _make_parts(self, name: str) -> None:
        """What runs for an account, from nothing: what was remembered may be old."""
        self.parts[name] = parts = Parts(
            name,
            venue=self.venues[name],
            store=self.store,
            ingest=self._ingest,
            clock=self.clock,
            settings=self.settings,
        )
        parts.reconciler.demand.filled = self.watch.gap_filled(name)
        self.reconcilers[name] = parts.reconciler
        if parts.stream is not None:
            self.streams[name] = parts.stream

    def _find_owner(self, name: str) -> Owner:
        return Owner(
            name,
            is_here=lambda: self.tenures[name].lease is not None,
            verifier=lambda: self.parts[name].wanted,
            taker=lambda: self.parts[name].hints,
            next_pass=functools.partial(self._next_pass, name),
            requests=self.leases,
            clock=self.clock,
        )

    async def _next_pass(self, name: str) -> PassReport:
        return await self.reconcilers[name].demand.read_gap()

    def _tell(self, events: Sequence[Event]) -> None:
        """What was committed, to whoever listens; and to the stream that should have told it."""
        for stream in self.streams.values():
            stream.compare(events)
        self.telling.tell(events)
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
            follow_replace=self.settings.orders.follow_replace,
            progress=progress,
        )

    async def run(self) -> None:
        """Keep every account true until cancelled, and move out what ended long ago.

        Of an account that another process serves, only when that ends.
        """
        kept = self.settings.retention
        await check_exposure(self.settings, self.clock)
        if kept is not None:
            await self.archive.check(make=True)
        with contextlib.suppress(AskAgain):  # the passes see to that, and tell of it
            told = await self.store.revision() is not None
            how = "noticed at once" if told else "looked for every second"
            log.info(f"New rows are {how}")
        async with (
            webhook_door(self.settings, self.clock, self.owners),
            self.watch.opened(),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(Desk(self.owners, self.leases, self.clock).run(), name="requests")
            for name, tenure in self.tenures.items():
                work = functools.partial(self._run_account, name)
                serve = functools.partial(begin_anew, work, account=name, clock=self.clock)
                group.create_task(tenure.run(serve), name=f"account {name}")
            self.telling.start(group, self.sending)
            if self.settings.web.enabled:
                group.create_task(serve_api(self), name="api")

    def vouched(self, account: str, known: Known) -> datetime | None:
        """Since when an order is vouched for as far as it is known here, stored or not."""
        return self.owners[account].verified_at(known)

    def _take_operator(self) -> Operator:
        return Operator(
            self.store,
            self._ingest,
            self.clock,
            venue_now={name: venue.now for name, venue in self.venues.items()},
            stir=lambda account, orders: self.reconcilers[account].demand.stir(orders),
            follow_replace=self.settings.orders.follow_replace,
        )

    async def _run_account(self, name: str) -> None:
        """Everything about one account, for as long as its lease is held."""
        if self.parts[name].has_run:
            self._make_parts(name)
        async with self.watch.account(name):
            await self._keep_account(name)

    async def _keep_account(self, name: str) -> None:
        told = ""
        while trouble := await self._trouble_with(name):
            if trouble != told:
                log.warning(f"Failed to sync: {trouble}", account=name)
            told = trouble
            await self.clock.sleep(self.settings.sync.interval)
        clock = judge_clock(self.venues[name].now() - self.clock.now())
        if clock.severity is not Severity.OK:
            log.warning(f"{clock.what} The venue's is used. {clock.mend}", account=name)
        kept = self.settings.retention
        retention = None
        if kept is not None:
            retention = Retention(
                (name,),
                store=self.store,
                archive=self.archive,
                clock=self.clock,
                batch=kept.batch,
            ).run(kept.after)
        await self.parts[name].run(retention, None if self.shadow else self.tally)

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
    service = Service(
        settings, clock=clock, store=store, tally=tally, shadow=shadow, listener=listener
    )
    try:
        await store.open(create=create)
        yield service
    finally:
        try:
            for venue in service.venues.values():
                await venue.close()
        finally:
            # Together: where commits hang each of them is patient for a while. Whoever is too
            # impatient waits with them: what is not given back now nobody gives back.
            closing = asyncio.gather(service.telling.close(), service.leases.close(), store.close())
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                await closing
                raise
