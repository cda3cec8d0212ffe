"""What happens in a portfolio, as it happens: for those who are told instead of asking.

Most of it is written down in advance, so a watch keeps each order's next moment in a heap and
never looks at the others. Only a new order and a cancel request come unforeseen; they wake it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ordersync.simulator.condition import Condition, PlacedOrder
    from ordersync.simulator.world import World

_TICK = timedelta.resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A moment at which an order came to stand otherwise. `before` is None for a new order."""

    at: datetime
    order: PlacedOrder
    before: Condition | None
    condition: Condition


class Watch:
    """The changes of one portfolio's orders from now on. Call `stop` when nobody listens."""

    def __init__(self, world: World, portfolio: str, wake: Callable[[], object]) -> None:
        self._world = world
        self._wake = wake
        self._next: dict[str, datetime] = {}
        self._unforeseen: set[str] = set()
        now = world.now()
        for order in world.newest_first(portfolio):
            world.condition(order, now)  # now the world knows whether it has come to rest
            at = world.next_change(order, now)
            if at is not None:
                self._next[order.order_id] = at
        self._heap = [(at, order_id) for order_id, at in self._next.items()]
        heapify(self._heap)
        self.stop = world.observe(portfolio, self._notice)

    @property
    def next_at(self) -> datetime | None:
        """When to look again; sooner than that only if woken."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: datetime) -> Iterator[Change]:
        """Take what has happened by `now`, in order of time."""
        while self._heap and self._heap[0][0] <= now:
            at, order_id = heappop(self._heap)
            order = self._world.order(order_id)
            # A cancel request moves the next moment of an order; the old one is then void.
            if order is None or self._next.get(order_id) != at:
                continue
            self._schedule(order, self._world.next_change(order, at))
            is_new = at == order.created_at
            before = None if is_new else self._world.condition(order, at - _TICK)
            change = Change(
                at=at, order=order, before=before, condition=self._world.condition(order, at)
            )
            if order_id in self._unforeseen:
                self._unforeseen.remove(order_id)
                yield change
            elif before is None or _told(before) != _told(change.condition):
                yield change

    def _notice(self, order: PlacedOrder) -> None:
        self._unforeseen.add(order.order_id)
        self._schedule(order, max(self._world.now(), order.created_at))
        self._wake()

    def _schedule(self, order: PlacedOrder, at: datetime | None) -> None:
        if at is None:
            self._next.pop(order.order_id, None)
        else:
            self._next[order.order_id] = at
            heappush(self._heap, (at, order.order_id))


def _told(condition: Condition) -> tuple[object, ...]:
    """What of a condition is told on the stream."""
    return condition.status, condition.filled_qty, condition.fee
