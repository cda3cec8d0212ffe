"""The orders, as rows beside what the exchange says of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from msgspec import Meta
from starlette.responses import Response

from ordersync.listed import Listed, State, Totals
from ordersync.truth.model import Event
from ordersync.web.api.cursors import BY_END, BY_EVENT, BY_KEY, BY_ORPHAN, from_cursor, to_cursor
from ordersync.web.api.described import answer, answers
from ordersync.web.api.filters import (
    AccountQuery,
    Filters,
    HistoryFilters,
    Identity,
    MaxAge,
    OpenFilters,
    OrphanFilters,
)
from ordersync.web.api.looking import Asked, ask_about, one_named
from ordersync.web.api.parts import Parts
from ordersync.web.api.past import MovedOut

router = APIRouter(prefix="/api/v1", tags=["orders"])

_NEXT = Meta(description="The cursor of the next page; null: this is the last.")


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """A page of orders."""

    orders: Annotated[list[Listed], Meta(description="In the order of the rows' keys.")]
    next: Annotated[str | None, _NEXT]


class Orphans(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the orders that have no row."""

    orders: Annotated[list[Listed], Meta(description="Of each account the oldest first.")]
    next: Annotated[str | None, _NEXT]


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Open orders beside what the exchange says, and the totals of all."""

    orders: Annotated[list[Listed], Meta(description="In the order of the rows' keys.")]
    next: Annotated[str | None, _NEXT]
    totals: Annotated[Totals, Meta(description="Of all that were asked for, not of the page.")]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded about an order."""

    order: Annotated[Listed, Meta(description="As it is now.")]
    events: Annotated[list[Event], Meta(description="Oldest first.")]
    archived: Annotated[
        list[MovedOut],
        Meta(
            description="What moved out of the database into files, on those pages for which they "
            "were read: the first, and as many more as have events of theirs."
        ),
    ]
    next: Annotated[str | None, _NEXT]


class _Past(msgspec.Struct, frozen=True):
    """A History whose events are JSON already."""

    order: Listed
    events: list[msgspec.Raw]
    archived: list[MovedOut]
    next: str | None


@router.get("/orders", responses=answers(Orders), summary="Orders")
async def list_orders(faces: Parts, filters: Annotated[Filters, Query()]) -> Response:
    """Rows beside what the exchange says; a page may be short while there is a next one."""
    wanted = filters.wanted(filters.state)
    form = BY_END if wanted.state is State.FINAL else BY_KEY
    after = from_cursor(filters.cursor, wanted, form)
    page = await faces.lists.list_orders(wanted, after=after, limit=filters.limit)
    return answer(Orders(orders=page.orders, next=to_cursor(page.next, wanted)))


@router.get("/orphans", responses=answers(Orphans), summary="Which orders have no row?")
async def list_orphans(faces: Parts, filters: Annotated[OrphanFilters, Query()]) -> Response:
    """Orders at the exchange that no row of the table names, as `orphans` in the totals counts.

    That is: told of once the bot had time to write its row, and open, or ended within a day.
    """
    about = ("orphans", filters.account)
    after = from_cursor(filters.cursor, about, BY_ORPHAN)
    page = await faces.lists.list_orphans(filters.account, after=after, limit=filters.limit)
    return answer(Orphans(orders=page.orders, next=to_cursor(page.next, about)))


@router.get("/trades/sync-status", responses=answers(SyncStatus), summary="What is really open?")
async def trades_sync_status(faces: Parts, filters: Annotated[OpenFilters, Query()]) -> Response:
    """Every open row beside what the exchange says, with the totals of all."""
    return await _sync_status(faces, filters)


@router.get("/orders/sync-status", responses=answers(SyncStatus), summary="What is really open?")
async def orders_sync_status(faces: Parts, filters: Annotated[OpenFilters, Query()]) -> Response:
    """The same as `/api/v1/trades/sync-status`."""
    return await _sync_status(faces, filters)


async def _sync_status(faces: Parts, filters: OpenFilters) -> Response:
    wanted = filters.wanted(None)
    after = from_cursor(filters.cursor, wanted, BY_KEY)
    status = await faces.lists.count_open(wanted, after=after, limit=filters.limit)
    found = SyncStatus(
        orders=status.page.orders,
        next=to_cursor(status.page.next, wanted),
        totals=status.totals,
    )
    return answer(found)


@router.get("/orders/{id}", responses=answers(Asked, 404, 409), summary="Is it really open?")
async def get_order(
    faces: Parts, name: Identity, account: AccountQuery = None, max_age: MaxAge = None
) -> Response:
    """One order. With `max_age` the exchange is asked first where what is known is older."""
    found = await one_named(faces, name, account)
    span = timedelta(seconds=max_age) if max_age is not None else None
    asked, _ = await ask_about(faces, found, span)
    return answer(asked)


@router.get(
    "/orders/{id}/history", responses=answers(History, 404, 409), summary="What became of it?"
)
async def get_history(
    faces: Parts, name: Identity, filters: Annotated[HistoryFilters, Query()]
) -> Response:
    """Every recorded change of one order, oldest first, with the exchange's own words.

    What moved out of the database is read from its files, where this process can read them.
    """
    found = await one_named(faces, name, filters.account)
    about = ("history", found.order.account, found.key)
    after = from_cursor(filters.cursor, about, BY_EVENT)
    past = await faces.pasts.page(found.order.account, found.key, after, filters.limit)
    told = _Past(
        order=found.order,
        events=[msgspec.Raw(text) for text in past.events],
        archived=past.moved,
        next=to_cursor(past.next, about),
    )
    return answer(told)
