"""The only write path. Whatever a source brings is merged here, and the store is advanced.

The bot's own word never comes in as a report. Who finds a commit under way waits for it, and
all who waited are committed together (adaptive group commit: no timer, nothing added when
idle). A step that is lost to another writer is read again and merged again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.ports import (
    Absent,
    Advance,
    Claim,
    Known,
    Meaning,
    Note,
    OrderName,
    Outcome,
    Overlay,
    Result,
)
from ordersync.sync.cases import add_absences
from ordersync.truth.cadence import next_ask_final, next_ask_unknown
from ordersync.truth.evidence import (
    Absence,
    AbsencePolicy,
    Sighting,
    Silence,
)
from ordersync.truth.merge import contradicts, facts, merge, objection
from ordersync.truth.model import EventEvidence, EventKind, Order, Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from ordersync.ports import Clock, OrderStore
    from ordersync.truth.model import Event

ROUNDS = 5
"""How often a step that was lost to another writer is tried again before it is reported."""

STEPS_A_COMMIT = 10_000
"""How many orders go into one transaction: the bot waits while one is written."""

VOUCHED_LIMIT = 200_000
"""For how many open orders the last vouching is remembered; beyond, memory would grow."""

log = structlog.get_logger("ordersync")


class Parcel(msgspec.Struct, kw_only=True):
    """What one source brings for one account.

    `asked_at` is when the question was asked, on our clock, `venue_now` the venue's clock.
    `known` is what the caller has just read, by order key; the rest is read here. `absences`
    are those that may count: the account has proved itself in the same pass. `garbled` are
    answers about an order that could not be read. `restate` names orders whose row is to be
    compared with the truth that is known already.
    """

    account: str
    source: Source
    asked_at: datetime
    venue_now: datetime
    sightings: Sequence[Sighting] = ()
    absences: Sequence[Absence] = ()
    garbled: Sequence[Silence] = ()
    restate: Sequence[Known] = ()
    known: Mapping[str, Known] = {}
    ages_from_rows: bool = True


class Taken(msgspec.Struct, frozen=True):
    """What became of a parcel: one Outcome an order.

    `disbelieved` are the order keys of which nothing that was said could be believed, and why.
    """

    outcomes: tuple[Outcome, ...] = ()
    disbelieved: Mapping[str, str] = {}


class _Job:
    def __init__(self, parcel: Parcel) -> None:
        self.parcel = parcel
        self.taken: Taken | None = None
        self.error: Exception | None = None


class _Said(msgspec.Struct):
    """Everything a parcel says about one order."""

    name: OrderName
    sightings: list[Sighting] = []
    absences: list[Absence] = []
    garbled: list[Silence] = []


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
        self._vouched: dict[tuple[str, str], tuple[int, Order]] = {}
        self._waiting: list[_Job] = []
        self._turn = asyncio.Lock()

    async def take(self, parcel: Parcel) -> Taken:
        """Merge and write what the parcel says. Raises what the store raises."""
        job = _Job(parcel)
        self._waiting.append(job)
        async with self._turn:
            if job.taken is None and job.error is None:
                jobs, self._waiting = self._waiting, []
                try:
                    await self._commit(jobs)
                finally:
                    # Cancelled in the middle: what was not written goes back to the queue
                    # for whoever has the next turn. Merging twice does no harm.
                    self._waiting[:0] = [
                        other
                        for other in jobs
                        if other is not job and other.taken is None and other.error is None
                    ]
        if job.error is not None:
            raise job.error
        return job.taken or Taken()

    async def _commit(self, jobs: list[_Job]) -> None:
        for job in jobs:
            try:
                job.taken = await self._write(job.parcel)
            except Exception as error:  # noqa: BLE001 - handed on: it is raised to the job's owner
                job.error = error

    async def _write(self, parcel: Parcel) -> Taken:
        said = _by_order(parcel)
        missing = [one.name for key, one in said.items() if key not in parcel.known]
        known = {key: parcel.known[key] for key in said if key in parcel.known}
        if missing:
            known.update((k.key, k) for k in await self._store.read(parcel.account, missing))
        known.update((k.key, k) for k in parcel.restate)
        outcomes: dict[str, Outcome] = {}
        asked_at = parcel.asked_at
        pending = dict(known)
        disbelieved: dict[str, str] = {}
        for _ in range(ROUNDS):
            steps = [
                step
                for key, what in pending.items()
                if (step := self._step(parcel, said.get(key), what, asked_at)) is not None
            ]
            disbelieved |= {step.known.key: why for step in steps if (why := _disbelief(step))}
            lost: list[str] = []
            for n in range(0, len(steps), STEPS_A_COMMIT):
                part = steps[n : n + STEPS_A_COMMIT]
                for outcome in await self._store.advance(parcel.account, part):
                    before = outcomes.get(outcome.key)
                    outcomes[outcome.key] = _joined(before, outcome) if before else outcome
                    if outcome.result is Result.LOST:
                        lost.append(outcome.key)
            if not lost:
                break
            names = [said[k].name if k in said else _name_of(pending[k]) for k in lost]
            pending = {k.key: k for k in await self._store.read(parcel.account, names)}
        taken = Taken(tuple(outcomes.values()), disbelieved)
        _tell(taken)
        events = [event for outcome in taken.outcomes for event in outcome.events]
        if self._listener is not None and events:
            self._listener(events)
        return taken

    def _step(
        self, parcel: Parcel, said: _Said | None, known: Known, asked_at: datetime
    ) -> Advance | None:
        """From what is known to what is true now; None where nothing was said."""
        truth, notes = self._latest(parcel.account, known), []
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
        # gone proves nothing: venues forget what has ended.
        absences = [
            a
            for a in (said.absences if said else ())
            if truth is None or (not truth.is_final and a.as_of > truth.as_of)
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
        self._keep_latest(parcel.account, known, truth)
        return Advance(
            known=known,
            truth=truth,
            source=parcel.source,
            evidence=evidence,
            asked_at=asked_at,
            absent=absent,
            due_at=self._due_at(known, truth, absent),
            notes=tuple(notes),
        )

    def _latest(self, account: str, known: Known) -> Order | None:
        """The truth as it is known here: what is stored, with the moments of later vouching.

        A report that only vouches anew is not written; forgotten, a late frame from before it
        would win over what it confirmed.
        """
        version, order = self._vouched.get((account, known.key), (0, None))
        return order if order is not None and version == known.version else known.truth

    def _keep_latest(self, account: str, known: Known, truth: Order | None) -> None:
        if truth is None or truth is known.truth or truth.is_final:
            self._vouched.pop((account, known.key), None)
        elif known.truth is not None and facts(truth) == facts(known.truth):
            if len(self._vouched) >= VOUCHED_LIMIT:
                self._vouched.clear()
            self._vouched[account, known.key] = (known.version, truth)

    def _due_at(self, known: Known, truth: Order | None, absent: Absent | None) -> datetime | None:
        """When to ask again although no open row may lead here."""
        now = self._clock.now()
        if absent is not None and absent.overlay is Overlay.UNKNOWN and absent.since is not None:
            return next_ask_unknown(unknown_since=absent.since, asked_at=absent.asked_at)
        if truth is None or not truth.is_final:
            return None
        same = known.truth is not None and facts(truth) == facts(known.truth)
        if same and known.due_at is not None and known.due_at > now:
            return known.due_at
        was_known = known.truth is not None and known.truth.is_final
        # What lacks the price or the time of its fills is as little at rest as their fees.
        settled = truth.settled if _tells_its_fills(truth) else False
        if was_known and known.due_at is None and settled is not False:
            return None
        since = known.final_since or now
        return next_ask_final(final_since=since, asked_at=now, settled=settled)


def _tells_its_fills(truth: Order) -> bool:
    """Whether price and time of all that was filled are known."""
    if not truth.filled_qty:
        return True
    told = (truth.priced, truth.filled)
    return all(fact is not None and fact.filled_qty >= truth.filled_qty for fact in told)


def key_of(name: OrderName) -> str:
    """The key of an order's truth: the venue's id where it is known, else the client's."""
    return f"v:{name.venue_order_id}" if name.venue_order_id else f"c:{name.client_order_id}"


def _by_order(parcel: Parcel) -> dict[str, _Said]:
    """What the parcel says, by order key."""
    said: dict[str, _Said] = {}

    def about(name: OrderName) -> _Said:
        return said.setdefault(key_of(name), _Said(name))

    for sighting in parcel.sightings:
        report = sighting.report
        about(OrderName(report.venue_order_id, report.client_order_id)).sightings.append(sighting)
    for absence in parcel.absences:
        about(OrderName(absence.venue_order_id, absence.client_order_id)).absences.append(absence)
    for silence in parcel.garbled:
        for order in silence.orders:
            about(OrderName(order)).garbled.append(silence)
    return said


def _name_of(known: Known) -> OrderName:
    kind, _, text = known.key.partition(":")
    return OrderName(text) if kind == "v" else OrderName(None, text)


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


def is_watched(claim: Claim) -> bool:
    """Whether a row is one to verify: it names its order and its word is understood."""
    named = claim.venue_order_id is not None or claim.client_order_id is not None
    return named and claim.meaning is not Meaning.UNMAPPED
