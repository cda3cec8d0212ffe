"""Taking orders and requests in: what is accepted, and in which words it is refused."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from ordersync.simulator.alpaca.answers import forbidden, malformed, order_not_found, unprocessable
from ordersync.simulator.alpaca.order_json import BUYING_POWER
from ordersync.simulator.alpaca.terms import DURATIONS, Terms, read_terms
from ordersync.simulator.alpaca.world import UNCANCELABLE, UNREPLACEABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordersync.simulator.alpaca.condition import PlacedOrder
    from ordersync.simulator.alpaca.listing import Seen, View
    from ordersync.simulator.alpaca.world import World

LONGEST_CLIENT_ID = 128


def create(world: World, account_id: str, body: Mapping[str, object]) -> PlacedOrder:
    """Place the order that `body` describes. Raises RefusedError."""
    terms = read_terms(body)
    client_order_id = _client_order_id(world, account_id, body)
    if terms.side != "sell" and terms.cost > BUYING_POWER:
        raise forbidden(
            "insufficient buying power",
            buying_power=str(BUYING_POWER),
            cost_basis=f"{terms.cost:f}",
        )
    return world.place(account_id, body, client_order_id=client_order_id)


def _client_order_id(world: World, account_id: str, body: Mapping[str, object]) -> str | None:
    client_order_id = body.get("client_order_id")
    if client_order_id is None or client_order_id == "":
        return None
    if not isinstance(client_order_id, str) or len(client_order_id) > LONGEST_CLIENT_ID:
        raise malformed(f"client_order_id must be no more than {LONGEST_CLIENT_ID} characters")
    if world.order_of_client(account_id, client_order_id) is not None:
        raise malformed("client_order_id must be unique")
    return client_order_id


def change(world: World, seen: Seen, body: Mapping[str, object]) -> PlacedOrder:
    """Replace an order. Raises RefusedError."""
    order, condition = seen
    if condition.final:
        raise unprocessable(f'order is already in "{condition.status}" state')
    if condition.status in UNREPLACEABLE:
        raise unprocessable(f"cannot replace order in {condition.status} status")
    if order.terms.notional is not None:
        raise unprocessable("cannot replace a notional order")
    client_order_id = _client_order_id(world, order.account_id, body)
    terms = _changed(order.terms, body)
    if replace(terms, qty=terms.qty or order.terms.qty, legs=order.terms.legs) == order.terms:
        raise unprocessable("order parameters are not changed")
    return world.replace(order.order_id, terms, client_order_id=client_order_id)


def _changed(terms: Terms, body: Mapping[str, object]) -> Terms:
    duration = body.get("time_in_force") or terms.time_in_force
    if not isinstance(duration, str) or duration not in DURATIONS:
        raise malformed("invalid time_in_force")
    changed = replace(terms, time_in_force=duration, legs=())
    prices = {}
    for name in ("limit_price", "stop_price"):
        prices[name] = _number(body, name)
        if prices[name] is not None and getattr(terms, name) is None:
            raise unprocessable(f"{terms.type} orders require no {name.replace('_', ' ')}")
    changed = replace(
        changed,
        limit_price=prices["limit_price"] or terms.limit_price,
        stop_price=prices["stop_price"] or terms.stop_price,
    )
    trail = _number(body, "trail")
    if trail is not None and terms.trail_price is not None:
        changed = replace(changed, trail_price=trail)
    elif trail is not None:
        changed = replace(changed, trail_percent=trail)
    # Without a size of its own it takes over what the old order leaves.
    return replace(changed, qty=_number(body, "qty"))


def _number(body: Mapping[str, object], name: str) -> Decimal | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise malformed(f"{name} is not a number") from None
    if not number.is_finite() or number <= 0:
        raise unprocessable(f"{name} must be > 0")
    return number


def cancel(view: View, world: World, order_id: str) -> None:
    """Ask to cancel an order. Raises RefusedError."""
    seen = view.order(order_id)
    if seen is None:
        raise order_not_found(order_id)
    status = seen[1].status
    if status == "pending_replace":
        raise unprocessable("unable to cancel order, order is pending replacement")
    if status in UNCANCELABLE:
        raise unprocessable(f'order is already in "{status}" state')
    if seen[0].terms.ratio_qty is not None:
        raise unprocessable("unable to cancel a leg of a multi-leg order")
    world.cancel(order_id)


def cancelable(view: View) -> list[PlacedOrder]:
    """List the orders that a request to cancel all is about, newest first."""
    found = []
    for order in view.records.sorted_orders(view.account_id):
        # A leg goes with its parent as long as that works.
        if view.sees(order) and order.terms.ratio_qty is None:
            condition = view.records.condition(order, view.at)
            if condition.status not in UNCANCELABLE:
                found.append(order)
    return found
