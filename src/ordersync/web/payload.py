"""Which orders the body of a webhook names. Nothing else of it is used. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from ordersync.ports import OrderName

ORDERS_LIMIT = 100
NAME_LIMIT = 190
DEPTH_LIMIT = 8

# The names that our own Report, Coinbase and Alpaca have for the venue's id of an order.
_VENUE_IDS = ("venue_order_id", "order_id", "id")
# Where an order stands inside something else: Standard Webhooks and Alpaca say `data`.
_WRAPPERS = ("data", "events", "order", "orders")

_decode = msgspec.json.Decoder().decode


class NotJsonError(ValueError):
    """The body is no JSON."""


class NoOrderError(ValueError):
    """It is JSON, and names no order, or more than are taken at once."""


def names_in(body: bytes) -> list[OrderName]:
    """The orders, each once. Raises NotJsonError or NoOrderError."""
    try:
        content = _decode(body)
    except (ValueError, RecursionError):
        raise NotJsonError("the body is not JSON.") from None
    names: dict[OrderName, None] = {}
    _collect(content, names, DEPTH_LIMIT)
    if not names:
        raise NoOrderError(
            "it names no order: venue_order_id, client_order_id, order_id or id is needed."
        )
    return list(names)


def _collect(content: Any, names: dict[OrderName, None], depth: int) -> None:  # noqa: ANN401 - any JSON
    if depth == 0:
        return
    if isinstance(content, list):
        for one in content[: ORDERS_LIMIT + 1]:
            _collect(one, names, depth - 1)
        return
    if not isinstance(content, dict):
        return
    wrapped = [content[name] for name in _WRAPPERS if isinstance(content.get(name), dict | list)]
    for one in wrapped:
        _collect(one, names, depth - 1)
    if not wrapped:
        venue = next(filter(None, (_name(content.get(key)) for key in _VENUE_IDS)), None)
        client = _name(content.get("client_order_id"))
        if venue or client:
            names[OrderName(venue, client)] = None
    if len(names) > ORDERS_LIMIT:
        raise NoOrderError(f"it names more than {ORDERS_LIMIT} orders.")


def _name(value: object) -> str | None:
    """A text or a whole number that can be an id, else None."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**NAME_LIMIT else ""
    if not isinstance(value, str) or not 0 < len(value) <= NAME_LIMIT or not value.isprintable():
        return None
    return value
