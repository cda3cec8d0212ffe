"""One transaction: row, truth and event of many orders, by compare-and-set.

The order inside matters. Truth first: a row is only written on the strength of a truth that
this transaction wrote or found still standing. Then the rows, then the events of what was
really written. A row that somebody else wrote first is lost and left alone, its truth commits
all the same: a row that differs from the truth is found again by level.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import Absent, Advance, Claim, Outcome, Result
from ordersync.store.own import CONTESTED_ROW
from ordersync.store.plan import (
    Draft,
    client_key,
    draft,
    event,
    events_of,
    names_of,
    refusal_of,
    spell,
    truth_row,
)
from ordersync.store.receipts import put_receipts
from ordersync.store.rows import HELD, Care, OvertakenError, RolledBackError, Rows
from ordersync.store.statement import Ask, keys_of
from ordersync.truth.model import Event, EventEvidence, EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.hinted import Receipt
    from ordersync.ports import Clock
    from ordersync.store.database import Session
    from ordersync.store.own import OwnStatements
    from ordersync.store.projection import Patch
    from ordersync.store.sql import RowStatements
    from ordersync.store.statement import RowKey

UNDONE_TIMES, UNDONE_WITHIN = 3, timedelta(hours=1)
REFUSED_FOR = timedelta(minutes=10)
"""How long a refused row is left alone: whoever owns the table may have mended it by then."""

_encode = msgspec.json.Encoder().encode
_decode_absent = msgspec.json.Decoder(Absent).decode


class Transaction:
    """One group of steps, from BEGIN to COMMIT. Used once, on the store's own thread."""

    def __init__(
        self,
        session: Session,
        ours: OwnStatements,
        statements: RowStatements,
        account: str,
        *,
        writes_rows: bool,
        contested_pause: timedelta,
    ) -> None:
        self._session = session
        self._own = ours
        self._mapping = statements.mapping
        self._account = account
        self._writes_rows = writes_rows
        self._contested_pause = contested_pause
        self._rows = Rows(session, statements)
        self._truths_first = not session.sends_together
        self._contested: dict[int | str, EventEvidence] = {}
        self._backed_off: set[int | str] = set()
        self._refused_before: set[str] = set()

    def run(
        self, steps: Sequence[Advance], clock: Clock, receipts: Sequence[Receipt] = ()
    ) -> list[Outcome]:
        """Write what the steps ask for, and the receipts; one Outcome each, in their order."""
        now = clock.now()
        drafts = [draft(self._mapping, step, now) for step in steps]
        # Of two steps of one order the first goes ahead; the other came from the same version.
        first: dict[str, Draft] = {}
        for made in drafts:
            if made.patches and not made.truth_changed:
                self._leave_out_refused(made, now)
            first.setdefault(made.known.key, made)
        pending = [made for made in first.values() if made.needs_write]
        if not receipts and not any(made.needs_write for made in drafts):
            return [self._unchanged(made) for made in drafts]
        while True:
            try:
                return self._try(drafts, pending, clock, now, receipts)
            except OvertakenError:
                self._truths_first = True
                self._rows.forget()
            except RolledBackError as refusal:
                self._contested.clear()
                self._rows.start_again(refusal)

    def _try(
        self,
        drafts: list[Draft],
        pending: list[Draft],
        clock: Clock,
        now: datetime,
        receipts: Sequence[Receipt],
    ) -> list[Outcome]:
        session = self._session
        try:
            session.begin()
            if any(made.truth_changed or made.patches for made in pending):
                session.expect_log_id(self._own.log_ids)
            put = self._put_truths(pending, now)
            alive = pending
            if self._may_send_together(pending):
                self._write_together(pending, put, clock)
                standing = put()
            else:
                standing = put() - self._moved_cases(pending)
                alive = [made for made in pending if made.known.key in standing]
                if self._writes_rows:
                    self._write_rows(alive, now, clock)
            self._link_rows(alive)
            events = self._put_events(alive, now)
            self._put_absences(alive)
            leading = {id(made) for made in pending}
            outcomes = [
                self._outcome(made, standing if id(made) in leading else set(), events)
                for made in drafts
            ]
            if receipts:
                put_receipts(session, self._own, self._account, outcomes, receipts, at=spell(now))
            session.commit()
        except BaseException:
            # Whatever it was, nothing of this group may stay half done.
            session.rollback()
            raise
        return outcomes

    def _leave_out_refused(self, made: Draft, now: datetime) -> None:
        """A row that the database refused is tried again when it has changed, or after a while."""
        kept = []
        for found in made.patches:
            kind, digest = EventKind.UNWRITABLE.value, refusal_of(found)
            told = self._session.fetch(self._about_note(made, kind, digest))
            if told and spell(now - REFUSED_FOR) < told[0][0]:
                self._refused_before.add(made.known.key)
            else:
                kept.append(found)
        made.patches = kept

    def _about_note(self, made: Draft, kind: str, digest: str) -> Ask:
        about = {"account": self._account, "order_key": made.known.key}
        return Ask(self._own.noted_at, {**about, "kind": kind, "digest": digest})

    def _may_send_together(self, pending: list[Draft]) -> bool:
        """Whether truths and rows may share a round trip: nothing has to be asked in between."""
        return (
            not self._truths_first
            and self._writes_rows
            and self._rows.care is Care.ALL_AT_ONCE
            and all(made.truth_changed for made in pending)
        )

    def _write_together(
        self, pending: list[Draft], put: Callable[[], set[str]], clock: Clock
    ) -> None:
        """Write the rows as if every truth had won: nearly always it has, else all is undone."""
        patches = [found for made in pending for found in made.patches]
        self._rows.write(patches)
        if len(put()) < len(pending):
            raise OvertakenError
        self._rows.find_losers(patches, clock.now())

    def _put_truths(self, pending: list[Draft], now: datetime) -> Callable[[], set[str]]:
        """What gives the keys whose truth now is what their step says it is."""
        # In the order of their keys: reads and writes each page once, and never stands in
        # another writer's way who stands in ours.
        changed = sorted(
            (made for made in pending if made.truth_changed), key=lambda made: made.known.key
        )
        unchanged = [made for made in pending if not made.truth_changed]
        standing: set[str] = set()
        if unchanged:
            # A row may be written on the strength of a truth that did not change only while
            # that truth still stands; never sighted stands while nobody has stored a sighting.
            keys = keys_of(made.known.key for made in pending)
            ask = Ask(self._own.versions, {"account": self._account, "keys": keys})
            versions = dict(self._session.fetch(ask))
            standing.update(
                made.known.key
                for made in unchanged
                if versions.get(made.known.key, 0) == made.known.version
            )
        if not changed:
            return lambda: standing
        at = spell(now)
        rows = [truth_row(made, self._account, at) for made in changed]
        put = self._session.upsert_soon(self._own.truth, rows)
        return lambda: standing.union(
            made.known.key for made, won in zip(changed, put(), strict=True) if won
        )

    def _moved_cases(self, pending: list[Draft]) -> set[str]:
        """The keys whose case of absence somebody else has written since it was read."""
        steps = {
            made.known.key: made.known.absent
            for made in pending
            if made.step.absent != made.known.absent and not made.truth_changed
        }
        if not steps:
            return set()
        ask = Ask(self._own.absences, {"account": self._account, "keys": keys_of(steps)})
        stored = dict(self._session.fetch(ask))
        return {
            key
            for key, absent in steps.items()
            if (_decode_absent(stored[key]) if key in stored else None) != absent
        }

    def _write_rows(self, alive: list[Draft], now: datetime, clock: Clock) -> None:
        patches = [
            found
            for made in alive
            for found in made.patches
            if made.truth_changed or made.is_news or not self._is_backed_off(made, found, now)
        ]
        self._rows.write(patches)
        # Read now, so that no earlier answer can overwrite what has just been found there.
        self._rows.find_losers(patches, clock.now())

    def _is_backed_off(self, made: Draft, found: Patch, now: datetime) -> bool:
        """Whether somebody keeps undoing this row, and its next repair has to wait.

        Only repairs of a truth that was known come here. Told once for each fight; an hour
        without a repair ends it.
        """
        row_id, about = found.claim.row_id, {"account": self._account, "order_key": made.known.key}
        hour_ago = spell(now - UNDONE_WITHIN)
        since = {**about, "row_id": str(row_id), "since": hour_ago}
        ((repairs,),) = self._session.fetch(Ask(self._own.repairs, since))
        if repairs + 1 < UNDONE_TIMES:
            return False
        told = self._session.fetch(self._about_note(made, CONTESTED_ROW, str(row_id)))
        if told and spell(now - self._contested_pause) < told[0][0]:
            self._rows.refused[row_id] = "somebody keeps undoing the row"
            self._backed_off.add(row_id)
            return True
        if not told or told[0][0] <= hour_ago:
            self._contested[row_id] = EventEvidence(
                answer="repair", endpoint="row", raw=f"undone {repairs + 1} times within an hour"
            )
        self._note(made, CONTESTED_ROW, str(row_id), now)
        return False

    def _note(self, made: Draft, kind: str, digest: str, now: datetime) -> bool:
        """Note that something was told; whether that is new."""
        key, at = made.known.key, spell(now)
        note = (self._account, key, kind, digest, 1, at, at)
        (is_new,) = self._session.upsert(self._own.note, [note])
        if not is_new:
            about = {"account": self._account, "order_key": key, "kind": kind, "digest": digest}
            self._session.run(Ask(self._own.note_again, {**about, "now": at}))
        return is_new

    def _put_events(self, alive: list[Draft], now: datetime) -> dict[str, list[Event]]:
        """Append the events of what was written; by order key, with their ids."""
        account = self._account
        made_events: list[tuple[str, Event]] = []
        for made in alive:
            key = made.known.key
            made_events += [(key, e) for e in events_of(made, self._rows.written, account, now)]
            made_events += [(key, e) for e in self._told_once(made, now)]
        if not made_events:
            return {}
        log_id = self._session.next_log_id(self._own.log_ids)
        by_key: dict[str, list[Event]] = {}
        rows = []
        at = spell(now)
        for n, (key, plain) in enumerate(made_events):
            # Nobody else has seen it yet; a copy of each would cost as much as its encoding.
            msgspec.structs.force_setattr(plain, "id", f"{log_id}-{n}")
            by_key.setdefault(key, []).append(plain)
            rows.append((log_id, n, at, account, key, str(plain.kind), _encode(plain).decode()))
        self._session.upsert(self._own.event, rows)
        return by_key

    def _told_once(self, made: Draft, now: datetime) -> list[Event]:
        """Events of this step that are recorded once for each distinct content."""
        claims, step = made.known.claims, made.step
        if len(claims) <= 1 and not (step.notes or self._rows.refused or self._contested):
            return []
        told: list[tuple[EventKind, str, EventEvidence, Claim | None]] = [
            (note.kind, note.digest, note.evidence, None) for note in step.notes
        ]
        for claim in claims:
            row = str(claim.row_id)
            refusal = self._rows.refused.get(claim.row_id)
            if refusal is not None and claim.row_id not in self._backed_off:
                why = EventEvidence(answer="refused", endpoint="row", raw=refusal)
                digest = next(refusal_of(p) for p in made.patches if p.claim is claim)
                told.append((EventKind.UNWRITABLE, digest, why, claim))
            if claim.row_id in self._contested:
                why = self._contested[claim.row_id]
                told.append((EventKind.CONTESTED, f"{row} {spell(now)}", why, claim))
        if len(claims) > 1:
            rows = ", ".join(str(claim.row_id) for claim in claims)
            both = EventEvidence(answer="rows", endpoint="row", raw=f"rows {rows} carry this id")
            told.append((EventKind.DUPLICATE_ROWS, rows, both, None))
        return [
            event(made, claim, kind, self._account, now, evidence=evidence)
            for kind, digest, evidence, claim in told
            if self._note(made, kind.value, digest, now)
        ]

    def _link_rows(self, alive: list[Draft]) -> None:
        """Note which row a kept truth is projected onto, where that is new."""
        for made in alive:
            if made.links_row and not made.truth_changed:
                about = {"account": self._account, "order_key": made.known.key}
                about["row_id"] = str(made.known.claims[0].row_id)
                self._session.run(Ask(self._own.link_row, about))

    def _put_absences(self, alive: list[Draft]) -> None:
        """Persist cases of absence and due times where they differ."""
        account = self._account
        closed: list[str] = []
        undue: list[str] = []
        absences: list[tuple[object, ...]] = []
        due: list[tuple[object, ...]] = []
        for made in sorted(alive, key=lambda made: made.known.key):
            known, step = made.known, made.step
            if step.absent is None and known.absent is not None:
                closed += [known.key, *client_key(made)]
            elif step.absent is not None and step.absent != known.absent:
                body = _encode(step.absent).decode()
                absences.append((account, known.key, made.overlay, body))
            if step.due_at is None and known.due_at is not None:
                undue.append(known.key)
            elif step.due_at is not None and step.due_at != known.due_at:
                due.append((account, known.key, *names_of(made), spell(step.due_at)))
        for upsert, rows in ((self._own.absence, absences), (self._own.due, due)):
            if rows:
                self._session.upsert(upsert, rows)
        for text, keys in ((self._own.drop_absences, closed), (self._own.drop_due, undue)):
            if keys:
                self._session.run(Ask(text, {"account": account, "keys": keys_of(keys)}))

    def _outcome(self, made: Draft, standing: set[str], events: dict[str, list[Event]]) -> Outcome:
        key = made.known.key
        if not made.needs_write:
            return self._unchanged(made)
        if key not in standing:
            return Outcome(
                key=key,
                result=Result.LOST,
                overlay=made.overlay_before,
                why="the truth was advanced by another",
            )
        told = tuple(events.get(key, ()))
        patches = made.patches if self._writes_rows else []
        rows = self._rows
        unwritten = [p.claim.row_id for p in patches if not rows.has_written(p)]
        written = len(patches) - len(unwritten)
        if unwritten:
            refusals = [rows.refused[row_id] for row_id in unwritten if row_id in rows.refused]
            return Outcome(
                key=key,
                result=Result.UNWRITABLE if refusals else Result.LOST,
                rows_written=written,
                events=told,
                overlay=made.overlay,
                claims=tuple(rows.there[row_id] for row_id in unwritten if row_id in rows.there),
                why=refusals[0] if refusals else self._why_lost(unwritten),
            )
        if key in self._refused_before:
            return self._unchanged(made)
        changed = made.truth_changed or written or told
        return Outcome(
            key=key,
            result=Result.WON if changed else Result.UNCHANGED,
            rows_written=written,
            events=told,
            overlay=made.overlay,
        )

    def _why_lost(self, unwritten: Sequence[RowKey]) -> str:
        held = any(row_id in self._rows.held for row_id in unwritten)
        return HELD if held else "the row was written by another"

    def _unchanged(self, made: Draft) -> Outcome:
        if made.known.key in self._refused_before:
            why = "the database refused it before; it is tried again within ten minutes"
            return Outcome(
                key=made.known.key, result=Result.UNWRITABLE, overlay=made.overlay, why=why
            )
        return Outcome(key=made.known.key, result=Result.UNCHANGED, overlay=made.overlay)
