"""How Coinbase writes down what it tells on a WebSocket: envelopes, user orders, heartbeats.

An order has other names here than over REST, no time of its last change, and no size: at its end
`leaves_quantity` is zero whatever was filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ordersync.simulator.coinbase_json import after_fees, completion, hold, moment, number
from ordersync.simulator.life import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal

    from ordersync.simulator.answers import Json
    from ordersync.simulator.condition import Condition, PlacedOrder

NO_TIME = "0001-01-01T00:00:00Z"
BATCH = 50


def user_order(order: PlacedOrder, condition: Condition, status: str = "") -> dict[str, Json]:
    """Write an order as the user channel tells it, with another `status` than its own if given."""
    terms = order.terms
    fields = cast("dict[str, object]", order.configuration[terms.kind])
    average = condition.avg_price
    return {
        "avg_price": number(average) if average is not None else "0",
        "cancel_reason": condition.cancel_message,
        "client_order_id": order.client_order_id,
        "completion_percentage": completion(order, condition),
        "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE",
        "cumulative_quantity": number(condition.filled_qty),
        "filled_value": number(condition.filled_value),
        "leaves_quantity": number(_leaves(order, condition)),
        "limit_price": "" if terms.limit_price is None else number(terms.limit_price),
        "number_of_fills": str(len(condition.fills)),
        "order_id": order.order_id,
        "order_side": order.side,
        "order_type": terms.order_type.replace("_", " ").title(),
        "outstanding_hold_amount": number(hold(order, condition)),
        "post_only": "true" if fields.get("post_only") else "false",
        "product_id": order.product_id,
        "product_type": "SPOT",
        "reject_reason": condition.reject_message,
        "retail_portfolio_id": order.portfolio,
        "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE",
        "status": status or condition.status,
        "stop_price": str(fields.get("stop_price", "")),
        "time_in_force": terms.time_in_force,
        "total_fees": number(condition.fee),
        "total_value_after_fees": number(after_fees(order, condition)),
        "trigger_status": "STOP_PENDING" if "stop" in terms.kind else "INVALID_ORDER_TYPE",
        "creation_time": moment(order.created_at),
        "end_time": NO_TIME if terms.end_time is None else moment(terms.end_time),
        "start_time": NO_TIME,
    }


def _leaves(order: PlacedOrder, condition: Condition) -> Decimal:
    """What is left, in the currency that the order was placed in."""
    terms = order.terms
    if condition.final:
        return NOTHING
    if terms.base_size is not None:
        return terms.base_size - condition.filled_qty
    return (terms.quote_size or NOTHING) - condition.filled_value


def user_event(kind: str, orders: Sequence[Json]) -> dict[str, Json]:
    """Write an event of the user channel; `kind` is snapshot or update."""
    positions: dict[str, Json] = {
        "perpetual_futures_positions": [],
        "expiring_futures_positions": [],
    }
    return {"type": kind, "orders": list(orders), "positions": positions}


def snapshots(orders: Sequence[Json]) -> list[dict[str, Json]]:
    """Cut a snapshot into events of fifty orders; without any there is still one."""
    starts = range(0, max(len(orders), 1), BATCH)
    return [user_event("snapshot", orders[start : start + BATCH]) for start in starts]


def envelope(channel: str, event: Json, at: datetime, sequence: int) -> dict[str, Json]:
    """Write what every frame with a sequence number looks like."""
    return {
        "channel": channel,
        "client_id": "",
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{_nanoseconds(at, sequence)}Z",
        "sequence_num": sequence,
        "events": [event],
    }


def heartbeat(at: datetime, counter: int) -> dict[str, Json]:
    """Write a heartbeat's event. Its time is what Go prints of a clock with a monotonic part."""
    part = _nanoseconds(at, counter)
    return {
        "current_time": f"{at:%Y-%m-%d %H:%M:%S}.{part} +0000 UTC m=+{counter}.{part}",
        "heartbeat_counter": counter,
    }


def error(message: str) -> dict[str, Json]:
    """Write an error: it has neither channel nor number."""
    return {"type": "error", "message": message}


def _nanoseconds(at: datetime, more: int) -> str:
    """Nine digits, of which the world's clock knows six."""
    return f"{at.microsecond:06d}{more % 1000:03d}"
