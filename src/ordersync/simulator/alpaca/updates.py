"""Trade updates as Alpaca writes them: the same in the stream and among the events."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, cast

from ordersync.simulator.alpaca.assets import NEW_YORK
from ordersync.simulator.alpaca.condition import condition_after
from ordersync.simulator.alpaca.life import Event
from ordersync.simulator.alpaca.order_json import moment, number, order_json

if TYPE_CHECKING:
    from ordersync.simulator.alpaca.announcements import Announcement
    from ordersync.simulator.alpaca.condition import PlacedOrder
    from ordersync.simulator.alpaca.records import Records
    from ordersync.simulator.answers import Json

# Rare events come without a time of their own.
TIMELESS = frozenset(
    (
        Event.CALCULATED,
        Event.DONE_FOR_DAY,
        Event.HELD,
        Event.ORDER_CANCEL_REJECTED,
        Event.ORDER_REPLACE_REJECTED,
        Event.STOPPED,
        Event.SUSPENDED,
    )
)
_EXECUTIONS = frozenset((Event.FILL, Event.PARTIAL_FILL, Event.TRADE_BUST, Event.TRADE_CORRECT))


def update_json(records: Records, announcement: Announcement) -> dict[str, Json]:
    """Write what a trade update says. `price` and `qty` are those of this execution alone."""
    order = cast("PlacedOrder", records.order(announcement.order_id))
    mark = order.marks[announcement.number]
    asset = order.terms.asset
    zone = NEW_YORK if asset is not None and asset.asset_class == "us_equity" else UTC
    condition = condition_after(order, announcement.number + 1, announcement.at)
    document: dict[str, Json] = {
        "event": str(mark.event),
        "execution_id": order.execution_id(
            announcement.number if mark.execution is None else mark.execution
        ),
        "order": order_json(order, condition, zone=zone),
    }
    if mark.event not in TIMELESS:
        document["timestamp"] = moment(mark.at)
    if mark.event in _EXECUTIONS:
        document["price"] = number(mark.price)
        document["qty"] = number(mark.qty)
        if asset is not None:
            held = records.announcements.position(order.account_id, asset.symbol, announcement)
            document["position_qty"] = number(held)
    return document
