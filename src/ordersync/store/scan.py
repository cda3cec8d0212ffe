"""Which of the user's rows have moved since they were last looked into. Pure.

In a table at rest nearly all are as they were; a Claim of each would cost more than the scan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, KeysView, Mapping
from typing import TYPE_CHECKING

from ordersync.ports import Claim

if TYPE_CHECKING:
    from datetime import datetime

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


def tell_apart(
    rows: Iterable[Cells], seen: Mapping[int, str]
) -> tuple[list[Cells], list[int], dict[str, Cells]]:
    """The rows by whether the mark of their cells is among those seen, and their places."""
    known = seen.get
    moved: list[Cells] = []
    places: list[int] = []
    unmoved: dict[str, Cells] = {}
    for cells in rows:
        order = known(hash(cells))
        if order is None:
            moved.append(cells)
            places.append(len(unmoved))
        else:
            unmoved[order] = cells
    return moved, places, unmoved
