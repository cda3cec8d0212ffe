"""The composition root: builds, starts and stops everything. The one module that names adapters.

The doors (`cli`, `demo`) call it; what they get back are ports and plain data.
"""

from __future__ import annotations

import asyncio
import contextlib
import tomllib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync import settings as configuration
from ordersync.archive_files import ArchiveFolder
from ordersync.clock import SystemClock
from ordersync.errors import AskAgain, ConfigError, OrdersyncError, VenueRefused, VenueSilent
from ordersync.judging import judge_key
from ordersync.ports import Finding, Severity
from ordersync.store import proposal
from ordersync.store.guess import Unsure
from ordersync.store.makes import database_at
from ordersync.store.mapping import bind
from ordersync.store.owner import statements_for_owner, version_there
from ordersync.store.proposal import Proposal
from ordersync.store.table_store import TableStore
from ordersync.store.views import TableViews
from ordersync.sync.audit import Audit, audit
from ordersync.sync.ingest import Ingest
from ordersync.sync.reconcile import Reconciler
from ordersync.sync.retention import Retention, judge_size
from ordersync.sync.work import PassReport
from ordersync.sync.zone import compare_times
from ordersync.truth.evidence import AbsencePolicy
from ordersync.venues.opening import open_venue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from ordersync.archived import Archive
    from ordersync.ports import Clock, OrderStore, OrderViews, Venue
    from ordersync.settings import Account, Settings
    from ordersync.store.database import Database
    from ordersync.sync.work import Work
    from ordersync.truth.model import Event

log = structlog.get_logger("ordersync")

__all__ = [
    "Proposal",
    "Service",
    "Unsure",
    "build_archive",
    "build_views",
    "check_proposal",
    "examine",
    "propose",
    "serving",
]


class Service:
    """One configuration at work: a store, and for each account a venue and its reconciler."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        store: OrderStore,
        listener: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.store = store
        policy = settings.sync
        self._ingest = Ingest(
            store,
            clock,
            policy=AbsencePolicy(
                unknown_after=policy.unknown_after,
                count=policy.absence.count,
                endpoints=policy.absence.endpoints,
                spread=policy.absence.spread,
                spread_sighted=policy.absence.spread_sighted,
            ),
            told_after=policy.stale_after,
            follow_replace=settings.orders.follow_replace,
            listener=listener,
        )
        self.venues: dict[str, Venue] = {
            name: build_venue(settings, name, account, clock)
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
        kept = settings.retention or configuration.Retention()
        self.archive = build_archive(settings)
        self.retention = Retention(
            tuple(self.venues), store=store, archive=self.archive, clock=clock, batch=kept.batch
        )

    async def check_key(self, account: str) -> str:
        """Refuse a key that can move money; "" or a warning about one that can trade.

        Raises ConfigError, VenueSilent or VenueRefused.
        """
        finding = judge_key(await self.venues[account].identify())
        if finding.severity is Severity.ERROR:
            key_file = self.settings.accounts[account].key_file
            raise ConfigError(
                finding.what,
                where=f"{self.settings.path}: accounts.{account}.key_file ({key_file})",
                mend=finding.mend,
            )
        return "" if finding.severity is Severity.OK else finding.what

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
        if kept is not None:
            await self.archive.check(make=True)
        with contextlib.suppress(AskAgain):  # the passes see to that, and tell of it
            told = await self.store.revision() is not None
            how = "noticed at once" if told else "looked for every second"
            log.info(f"New rows are {how}")
        async with asyncio.TaskGroup() as group:
            if kept is not None:
                group.create_task(self.retention.run(kept.after), name="retention")
            for name in self.reconcilers:
                group.create_task(self._run_account(name), name=f"reconcile {name}")

    async def _run_account(self, name: str) -> None:
        while trouble := await self._trouble_with(name):
            log.warning(f"Failed to sync: {trouble}", account=name)
            await self.clock.sleep(self.settings.sync.interval)
        await self.reconcilers[name].run()

    async def _trouble_with(self, account: str) -> str:
        """Why this account's venue cannot be asked, "" where it can. Raises ConfigError."""
        try:
            warning = await self.check_key(account)
        except (VenueSilent, VenueRefused) as error:
            return str(error)
        if warning:
            log.warning(warning, account=account)
        return ""


