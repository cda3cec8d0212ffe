"""Which orders and fills an account sees, and how they are cut into pages.

A view is one account's look at the world as of one moment, through whatever blindness a fault
has put there. Everything that answers a question about orders goes through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from ordersync.simulator.answers import invalid_argument
from ordersync.simulator.coinbase_json import fill_json, order_json, trade_id
from ordersync.simulator.queries import write_cursor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ordersync.simulator.answers import Json
    from ordersync.simulator.condition import Condition, Mark, PlacedOrder
    from ordersync.simulator.damage import Blindness
    from ordersync.simulator.queries import FillQuery, OrderQuery
    from ordersync.simulator.world import World

Seen: TypeAlias = "tuple[PlacedOrder, Condition]"

MOST_OPEN = 1000
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One portfolio's orders as of `at`, as far as the blindness lets them be seen."""

    world: World
    portfolio: str
    at: datetime
    blindness: Blindness

    def sees(self, order: PlacedOrder) -> bool:
        """Whether the order exists for this view."""
        return (
            order.portfolio == self.portfolio
            and order.created_at <= self.at
            and not self.blindness.forgets_all
            and order.order_id not in self.blindness.forgotten
            and self.at - order.created_at >= self.blindness.blind_for
        )

    def order(self, order_id: str) -> Seen | None:
        """One order, if it can be seen."""
        order = self.world.order(order_id)
        if order is None or not self.sees(order):
            return None
        return order, self.world.condition(order, self.at)

    def newest_first(
        self, *, before: tuple[datetime, str] | None = None, since: datetime | None = None
    ) -> Iterator[Seen]:
        """Every order that can be seen."""
        for order in self.world.newest_first(self.portfolio, before=before, since=since):
            if self.sees(order):
                yield order, self.world.condition(order, self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, and the row before it for the fault that mixes them up."""

    rows: list[Json]
    cursor: str
    row_before: list[Json]


def page_of_orders(view: View, query: OrderQuery) -> Page:
    """Cut the page of orders that the query asks for."""
    lazily = query.sort_by == "UNKNOWN_SORT_BY" and not query.order_ids and not query.open_only
    found = _by_creation(view, query) if lazily else _sorted(view, query)
    page = list(islice(found, query.limit + 1))
    cursor = ""
    if len(page) > query.limit:
        page.pop()
        last = page[-1]
        cursor = write_cursor(_sort_value(query, *last), last[0].order_id)
    before = view.order(query.cursor[1]) if query.cursor else None
    return Page(
        rows=[order_json(*seen) for seen in page],
        cursor=cursor,
        row_before=[] if before is None else [order_json(*before)],
    )


def _by_creation(view: View, query: OrderQuery) -> Iterator[Seen]:
    """Read the usual order lazily: a page costs what it holds, not what the history does."""
    before = None
    if query.cursor is not None:
        before = (_cursor_moment(query.cursor), query.cursor[1])
    found = view.newest_first(before=before, since=query.start)
    return (seen for seen in found if _matches(query, *seen))


def _sorted(view: View, query: OrderQuery) -> Iterable[Seen]:
    """Every match, sorted, from behind the cursor on.

    The sort value of an order may change between two pages; then it is missed or comes twice,
    as the real documentation warns.
    """
    if query.order_ids:
        asked = (view.order(order_id) for order_id in query.order_ids)
        found: Iterable[Seen] = (seen for seen in asked if seen is not None)
    else:
        found = view.newest_first()
    matches = [seen for seen in found if _matches(query, *seen)]
    if query.open_only:
        matches.sort(key=lambda seen: seen[0].created_at, reverse=True)
        matches = matches[:MOST_OPEN]
    keyed = sorted(
        ((_sort_value(query, *seen), seen[0].order_id, seen) for seen in matches),
        key=lambda each: each[:2],
        reverse=True,
    )
    if query.cursor is None:
        return [seen for _, _, seen in keyed]
    return [seen for *key, seen in keyed if tuple(key) < query.cursor]


def _sort_value(query: OrderQuery, order: PlacedOrder, condition: Condition) -> str:
    """Give what orders are compared by, as text that sorts like the thing itself."""
    if query.sort_by == "LIMIT_PRICE":
        return f"{order.terms.limit_price or Decimal(0):040.16f}"
    at = order.created_at
    if query.sort_by == "LAST_FILL_TIME":
        at = condition.last_fill_at or _LONG_AGO
    elif query.sort_by == "LAST_UPDATE_TIME":
        at = condition.updated_at
    return at.isoformat(timespec="microseconds")


def _matches(query: OrderQuery, order: PlacedOrder, condition: Condition) -> bool:
    terms = order.terms
    return (
        _placed_by(query.source, order)
        and (not query.product_ids or order.product_id in query.product_ids)
        and (not query.statuses or condition.status in query.statuses)
        and (not query.order_types or terms.order_type in query.order_types)
        and (not query.times_in_force or terms.time_in_force in query.times_in_force)
        and query.product_type in {None, "SPOT"}
        and query.side in {None, order.side}
        # The window is about creation, and open orders are listed whatever it says.
        and (query.open_only or query.start is None or order.created_at >= query.start)
        and (query.open_only or query.end is None or order.created_at < query.end)
    )


def _placed_by(source: str, order: PlacedOrder) -> bool:
    return source in {"UNKNOWN_PLACEMENT_SOURCE", order.placement_source}


def _cursor_moment(cursor: tuple[str, str]) -> datetime:
    try:
        return datetime.fromisoformat(cursor[0]).astimezone(UTC)
    except ValueError:
        raise invalid_argument(f"invalid cursor: {cursor[0]}") from None


def page_of_fills(view: View, query: FillQuery) -> Page:
    """Cut the page of fills that the query asks for, newest first."""
    found = sorted(_fills(view, query), key=lambda fill: fill[:2], reverse=True)
    if query.cursor is not None:
        found = [fill for fill in found if fill[:2] < query.cursor]
    page = found[: query.limit]
    cursor = write_cursor(*page[-1][:2]) if len(found) > query.limit else ""
    return Page(
        rows=[fill_json(order, index, fill) for _, _, order, index, fill in page],
        cursor=cursor,
        row_before=[],
    )


def _fills(view: View, query: FillQuery) -> Iterator[tuple[str, str, PlacedOrder, int, Mark]]:
    """Every fill that matches, behind the two texts that it is sorted by."""
    seen = (
        (each for each in map(view.order, query.order_ids) if each is not None)
        if query.order_ids
        else view.newest_first()
    )
    for order, condition in seen:
        if query.product_ids and order.product_id not in query.product_ids:
            continue
        for index, fill in enumerate(condition.listed_fills):
            identity = trade_id(order, index)
            if (
                (query.trade_ids and identity not in query.trade_ids)
                or (query.start is not None and fill.at < query.start)
                or (query.end is not None and fill.at >= query.end)
            ):
                continue
            by_price = query.sort_by == "PRICE"
            value = (
                f"{fill.price:040.16f}" if by_price else fill.at.isoformat(timespec="microseconds")
            )
            yield value, identity, order, index, fill
