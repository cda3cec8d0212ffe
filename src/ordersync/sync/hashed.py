"""Which of very many keys were met: each by the eight bytes of its hash, in order.

In a set a key would take two hundred bytes, and its hash alone still eighty.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FEW = 1_000
"""How many hashes may wait, as a set, for their place among the others."""


class Hashed:
    """A set of keys. Two with one hash are one: for what may be wrong in one of 10^14 cases."""

    def __init__(self) -> None:
        self._sorted = array("q")
        self._few: set[int] = set()

    def __len__(self) -> int:
        return len(self._sorted) + len(self._few)

    def __contains__(self, key: str) -> bool:
        mark = hash(key)
        return mark in self._few or self._place(mark) is not None

    def update(self, keys: Iterable[str]) -> None:
        """Add these."""
        self._few.update(mark for mark in map(hash, keys) if self._place(mark) is None)
        if len(self._few) > FEW:
            self._sort(self._few.union(self._sorted))

    def keep_only(self, keys: Iterable[str]) -> None:
        """Leave out all others."""
        kept = self._few.union(self._sorted)
        kept.intersection_update(map(hash, keys))
        self._sort(kept)

    def discard(self, key: str) -> None:
        """Leave out this one, where it is among them."""
        mark = hash(key)
        self._few.discard(mark)
        if (place := self._place(mark)) is not None:
            del self._sorted[place]

    def _place(self, mark: int) -> int | None:
        place = bisect_left(self._sorted, mark)
        return place if place < len(self._sorted) and self._sorted[place] == mark else None

    def _sort(self, marks: set[int]) -> None:
        self._sorted, self._few = array("q", sorted(marks)), set()
