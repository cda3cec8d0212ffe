"""Pull: which orders are due, and when to look again.

Level-triggered: what woke us does not matter. Every open row is verified once an interval, a
row that was just discovered at once and then at short, growing steps; orders that ended are
asked for until settled, absent ones in their own time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.errors import AskAgain, OrdersyncError
from ordersync.ports import Claim, Known, Meaning, OrderName
from ordersync.sync.appeared import show_known
from ordersync.sync.at_rest import AtRest
from ordersync.sync.cases import waits
from ordersync.sync.demand import Demand, Passed
from ordersync.sync.parcels import is_watched, key_of, name_of
from ordersync.sync.patience import Patience
from ordersync.sync.steps import Steps
from ordersync.sync.telling import PassLog
from ordersync.sync.unread import as_last_read, with_all_rows
from ordersync.sync.verify import Verification
from ordersync.sync.work import PassReport, Work

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from ordersync.ports import Clock, OrderStore, Venue
    from ordersync.settings import Sync
    from ordersync.sync.ingest import Ingest

LOOK_EVERY = timedelta(milliseconds=250)
"""How often the database is asked whether somebody wrote; next to free where nobody did."""

LOOK_UNTOLD_EVERY = timedelta(seconds=1)
"""How often new rows are looked for in a database that cannot tell whether somebody wrote."""

AWAY_EVERY = timedelta(seconds=1)
"""How often a store that is away is tried again."""

SET_BACK = timedelta(seconds=1)
"""From how far on a clock that went back was set, and did not only waver."""

FINISHED_EVERY = timedelta(minutes=1)
THOROUGH_EVERY = 20
"""Every so many passes nothing is remembered: neither how many orders are open at the venue (an
account that had too many for one list may have fewer by now), nor which are at rest (another
ordersync may have learned of one what its row does not show)."""

UNMAPPED_SHOWN = 100
"""How many rows with words outside the mapping are told of."""

READ_AT_ONCE = 1_000
"""Of how many open orders that moved rows and truths are in memory together; the rest in parts."""

LOOK_UPS_AT_ONCE = 500
"""How many orders that others want asked about come before the next look at everything else."""

PATIENCE = timedelta(seconds=60)
"""How long one `sync` stays for absence cases that can be decided now."""

log = structlog.get_logger("ordersync")


class Reconciler:
    """Keeps the orders of one account verified."""

    def __init__(
        self,
        account: str,
        *,
        venue: Venue,
        store: OrderStore,
        ingest: Ingest,
        clock: Clock,
        settings: Sync,
    ) -> None:
        self.account = account
        self.demand = Demand()
        self._venue = venue
        self._store = store
        self._ingest = ingest
        self._clock = clock
        self._settings = settings
        self._open_at_venue: int | None = None
        self._passes = 0
        self._at_rest = AtRest()
        self.demand.vouched = self._at_rest.vouched
        self._steps = Steps()
        self._patience = Patience()
        self._looked_for_finished_at: datetime | None = None
        self._looked_at = self._next_look = clock.now()
        self._log = PassLog(account)
        self._has_asked = False
        self._full_pass_at: datetime | None = None
        self._pass_lasted = timedelta(0)

    # --- one pass on demand ----------------------------------------------------------------

    async def sync_once(
        self,
        *,
        older_than: timedelta | None = None,
        accept_absent: bool = False,
        progress: Callable[[int, int], None] | None = None,
        waiting: Callable[[int, timedelta], None] | None = None,
    ) -> PassReport:
        """Verify and repair everything that is due; stay for absences that can be decided now.

        `older_than` leaves younger rows out. `waiting` hears how many orders are waited for.
        """
        work = await self.find_work(older_than=older_than, again=older_than is not None)
        self._log.tell_found(len(work.known) + len(work.due))
        report = await self.verify(work, accept_absent=accept_absent, progress=progress)
        spread = self._settings.absence.spread
        deadline = self._clock.now() + PATIENCE
        while report.undecided and self._clock.now() + spread <= deadline:
            if waiting is not None:
                waiting(len(report.undecided), spread)
            await self._clock.sleep(spread)
            again = await self._work_on(report.undecided, asked_before=report.asked)
            report += await self.verify(again, accept_absent=accept_absent)
        if older_than is None and report.asked:
            await self._keep_verified(report)
        return report

    async def find_work(
        self,
        *,
        older_than: timedelta | None = None,
        again: bool = False,
        finished: bool = True,
        at_rest: AtRest | None = None,
    ) -> Work:
        """All that is due now. Orders proven absent wait for their time, unless `again`.

        Where `at_rest` is given, the orders in it whose row has not moved are told apart.
        """
        seen, most = (at_rest.rows, READ_AT_ONCE) if at_rest else ({}, None)
        scan = await self._store.scan_open(self.account, seen, most)
        claims = list(scan.moved)
        if finished and older_than is None:
            since = self._clock.now() - self._settings.verify_recent
            claims += await self._store.list_finished(self.account, since)
        if older_than is not None:
            before = self._clock.now() - older_than
            claims = [c for c in claims if c.created_at is None or c.created_at <= before]
        unmapped = await self._store.list_unmapped(self.account, UNMAPPED_SHOWN) if finished else []
        resting: AbstractSet[str] = frozenset()
        if at_rest is not None:
            # An order with a second row, or one that moved, is looked at with all its rows.
            at_rest.stir(self.demand.stirred)
            self.demand.stirred.clear()
            at_rest.stir(c.venue_order_id for c in claims if c.venue_order_id)
            at_rest.stir(scan.unread)
            resting = at_rest.settle(scan.unmoved)
            claims = await with_all_rows(self._store, self.account, scan, resting, claims)
        claims = as_last_read(claims)
        watched = [claim for claim in claims if is_watched(claim)]
        now = self._clock.now()
        read = await self._store.read_claims(self.account, watched)
        known = {k.key: k for k in read if again or not waits(k, now)}
        asleep = {k.key for k in read} - set(known)
        open_truths = len(resting) + sum(1 for k in read if _has_open_truth(k))
        due = (
            []
            if older_than
            else await self._store.list_due(
                self.account, now, open_truths=open_truths, unread=scan.unread or None
            )
        )
        return Work(
            known=known,
            due=tuple(
                n
                for n in due
                if (key := key_of(n)) not in known
                and key not in asleep
                and n.venue_order_id not in resting
            ),
            unread=scan.unread,
            resting=resting,
            rows=scan.unmoved,
            unidentified=tuple(c for c in claims if _is_unidentified(c)),
            unmapped=tuple(unmapped),
        )

    async def _work_on(self, keys: set[str], *, asked_before: int) -> Work:
        read = await self._store.read(self.account, [name_of(key) for key in keys])
        return Work(known={k.key: k for k in read}, asked_before=asked_before)

    async def verify(
        self,
        work: Work,
        *,
        accept_absent: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> PassReport:
        """Ask about these now, whatever a pass does meanwhile. Raises what the store raises."""
        work, shown = await show_known(
            self.account, work, venue=self._venue, store=self._store, ingest=self._ingest
        )
        verification = Verification(
            self.account,
            work,
            venue=self._venue,
            store=self._store,
            ingest=self._ingest,
            clock=self._clock,
            settings=self._settings,
            at_rest=self._at_rest,
            open_at_venue=self._open_at_venue,
            accept_absent=accept_absent,
            progress=progress,
        )
        self._has_asked = True
        try:
            report = await verification.run()
        except BaseException:
            # What was written before it broke off was not reported: nothing here is sure now.
            self._at_rest.clear()
            raise
        self._open_at_venue = report.open_at_venue
        report.outcomes[:0] = shown
        return report

    # --- for as long as the service runs ---------------------------------------------------

    async def run(self) -> None:
        """Verify for ever; ends only by cancellation. Failures are logged and asked again."""
        revision: int | None = None
        pause = AWAY_EVERY / 2
        while True:
            now = self._mind_clock()
            try:
                before, revision = revision, await self._store.revision()
                if self.demand.has_gap or now >= self._next_full(now):
                    await self._pass_for_all(now)
                    pause = AWAY_EVERY / 2
                else:
                    if revision != before or (revision is None and now >= self._next_look):
                        self._next_look = now + LOOK_UNTOLD_EVERY
                        await self._discover(now)
                    await self._ask_young(now)
                    await self._ask_wanted(now)
            except AskAgain as error:
                log.warning(f"Failed to sync: {error}", account=self.account)
                # What was learned is lost, and nobody knows what happened meanwhile: a full pass,
                # as soon as the store is there. Where it is read and not written, each of them
                # costs the venue's budget: ever longer pauses.
                pause = min(pause * 2, self._settings.interval) if self._has_asked else AWAY_EVERY
                self._has_asked = False
                await self._clock.sleep(pause)
                self._full_pass_at = None
            except OrdersyncError as error:
                # A person has to mend it; when it is mended, no restart should be needed.
                log.error(f"Failed to sync: {error}", account=self.account)  # noqa: TRY400 - explained
                await self._clock.sleep(self._settings.interval)
            now = self._mind_clock()
            await self.demand.wait(min(LOOK_EVERY, self._next_full(now) - now))

    def _mind_clock(self) -> datetime:
        """The time of day; where somebody set it back, what was planned by it is due at once."""
        now = self._clock.now()
        if now < self._looked_at - SET_BACK:
            self._full_pass_at = self._looked_for_finished_at = None
            self._next_look, self._patience = now, Patience()
        self._looked_at = now
        return now

    def _next_full(self, now: datetime) -> datetime:
        """When everything is due: at the latest an interval after the last time.

        Where it is watched closely, half of the time is left for those who ask about one order.
        """
        if self._full_pass_at is None:
            return now
        interval = self._settings.interval
        pace = max(self.demand.pace or interval, 2 * self._pass_lasted)
        return self._full_pass_at + min(pace, interval)

    async def _pass_for_all(self, now: datetime) -> None:
        """A full pass, for its time has come or somebody wants to know."""
        readers = self.demand.take_gap_readers()
        try:
            report = await self.full_pass(now)
        except OrdersyncError:
            self.demand.put_back(readers)
            raise
        self._full_pass_at, self._pass_lasted = now, self._clock.now() - now
        failed = report.failed
        why = next(iter(failed.values()), "")
        self.demand.passed = Passed(now, self._pass_lasted, report.asked, len(failed), why)
        for reader in readers:
            if not reader.done():
                reader.set_result(report)

    async def full_pass(self, now: datetime) -> PassReport:
        """Verify every open row and all that is due; in every few passes, from nothing."""
        looked = self._looked_for_finished_at
        finished = looked is None or now - looked >= FINISHED_EVERY
        self._passes += 1
        if self._passes % THOROUGH_EVERY == 0:
            self._open_at_venue = None
            self._at_rest.clear()
        work = await self.find_work(finished=finished, at_rest=self._at_rest)
        if finished:
            self._looked_for_finished_at = now
        self._steps.note(work, self._at_rest.woken, now)
        if work.known or work.due or work.resting or work.unread:
            interval = self._settings.interval
            report = await self._patience.spare(work, now, interval, self.verify)
            self._steps.asked_all(now)
            self._log.tell(report)
            await self._keep_verified(report)
        else:
            report = PassReport(account=self.account, unidentified=work.unidentified)
            self._log.tell(report)
        return report

    async def _discover(self, now: datetime) -> None:
        """Rows that appeared since the last look are verified at once."""
        # What rests was seen before.
        for claim in (await self._store.scan_open(self.account, self._at_rest.rows)).moved:
            if is_watched(claim):
                self._steps.discover(OrderName(claim.venue_order_id, claim.client_order_id), now)

    async def _ask_young(self, now: datetime) -> None:
        due = self._steps.take_due(now, self._settings.interval, READ_AT_ONCE)
        if not due:
            return
        read = await self._store.read(self.account, due)
        known = {k.key: k for k in read if k.claims and not waits(k, now)}
        for k in read:
            # Ended or gone: no young order any more; the full pass sees to the rest.
            if not k.claims or (k.truth is not None and k.truth.is_final):
                self._steps.forget(k.key)
        if known:
            self._log.tell(await self.verify(Work(known=known)), quiet=True)

    async def _ask_wanted(self, now: datetime) -> None:
        """Orders that somebody wants asked about now, whatever is known of them."""
        names = self.demand.take_look_ups(LOOK_UPS_AT_ONCE)
        if not names:
            return
        try:
            read = await self._store.read(self.account, names)
            due = [n for n, k in zip(names, read, strict=True) if k.claims and not waits(k, now)]
            if due:
                # What it writes ingest tells; what fails is in the next full pass.
                await self.verify(Work(due=tuple(due)))
        except OrdersyncError:
            self.demand.ask_soon(names)
            raise

    async def _keep_verified(self, report: PassReport) -> None:
        """One row an account and pass: when all was verified, but for whom.

        Where nobody could be, what the last pass vouched for stands.
        """
        if report.asked and len(report.failed) >= report.asked:
            return
        record = await self._store.get_account(self.account)
        unverified = tuple(sorted(report.failed))
        await self._store.keep_account(
            msgspec.structs.replace(
                record, verified_at=self._clock.now(), unverified=unverified[:1000]
            )
        )


def _has_open_truth(known: Known) -> bool:
    """Whether a truth is stored that is open and has a row."""
    return known.truth is not None and not known.truth.is_final and known.row_id is not None


def _is_unidentified(claim: Claim) -> bool:
    named = claim.venue_order_id is not None or claim.client_order_id is not None
    return not named and claim.meaning is Meaning.OPEN
