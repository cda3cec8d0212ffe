"""Orders that carry a row's client id and are not the row's order. Pure.

Not every exchange keeps a client id for one order for ever, and a bot that gives one again may be
refused without writing that down. What an earlier order came to is not true of the new row.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from ordersync.truth.model import Order

EARLIER_BY = timedelta(minutes=5)
"""How long before its row an order may have been made: bots write late, and clocks differ."""


class ReadRow(Protocol):
    """What of a row tells which order it is about; `read_at` is on our clock."""

    @property
    def venue_order_id(self) -> str | None:
        """The venue's id, where the row knows it."""

    @property
    def created_at(self) -> datetime | None:
        """When the row says that it was made."""

    @property
    def read_at(self) -> datetime:
        """When it was read."""


def is_namesake(order: Order, row: ReadRow) -> bool:
    """Whether the order and the row share a client id, and no more: the order is an earlier one.

    Of a row without a time only an order that ended tells that, long before the row is read: a
    client id is not given again while its order is open.
    """
    if row.venue_order_id or (row.created_at is None and not order.is_final):
        return False
    # No row was made after it was read, whatever zone its times are written in.
    made_at = min(row.created_at or row.read_at, row.read_at)
    return (order.created_at or order.as_of) < made_at - EARLIER_BY
