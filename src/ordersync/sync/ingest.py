"""The only write path. Whatever a source brings is merged here, and the store is advanced.

The bot's own word never comes in as a report. Who finds a commit under way waits for it, and
all who waited are committed together (adaptive group commit: no timer, nothing added when
idle). A step that is lost to another writer is read again and merged again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import msgspec

from ordersync.errors import OrdersyncError
from ordersync.ports import (
    Advance,
    Claim,
    Known,
    Note,
    OrderName,
    Outcome,
    Result,
)
from ordersync.sync.acts import act_on
from ordersync.sync.at_rest import rests
from ordersync.sync.cases import add_absences
from ordersync.sync.chains import Chains
from ordersync.sync.due import due_at
from ordersync.sync.parcels import Parcel, Said, by_order, key_of, name_of
from ordersync.sync.reading import without_namesakes
from ordersync.sync.telling import digest, disbelief, joined, quarantine, tell
from ordersync.sync.vouching import Vouching
from ordersync.truth.merge import contradicts, merge, objection
from ordersync.truth.model import EventEvidence, EventKind, Order

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from ordersync.hinted import Receipt
    from ordersync.ports import Clock, OrderStore
    from ordersync.truth.evidence import AbsencePolicy, Silence
    from ordersync.truth.model import Event

ROUNDS = 5
"""How often a step that was lost to another writer is tried again before it is reported."""

CARRIED = 200
"""Up to how many orders are read, merged and written in one go: nobody else is kept waiting."""

STEPS_A_COMMIT = 10_000
"""How many orders go into one transaction: the bot waits while one is written."""


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
        self.went_on: set[str] = set()
        self.outcomes: dict[str, Outcome] = {}
        self.disbelieved: dict[str, str] = {}
        self.at_rest: dict[str, Claim] = {}
        self.taken: Taken | None = None
        self.error: Exception | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody has written it yet."""
        return self.taken is None and self.error is None


_Pending = tuple[_Job, Known]
_Missing = tuple[_Job, OrderName]
_Step = tuple[_Job, Order | None, Advance]
"""Whose it is, the truth as it was known before, and where it goes."""


