"""The only write path. Whatever a source brings is merged here, and the store is advanced.

The bot's own word never comes in as a report. Who finds a commit under way waits for it, and
all who waited are committed together (adaptive group commit: no timer, nothing added when
idle). A step that is lost to another writer is read again and merged again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.errors import OrdersyncError
from ordersync.ports import (
    Absent,
    Advance,
    Claim,
    Known,
    Note,
    OrderName,
    Outcome,
    Overlay,
    Result,
)
from ordersync.sync.at_rest import rests
from ordersync.sync.cases import add_absences
from ordersync.sync.parcels import Parcel, Said, by_order, key_of, name_of
from ordersync.sync.vouching import Vouching
from ordersync.truth.cadence import next_ask_final, next_ask_unknown
from ordersync.truth.merge import contradicts, merge, objection, same_facts
from ordersync.truth.model import EventEvidence, EventKind, Order, Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from ordersync.hinted import Receipt
    from ordersync.ports import Clock, OrderStore
    from ordersync.truth.evidence import (
        AbsencePolicy,
    )
    from ordersync.truth.model import Event

ROUNDS = 5
"""How often a step that was lost to another writer is tried again before it is reported."""

STEPS_A_COMMIT = 10_000
"""How many orders go into one transaction: the bot waits while one is written."""

log = structlog.get_logger("ordersync")


class Taken(msgspec.Struct, frozen=True):
    """What became of a parcel: one Outcome an order.

    `disbelieved` are the order keys of which nothing that was said could be believed, and why;
    `at_rest` those of which the same words would say nothing new, each with its row.
    """

    outcomes: tuple[Outcome, ...] = ()
    disbelieved: Mapping[str, str] = {}
    at_rest: Mapping[str, Claim] = {}


class _Job:
    """A parcel on its way: what it says, what is still to be written, what became of it."""

    def __init__(self, parcel: Parcel) -> None:
        self.parcel = parcel
        self.said = by_order(parcel)
        self.keys = {*self.said, *(known.key for known in parcel.restate)}
        self.pending: dict[str, Known] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.disbelieved: dict[str, str] = {}
        self.at_rest: dict[str, Claim] = {}
        self.receipts = list(parcel.receipts)
        self.taken: Taken | None = None
        self.error: Exception | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody has written it yet."""
        return self.taken is None and self.error is None


