"""What a chain of orders that replaced one another looks like as one. Pure.

At some venues an edit makes a new order with an id of its own. To whoever follows the first one,
it stands as the last does, and was filled as often as all of them together.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from ordersync.truth.model import Mark, Moment, Order, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_CHAIN = 100
"""How many edits of one order are followed; more are no chain but a circle of lies."""


def is_replaced(order: Order | None) -> bool:
    """Whether another order goes on in place of this one, and which is known."""
    return order is not None and bool(order.replaced_by) and order.status is Status.REPLACED


def chain_of(orders: Sequence[Order]) -> Order:
    """The first of these, as the last of them stands, with the fills of all.

    A price, a fee or a time of the last fill is only told where each of those that were filled
    tells its own.
    """
    first, last = orders[0], orders[-1]
    filled = [order for order in orders if order.filled_qty]
    quantity = sum((order.filled_qty or Decimal(0) for order in filled), Decimal(0))
    as_of = max(order.as_of for order in orders)
    settled = all(order.settled is not False for order in filled)
    prices = [p.value for o in filled if (p := o.priced) and p.filled_qty == o.filled_qty]
    fees = [c.value for o in filled if (c := o.charged) and c.filled_qty == o.filled_qty]
    moments = [m.value for o in filled if (m := o.filled) and m.filled_qty == o.filled_qty]
    told = bool(filled)
    cost = sum((o.filled_qty or 0) * p for o, p in zip(filled, prices, strict=False))
    return msgspec.structs.replace(
        first,
        as_of=as_of,
        standing=last.standing,
        filled_qty=quantity if filled else last.filled_qty,
        priced=Mark(cost / quantity, quantity, settled, as_of)
        if told and len(prices) == len(filled)
        else None,
        charged=Mark(sum(fees, Decimal(0)), quantity, settled, as_of)
        if told and len(fees) == len(filled)
        else None,
        filled=Moment(max(moments), quantity) if told and len(moments) == len(filled) else None,
        ended_because=last.ended_because,
        changed_at=last.changed_at,
    )
