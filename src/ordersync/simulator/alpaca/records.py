"""What is on record about every order, and what is asked about it.

The records keep the orders, their place in the lists, what will be announced of them, and who
wants to hear when that is written anew. They decide nothing about an order's future.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from ordersync.simulator.alpaca.announcements import Announcements
from ordersync.simulator.alpaca.condition import Condition, PlacedOrder, condition_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What really is the case with an order, for oracles.

    `standing` is `open`, `filled`, `canceled`, `expired`, `rejected` or `replaced`. There are no
    fees, so everything is settled.
    """

    order_id: str
    status: str
    standing: str
    final: bool
    settled: bool
    filled_qty: Decimal
    avg_price: Decimal | None
    fee: Decimal
    final_fee: Decimal
    last_fill_at: datetime | None
    updated_at: datetime
    replaced_by: str | None


class Records:
    """The orders of every account."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self._orders: dict[str, PlacedOrder] = {}
        self.announcements = Announcements(self._orders)
        self._by_client: dict[tuple[str, str], str] = {}
        # Newest last; (submitted_at, order_id) is what lists are sorted by.
        self._timeline: dict[str, list[tuple[datetime, str]]] = {}
        self._steady: dict[str, tuple[datetime, Condition]] = {}
        self._observers: dict[str, list[Callable[[PlacedOrder], object]]] = {}

    def _enter(self, order: PlacedOrder) -> None:
        """Put a new order on record."""
        self._by_client[order.account_id, order.client_order_id] = order.order_id
        timeline = self._timeline.setdefault(order.account_id, [])
        insort(timeline, (order.submitted_at, order.order_id))
        self._keep(order)

    def _keep(self, order: PlacedOrder) -> None:
        """Store an order, and keep the list of what will be announced in step with it."""
        self.announcements.rewrite(self._orders.get(order.order_id), order)
        self._orders[order.order_id] = order
        self._steady.pop(order.order_id, None)

    def observe(
        self, account_id: str, tell: Callable[[PlacedOrder], object]
    ) -> Callable[[], object]:
        """Tell of each order whose future was written anew; call what is returned to end it."""
        observers = self._observers.setdefault(account_id, [])
        observers.append(tell)
        return lambda: observers.remove(tell)

    def _tell(self, order_id: str) -> None:
        order = self._orders[order_id]
        for tell in tuple(self._observers.get(order.account_id, ())):
            tell(order)

    # Questions

    def order(self, order_id: str) -> PlacedOrder | None:
        """Find the order with this id, whosever it is."""
        return self._orders.get(order_id)

    def order_of_client(self, account_id: str, client_order_id: str) -> PlacedOrder | None:
        """Find the order that this account placed under this client order id."""
        order_id = self._by_client.get((account_id, client_order_id))
        return None if order_id is None else self._orders[order_id]

    def sorted_orders(
        self,
        account_id: str,
        *,
        behind: tuple[datetime, str] | None = None,
        before: tuple[datetime, str] | None = None,
        descending: bool = True,
    ) -> Iterator[PlacedOrder]:
        """Go through an account's orders by (submitted_at, id), between two exclusive bounds."""
        timeline = self._timeline.get(account_id, [])
        first = 0 if behind is None else bisect_right(timeline, behind)
        last = len(timeline) if before is None else bisect_left(timeline, before)
        numbers = range(first, last)
        for number in reversed(numbers) if descending else numbers:
            yield self._orders[timeline[number][1]]

    def condition(self, order: PlacedOrder, at: datetime | None = None) -> Condition:
        """Say how an order stands now, or stood at `at`."""
        at = self.now() if at is None else at
        known = self._steady.get(order.order_id)
        if known is not None and at >= known[0]:
            return known[1]
        condition = condition_at(order, at)
        if at >= order.steady_from and self._orders.get(order.order_id) is order:
            self._steady[order.order_id] = (order.steady_from, condition)
        return condition

    def truth(self, order_id: str, at: datetime | None = None) -> Truth:
        """Tell what is the case with an order now, or was at `at`. Raises KeyError."""
        condition = self.condition(self._orders[order_id], at)
        return Truth(
            order_id=order_id,
            status=condition.status,
            standing=condition.status if condition.final else "open",
            final=condition.final,
            settled=condition.final,
            filled_qty=condition.filled_qty,
            avg_price=condition.avg_price,
            fee=Decimal(0),
            final_fee=Decimal(0),
            last_fill_at=condition.fills[-1].at if condition.fills else None,
            updated_at=condition.updated_at,
            replaced_by=condition.replaced_by,
        )

    def order_ids(self, account_id: str) -> list[str]:
        """List the ids of an account's orders, oldest first."""
        return [order_id for _, order_id in self._timeline.get(account_id, [])]

    def steady_at(self) -> datetime:
        """When the last life will have come to rest."""
        rests = [order.steady_from for order in self._orders.values()]
        return max(rests, default=self.now()) + timedelta.resolution
