"""An order of which a truth is kept, as a walk through our own table comes by it."""

from __future__ import annotations

from typing import NamedTuple

from ordersync.ports import OrderName


class KeptOrder(NamedTuple):
    """`at` is the moment by which the walk goes, as text."""

    account: str
    at: str
    key: str
    venue_order_id: str | None
    client_order_id: str | None

    @property
    def name(self) -> OrderName:
        """By what the store knows it."""
        return OrderName(self.venue_order_id, self.client_order_id)