class Ingest:
    """Merges what sources bring and advances the store.

    `policy` says how much absence proves that an order is not there; `told_after` from which
    age a person hears of an absent order; `follow_replace` whether a row's venue id moves with its
    order; `listener` hears of events after their commit.
    """

    def __init__(
        self,
        store: OrderStore,
        clock: Clock,
        *,
        policy: AbsencePolicy,
        told_after: timedelta,
        follow_replace: bool = False,
        listener: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        self._store = store
        self._chains = Chains(store, moves_ids=follow_replace)
        self._clock = clock
        self._policy = policy
        self._told_after = told_after
        self._listener = listener
        self._vouching = Vouching()
        # Steps of few orders are made on the store's thread.
        self._judging = Lock()
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
        with self._judging:
            self._vouching.again(account, known, at)

    def vouched_at(self, account: str, known: Known) -> datetime | None:
        """The moment of the latest that was said of this order, stored or not."""
        with self._judging:
            truth = self._vouching.latest(account, known)
        return truth.as_of if truth else None

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
            tell(job.taken.outcomes)
            events = [event for outcome in job.taken.outcomes for event in outcome.events]
            if self._listener is not None and events:
                self._listener(events)

    async def _write(self, jobs: list[_Job]) -> None:
        """Read what is known, merge, advance; what is lost to another is read and merged again."""
        account = jobs[0].parcel.account
        given: list[_Pending] = []
        missing: list[_Missing] = []
        for job in jobs:
            known, restated = job.parcel.known, {what.key for what in job.parcel.restate}
            given += [(job, what) for what in job.parcel.restate]
            for key, said in job.said.items():
                if key in restated:
                    continue
                if key in known:
                    given.append((job, known[key]))
                else:
                    missing.append((job, said.name))
        receipts: Sequence[Receipt] = [one for job in jobs for one in job.parcel.receipts]
        for _ in range(ROUNDS):
            steps, outcomes = await self._advance(account, given, missing, receipts)
            missing = self._note(steps, outcomes)
            receipts = _of_lost(receipts, missing)
            given = await self._roots(account, steps, outcomes)
            if not given and not missing:
                return

    async def _advance(
        self,
        account: str,
        given: list[_Pending],
        missing: list[_Missing],
        receipts: Sequence[Receipt],
    ) -> tuple[list[_Step], list[Outcome]]:
        """Write all of these, after what is missing was read; what became of each."""
        names = [name for _, name in missing]
        owners = {key_of(name): job for job, name in missing}

        def merged(read: list[Known]) -> list[_Step]:
            return self._steps(account, [*given, *((owners[k.key], k) for k in read)])

        if names and not receipts and len(given) + len(names) <= CARRIED:
            steps: list[_Step] = []

            def decide(read: list[Known]) -> list[Advance]:
                steps.extend(merged(read))
                plain = [step for *_, step in steps]
                # The row of an order that was replaced shows others, too: they are read first.
                return [] if self._chains.concern(plain) else plain

            if outcomes := await self._store.carry(account, names, decide):
                return steps, outcomes
        else:
            steps = merged(await self._store.read(account, names) if names else [])
        news = {key for job, *_ in steps for key in job.went_on}
        shown = await self._chains.follow(account, [step for *_, step in steps], news)
        steps = [(*one[:2], step) for one, step in zip(steps, shown, strict=True)]
        outcomes = []
        for n in range(0, max(len(steps), bool(receipts)), STEPS_A_COMMIT):
            part = [step for *_, step in steps[n : n + STEPS_A_COMMIT]]
            # Only with the last of their effects; a lost one is written in another round.
            is_last = n + STEPS_A_COMMIT >= len(steps)
            lost = {one.key for one in outcomes if one.result is Result.LOST}
            with_it = [one for one in receipts if is_last and lost.isdisjoint(one.orders)]
            outcomes += await self._store.advance(account, part, with_it)
        return steps, outcomes

    def _steps(self, account: str, pending: Sequence[_Pending]) -> list[_Step]:
        with self._judging:
            for job, what in pending:
                if at := job.parcel.vouched.get(what.key):
                    # A frame that comes late must not win over what was confirmed since.
                    self._vouching.again(account, what, at)
            return [
                (job, before, self._step(job.parcel, job.said.get(what.key), what, before))
                for job, what in pending
                for before in (self._vouching.latest(account, what),)
            ]

    async def _roots(
        self, account: str, steps: Sequence[_Step], outcomes: Sequence[Outcome]
    ) -> list[_Pending]:
        """The rows of orders that were replaced by what was just written: they show it too."""
        found: list[_Pending] = []
        for (job, _, step), outcome in zip(steps, outcomes, strict=True):
            if outcome.result is Result.WON and _is_heir(step) and step.truth:
                roots = await self._chains.roots(account, [step.truth])
                job.went_on.update(root.key for root in roots)
                found += [(job, root) for root in roots]
        return found

    def _note(self, steps: Sequence[_Step], outcomes: Sequence[Outcome]) -> list[_Missing]:
        """Note what became of these; those that were lost to another writer."""
        lost: list[_Missing] = []
        for (job, earlier, step), outcome in zip(steps, outcomes, strict=True):
            if why := disbelief(step):
                job.disbelieved[step.known.key] = why
            before = job.outcomes.get(outcome.key)
            job.outcomes[outcome.key] = joined(before, outcome) if before else outcome
            said = job.said.get(outcome.key)
            if rests(step, outcome, said, earlier):
                job.at_rest[outcome.key] = step.known.claims[0]
            if outcome.result is Result.LOST:
                lost.append((job, said.name if said else name_of(step.known.key)))
        return lost

    def _step(
        self, parcel: Parcel, said: Said | None, known: Known, truth: Order | None
    ) -> Advance:
        """From what is known to what is true now. `truth` is the latest that is known."""
        notes = [] if known.claims or not (note := parcel.rowless.get(known.key)) else [note]
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
                notes.append(quarantine(seen, why))
                continue
            if truth is not None and contradicts(truth, report):
                notes.append(Note(kind=EventKind.CONFLICT, digest=digest(report), evidence=seen))
            truth, evidence, absent = merge(truth, report), seen, None
        notes += [_garbled(silence) for silence in (said.garbled if said else ())]
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
        if truth is not None and parcel.ages_from_rows:
            known = without_namesakes(known, truth)
        if act := parcel.acts.get(known.key):
            (truth, absent), evidence = act_on(act, known, truth, absent), act.evidence
        self._vouching.keep(parcel.account, known, truth)
        return Advance(
            known=known,
            truth=truth,
            source=parcel.source,
            evidence=evidence,
            asked_at=parcel.asked_at,
            absent=absent,
            due_at=due_at(known, truth, absent, self._clock.now(), asked=parcel.was_asked_for),
            notes=tuple(notes),
        )


def _of_lost(receipts: Sequence[Receipt], lost: Sequence[_Missing]) -> list[Receipt]:
    """The receipts of webhooks that wait: an order of theirs was lost to another writer."""
    keys = {key_of(name) for _, name in lost}
    return [one for one in receipts if not keys.isdisjoint(one.orders)]


def _garbled(silence: Silence) -> Note:
    unread = EventEvidence(answer="silence", endpoint=silence.endpoint, raw=silence.raw or None)
    return quarantine(unread, silence.why)


def _is_heir(step: Advance) -> bool:
    """Whether an order without a row of its own replaced another."""
    return not step.known.claims and step.truth is not None and bool(step.truth.replaces)
