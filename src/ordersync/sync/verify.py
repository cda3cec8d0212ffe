"""One pass over one account: ask for all that is due, merge and write what is said.

In bulk first; missing from a list of open orders is a reason to look the order up, nothing
more. What is absent from a complete answer counts only after the account has proved itself.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import Known, Overlay, Result
from ordersync.sync.cases import born_at, is_settled
from ordersync.sync.chains import Chains
from ordersync.sync.parcels import Parcel
from ordersync.sync.proof import keep_identity, prove, proves_by_history, witnesses
from ordersync.sync.reading import (
    ids_of,
    is_mute,
    lacks_fill_facts,
    list_pays,
    named_by_venue,
    shown,
    spread,
    told_apart,
)
from ordersync.sync.unread import Unread
from ordersync.sync.windows import creation_windows
from ordersync.sync.work import NOT_PROVEN, PassReport, Work
from ordersync.sync.zone import TimesCompared
from ordersync.truth.chain import LONGEST_CHAIN
from ordersync.truth.evidence import Absence, Reading, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from ordersync.ports import AccountRecord, Clock, OrderStore, Venue
    from ordersync.settings import Sync
    from ordersync.sync.at_rest import AtRest
    from ordersync.sync.ingest import Ingest, Taken
    from ordersync.truth.evidence import SaidAgain

IDS_AT_A_TIME, CALLS_AT_A_TIME = 800, 16
"""How many ids, by how many calls, are asked for before what came is written: no row waits for
the last answer."""

LONG_AGO = timedelta(days=365)


class Verification:
    """One pass. Made for it, used once.

    `at_rest` is what the reconciler remembers of the work's resting orders, and is kept up here.
    `open_at_venue` is how many open orders the venue listed last time, where that is known;
    `accept_absent` a person's word in place of the account's proof.
    """

    def __init__(
        self,
        account: str,
        work: Work,
        *,
        venue: Venue,
        store: OrderStore,
        ingest: Ingest,
        clock: Clock,
        settings: Sync,
        at_rest: AtRest,
        open_at_venue: int | None = None,
        accept_absent: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._account = account
        self._work = work
        self._venue = venue
        self._store = store
        self._ingest = ingest
        self._clock = clock
        self._settings = settings
        self._accept_absent = accept_absent
        self._progress = progress
        self._at_rest = at_rest
        self._heard = at_rest.words if work.resting else {}
        self._began_at = venue.now()
        self._unread = Unread(account, work.unread, store, clock)
        self._left_out: set[str] = set()
        self._watched = dict(work.known)
        self._known = work.known
        now = clock.now()
        self._asked = {key: k for key, k in work.known.items() if not is_settled(k, now)}
        self._absences: list[Absence] = []
        self._witnesses: set[str] = set()
        self._without_fill: set[str] = set()
        self._heirs: set[str] = set()
        self._chains = Chains(store)
        self._listed: set[str] = set()
        self._times = TimesCompared()
        self.report = PassReport(
            account=account,
            unidentified=work.unidentified,
            unmapped=work.unmapped,
            open_at_venue=open_at_venue,
        )

    async def run(self) -> PassReport:
        """Ask, merge, write. Raises what the store raises; a venue's failures are in the report."""
        report, work = self.report, self._work
        record = await self._store.get_account(self._account)
        # Rows are read before the question is asked: an open truth overwrites no younger word.
        due = await self._store.read(self._account, work.due) if work.due else []
        self._known = {**work.known, **{k.key: k for k in due}}
        ids = [k.key[2:] for k in self._asked.values() if k.key.startswith("v:")]
        ids += work.unread
        # In the order of the rows: batches are alike from pass to pass.
        ids += [order for order in work.rows if order in work.resting]
        ids += [name.venue_order_id for name in work.due if name.venue_order_id]
        by_client = [k for k in self._asked.values() if k.key.startswith("c:")]
        report.asked = len(ids) + len(by_client)
        if settled := [k for key, k in work.known.items() if key not in self._asked]:
            await self._feed(Reading(), self._clock.now(), restate=settled)
        heirs = await self._chains.heirs(self._account, self._known.values())
        ids += [order for order in heirs if order not in ids]
        self._listed = await self._list_open(ids)
        ids = [order for order in ids if order not in self._listed]
        await self._ask_in_bulk(ids)
        ids += await self._ask_heirs()
        await self._complete_fills()
        await self._count_absences(record)
        if by_client:
            await self._ask_by_client_id(by_client, record)
        asked = chain((key[2:] for key in work.known), work.resting, work.unread)
        needs_identity = record.identity is None or self._accept_absent
        if needs_identity and not report.sighted.isdisjoint(asked):
            await keep_identity(self._venue, self._store, record)
        names = [order for order in ids if order not in self._left_out]
        report.conclude([*names, *(k.key[2:] for k in by_client)])
        # Absent, unreadable or not answered for: what was remembered of it proves nothing.
        self._at_rest.stir(order for order in work.resting if order not in report.sighted)
        if work.resting:
            self._at_rest.vouched_at = self._began_at
        return report

    async def _ask_in_bulk(self, ids: Sequence[str]) -> None:
        """Ask for all of these by id. What came is written while the next is asked for.

        Where few orders say something new, their writes wait for one another in ingest and
        share a commit; never more wait than one question may bring.
        """
        # Where each order is a call of its own, few of them take as long as many elsewhere.
        size = min(IDS_AT_A_TIME, CALLS_AT_A_TIME * self._venue.batch_size)
        parts = [ids[n : n + size] for n in range(0, len(ids), size)]
        while parts:
            unwritten = 0
            try:
                async with asyncio.TaskGroup() as writing:
                    while parts and unwritten < IDS_AT_A_TIME:
                        part = await self._read(parts.pop(0))
                        asked_at = self._clock.now()
                        reading = await self._venue.ask_ids(part, self._heard)
                        self._absences += reading.absences
                        self._witnesses |= witnesses(reading, self._client_id, self._work.unread)
                        unwritten += len(reading.sightings)
                        if is_mute(reading):
                            # The rest would only wait for the same silence.
                            reading = spread(reading, [order for one in parts for order in one])
                            parts.clear()
                        writing.create_task(self._feed(reading, asked_at, names=part))
            except ExceptionGroup as several:
                raise several.exceptions[0] from None  # as from one write: what the store raised
            self._unread.forget(self.report.sighted, self._known, self._watched)

    async def _read(self, ids: Sequence[str]) -> list[str]:
        """Read those of these orders whose rows are not read yet; the ones to ask for."""
        part = await self._unread.read(ids)
        self._known.update(part.known)
        self._watched.update(part.known)
        left_out = [*part.dropped, *(k.key[2:] for k in part.settled)]
        self._left_out.update(left_out)
        self.report.asked -= len(left_out)
        self._heirs.update(
            await self._chains.heirs(self._account, [*part.known.values(), *part.settled])
        )
        if part.settled:
            await self._feed(Reading(), self._clock.now(), restate=part.settled)
        return part.ask

    async def _ask_heirs(self) -> list[str]:
        """Ask for the orders that replaced those just seen, and for theirs; which they were."""
        asked: list[str] = []
        for _ in range(LONGEST_CHAIN):
            if not (heirs := sorted(self._heirs - self.report.sighted - set(asked))):
                break
            asked += heirs
            await self._ask_in_bulk(heirs)
        return asked

    async def _list_open(self, ids: Sequence[str]) -> set[str]:
        """Where it saves calls: one list of all open orders. Those of `ids` that it showed."""
        expected = len(ids) if self.report.open_at_venue is None else self.report.open_at_venue
        if not list_pays(self._venue, len(ids), expected):
            return set()
        asked_at = self._clock.now()
        reading = await self._venue.ask_open(self._heard, ids)
        listed = shown(reading)
        self.report.open_at_venue = len(listed)
        await self._read([*listed & self._unread.rows.keys()])
        await self._feed(reading, asked_at)
        return listed & set(ids)

    async def _feed(
        self,
        reading: Reading,
        asked_at: datetime,
        *,
        absences: Sequence[Absence] = (),
        restate: Sequence[Known] = (),
        names: Sequence[str] = (),
    ) -> None:
        """Hand what was read to ingest, and note what it says about the pass."""
        report = self.report
        self._hear_again(reading.said_again)
        await self._wake(reading)
        # These ids are kept anyway: those of the answer would take the same room again.
        same = {order: order for order in names}
        fresh = {same.get(o, o) for o in ids_of(reading.sightings)} - report.sighted
        report.sighted |= fresh
        times_agree: dict[str, bool | None] = {}
        for sighting in reading.sightings:
            times_agree[f"v:{sighting.report.venue_order_id}"] = self._compare_times(sighting)
            if sighting.report.venue_order_id and lacks_fill_facts(sighting):
                self._without_fill.add(sighting.report.venue_order_id)
            if sighting.report.replaced_by:
                self._heirs.add(sighting.report.replaced_by)
        for silence in reading.silences:
            report.troubles[silence.why] = None
            report.failed |= dict.fromkeys(silence.orders, silence.why)
            if not silence.garbled and (silence.barred or not silence.refused):
                report.unanswered.update(silence.orders)
        taken = await self._ingest.take(
            Parcel(
                account=self._account,
                source=self._work.source,
                asked_at=asked_at,
                venue_now=self._venue.now(),
                sightings=reading.sightings,
                absences=absences,
                garbled=[s for s in reading.silences if s.garbled],
                restate=restate,
                # Read before the question was asked: a step that is stale is lost, read again.
                known=self._known,
                ages_from_rows=self._times.ages_from_rows,
            )
        )
        # Without what was told: of many that changed it would be most of the memory.
        changed = (o for o in taken.outcomes if o.result is not Result.UNCHANGED)
        report.outcomes += [msgspec.structs.replace(o, events=()) for o in changed]
        self._remember(reading, taken, times_agree, same)
        for key, why in taken.disbelieved.items():
            # Shown, but not believed: that verifies nothing.
            report.failed[key[2:]] = why
            report.sighted -= {key[2:]} & fresh
        for outcome in taken.outcomes:
            if outcome.result in {Result.LOST, Result.UNWRITABLE}:
                report.failed[outcome.key[2:]] = outcome.why
            if outcome.overlay in {Overlay.UNKNOWN, Overlay.RESOLVED}:
                report.not_found.add(outcome.key[2:])
        if self._progress is not None:
            done = len(report.sighted) + len(self._absences) + len(report.failed)
            self._progress(min(done, report.asked), report.asked)

    def _hear_again(self, said_again: Iterable[SaidAgain]) -> None:
        """Count orders as sighted of which there is nothing to read."""
        for said in said_again:
            self.report.sighted.update(said.orders)
            agree, disagree = self._at_rest.count_times(said.orders)
            self._times.agree += agree
            self._times.disagree += disagree

    def _remember(
        self, reading: Reading, taken: Taken, agree: dict[str, bool | None], same: dict[str, str]
    ) -> None:
        """Keep in mind which orders rest from now on, and which do no more."""
        marks = {f"v:{s.report.venue_order_id}": s.mark for s in reading.sightings}
        for key, claim in taken.at_rest.items():
            order = same.get(key[2:], key[2:])
            self._at_rest.keep(order, claim.mark, marks[key], times_agree=agree[key])
        self._at_rest.stir(o.key[2:] for o in taken.outcomes if o.key not in taken.at_rest)

    async def _wake(self, reading: Reading) -> None:
        """Read resting orders of which something new was said, with their rows as they are now."""
        said = ids_of(reading.sightings).union(
            (a.venue_order_id for a in reading.absences if a.venue_order_id),
            *(silence.orders for silence in reading.silences),
        )
        woken = said & self._work.resting
        self._at_rest.stir(woken)
        rows = [self._work.rows[order] for order in woken]
        for known in await self._store.read_rows(self._account, rows) if rows else ():
            self._watched[known.key] = self._known[known.key] = known
            self._ingest.vouch(self._account, known, self._at_rest.vouched_at)

    async def _complete_fills(self) -> None:
        """Ask for the fills of ended orders whose answer lacked price or time of the last fill."""
        if self._without_fill:
            asked_at = self._clock.now()
            reading = await self._venue.ask_fills(sorted(self._without_fill))
            # Their standing is known: silence about the details fails nothing.
            await self._feed(Reading(sightings=reading.sightings), asked_at)

    async def _count_absences(self, record: AccountRecord) -> None:
        absent = []
        for absence in self._absences:
            order = absence.venue_order_id or ""
            if order in self.report.sighted:
                continue
            known = self._watched.get(f"v:{order}")
            if known is not None and self._age(known, none=LONG_AGO) < self._settings.stale_after:
                # Right after its creation an order may be invisible: no reason for doubt.
                self.report.failed[order] = "not at the venue yet"
            else:
                absent.append(absence)
        if not absent:
            return
        # Of a list only what this table has: a stranger's open orders prove a stranger's account.
        newest: Collection[str] = self._listed
        if not self._witnesses and not newest:
            newest = await self._store.list_witnesses(self._account, 2 * len(absent) + 25)
        asked_at = self._clock.now()
        proven = await prove(
            self._venue,
            record,
            absent,
            asked=self.report.asked + self._work.asked_before,
            sighted=sorted(self._witnesses),
            newest=newest,
            client_id=self._client_id,
            accepted=self._accept_absent,
        )
        self.report.doubt = proven.doubt
        await self._feed(proven.reading, asked_at, absences=proven.absences)
        for absence in absent:
            order = absence.venue_order_id or ""
            if order not in self.report.sighted and order not in self.report.not_found:
                why = proven.doubt or NOT_PROVEN
                self.report.failed[order] = why
                if not proven.doubt and self._may_be_decided(f"v:{order}"):
                    self.report.undecided.add(f"v:{order}")

    def _client_id(self, order: str) -> str | None:
        """What the row of an order says its client id is."""
        known = self._watched.get(f"v:{order}")
        return known.claims[0].client_order_id if known and known.claims else None

    def _may_be_decided(self, key: str) -> bool:
        """Whether another reading soon may prove the absence: old enough, and never sighted."""
        known = self._watched.get(key)
        if known is None or known.truth is not None or known.archived is not None:
            return False
        return self._age(known, none=timedelta(0)) >= self._settings.unknown_after

    def _age(self, known: Known, *, none: timedelta) -> timedelta:
        """How old an order is by the venue's clock; `none` where nothing tells it."""
        now = self._venue.now()
        first = known.absent.case.opened_at if known.absent else now - none
        return now - born_at(known, first, ages_from_rows=self._times.ages_from_rows)

    async def _ask_by_client_id(self, known: Sequence[Known], record: AccountRecord) -> None:
        """Find orders that never learned their venue id, in the history around their creation."""
        by_client = {k.key[2:]: k for k in known if k.claims[0].created_at is not None}
        asked_at = self._clock.now()
        absent, witnessed = list[Absence](), list[Absence]()
        for start, end, client_ids in creation_windows(by_client):
            reading = await self._venue.ask_created(start, end, client_ids)
            dated = self._times.ages_from_rows
            ours, unclear = told_apart(reading.sightings, by_client, dated=dated)
            self.report.failed |= unclear
            self._known.update(named_by_venue(ours, by_client))
            await self._feed(Reading(sightings=tuple(ours), silences=reading.silences), asked_at)
            seen = ids_of(reading.sightings) & self.report.sighted
            self.report.sighted |= {
                s.report.client_order_id or "" for s in ours if s.report.venue_order_id in seen
            }
            absent += reading.absences
            witnessed += reading.absences if seen or self._accept_absent else ()
        self.report.failed |= {absence.client_order_id or "": NOT_PROVEN for absence in absent}
        # Only where the rows' times are the venue's was the window searched the right one.
        if not witnessed or self._times.agree <= self._times.disagree:
            return
        asked, lacks = self.report.asked, len(absent)
        if self._accept_absent or await proves_by_history(self._venue, record, asked, lacks):
            await self._feed(Reading(), asked_at, absences=witnessed)

    def _compare_times(self, sighting: Sighting) -> bool | None:
        known = self._watched.get(f"v:{sighting.report.venue_order_id}")
        claimed = known.claims[0].created_at if known and known.claims else None
        return self._times.compare(claimed, sighting.report.created_at)
