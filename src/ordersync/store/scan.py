"""What a scan of the user's rows teaches: how times are spelled, and which rows have moved.

In a table at rest nearly all are as they were; a Claim of each would cost more than the scan.
"""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from typing import TYPE_CHECKING

from ordersync.ports import Claim, Scan
from ordersync.store import sql
from ordersync.store.mapping import TIMES

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from ordersync.ports import Clock
    from ordersync.store.mapping import Mapping as Columns

Cells = tuple[object, ...]


class Unmoved(Mapping[str, Claim]):
    """Rows by their order's venue id; each becomes a Claim when it is looked at."""

    def __init__(self, columns: Columns, rows: dict[str, Cells], read_at: datetime) -> None:
        self._columns = columns
        self._rows = rows
        self._read_at = read_at

    def __getitem__(self, order: str) -> Claim:
        """The row of this order."""
        return self._columns.claim(self._rows[order], self._read_at)

    def __iter__(self) -> Iterator[str]:
        """The orders."""
        return iter(self._rows)

    def __len__(self) -> int:
        """How many rows."""
        return len(self._rows)

    def keys(self) -> KeysView[str]:
        """The orders; the dictionary's own, whose set operations are many times as fast."""
        return self._rows.keys()


def learn_times(connection: sqlite3.Connection, columns: Columns) -> None:
    """Look how the table spells its times, until it has some."""
    if columns.knows_times:
        return
    statements = sql.Statements(columns, None)
    columns.learn_time_forms(
        {
            field: [cell for (cell,) in connection.execute(statements.samples(field))]
            for field in TIMES
            if field in columns.columns
        }
    )


def tell_apart(
    connection: sqlite3.Connection,
    text: str,
    columns: Columns,
    seen: Mapping[int, str],
    clock: Clock,
) -> Scan:
    """The rows of a statement, by whether the mark of their cells is among those seen."""
    known = seen.get
    moved: list[Cells] = []
    places: list[int] = []
    unmoved: dict[str, Cells] = {}
    for cells in connection.execute(text):
        order = known(hash(cells))
        if order is None:
            moved.append(cells)
            places.append(len(unmoved))
        else:
            unmoved[order] = cells
    # Taken after the read, so that no earlier ask can seem to be younger than what was read.
    read_at = clock.now()
    if moved or unmoved:
        learn_times(connection, columns)
    claims = [columns.claim(cells, read_at) for cells in moved]
    return Scan(moved=claims, places=places, unmoved=Unmoved(columns, unmoved, read_at))
