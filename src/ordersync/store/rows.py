"""The user's rows within one transaction: written by compare-and-set, many in one statement.

A row that somebody else wrote first is lost, one that somebody holds waits for the next pass. A
row that the database refuses (a CHECK, a trigger) is found and named; all others are written.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from ordersync.store.statement import Ask, keys_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ordersync.ports import Claim
    from ordersync.store.database import Session
    from ordersync.store.projection import Patch
    from ordersync.store.sql import RowStatements
    from ordersync.store.statement import RowKey

LOOKED_AT = 20
"""For how many rows that were not written it is asked whether somebody holds them."""

HELD = "another transaction holds the row"


class Care(IntEnum):
    """How rows are written: at once, and where the database refuses, again with more care."""

    ALL_AT_ONCE = 0
    HALVES = 1  # behind a savepoint, halved until the refused row is alone
    ONE_BY_ONE = 2  # so that a row which undoes the whole transaction is known


class OvertakenError(Exception):
    """A truth was advanced by another, and its row was written along with it."""


class RolledBackError(Exception):
    """The transaction is gone, or must go: `row_id` undid it, where that is known."""

    def __init__(self, why: str, row_id: RowKey | None = None) -> None:
        super().__init__(why)
        self.row_id = row_id


class Rows:
    """What became of the rows: `written` by their patch, `refused` with the reason.

    `there` are the rows that were lost, as they are now; `held` those that another holds.
    """

    def __init__(self, session: Session, statements: RowStatements) -> None:
        self._session = session
        self._statements = statements
        self.care = Care.ALL_AT_ONCE
        self.written: dict[RowKey, Patch] = {}
        self.refused: dict[RowKey, str] = {}
        self.there: dict[RowKey, Claim] = {}
        self.held: set[object] = set()

    def start_again(self, refusal: RolledBackError) -> None:
        """The same, and take more care."""
        self.forget()
        if refusal.row_id is not None:
            self.refused[refusal.row_id] = str(refusal)
        elif self.care < Care.ONE_BY_ONE:
            self.care = Care(self.care + 1)

    def forget(self) -> None:
        """The transaction was rolled back: forget what it did."""
        self.written.clear()
        self.held.clear()

    def has_written(self, found: Patch) -> bool:
        """Whether it was this patch that was written into its row."""
        return self.written.get(found.claim.row_id) is found

    def write(self, patches: Sequence[Patch]) -> None:
        """Write these. Raises RolledBackError where all has to be done again, with more care."""
        groups: dict[tuple[str, ...], list[Patch]] = {}
        taken: set[RowKey] = set()
        for found in patches:
            row_id = found.claim.row_id
            if row_id in taken or row_id in self.refused:
                continue  # one row, two orders: the second is lost, and reads the row again
            taken.add(row_id)
            if found.claim.cells[0] is None or isinstance(found.claim.cells[0], bytes):
                self.refused[row_id] = "the row's key is no number and no text"
                continue
            groups.setdefault(found.fields, []).append(found)
        for fields, group in groups.items():
            if self.care is Care.ALL_AT_ONCE:
                self._write_at_once(fields, group)
            elif self.care is Care.HALVES:
                self._write_halves(fields, group)
            else:
                for found in group:
                    self._write_halves(fields, [found])

    def _write_at_once(self, fields: tuple[str, ...], patches: Sequence[Patch]) -> None:
        try:
            self._write(fields, patches)
        except Exception as error:  # of any driver: only the session knows a refusal by sight
            refusal = self._session.refusal(error)
            if not refusal:
                raise
            raise RolledBackError(refusal) from error

    def _write_halves(self, fields: tuple[str, ...], patches: Sequence[Patch]) -> None:
        session = self._session
        session.savepoint()
        try:
            self._write(fields, patches)
        except Exception as error:  # of any driver: only the session knows a refusal by sight
            refusal = session.refusal(error)
            if not refusal:
                raise
            if not session.in_transaction:
                row_id = patches[0].claim.row_id if len(patches) == 1 else None
                raise RolledBackError(refusal, row_id) from error
            session.rollback_to_savepoint()
            if len(patches) == 1:
                self.refused[patches[0].claim.row_id] = refusal
                return
            middle = len(patches) // 2
            self._write_halves(fields, patches[:middle])
            self._write_halves(fields, patches[middle:])
        else:
            session.release_savepoint()

    def _write(self, fields: tuple[str, ...], patches: Sequence[Patch]) -> None:
        update, places = self._statements.update(fields)
        rows = []
        for found in patches:
            cells, new = found.claim.cells, found.cells
            rows.append([*[cells[place] for place in places], *[new[field] for field in fields]])
        written = self._session.write_rows(update, rows)
        self.held.update(written.held)
        won = set(written.won)
        self.written.update((p.claim.row_id, p) for p in patches if p.claim.cells[0] in won)

    def find_losers(self, patches: Sequence[Patch], read_at: datetime) -> None:
        """Tell the rows that somebody else wrote from those that the database will not write."""
        missing = [
            found
            for found in patches
            if not self.has_written(found) and found.claim.row_id not in self.refused
        ]
        if not missing:
            return
        self._read_there(missing, read_at)
        free = self._no_longer_held(missing)
        for found in free:
            # Whoever held it has let go: its lock is ours now, and this time it is not passed by.
            self.held.discard(found.claim.row_id)
            if self.care is Care.ALL_AT_ONCE:
                self._write_at_once(found.fields, [found])
            else:
                self._write_halves(found.fields, [found])
        if free:
            self._read_there(free, read_at)
            # Passed by twice, and nobody holds it: a policy lets us see it and not lock it.
            for found in self._no_longer_held(free):
                self.held.discard(found.claim.row_id)
        for found in missing:
            row_id = found.claim.row_id
            if self.has_written(found) or row_id in self.refused or row_id in self.held:
                continue
            there_now = self.there.get(row_id)
            if there_now is None or there_now.cells != found.claim.cells:
                continue
            # Seen, not held, and yet not written: a trigger or a policy.
            self.refused[row_id] = (
                "the row is as it was read, and yet the database did not write it"
                f" ({self._statements.spelling.swallowed_by})"
            )

    def _read_there(self, patches: Sequence[Patch], read_at: datetime) -> None:
        """The rows as they are now."""
        keys = keys_of(str(found.claim.row_id) for found in patches)
        for found in patches:
            self.there.pop(found.claim.row_id, None)
        for cells in self._session.fetch(Ask(self._statements.by_row_ids, {"keys": keys})):
            there = self._statements.mapping.claim(tuple(cells), read_at)
            self.there[there.row_id] = there

    def _no_longer_held(self, patches: Sequence[Patch]) -> list[Patch]:
        """Of the rows that were passed by and are as they were: those that we hold now."""
        passed_by = []
        for found in patches:
            there_now = self.there.get(found.claim.row_id)
            if there_now is None or there_now.cells != found.claim.cells:
                self.held.discard(found.claim.row_id)  # written by another: that is the reason
            elif found.claim.row_id in self.held:
                passed_by.append(found)
        free = []
        for found in passed_by[:LOOKED_AT]:
            update, _ = self._statements.update(found.fields)
            if not self._session.is_held(update, found.claim.row_id):
                free.append(found)
        return free
