"""Accounts that are visited one at a time by whoever is told to: what Celery's tasks do.

Between visits the connections are kept, to the database and to the venues visited last. Nothing
that is known of an order is: the next visit to the account may be another process's, and what is
remembered must not be older than what is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync import settings as configuration
from ordersync.clock import SystemClock
from ordersync.errors import AskAgain, ConfigError, LeaseLost, OrdersyncError
from ordersync.judging import judge_clock
from ordersync.ports import Severity
from ordersync.service.build import build_ingest, build_store, build_venue, check_key
from ordersync.service.holder import NAME_LIMIT, is_dead, this_holder
from ordersync.sync.audit import audit
from ordersync.sync.reconcile import Reconciler
from ordersync.sync.tenure import check_settings
from ordersync.venues.hosts import Hosts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from ordersync.leased import Holder, Lease, LeaseStore
    from ordersync.ports import Clock, Venue
    from ordersync.settings import Settings
    from ordersync.store.table_store import TableStore
    from ordersync.sync.ingest import Ingest
    from ordersync.sync.work import PassReport

TERM = timedelta(seconds=15)
"""How long the account stays ours without a sign of life: what a killed worker holds it up."""

RENEWED_EVERY = TERM / 3

KEY_TRUSTED_FOR = timedelta(minutes=15)
"""How long a venue need not be asked again whose key it is, and what time it is."""

log = structlog.get_logger("ordersync")


class Visited(msgspec.Struct, frozen=True, kw_only=True):
    """What a visit did. `held_by` is who serves the account, where that is somebody else.

    `fresh` where it was verified just before, so nothing was done. The rest are counts of
    orders; of an audit `differences` are the lines it would show, and nothing is updated.
    """

    account: str
    held_by: str | None = None
    fresh: bool = False
    asked: int = 0
    updated: int = 0
    not_found: int = 0
    differences: int = 0
    failed: int = 0


@dataclass(slots=True)
class _OpenVenue:
    """A venue whose connections are open, and when its key was last looked at."""

    venue: Venue
    looked_at: datetime | None = None


class Visits:
    """One configuration. Used in one event loop; different accounts may be visited at once.

    Every visit raises ConfigError, StoreBusy, StoreRefused, LeaseLost, VenueSilent or VenueRefused.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        queued = settings.celery or configuration.Celery()
        self._most_kept = queued.accounts_kept
        self._store: TableStore | None = None
        self._leases: LeaseStore | None = None
        self._opening = asyncio.Lock()
        self._hosts = Hosts(self._clock)
        self._venues: dict[str, _OpenVenue] = {}
        self._holders: dict[str, Holder] = {}
        self._at_work: set[str] = set()

    async def verify(self, account: str, at_most_every: timedelta | None = None) -> Visited:
        """Make the account's rows true; not if that was done within `at_most_every`."""

        async def work(store: TableStore) -> Visited:
            if at_most_every is not None:
                verified_at = (await store.get_account(account)).verified_at
                # A host whose clock is wrong may have written a time to come: that is not fresh.
                ago = self._clock.now() - verified_at if verified_at is not None else None
                if ago is not None and timedelta(0) <= ago < at_most_every:
                    return Visited(account=account, fresh=True)
            reconciler = self._reconciler(account, store, await self._venue(account))
            return _seen(await reconciler.full_pass(self._clock.now()))

        return await self._visit(account, work)

    async def cleanup(self, account: str, older_than: timedelta) -> Visited:
        """Verify and repair old open rows, also those that were proven absent before."""

        async def work(store: TableStore) -> Visited:
            reconciler = self._reconciler(account, store, await self._venue(account))
            return _seen(await reconciler.sync_once(older_than=older_than))

        return await self._visit(account, work)

    async def audit(self, account: str, since: timedelta) -> Visited:
        """Compare with the exchange, orphans made within `since` included; write nothing."""

        async def work(store: TableStore) -> Visited:
            venue = await self._venue(account)
            found = await audit(
                account,
                await self._reconciler(account, store, venue).find_work(again=True),
                venue=venue,
                store=store,
                clock=self._clock,
                since=self._clock.now() - since,
                follow_replace=self._settings.orders.follow_replace,
            )
            for row in found.rows[:20]:
                order = row.venue_order_id or row.client_order_id or "-"
                log.warning(
                    f"{row.difference.value}: row {row.row_id or '-'}, order {order}: "
                    f"{row.column or ''} {row.table_says} is {row.venue_says}",
                    account=account,
                )
            return Visited(
                account=account,
                asked=found.checked,
                differences=len(found.rows),
                failed=len(found.failed),
            )

        return await self._visit(account, work)

    async def close(self) -> None:
        """Give back all connections."""
        for opened in self._venues.values():
            await opened.venue.close()
        self._venues.clear()
        if self._leases is not None:
            await self._leases.close()
        if self._store is not None:
            await self._store.close()
        self._store = self._leases = None

    # --- one visit -------------------------------------------------------------------------

    async def _visit(
        self, account: str, work: Callable[[TableStore], Coroutine[None, None, Visited]]
    ) -> Visited:
        store, leases = await self._opened()
        holder = self._holder(account)
        if account in self._at_work:
            return Visited(account=account, held_by=f"this process: {holder.name}")
        self._at_work.add(account)
        try:
            lease = await leases.claim_lease(account, holder, TERM)
            if lease.holder.process != holder.process and is_dead(lease.holder):
                # Killed on this machine, where that can be seen: nobody need wait for its end.
                lease = await leases.claim_lease(account, holder, TERM, over=lease.token)
            if lease.holder.process != holder.process:
                check_settings(holder, lease)
                log.info(f"Left alone: {lease.holder.name} serves it", account=account)
                return Visited(account=account, held_by=lease.holder.name)
            async with self._holding(store, leases, lease):
                return await work(store)
        finally:
            self._at_work.discard(account)

    def _holder(self, account: str) -> Holder:
        """Who we are to the others that may serve this account: always the same."""
        if account not in self._holders:
            holder = this_holder(self._settings, [account])[account]
            name = f"celery at {holder.name}"[:NAME_LIMIT]
            self._holders[account] = msgspec.structs.replace(holder, name=name)
        return self._holders[account]

    @asynccontextmanager
    async def _holding(
        self, store: TableStore, leases: LeaseStore, lease: Lease
    ) -> AsyncIterator[None]:
        """Keep the lease while the block runs, and end the block where it is lost."""
        store.fence(lease.account, lease)
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._renew(leases, lease))
                yield
                renewing.cancel()
        except ExceptionGroup as several:
            # As from the visit itself: the first of them is why the others ended.
            raise several.exceptions[0] from None
        finally:
            store.fence(lease.account, None)
            # What is not given back ends by itself.
            with contextlib.suppress(OrdersyncError):
                await leases.give_back_lease(lease)

    async def _renew(self, leases: LeaseStore, lease: Lease) -> None:
        while True:
            await self._clock.sleep(RENEWED_EVERY)
            # While the database is away nobody else can take it: only its word counts.
            with contextlib.suppress(AskAgain):
                if not await leases.renew_lease(lease, TERM):
                    break
        raise LeaseLost

    # --- what is kept ----------------------------------------------------------------------

    async def _opened(self) -> tuple[TableStore, LeaseStore]:
        """The store, opened at the first visit; where that fails, anew at the next."""
        async with self._opening:
            if self._store is None or self._leases is None:
                store = build_store(self._settings, self._clock)
                try:
                    await store.open(create=True)
                    self._leases = store.leases()
                except BaseException:
                    # Canceled or refused: what was connected by then is given back all the same.
                    await store.close()
                    raise
                self._store = store
            return self._store, self._leases

    async def _venue(self, account: str) -> Venue:
        """The account's venue with its connections, the key judged not long ago."""
        opened = self._venues.pop(account, None)
        if opened is None:
            section = self._settings.accounts[account]
            opened = _OpenVenue(
                build_venue(self._settings, account, section, self._clock, hosts=self._hosts)
            )
        self._venues[account] = opened  # the last visited comes last
        now = self._clock.now()
        if opened.looked_at is None or not timedelta(0) <= now - opened.looked_at < KEY_TRUSTED_FOR:
            if warning := await check_key(self._settings, account, opened.venue):
                log.warning(warning, account=account)
            clock = judge_clock(opened.venue.now() - self._clock.now())
            if clock.severity is not Severity.OK:
                log.warning(f"{clock.what} The venue's is used. {clock.mend}", account=account)
            opened.looked_at = now
        for name in list(self._venues)[: max(0, len(self._venues) - self._most_kept)]:
            if name not in self._at_work:
                await self._venues.pop(name).venue.close()
        return opened.venue

    def _reconciler(self, account: str, store: TableStore, venue: Venue) -> Reconciler:
        ingest: Ingest = build_ingest(self._settings, store, self._clock)
        return Reconciler(
            account,
            venue=venue,
            store=store,
            ingest=ingest,
            clock=self._clock,
            settings=self._settings.sync,
        )


def check_accounts(settings: Settings, accounts: object, *, where: str) -> list[str]:
    """The accounts that somebody names, one or a list of them. Raises ConfigError."""
    served = list(settings.served_accounts)
    known = ", ".join(served[:10]) + (", …" if len(served) > 10 else "")  # noqa: PLR2004 - enough
    names = [accounts] if isinstance(accounts, str) else accounts
    if not isinstance(names, list | tuple) or not names:
        raise ConfigError(
            "it names no account.", where=where, mend=f'Give it accounts, as in ["{served[0]}"].'
        )
    for name in names:
        if name not in served:
            raise ConfigError(
                f"there is no account {name!r}.",
                where=where,
                mend=f"Accounts of {settings.path} that rows belong to: {known}.",
            )
    return list(dict.fromkeys(names))


def _seen(report: PassReport) -> Visited:
    return Visited(
        account=report.account,
        asked=report.asked,
        updated=report.rows_written,
        not_found=len(report.not_found),
        failed=len(report.failed),
    )
