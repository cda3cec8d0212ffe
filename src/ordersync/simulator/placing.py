"""Taking orders and cancel requests in: what is accepted, and in which words it is refused.

A refused order is HTTP 200 with `success` false; only a request that is none gets a 400.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, cast

from ordersync.simulator.answers import invalid_argument
from ordersync.simulator.products import PRODUCTS
from ordersync.simulator.terms import Terms, TermsRefusedError, read_terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordersync.simulator.account import Account
    from ordersync.simulator.answers import Json
    from ordersync.simulator.condition import PlacedOrder
    from ordersync.simulator.listing import View
    from ordersync.simulator.products import Product
    from ordersync.simulator.world import World

MOST_CANCELS = 100
FUNDS = Decimal(1_000_000)

# Refusals that the exchange's own preview finds; ccxt looks nowhere else for the reason.
_PREVIEWED = frozenset(
    (
        "INSUFFICIENT_FUND",
        "INVALID_PRICE_PRECISION",
        "INVALID_PRODUCT_ID",
        "INVALID_SIDE",
        "INVALID_SIZE_PRECISION",
    )
)


def create(world: World, account: Account, body: Mapping[str, object]) -> dict[str, Json]:
    """Place the order that `body` describes. Raises RefusedError where it describes none."""
    client_order_id = body.get("client_order_id")
    if not isinstance(client_order_id, str) or not client_order_id:
        raise invalid_argument("client_order_id is required")
    configuration = body.get("order_configuration")
    if not isinstance(configuration, dict):
        raise invalid_argument("order_configuration is required")
    known = world.order_of_client(account.portfolio, client_order_id)
    if known is not None:
        # A replay creates nothing; this is how a client asks what became of a lost request.
        return _created(known)
    product = PRODUCTS.get(str(body.get("product_id")))
    if product is None:
        return _refused("INVALID_PRODUCT_ID", "invalid product_id", configuration)
    side = body.get("side")
    if side not in {"BUY", "SELL"}:
        return _refused("INVALID_SIDE", "invalid side", configuration)
    try:
        terms = read_terms(configuration)
    except TermsRefusedError as error:
        return _refused(error.reason, error.message, configuration)
    if _cost(terms, product) > FUNDS:
        message = "Insufficient balance in source account"
        return _refused("INSUFFICIENT_FUND", message, configuration)
    return _created(
        world.place(
            account.portfolio,
            product.product_id,
            str(side),
            configuration,
            client_order_id=client_order_id,
        )
    )


def _cost(terms: Terms, product: Product) -> Decimal:
    if terms.quote_size is not None:
        return terms.quote_size
    return (terms.base_size or Decimal(0)) * (terms.limit_price or product.price)


def _created(order: PlacedOrder) -> dict[str, Json]:
    return {
        "success": True,
        "success_response": {
            "order_id": order.order_id,
            "product_id": order.product_id,
            "side": order.side,
            "client_order_id": order.client_order_id,
            "attached_order_id": "",
        },
        "order_configuration": cast("Json", dict(order.configuration)),
    }


def _refused(reason: str, message: str, configuration: Mapping[str, object]) -> dict[str, Json]:
    return {
        "success": False,
        "error_response": {
            "error": reason,
            "message": message,
            "error_details": "",
            "preview_failure_reason": (
                f"PREVIEW_{reason}" if reason in _PREVIEWED else "UNKNOWN_PREVIEW_FAILURE_REASON"
            ),
            "new_order_failure_reason": reason,
        },
        "order_configuration": cast("Json", dict(configuration)),
    }


def cancel(view: View, body: Mapping[str, object]) -> dict[str, Json]:
    """Ask to cancel each order named. Success means queued, not canceled."""
    order_ids = body.get("order_ids")
    if not isinstance(order_ids, list) or not order_ids:
        raise invalid_argument("order_ids is required")
    if len(order_ids) > MOST_CANCELS:
        raise invalid_argument(f"number of order ids cannot exceed {MOST_CANCELS}")
    return {"results": [_cancel_one(view, str(order_id)) for order_id in order_ids]}


def _cancel_one(view: View, order_id: str) -> Json:
    reason = "UNKNOWN_CANCEL_FAILURE_REASON"  # is also what a success says
    seen = view.order(order_id)
    if not order_id:
        reason, success = "INVALID_CANCEL_REQUEST", False
    elif seen is None:
        reason, success = "UNKNOWN_CANCEL_ORDER", False
    elif seen[1].pending_cancel:
        reason, success = "DUPLICATE_CANCEL_REQUEST", False
    elif seen[1].final:
        reason, success = "COMMANDER_REJECTED_CANCEL_ORDER", False
    else:
        success = True
        view.world.cancel(order_id)
    return {"success": success, "failure_reason": reason, "order_id": order_id}
