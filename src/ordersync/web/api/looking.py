"""One order that a caller names: found, and where it is wanted asked about before it is told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from ordersync.listed import Found, Listed
from ordersync.ports import OrderName
from ordersync.web.api.problems import Refusal

if TYPE_CHECKING:
    from ordersync.web.api.faces import Faces

MATCHES_SHOWN = 20

NAMELESS = "its row has neither the exchange's id nor the bot's, so nobody can be asked"
NOT_ASKED = "not asked: what is known is older than sync.stale_after"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An order, and whether the exchange vouches for what is said of it."""

    order: Annotated[Listed, Meta(description="As it is now.")]
    verified: Annotated[
        bool,
        Meta(
            description="Whether the exchange's word is as fresh as wanted; without `max_age`: no "
            "older than `sync.stale_after`. false: what was known before is shown, not a guess."
        ),
    ]
    why: Annotated[str | None, Meta(description="Why not, or what else is wrong.")]


async def one_named(faces: Faces, name: str, account: str | None) -> Found:
    """The order of this name. Raises Refusal: 404 for none, 409 for several."""
    found = await faces.lists.match(name, account)
    if not found:
        raise Refusal(
            404,
            "not-found",
            "no row, no exchange's id and no client id is that.",
            mend="GET /api/v1/orders lists what there is.",
        )
    if len(found) > 1:
        raise Refusal(
            409,
            "several-orders",
            f"{len(found)} orders go by this name.",
            mend="Give the row's key or the exchange's id, or ?account=NAME.",
            orders=[one.order for one in found[:MATCHES_SHOWN]],
        )
    return found[0]


async def again(faces: Faces, found: Found) -> Found:
    """The same order, as it is now."""
    order = found.order
    for name in (order.row_id, order.venue_order_id, order.client_order_id):
        if name is None:
            continue
        for one in await faces.lists.match(name, order.account):
            if order.row_id in {None, one.order.row_id}:
                return one
    return found


async def ask_about(faces: Faces, found: Found, max_age: timedelta | None) -> tuple[Asked, Found]:
    """The order, no older than wanted where that can be had; and how it was found then."""
    age = found.order.verified_age_seconds
    bound = faces.stale_after if max_age is None else max_age
    is_fresh = age is not None and age <= bound.total_seconds()
    if max_age is None or (is_fresh and max_age > timedelta(0)):
        why = None if is_fresh else NOT_ASKED
        return Asked(order=found.order, verified=is_fresh, why=why), found
    order = found.order
    name = OrderName(order.venue_order_id, order.client_order_id)
    if not (name.venue_order_id or name.client_order_id):
        return Asked(order=order, verified=False, why=NAMELESS), found
    (told,) = await faces.answering.fresh(order.account, [name], max_age)
    now = await again(faces, found)
    return Asked(order=now.order, verified=told.is_verified, why=told.why or None), now
