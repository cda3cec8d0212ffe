"""An account's lease: waited for, held while the account's parts run, given back.

Any number of processes may want to serve an account; one does, the others stand by. Whoever holds
the lease keeps it while the database is away, since nobody else can take it then; only the
database's word that another has it ends the parts. What they still try to write is refused by the
store.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.errors import ConfigError, OrdersyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from ordersync.leased import FencedStore, Holder, Lease, LeaseStore
    from ordersync.ports import Clock

BEATS = 4
"""How often a lease is renewed in the time that it lasts."""

LOOK_EVERY = timedelta(milliseconds=500)
"""How often a standby looks whether the lease was given back, or its holder is dead."""

JUST_ENDED = timedelta(milliseconds=10)
"""Beyond the end of a lease, so that it has ended when it is looked at."""

AWAY_EVERY = timedelta(seconds=1)
GIVE_BACK_WITHIN = timedelta(seconds=2)

log = structlog.get_logger("ordersync")


class Tenure:
    """One account's lease in this process. `lease` is what is held, None while standing by.

    `seen` is whose it is as far as it is known here, None before anybody looked.
    """

    def __init__(
        self,
        account: str,
        holder: Holder,
        *,
        leases: LeaseStore,
        store: FencedStore,
        clock: Clock,
        is_dead: Callable[[Holder], bool],
    ) -> None:
        self.account = account
        self.holder = holder
        self.lease: Lease | None = None
        self.seen: Lease | None = None
        self._leases = leases
        self._store = store
        self._clock = clock
        self._is_dead = is_dead
        self._told = ""
        self._stood_by_for = ""

    async def run(self, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `serve` whenever the lease is held, for ever. Raises ConfigError, or what it raises.

        When the lease goes to another `serve` is cancelled; at the end the lease is given back.
        """
        while True:
            lease = await self._wait()
            self._store.fence(self.account, lease)
            self.lease = lease
            is_lost = False
            try:
                async with asyncio.TaskGroup() as group:
                    serving = group.create_task(serve(), name=f"serve {self.account}")
                    await self._keep(lease)
                    is_lost = True
                    serving.cancel()
            finally:
                self.lease = None
                if not is_lost:
                    await self._give_back(lease)
                # Only now: nothing that was begun under this lease is under way any more.
                self._store.fence(self.account, None)

    async def _wait(self) -> Lease:
        """Until the lease is ours."""
        over: int | None = None
        while True:
            try:
                term = self._leases.term
                lease = await self._leases.claim_lease(self.account, self.holder, term, over=over)
            except OrdersyncError as error:
                self._tell(f"The lease cannot be looked at: {error}")
                await self._clock.sleep(AWAY_EVERY)
                continue
            self.seen = lease
            if lease.holder.process == self.holder.process:
                self._tell_taken(lease)
                return lease
            if self._is_dead(lease.holder):
                if lease.token != over:
                    over = lease.token
                    continue
            else:
                check_settings(self.holder, lease)
            self._stood_by_for = lease.holder.name
            self._tell(
                f"Standing by: {lease.holder.name} serves this account;"
                " it is taken over when that ends"
            )
            await self._clock.sleep(min(LOOK_EVERY, lease.left + JUST_ENDED))

    async def _keep(self, lease: Lease) -> None:
        """Renew it until the database says that another has it."""
        told, term, since = False, self._leases.term, self._clock.monotonic()
        while True:
            await self._clock.sleep(term / BEATS)
            try:
                if not await self._leases.renew_lease(lease, term):
                    break
                passed = timedelta(seconds=self._clock.monotonic() - since)
                self.seen = msgspec.structs.replace(lease, until=lease.until + passed)
                told = False
            except OrdersyncError as error:
                if not told:
                    log.warning(f"The lease cannot be renewed: {error}", account=self.account)
                told = True
        log.warning(
            "The lease went to another while this process was paused or cut off:"
            " nothing more is written here",
            account=self.account,
        )
        self._told = ""

    async def _give_back(self, lease: Lease) -> None:
        """At a clean stop the next one need not wait; else it ends by itself."""
        with contextlib.suppress(OrdersyncError, TimeoutError):
            async with asyncio.timeout(GIVE_BACK_WITHIN.total_seconds()):
                await self._leases.give_back_lease(lease)

    def _tell_taken(self, lease: Lease) -> None:
        if self._stood_by_for:
            what = f"Taken over from {self._stood_by_for}: all of it is verified anew"
            log.info(what, account=self.account, lease=lease.token)
        self._told = self._stood_by_for = ""

    def _tell(self, what: str) -> None:
        """Once, until something else is to be told."""
        if what != self._told:
            log.info(what, account=self.account)
        self._told = what


def check_settings(holder: Holder, lease: Lease) -> None:
    """Two who serve an account by different settings would undo each other's rows.

    Raises ConfigError.
    """
    # One that ended binds nobody.
    differ = lease.holder.differs_in(holder.config) if lease.is_live else []
    if differ:
        raise ConfigError(
            f"{lease.holder.name} serves the account {lease.account!r} by other settings:"
            f" {', '.join(differ)} differ.",
            where=f"accounts.{lease.account}",
            mend="Give both the same ordersync.toml, or stop the other one first.",
        )
