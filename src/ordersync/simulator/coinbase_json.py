"""How Coinbase writes down an order, a fill and an account.

Numbers are strings, and an absent one is "" or "0", never null. There is no word for a partly
filled order. Times are RFC 3339 as Go writes them, with as many digits as they need.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from ordersync.simulator.life import NOTHING
from ordersync.simulator.products import PRODUCTS

if TYPE_CHECKING:
    from datetime import datetime

    from ordersync.simulator.account import Account
    from ordersync.simulator.answers import Json
    from ordersync.simulator.condition import Condition, Mark, PlacedOrder
    from ordersync.simulator.products import Product

_HUNDRED = Decimal(100)


def moment(at: datetime) -> str:
    """Write a time as Go prints it: no trailing zeros, Z for UTC."""
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{at.microsecond:06d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def number(value: Decimal, digits: int = 16) -> str:
    """Write a number as a plain string, without an exponent or trailing zeros."""
    places = value.as_tuple().exponent
    if isinstance(places, int) and places < -digits:
        value = value.quantize(Decimal(1).scaleb(-digits))
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def order_json(order: PlacedOrder, condition: Condition) -> dict[str, Json]:
    """Write the order object of the list and of the single look-up."""
    terms = order.terms
    average = condition.avg_price
    last_fill = condition.last_fill_at
    return {
        "order_id": order.order_id,
        "product_id": order.product_id,
        "user_id": order.user_id,
        "order_configuration": cast("Json", dict(order.configuration)),
        "side": order.side,
        "client_order_id": order.client_order_id,
        "status": condition.status,
        "time_in_force": terms.time_in_force,
        "created_time": moment(order.created_at),
        "completion_percentage": completion(order, condition),
        "filled_size": number(condition.filled_qty),
        "average_filled_price": number(average) if average is not None else "0",
        "fee": "",
        "number_of_fills": str(len(condition.fills)),
        "filled_value": number(condition.filled_value),
        "pending_cancel": condition.pending_cancel,
        "size_in_quote": terms.quote_size is not None,
        "total_fees": number(condition.fee),
        "size_inclusive_of_fees": terms.quote_size is not None,
        "total_value_after_fees": number(after_fees(order, condition)),
        "trigger_status": "STOP_PENDING" if "stop" in terms.kind else "INVALID_ORDER_TYPE",
        "order_type": terms.order_type,
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": condition.settled,
        "product_type": "SPOT",
        "reject_message": condition.reject_message,
        "cancel_message": condition.cancel_message,
        "order_placement_source": order.placement_source,
        "outstanding_hold_amount": number(hold(order, condition)),
        "is_liquidation": False,
        "last_fill_time": None if last_fill is None else moment(last_fill),
        "edit_history": [],
        "leverage": "",
        "margin_type": "UNKNOWN_MARGIN_TYPE",
        "retail_portfolio_id": order.portfolio,
        "originating_order_id": "",
        "attached_order_id": "",
        "attached_order_configuration": None,
        "current_pending_replace": None,
        "commission_detail_total": None,
        "workable_size": "",
        "workable_size_completion_pct": "",
        "last_update_time": moment(condition.updated_at),
    }


def completion(order: PlacedOrder, condition: Condition) -> str:
    """Say how much of an order is done, in percent."""
    if condition.status == "FILLED":
        return "100"
    if order.terms.base_size is not None:
        return number(condition.filled_qty / order.terms.base_size * _HUNDRED, digits=2)
    quote = order.terms.quote_size or Decimal(1)
    return number(condition.filled_value / quote * _HUNDRED, digits=2)


def after_fees(order: PlacedOrder, condition: Condition) -> Decimal:
    """What an order has cost or brought, the fees so far included."""
    if order.side == "BUY":
        return condition.filled_value + condition.fee
    return condition.filled_value - condition.fee


def hold(order: PlacedOrder, condition: Condition) -> Decimal:
    """What is set aside for the rest of an order."""
    terms = order.terms
    if condition.final or terms.base_size is None:
        return NOTHING
    left = terms.base_size - condition.filled_qty
    return left if order.side == "SELL" else left * (terms.limit_price or NOTHING)


def trade_id(order: PlacedOrder, index: int) -> str:
    """Name an order's nth execution."""
    return str(uuid5(UUID(order.order_id), f"trade {index}"))


def fill_json(order: PlacedOrder, index: int, fill: Mark) -> dict[str, Json]:
    """One execution. Where the order is sized in quote, so is its fill."""
    in_quote = order.terms.quote_size is not None
    return {
        "entry_id": uuid5(UUID(order.order_id), f"entry {index}").hex * 2,
        "trade_id": trade_id(order, index),
        "order_id": order.order_id,
        "trade_time": moment(fill.at),
        "trade_type": "FILL",
        "price": number(fill.price),
        "size": number(fill.qty * fill.price if in_quote else fill.qty),
        "commission": number(fill.commission),
        "product_id": order.product_id,
        "sequence_timestamp": moment(fill.at),
        "liquidity_indicator": "MAKER" if fill.maker else "TAKER",
        "size_in_quote": in_quote,
        "user_id": order.user_id,
        "side": order.side,
        "retail_portfolio_id": order.portfolio,
    }


def permissions_json(account: Account) -> dict[str, Json]:
    """Say what a key may do, and for which portfolio."""
    return {
        "can_view": account.can_view,
        "can_trade": account.can_trade,
        "can_transfer": account.can_transfer,
        "portfolio_uuid": account.portfolio,
        "portfolio_type": account.portfolio_type,
    }


def time_json(now: datetime) -> dict[str, Json]:
    """Tell the exchange's time. Its milliseconds are a string, like every 64-bit number."""
    return {
        "iso": moment(now.replace(microsecond=0)),
        "epochSeconds": str(int(now.timestamp())),
        "epochMillis": str(int(now.timestamp() * 1000)),
    }


def accounts_json(portfolio: str) -> list[Json]:
    """List the wallets of a portfolio: one for each currency, all rich."""
    products = PRODUCTS.values()
    currencies = sorted({p.base for p in products} | {p.quote for p in products})
    return [
        {
            "uuid": str(uuid5(NAMESPACE_URL, f"{portfolio} {currency}")),
            "name": f"{currency} Wallet",
            "currency": currency,
            "available_balance": {"value": "1000000", "currency": currency},
            "default": True,
            "active": True,
            "created_at": "2024-01-01T00:00:00Z",
            "updated_at": "2024-01-01T00:00:00Z",
            "deleted_at": None,
            "type": "ACCOUNT_TYPE_FIAT" if currency == "USD" else "ACCOUNT_TYPE_CRYPTO",
            "ready": True,
            "hold": {"value": "0", "currency": currency},
            "retail_portfolio_id": portfolio,
        }
        for currency in currencies
    ]


def product_json(product: Product) -> dict[str, Json]:
    """Describe a market, with what clients need to place an order in it."""
    return {
        "product_id": product.product_id,
        "price": number(product.price),
        "base_increment": product.base_increment,
        "quote_increment": product.quote_increment,
        "price_increment": product.quote_increment,
        "base_min_size": product.base_increment,
        "base_max_size": "1000000",
        "quote_min_size": "1",
        "quote_max_size": "1000000",
        "base_name": product.base,
        "quote_name": product.quote,
        "base_currency_id": product.base,
        "quote_currency_id": product.quote,
        "status": "online",
        "product_type": "SPOT",
        "is_disabled": False,
        "trading_disabled": False,
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "alias": "",
        "alias_to": [],
        "display_name": product.product_id,
        "volume_24h": "1000",
        "price_percentage_change_24h": "0",
    }
