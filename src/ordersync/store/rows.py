"""The user's rows within one transaction: written by compare-and-set, one statement a row.

A row that somebody else wrote first is lost. A row that the database refuses (a CHECK, a
trigger) is found and named, and all the others are written.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ordersync.ports import Claim
    from ordersync.store.mapping import Mapping
    from ordersync.store.projection import Patch
    from ordersync.store.sql import Statements

RowKey = int | str


class RolledBackError(Exception):
    """The database rolled the whole transaction back because of one row."""

    def __init__(self, row_id: RowKey, why: str) -> None:
        super().__init__(why)
        self.row_id = row_id


class Rows:
    """What became of the rows: `written` by their patch, `refused` with the reason.

    `there` are the rows that were lost, as they are now.
    """

    def __init__(
        self, connection: sqlite3.Connection, mapping: Mapping, statements: Statements
    ) -> None:
        self._connection = connection
        self._mapping = mapping
        self._statements = statements
        self.written: dict[RowKey, Patch] = {}
        self.refused: dict[RowKey, str] = {}
        self.there: dict[RowKey, Claim] = {}

    def has_written(self, found: Patch) -> bool:
        """Whether it was this patch that was written into its row."""
        return self.written.get(found.claim.row_id) is found

    def write(self, patches: Sequence[Patch]) -> None:
        """Write these. Raises RolledBackError where one row undid the whole transaction."""
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
            self._write_group(fields, group)

    def _write_group(self, fields: tuple[str, ...], patches: list[Patch]) -> None:
        """All at once; where the database refuses one, again with care."""
        connection, at = self._connection, self._mapping.at
        text, compared = self._statements.write(fields)
        places = [at["id"], *(at[field] for field in compared)]
        written: list[Patch] = []
        execute = connection.cursor().execute
        found = patches[0]
        connection.execute("SAVEPOINT ordersync_rows")
        try:
            for found in patches:
                cells, new = found.claim.cells, found.cells
                values = [*(cells[place] for place in places), *(new[field] for field in fields)]
                if execute(text, values).rowcount:
                    written.append(found)
        except (sqlite3.IntegrityError, sqlite3.DataError) as refusal:
            if not connection.in_transaction:
                raise RolledBackError(found.claim.row_id, str(refusal)) from refusal
            connection.execute("ROLLBACK TO ordersync_rows")
            if len(patches) == 1:
                self.refused[found.claim.row_id] = str(refusal)
            else:
                for one in patches:
                    self._write_group(fields, [one])
            return
        finally:
            if connection.in_transaction:
                connection.execute("RELEASE ordersync_rows")
        self.written.update((found.claim.row_id, found) for found in written)

    def find_losers(self, patches: Sequence[Patch], read_at: datetime) -> None:
        """Tell the rows that somebody else wrote from those that the database will not write."""
        missing = [
            found
            for found in patches
            if not self.has_written(found) and found.claim.row_id not in self.refused
        ]
        if not missing:
            return
        keys = msgspec.json.encode([found.claim.cells[0] for found in missing]).decode()
        for cells in self._connection.execute(self._statements.by_row_ids, (keys,)):
            there = self._mapping.claim(tuple(cells), read_at)
            self.there[there.row_id] = there
        for found in missing:
            there_now = self.there.get(found.claim.row_id)
            if there_now is not None and there_now.cells == found.claim.cells:
                self.refused[found.claim.row_id] = (
                    "the row is as it was read, and yet the database did not write it"
                )
