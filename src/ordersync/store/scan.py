"""Which of the user's rows have moved since they were last looked into. Pure.

In a table at rest nearly all are as they were; a Claim of each would cost more than the scan. Of
a hundred thousand that moved at once, Claims would be most of the memory: beyond so many, only
the keys are kept of those that are plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.ports import Meaning
from ordersync.truth.evidence import mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ordersync.ports import RowId

Cells = tuple[object, ...]


class Apart:
    """The rows by whether the mark of their cells is among those seen, and their places."""

    def __init__(self) -> None:
        self.moved: list[Cells] = []
        self.places: list[int] = []
        self.unmoved: dict[str, RowId] = {}
        self.unread: dict[str, RowId] = {}
        self._named: set[str] = set()

    def sort(
        self,
        rows: Iterable[Cells],
        seen: Mapping[int, str],
        named: Callable[[Cells], tuple[str | None, Meaning]],
        most: int | None,
    ) -> None:
        """Take each of the rows apart. `named` gives a row's order, and what its word stands for.

        Not a Claim: of nearly all it would be made only to be thrown away.
        """
        known, moved, places, unmoved = seen.get, self.moved, self.places, self.unmoved
        for cells in rows:
            order = known(mark_of(cells))
            if order is not None:
                unmoved[order] = key_of_row(cells)
            elif most is None or not self._leave(cells, *named(cells), most):
                moved.append(cells)
                places.append(len(unmoved))

    def _leave(self, cells: Cells, order: str | None, meaning: Meaning, most: int) -> bool:
        """Whether it is enough to know where it is: its order is named, and has no row before."""
        if order is None or order in self.unread:
            return False
        is_plain = meaning is Meaning.OPEN and order not in self.unmoved
        if len(self.moved) < most or not is_plain or order in self._named:
            self._named.add(order)
            return False
        self.unread[order] = key_of_row(cells)
        return True


def key_of_row(cells: Cells) -> RowId:
    """A row's key, as a Claim has it."""
    key = cells[0]
    return key if isinstance(key, int) else str(key)