class Ingest:
    """Merges what sources bring and advances the store.

    `policy` says how much absence proves that an order is not there; `told_after` from which
    age a person hears of an absent order; `listener` hears of events after their commit.
    """

    def __init__(
        self,
        store: OrderStore,
        clock: Clock,
        *,
        policy: AbsencePolicy,
        told_after: timedelta,
        listener: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._told_after = told_after
        self._listener = listener
        self._vouching = Vouching()
        self._waiting: list[_Job] = []
        self._turn = asyncio.Lock()

    async def take(self, parcel: Parcel) -> Taken:
        """Merge and write what the parcel says. Raises what the store raises."""
        job = _Job(parcel)
        if not job.keys and not parcel.receipts:
            return Taken()
        self._waiting.append(job)
        async with self._turn:
            if job.is_open:
                jobs = self._company_of(job)
                try:
                    await self._commit(jobs)
                finally:
                    # Cancelled in the middle: what was not written goes back to the queue
                    # for whoever has the next turn. Merging twice does no harm.
                    self._waiting[:0] = [one for one in jobs if one is not job and one.is_open]
        if job.error is not None:
            raise job.error
        return job.taken or Taken()

    def vouch(self, account: str, known: Known, at: datetime | None) -> None:
        """What was last said of an order was said again at `at`, in the same words."""
        self._vouching.again(account, known, at)

    def _company_of(self, job: _Job) -> list[_Job]:
        """The job and all that wait for the same account, but no two about one order."""
        together, keys = [job], set(job.keys)
        others: list[_Job] = []
        for one in self._waiting:
            if one is job:
                continue
            ours = one.parcel.account == job.parcel.account
            (together if ours and keys.isdisjoint(one.keys) else others).append(one)
            if ours:
                # Those of one who has to wait, too: nobody overtakes him about his orders.
                keys |= one.keys
        self._waiting = others
        return together

    async def _commit(self, jobs: list[_Job]) -> None:
        """Write these together; where one of them breaks, each by itself."""
        try:
            await self._write(jobs)
        except Exception as error:  # noqa: BLE001 - handed on: it is raised to the job's owner
            if len(jobs) == 1 or isinstance(error, OrdersyncError):
                for job in jobs:
                    job.error = error
                return
            for job in jobs:
                await self._commit([job])
            return
        for job in jobs:
            job.taken = Taken(tuple(job.outcomes.values()), job.disbelieved, job.at_rest)
            _tell(job.taken)
            events = [event for outcome in job.taken.outcomes for event in outcome.events]
            if self._listener is not None and events:
                self._listener(events)

    async def _write(self, jobs: list[_Job]) -> None:
        """Read what is known, merge, advance; what is lost to another is read and merged again."""
        account = jobs[0].parcel.account
        for job in jobs:
            known = job.parcel.known
            job.pending = {key: known[key] for key in job.said if key in known}
        missing = [
            (job, one.name)
            for job in jobs
            for key, one in job.said.items()
            if key not in job.pending
        ]
        await self._read_pending(account, missing)
        for job in jobs:
            job.pending.update((known.key, known) for known in job.parcel.restate)
        for _ in range(ROUNDS):
            steps = [
                (job, before, self._step(job.parcel, job.said.get(key), what, before))
                for job in jobs
                for key, what in job.pending.items()
                for before in (self._vouching.latest(account, what),)
            ]
            lost: list[tuple[_Job, OrderName]] = []
            receipts = [one for job in jobs for one in job.receipts]
            for n in range(0, max(len(steps), bool(receipts)), STEPS_A_COMMIT):
                part = steps[n : n + STEPS_A_COMMIT]
                # Only with the last of their effects; a lost one is written in another round.
                last = [] if n + STEPS_A_COMMIT < len(steps) else _without(receipts, lost)
                advanced = await self._store.advance(account, [step for *_, step in part], last)
                for (job, earlier, step), outcome in zip(part, advanced, strict=True):
                    if why := _disbelief(step):
                        job.disbelieved[step.known.key] = why
                    before = job.outcomes.get(outcome.key)
                    job.outcomes[outcome.key] = _joined(before, outcome) if before else outcome
                    if rests(step, outcome, job.said.get(outcome.key), earlier):
                        job.at_rest[outcome.key] = step.known.claims[0]
                    if outcome.result is Result.LOST:
                        said = job.said.get(outcome.key)
                        lost.append((job, said.name if said else name_of(step.known)))
            if not lost:
                return
            for job in jobs:
                job.pending = {}
                written = _without(job.receipts, lost)
                job.receipts = [one for one in job.receipts if one not in written]
            await self._read_pending(account, lost)

    async def _read_pending(self, account: str, names: Sequence[tuple[_Job, OrderName]]) -> None:
        if names:
            owners = {key_of(name): job for job, name in names}
            for known in await self._store.read(account, [name for _, name in names]):
                owners[known.key].pending[known.key] = known

    def _step(
        self, parcel: Parcel, said: Said | None, known: Known, truth: Order | None
    ) -> Advance:
        """From what is known to what is true now. `truth` is the latest that is known."""
        notes: list[Note] = []
        evidence = EventEvidence(answer="truth", endpoint="store")
        absent = known.absent
        for sighting in said.sightings if said else ():
            report = sighting.report
            seen = EventEvidence(
                answer="sighting",
                endpoint=sighting.endpoint,
                venue_time=report.as_of,
                raw=sighting.raw or None,
            )
            if why := objection(truth, report, parcel.venue_now):
                notes.append(_quarantine(seen, why))
                continue
            if truth is not None and contradicts(truth, report):
                notes.append(Note(kind=EventKind.CONFLICT, digest=_digest(report), evidence=seen))
            truth, evidence, absent = merge(truth, report), seen, None
        for silence in said.garbled if said else ():
            unread = EventEvidence(
                answer="silence", endpoint=silence.endpoint, raw=silence.raw or None
            )
            notes.append(_quarantine(unread, silence.why))
        # An absence from before the last sighting is refuted by it, and a final order that is
        # gone proves nothing: venues forget what has ended. What moved out was final.
        absences = [
            a
            for a in (said.absences if said else ())
            if (truth is None and known.archived is None)
            or (truth is not None and not truth.is_final and a.as_of > truth.as_of)
        ]
        if absences and absent is known.absent:
            absent = add_absences(
                known,
                absences,
                now=parcel.venue_now,
                ages_from_rows=parcel.ages_from_rows,
                told_after=self._told_after,
                policy=self._policy,
            )
            evidence = EventEvidence(
                answer="absence",
                endpoint=",".join(dict.fromkeys(a.endpoint for a in absences)),
                venue_time=absences[-1].as_of,
            )
        self._vouching.keep(parcel.account, known, truth)
        return Advance(
            known=known,
            truth=truth,
            source=parcel.source,
            evidence=evidence,
            asked_at=parcel.asked_at,
            absent=absent,
            due_at=self._due_at(known, truth, absent, parcel.source),
            notes=tuple(notes),
        )

    def _due_at(
        self, known: Known, truth: Order | None, absent: Absent | None, source: Source
    ) -> datetime | None:
        """When to ask again although no open row may lead here."""
        now = self._clock.now()
        if absent is not None and absent.overlay is Overlay.UNKNOWN and absent.since is not None:
            return next_ask_unknown(unknown_since=absent.since, asked_at=absent.asked_at)
        if truth is None or not truth.is_final:
            return None
        same = known.truth is not None and same_facts(truth, known.truth)
        if same and known.due_at is not None and known.due_at > now:
            return known.due_at
        was_known = known.truth is not None and known.truth.is_final
        # What lacks the price or the time of its fills is as little at rest as their fees.
        settled = truth.settled if _tells_its_fills(truth) else False
        if was_known and known.due_at is None and settled is not False:
            return None
        if source is Source.STREAM and settled is False:
            # A stream tells an end without its details: they are there for the asking.
            return known.due_at if same and known.due_at is not None else now
        since = known.final_since or now
        return next_ask_final(final_since=since, asked_at=now, settled=settled)


def _tells_its_fills(truth: Order) -> bool:
    """Whether price and time of all that was filled are known."""
    if not truth.filled_qty:
        return True
    told = (truth.priced, truth.filled)
    return all(fact is not None and fact.filled_qty >= truth.filled_qty for fact in told)


def _without(receipts: Sequence[Receipt], lost: Sequence[tuple[_Job, OrderName]]) -> list[Receipt]:
    """The receipts of webhooks whose orders are not among those that were lost."""
    keys = {key_of(name) for _, name in lost}
    return [one for one in receipts if keys.isdisjoint(one.orders)]


def _joined(before: Outcome, after: Outcome) -> Outcome:
    """Two rounds of one order as one outcome: the last result, all that was written."""
    won = Result.WON if after.result is Result.UNCHANGED and before.events else after.result
    return msgspec.structs.replace(
        after,
        result=won,
        rows_written=before.rows_written + after.rows_written,
        events=before.events + after.events,
    )


def _disbelief(step: Advance) -> str:
    """Why nothing that was said of an order could be believed; "" where something could."""
    if step.evidence.answer == "sighting":
        return ""
    quarantined = (n.evidence.raw or "" for n in step.notes if n.kind is EventKind.QUARANTINED)
    return next(quarantined, "").partition("\n")[0]


def _quarantine(seen: EventEvidence, why: str) -> Note:
    told = msgspec.structs.replace(seen, raw=f"{why}\n{seen.raw or ''}".strip())
    digest = hashlib.sha256(why.encode()).hexdigest()[:16]
    return Note(kind=EventKind.QUARANTINED, digest=digest, evidence=told)


def _digest(report: object) -> str:
    """What a report says, but not when: the same content again is not told again."""
    content = msgspec.to_builtins(report)
    content.pop("as_of", None)
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]


def _tell(taken: Taken) -> None:
    """One plain line for each row that was written or could not be."""
    for outcome in taken.outcomes:
        order = outcome.key.partition(":")[2]
        for event in outcome.events:
            before, after = event.before.word, event.after.word
            if before != after:
                log.info(
                    f"Updating order {order}: {before} -> {after}",
                    account=event.account,
                    row_id=event.order.row_id,
                    source=event.source.value,
                    event_id=event.id,
                )
        if outcome.result in {Result.LOST, Result.UNWRITABLE}:
            log.warning(f"Failed to sync order {order}: {outcome.why}")
