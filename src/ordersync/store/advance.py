"""One transaction: row, truth and event of many orders, by compare-and-set.

The order inside matters. Truth first: a row is only written on the strength of a truth that
this transaction wrote or found still standing. Then the rows, then the events of what was
really written. A row that somebody else wrote first is lost and left alone, its truth commits
all the same: a row that differs from the truth is found again by level.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import Absent, Advance, Claim, Outcome, Result
from ordersync.store import sql
from ordersync.store.plan import Draft, draft, event, events_of, spell, truth_row
from ordersync.store.rows import RolledBackError, Rows
from ordersync.truth.model import Event, EventEvidence, EventKind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ordersync.ports import Clock
    from ordersync.store.mapping import Mapping
    from ordersync.store.projection import Patch

UNDONE_TIMES = 3
UNDONE_WITHIN = timedelta(hours=1)

_encode = msgspec.json.Encoder().encode
_decode_absent = msgspec.json.Decoder(Absent).decode


class Transaction:
    """One group of steps, from BEGIN to COMMIT. Used once, on the store's own thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        mapping: Mapping,
        statements: sql.Statements,
        account: str,
        *,
        writes_rows: bool,
        contested_pause: timedelta,
    ) -> None:
        self._connection = connection
        self._mapping = mapping
        self._account = account
        self._writes_rows = writes_rows
        self._contested_pause = contested_pause
        self._rows = Rows(connection, mapping, statements)
        self._contested: dict[int | str, EventEvidence] = {}
        self._backed_off: set[int | str] = set()
        self._refused_before: set[str] = set()

    def run(self, steps: Sequence[Advance], clock: Clock) -> list[Outcome]:
        """Write what the steps ask for; one Outcome each, in their order."""
        now = clock.now()
        drafts = [draft(self._mapping, step, now) for step in steps]
        # Of two steps of one order the first goes ahead; the other came from the same version.
        first: dict[str, Draft] = {}
        for made in drafts:
            if made.patches and not made.truth_changed:
                self._leave_out_refused(made)
            first.setdefault(made.known.key, made)
        pending = [made for made in first.values() if made.needs_write]
        if not any(made.needs_write for made in drafts):
            return [self._unchanged(made) for made in drafts]
        while True:
            try:
                return self._try(drafts, pending, clock, now)
            except RolledBackError as refusal:
                self._rows.written.clear()
                self._contested.clear()
                self._rows.refused[refusal.row_id] = str(refusal)

    def _try(
        self, drafts: list[Draft], pending: list[Draft], clock: Clock, now: datetime
    ) -> list[Outcome]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            standing = self._put_truths(pending, now) - self._moved_cases(pending)
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
            self._connection.execute("COMMIT")
        except BaseException:
            # Whatever it was, nothing of this group may stay half done. Some errors (a full
            # disk, a trigger) have rolled it back already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return outcomes

    def _leave_out_refused(self, made: Draft) -> None:
        """A row that the database refused is not tried again until something of it changes."""
        kept = []
        for found in made.patches:
            row = (self._account, made.known.key, EventKind.UNWRITABLE, _refusal_of(found))
            if self._connection.execute(sql.IS_NOTED, row).fetchone():
                self._refused_before.add(made.known.key)
            else:
                kept.append(found)
        made.patches = kept

    def _put_truths(self, pending: list[Draft], now: datetime) -> set[str]:
        """The keys whose truth now is what their step says it is."""
        connection = self._connection
        # In the order of their keys: with many of them, that reads and writes each page once.
        changed = sorted(
            (made for made in pending if made.truth_changed), key=lambda made: made.known.key
        )
        standing: set[str] = set()
        at, put = spell(now), connection.cursor().execute
        for made in changed:
            if put(sql.PUT_TRUTH, truth_row(made, self._account, at)).rowcount:
                standing.add(made.known.key)
        kept = [
            (made.known.key, made.known.version)
            for made in pending
            if not made.truth_changed and made.known.version
        ]
        if kept:
            rows = connection.execute(sql.STANDING_TRUTHS, (self._account, _encode(kept).decode()))
            standing.update(key for (key,) in rows)
        # Never sighted: that stands while nobody else has stored a sighting.
        unseen = {
            made.known.key for made in pending if not made.truth_changed and not made.known.version
        }
        if unseen:
            rows = connection.execute(sql.TRUTHS, (self._account, _encode(unseen).decode()))
            standing.update(unseen - {row[0] for row in rows})
        return standing

    def _moved_cases(self, pending: list[Draft]) -> set[str]:
        """The keys whose case of absence somebody else has written since it was read."""
        steps = {
            made.known.key: made.known.absent
            for made in pending
            if made.step.absent != made.known.absent and not made.truth_changed
        }
        if not steps:
            return set()
        keys = _encode(list(steps)).decode()
        stored = dict(self._connection.execute(sql.ABSENCES, (self._account, keys)).fetchall())
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
            if made.truth_changed or not self._is_backed_off(made, found, now)
        ]
        self._rows.write(patches)
        # Read now, so that no earlier answer can overwrite what has just been found there.
        self._rows.find_losers(patches, clock.now())

    def _is_backed_off(self, made: Draft, found: Patch, now: datetime) -> bool:
        """Whether somebody keeps undoing this row, and its next repair has to wait.

        Only repairs of a truth that was known come here. Told once for each fight; an hour
        without a repair ends it.
        """
        row = (self._account, made.known.key, str(found.claim.row_id))
        hour_ago = spell(now - UNDONE_WITHIN)
        (repairs,) = self._connection.execute(sql.REPAIRS, (*row, hour_ago)).fetchone()
        if repairs + 1 < UNDONE_TIMES:
            return False
        told = self._connection.execute(sql.CONTESTED, row).fetchone()
        if told is not None and spell(now - self._contested_pause) < told[0]:
            self._rows.refused[found.claim.row_id] = "somebody keeps undoing the row"
            self._backed_off.add(found.claim.row_id)
            return True
        if told is None or told[0] <= hour_ago:
            self._contested[found.claim.row_id] = EventEvidence(
                answer="repair", endpoint="row", raw=f"undone {repairs + 1} times within an hour"
            )
        self._connection.execute(sql.PUT_CONTESTED, (*row, spell(now)))
        return False

    def _put_events(self, alive: list[Draft], now: datetime) -> dict[str, list[Event]]:
        """Append the events of what was written; by order key, with their ids."""
        connection, account = self._connection, self._account
        made_events: list[tuple[str, Event]] = []
        for made in alive:
            key = made.known.key
            made_events += [(key, e) for e in events_of(made, self._rows.written, account, now)]
            made_events += [(key, e) for e in self._told_once(made, now)]
        if not made_events:
            return {}
        (log_id,) = connection.execute(sql.NEXT_LOG_ID).fetchone()
        by_key: dict[str, list[Event]] = {}
        rows = []
        at = spell(now)
        for n, (key, plain) in enumerate(made_events):
            # Nobody else has seen it yet; a copy of each would cost as much as its encoding.
            msgspec.structs.force_setattr(plain, "id", f"{log_id}-{n}")
            by_key.setdefault(key, []).append(plain)
            rows.append((log_id, n, at, account, key, str(plain.kind), _encode(plain).decode()))
        connection.executemany(sql.PUT_EVENT, rows)
        return by_key

    def _told_once(self, made: Draft, now: datetime) -> list[Event]:
        """Events of this step that are recorded once for each distinct content."""
        claims = made.known.claims
        if len(claims) <= 1 and not (made.step.notes or self._rows.refused or self._contested):
            return []
        told: list[tuple[EventKind, str, EventEvidence, Claim | None]] = [
            (note.kind, note.digest, note.evidence, None) for note in made.step.notes
        ]
        for claim in made.known.claims:
            row = str(claim.row_id)
            refusal = self._rows.refused.get(claim.row_id)
            if refusal is not None and claim.row_id not in self._backed_off:
                why = EventEvidence(answer="refused", endpoint="row", raw=refusal)
                digest = next(_refusal_of(p) for p in made.patches if p.claim is claim)
                told.append((EventKind.UNWRITABLE, digest, why, claim))
            if claim.row_id in self._contested:
                why = self._contested[claim.row_id]
                told.append((EventKind.CONTESTED, f"{row} {spell(now)}", why, claim))
        if len(made.known.claims) > 1:
            rows = ", ".join(str(claim.row_id) for claim in made.known.claims)
            both = EventEvidence(answer="rows", endpoint="row", raw=f"rows {rows} carry this id")
            told.append((EventKind.DUPLICATE_ROWS, rows, both, None))
        return [
            event(made, claim, kind, self._account, now, evidence=evidence)
            for kind, digest, evidence, claim in told
            if self._connection.execute(
                sql.PUT_NOTE, (self._account, made.known.key, kind.value, digest, spell(now))
            ).fetchall()
        ]

    def _link_rows(self, alive: list[Draft]) -> None:
        """Note which row a kept truth is projected onto, where that is new."""
        linked = [
            (self._account, made.known.key, str(made.known.claims[0].row_id))
            for made in alive
            if made.links_row and not made.truth_changed
        ]
        if linked:
            self._connection.executemany(sql.LINK_ROW, linked)

    def _put_absences(self, alive: list[Draft]) -> None:
        """Persist cases of absence and due times where they differ."""
        connection, account = self._connection, self._account
        closed: list[str] = []
        undue: list[str] = []
        absences: list[tuple[object, ...]] = []
        due: list[tuple[object, ...]] = []
        for made in alive:
            known, step = made.known, made.step
            if step.absent is None and known.absent is not None:
                closed += [known.key, *_client_key(made)]
            elif step.absent is not None and step.absent != known.absent:
                body = _encode(step.absent).decode()
                absences.append((account, known.key, made.overlay, body))
            if step.due_at is None and known.due_at is not None:
                undue.append(known.key)
            elif step.due_at is not None and step.due_at != known.due_at:
                due.append((account, known.key, *_names(made), spell(step.due_at)))
        for statement, rows in ((sql.PUT_ABSENCE, absences), (sql.PUT_DUE, due)):
            if rows:
                connection.executemany(statement, rows)
        for statement, keys in ((sql.DROP_ABSENCES, closed), (sql.DROP_DUE, undue)):
            if keys:
                connection.execute(statement, (account, _encode(keys).decode()))

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
        patches = [p for p in made.patches if self._writes_rows]
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
                why=refusals[0] if refusals else "the row was written by another",
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

    def _unchanged(self, made: Draft) -> Outcome:
        if made.known.key in self._refused_before:
            why = "the database refused it before, and nothing of it has changed since"
            return Outcome(
                key=made.known.key, result=Result.UNWRITABLE, overlay=made.overlay, why=why
            )
        return Outcome(key=made.known.key, result=Result.UNCHANGED, overlay=made.overlay)


def _refusal_of(found: Patch) -> str:
    """The row as it was and what was to be written, but not when: by what a refusal is known."""
    cells = sorted((field, cell) for field, cell in found.cells.items() if field != "updated_at")
    content = repr((found.claim.row_id, found.claim.cells, cells)).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def _names(made: Draft) -> tuple[str | None, str | None]:
    truth = made.step.truth
    claim = made.known.claims[0] if made.known.claims else None
    venue = made.known.key[2:] if made.known.key.startswith("v:") else None
    client = (truth.client_order_id if truth else None) or (
        claim.client_order_id if claim else None
    )
    return venue, client


def _client_key(made: Draft) -> list[str]:
    # An order first known by its client id alone may have a case under that name.
    truth = made.step.truth
    return [f"c:{truth.client_order_id}"] if truth and truth.client_order_id else []