async def examine(settings: Settings, clock: Clock | None = None) -> list[Finding]:
    """What every part finds about itself, each for itself: one mistake hides no other."""
    clock = clock or SystemClock()
    found: list[Finding] = []
    store = None
    try:
        store = build_store(settings, clock)
        await store.open(create=False)
        found += await store.findings()
        found += await _about_retention(settings, store)
    except OrdersyncError as error:
        found.append(_mistake("database", error))
        store = None
    for name, account in settings.served_accounts.items():
        try:
            venue = build_venue(settings, name, account, clock)
        except OrdersyncError as error:
            found.append(_mistake(f"{name}: key", error))
            continue
        try:
            about = await venue.findings()
            if store is not None and not any(f.severity is Severity.ERROR for f in about):
                times = await compare_times(name, venue=venue, store=store)
                about += [times] if times is not None else []
            found += [msgspec.structs.replace(f, about=f"{name}: {f.about}") for f in about]
        except OrdersyncError as error:
            found.append(_mistake(name, error))
        finally:
            await venue.close()
    if store is not None:
        await store.close()
    return found


async def _about_retention(settings: Settings, store: OrderStore) -> list[Finding]:
    """How large the log is, and whether what is old can move out of it."""
    retains = settings.retention is not None
    found = [judge_size(await store.measure_log(), retains=retains)]
    try:
        if retains:
            await build_archive(settings).check(make=False)
    except ConfigError as error:
        found.append(_mistake("retention", error))
    return found


def _mistake(about: str, error: OrdersyncError) -> Finding:
    place = f"{error.where}: " if error.where else ""
    return Finding(
        severity=Severity.ERROR, about=about, what=f"{place}{error.what}", mend=error.mend
    )


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
    store = build_store(settings, clock, shadow=shadow)
    service = Service(settings, clock=clock, store=store, listener=listener)
    try:
        await store.open(create=create)
        yield service
    finally:
        for venue in service.venues.values():
            await venue.close()
        await store.close()


def build_store(settings: Settings, clock: Clock, *, shadow: bool = False) -> OrderStore:
    """The store of this configuration. Raises ConfigError."""
    return TableStore(
        build_database(settings),
        settings.orders,
        clock,
        where=str(settings.path),
        contested_pause=settings.sync.stale_after,
        writes_rows=not shadow,
    )


def build_database(settings: Settings) -> Database:
    """The database of this configuration. Raises ConfigError."""
    try:
        password = settings.database_password()
        return database_at(settings.database_url(), settings.path.parent, password)
    except ConfigError as error:
        if not error.where.startswith(str(settings.path)):
            error.where = f"{settings.path}: {error.where}"
        raise


def schema_statements(settings: Settings, role: str | None, *, notify: bool) -> list[str]:
    """The SQL for whoever owns the database: our tables, and what `role` needs.

    With `notify` the trigger on the user's table that tells of new rows. Raises ConfigError.
    """
    database = build_database(settings)
    mapping = bind(database, settings.orders, where=str(settings.path))
    since = version_there(database, mapping)
    return statements_for_owner(database.spelling, mapping, role, notify=notify, since=since)


def build_views(settings: Settings) -> OrderViews:
    """The read side of this configuration. Raises ConfigError."""
    return TableViews(build_database(settings), settings.orders, where=str(settings.path))


def build_archive(settings: Settings) -> Archive:
    """Where this configuration lets old orders move to, or would."""
    kept = settings.retention or configuration.Retention()
    return ArchiveFolder(settings.resolve(kept.folder), where=f"{settings.path}: retention.folder")


def build_venue(settings: Settings, name: str, account: Account, clock: Clock) -> Venue:
    """An account at its venue. Raises ConfigError where the key file cannot be used."""
    try:
        return open_venue(account, settings.resolve(account.key_file), clock)
    except ConfigError as error:
        error.where = f"{settings.path}: accounts.{name}.key_file ({error.where})"
        raise


def propose(
    url: str, base: Path, answers: Mapping[str, str], unknown_word: str | None
) -> Proposal | Unsure:
    """A mapping for the database at `url` (relative to `base`), or what has to be asked first.

    Raises ConfigError, StoreBusy or StoreRefused.
    """
    return proposal.propose(database_at(url, base), answers, unknown_word)


def check_proposal(path: Path, text: str) -> None:
    """Raise ConfigError unless a proposed configuration, if it stood at `path`, could be used."""
    settings = configuration.build(path, tomllib.loads(text))
    build_views(settings)
