"""Orders, fills and accounts as Alpaca writes them.

Numbers are strings or null, times RFC 3339 as Go writes them: with as many digits of a second as
they need, and `Z`. In the stream, times of stock orders carry New York's offset instead, because
that is seen there as well.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ordersync.simulator.alpaca.assets import NEW_YORK, is_open, next_close, next_open
from ordersync.simulator.alpaca.life import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from decimal import Decimal

    from ordersync.simulator.alpaca.account import Account
    from ordersync.simulator.alpaca.assets import Asset
    from ordersync.simulator.alpaca.condition import Condition, Fill, PlacedOrder
    from ordersync.simulator.answers import Json

BUYING_POWER = 1_000_000


def moment(at: datetime, zone: tzinfo = UTC) -> str:
    """Write a time the way Go does."""
    at = at.astimezone(zone)
    fraction = f".{at.microsecond:06}".rstrip("0") if at.microsecond else ""
    offset = "Z" if zone is UTC else at.isoformat()[-6:]
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}{offset}"


def number(value: Decimal | None) -> str | None:
    """Write a number without an exponent and without zeros that say nothing."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def order_json(
    order: PlacedOrder,
    condition: Condition,
    *,
    legs: Sequence[Json] | None = None,
    zone: tzinfo = UTC,
) -> dict[str, Json]:
    """Write an order; `legs` only where they are rolled up below it."""
    terms, asset = order.terms, order.terms.asset

    def maybe(at: datetime | None) -> str | None:
        return None if at is None else moment(at, zone)

    document: dict[str, Json] = {
        "id": order.order_id,
        "client_order_id": order.client_order_id,
        "created_at": moment(order.created_at, zone),
        "updated_at": moment(condition.updated_at, zone),
        "submitted_at": moment(order.submitted_at, zone),
        "filled_at": maybe(condition.filled_at),
        "expired_at": maybe(condition.expired_at),
        "expires_at": maybe(order.expires_at),
        "cancel_requested_at": maybe(condition.cancel_requested_at),
        "canceled_at": maybe(condition.canceled_at),
        "failed_at": maybe(condition.failed_at),
        "replaced_at": maybe(condition.replaced_at),
        "replaced_by": condition.replaced_by,
        "replaces": order.replaces,
        "asset_id": asset.asset_id if asset else "",
        "symbol": asset.symbol if asset else "",
        "asset_class": asset.asset_class if asset else "",
        "notional": number(terms.notional),
        "qty": number(condition.qty),
        "filled_qty": number(condition.filled_qty),
        "filled_avg_price": number(condition.avg_price),
        "order_class": "" if terms.order_class == "simple" else terms.order_class,
        "order_type": terms.type,
        "type": terms.type,
        "side": terms.side,
        "time_in_force": terms.time_in_force,
        "limit_price": number(terms.limit_price),
        "stop_price": number(terms.stop_price),
        "status": condition.status,
        "extended_hours": terms.extended_hours,
        "legs": None if legs is None else list(legs),
        "trail_percent": number(terms.trail_percent),
        "trail_price": number(terms.trail_price),
        "hwm": None,
        "position_intent": terms.position_intent or _intent(order),
        "subtag": None,
        "source": None,
    }
    if terms.ratio_qty is not None:
        document["ratio_qty"] = number(terms.ratio_qty)
    return document


def _intent(order: PlacedOrder) -> str | None:
    if order.terms.asset is None:
        return None
    return "buy_to_open" if order.terms.side == "buy" else "sell_to_close"


def activity_id(order: PlacedOrder, fill: Fill) -> str:
    """Name a fill among the activities: its time to the millisecond, and a UUID."""
    at = fill.at.astimezone(UTC)
    return f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03}::{order.execution_id(fill.number)}"


def activity_json(order: PlacedOrder, fill: Fill) -> dict[str, Json]:
    """Write a fill as an account activity."""
    terms = order.terms
    left = NOTHING if fill.completes else (terms.qty or fill.cum_qty) - fill.cum_qty
    return {
        "id": activity_id(order, fill),
        "activity_type": "FILL",
        "transaction_time": moment(fill.at),
        "type": "fill" if fill.completes else "partial_fill",
        "price": number(fill.price),
        "qty": number(fill.qty),
        "side": terms.side,
        "symbol": terms.asset.symbol if terms.asset else "",
        "leaves_qty": number(left),
        "order_id": order.order_id,
        "cum_qty": number(fill.cum_qty),
        "order_status": "filled" if fill.completes else "partially_filled",
    }


def account_json(account: Account) -> dict[str, Json]:
    """Write what an account may do. Its money never changes."""
    power = str(BUYING_POWER)
    return {
        "id": account.account_id,
        "account_number": account.account_number,
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "buying_power": power,
        "regt_buying_power": power,
        "daytrading_buying_power": "0",
        "non_marginable_buying_power": power,
        "options_buying_power": power,
        "cash": power,
        "accrued_fees": "0",
        "portfolio_value": power,
        "equity": power,
        "last_equity": power,
        "long_market_value": "0",
        "short_market_value": "0",
        "initial_margin": "0",
        "maintenance_margin": "0",
        "last_maintenance_margin": "0",
        "sma": "0",
        "multiplier": "1",
        "daytrade_count": 0,
        "pattern_day_trader": False,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "shorting_enabled": True,
        "options_approved_level": 3,
        "options_trading_level": 3,
        "created_at": moment(account.created_at),
    }


def clock_json(now: datetime) -> dict[str, Json]:
    """Write the time, and the stock exchange's next hours, as New York's clocks show them."""
    return {
        "timestamp": moment(now, NEW_YORK),
        "is_open": is_open(now),
        "next_open": moment(next_open(now), NEW_YORK),
        "next_close": moment(next_close(now), NEW_YORK),
    }


def asset_json(asset: Asset) -> dict[str, Json]:
    """Write down what can be traded."""
    crypto = asset.asset_class == "crypto"
    return {
        "id": asset.asset_id,
        "class": asset.asset_class,
        "exchange": "CRYPTO" if crypto else "NASDAQ",
        "symbol": asset.symbol,
        "name": asset.symbol,
        "status": "active",
        "tradable": True,
        "marginable": not crypto,
        "shortable": not crypto,
        "easy_to_borrow": not crypto,
        "fractionable": asset.asset_class != "us_option",
        "min_order_size": "0.000001" if crypto else None,
        "min_trade_increment": "0.000000001" if crypto else None,
        "price_increment": "0.01" if crypto else None,
    }
