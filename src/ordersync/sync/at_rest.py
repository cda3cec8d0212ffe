"""Orders at rest: what the venue said and what the row holds were equal, and are as they were.

Where the row has not moved and the venue says the same words again, verifying the order anew
would come to the same end. So neither is looked into: both are known by a hash. What is
remembered is only what can be forgotten at any time; each forgetting costs one full look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.ports import Meaning, Result

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from ordersync.ports import Advance, Outcome
    from ordersync.sync.parcels import Said
    from ordersync.truth.model import Order

ORDERS_LIMIT = 200_000
"""How many orders are remembered; beyond, memory would grow."""


class AtRest:
    """The orders of one account that are at rest, by venue id.

    `rows` and `words` give the order of a row's mark and of a mark of the venue's words.
    `woken` are those that were forgotten when it was last settled. `vouched_at` is a moment on
    the venue's clock since which each of them was said again: the start of the last pass, a
    little before each of its answers, stands for all.
    """

    def __init__(self) -> None:
        self.rows: dict[int, str] = {}
        self.words: dict[int, str] = {}
        self.woken: list[str] = []
        self.vouched_at: datetime | None = None
        self._settled: AbstractSet[str] = frozenset()
        self._stirred: set[str] = set()
        self._odd: set[str] = set()
        self._undated: set[str] = set()

    def keep(self, order: str, row: int, words: int, *, times_agree: bool | None) -> None:
        """Remember an order; `times_agree` is whether row and venue tell one creation time.

        Not while something else is remembered of it: that has to be forgotten first.
        """
        if not words or order in self._stirred or row in self.rows:
            return
        if len(self.rows) < ORDERS_LIMIT:
            self.rows[row] = order
            self.words[words] = order
            if times_agree is None:
                self._undated.add(order)
            elif not times_agree:
                self._odd.add(order)

    def stir(self, orders: Iterable[str]) -> None:
        """Something happened to these orders: they rest no more."""
        self._stirred.update(orders)

    def settle(self, unmoved: Iterable[str]) -> AbstractSet[str]:
        """Forget all but the orders whose row has not moved and that were not stirred: these."""
        self._settled = frozenset()  # before the next ones: each of these sets has all orders
        resting = set(unmoved)
        resting -= self._stirred
        self._stirred.clear()
        # Where the lengths are equal there is nothing to forget: every order that rests has an
        # entry in both.
        self.woken = []
        if len(self.rows) != len(resting):
            self.woken = [order for order in self.rows.values() if order not in resting]
            self.rows = {mark: order for mark, order in self.rows.items() if order in resting}
        if len(self.words) != len(resting):
            self.words = {mark: order for mark, order in self.words.items() if order in resting}
        self._odd &= resting
        self._undated &= resting
        self._settled = resting
        return resting

    def vouched(self, order: str) -> datetime | None:
        """Since when this order was surely said again, None where it does not rest."""
        rests = order in self._settled and order not in self._stirred
        return self.vouched_at if rests else None

    def clear(self) -> None:
        """Forget everything: the next look is a full one."""
        self._settled = frozenset()
        for remembered in (self.rows, self.words, self._stirred, self._odd, self._undated):
            remembered.clear()

    def count_times(self, orders: Collection[str]) -> tuple[int, int]:
        """Of how many of these orders the creation times agree, and of how many they do not."""
        if not self._odd and not self._undated:
            return len(orders), 0
        odd, undated = self._odd.intersection(orders), self._undated.intersection(orders)
        return len(orders) - len(odd) - len(undated), len(odd)


def rests(step: Advance, outcome: Outcome, said: Said | None, before: Order | None) -> bool:
    """Whether the same row and the same words, at any later moment, would come to this again.

    `before` is the truth before the step. All of it has to be older than the one sighting: a
    fact that was said later may lose against the same words said later still.
    """
    known, truth = step.known, step.truth
    return (
        outcome.result is Result.UNCHANGED
        and before is not None
        and truth is not None
        and not truth.is_final
        and len(known.claims) == 1
        and known.claims[0].meaning is Meaning.OPEN
        and known.absent is None
        and step.absent is None
        and known.due_at is None
        and step.due_at is None
        and not step.notes
        and said is not None
        and len(said.sightings) == 1
        and not said.absences
        and not said.garbled
        and before.as_of < said.sightings[0].report.as_of == truth.as_of
    )
