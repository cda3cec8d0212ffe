"""Which orders and fills an account sees, and how they are cut into pages.

A view is one account's look at the world as of one moment, through whatever blindness a fault
has put there. Everything that answers a question about orders goes through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from ordersync.simulator.alpaca.answers import malformed, order_not_found
from ordersync.simulator.alpaca.order_json import activity_id, activity_json, order_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ordersync.simulator.alpaca.condition import Condition, Fill, PlacedOrder
    from ordersync.simulator.alpaca.queries import FillQuery, OrderQuery
    from ordersync.simulator.alpaca.records import Records
    from ordersync.simulator.answers import Json
    from ordersync.simulator.damage import Blindness

Seen: TypeAlias = "tuple[PlacedOrder, Condition]"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One account's orders as of `at`, as far as the blindness lets them be seen."""

    records: Records
    account_id: str
    at: datetime
    blindness: Blindness

    def sees(self, order: PlacedOrder) -> bool:
        """Whether the order exists for this view."""
        return (
            order.account_id == self.account_id
            and order.created_at <= self.at
            and not self.blindness.forgets_all
            and order.order_id not in self.blindness.forgotten
            and self.at - order.created_at >= self.blindness.blind_for
        )

    def order(self, order_id: str) -> Seen | None:
        """One order, if it can be seen."""
        return self._seen(self.records.order(order_id))

    def order_of_client(self, client_order_id: str) -> Seen | None:
        """The order that was placed under a client order id, if it can be seen."""
        return self._seen(self.records.order_of_client(self.account_id, client_order_id))

    def _seen(self, order: PlacedOrder | None) -> Seen | None:
        if order is None or not self.sees(order):
            return None
        return order, self.records.condition(order, self.at)

    def json(self, seen: Seen, *, nested: bool) -> dict[str, Json]:
        """Write an order, with its legs below it where that is wanted and there are some."""
        legs: list[Json] | None = None
        if nested and seen[0].legs:
            legs = [order_json(*leg) for each in seen[0].legs if (leg := self.order(each))]
        return order_json(*seen, legs=legs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, and the row before it for the fault that mixes them up."""

    rows: list[Json]
    row_before: list[Json]


def page_of_orders(view: View, query: OrderQuery) -> Page:
    """Cut the page of orders that the query asks for."""
    found = _matches(view, query)
    rows: list[Json] = [view.json(each, nested=query.nested) for each in islice(found, query.limit)]
    border = view.order(query.before_order_id or query.after_order_id or "")
    return Page(rows=rows, row_before=[] if border is None else [view.json(border, nested=False)])


def _matches(view: View, query: OrderQuery) -> Iterator[Seen]:
    behind = _border(view, query.after_order_id)
    before = _border(view, query.before_order_id)
    if query.after is not None:
        # Later than the moment: behind any id that was submitted at it.
        behind = (query.after, "~")
    if query.until is not None:
        before = (query.until, "")
    for order in view.records.sorted_orders(
        view.account_id, behind=behind, before=before, descending=query.descending
    ):
        if not view.sees(order) or (query.nested and order.parent_id is not None):
            continue
        condition = view.records.condition(order, view.at)
        if _wanted(view, query, order, condition):
            yield order, condition


def _border(view: View, order_id: str | None) -> tuple[datetime, str] | None:
    if order_id is None:
        return None
    order = view.records.order(order_id)
    if order is None or order.account_id != view.account_id:
        raise order_not_found(order_id)
    return order.submitted_at, order.order_id


def _wanted(view: View, query: OrderQuery, order: PlacedOrder, condition: Condition) -> bool:
    family = [(order, condition)]
    if query.nested:
        # A filled entry whose legs still work is listed among the open orders, with them.
        family += [leg for each in order.legs if (leg := view.order(each))]
    return any(
        _of_status(query.status, each_condition)
        and (not query.symbols or _symbol(each) in query.symbols)
        and query.side in {None, each.terms.side}
        and (not query.asset_classes or _asset_class(each) in query.asset_classes)
        for each, each_condition in family
    )


def _of_status(status: str, condition: Condition) -> bool:
    return status == "all" or (status == "closed") == condition.final


def _symbol(order: PlacedOrder) -> str:
    return order.terms.asset.symbol if order.terms.asset else ""


def _asset_class(order: PlacedOrder) -> str:
    return order.terms.asset.asset_class if order.terms.asset else "us_option"


def page_of_fills(view: View, query: FillQuery) -> list[Json]:
    """Cut the page of fills that the query asks for."""
    found = sorted(_fills(view, query), key=lambda each: each[0], reverse=query.descending)
    if query.page_token is not None:
        if "::" not in query.page_token:
            raise malformed(f"invalid page_token: {query.page_token}")
        token = query.page_token
        found = [
            each for each in found if (each[0] < token if query.descending else each[0] > token)
        ]
    return [activity_json(order, fill) for _, order, fill in found[: query.page_size]]


def _fills(view: View, query: FillQuery) -> Iterator[tuple[str, PlacedOrder, Fill]]:
    """Every fill that matches, behind the id that it is sorted by."""
    for order in view.records.sorted_orders(view.account_id):
        # What a spread trades, its legs trade.
        if not view.sees(order) or (order.terms.order_class == "mleg" and order.legs):
            continue
        for fill in view.records.condition(order, view.at).listed_fills:
            if (query.after is None or fill.at > query.after) and (
                query.until is None or fill.at < query.until
            ):
                yield activity_id(order, fill), order, fill
