"""The orders, as rows beside what the exchange says of them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from msgspec import Meta
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from ordersync.listed import Listed, State, Wanted
from ordersync.web.api.cursors import from_cursor, to_cursor
from ordersync.web.api.described import answer, answers
from ordersync.web.api.parts import Parts

LIMIT = 1_000

router = APIRouter(prefix="/api/v1", tags=["orders"])

Text = Annotated[str, Field(min_length=1, max_length=190)]


class Filters(BaseModel):
    """Which orders, and how many at once."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = Field(
        default=None,
        description="open: every row that is not final (as without it); or only those that are "
        "stale, suspect or unknown; or final, the latest end first.",
    )
    owner: Text | None = Field(default=None, description="Only of this owner.")
    account: Text | None = Field(default=None, description="Only of this account.")
    symbol: Text | None = Field(default=None, description="Only of this product or pair.")
    since: AwareDatetime | None = Field(
        default=None, description="Only made at or after then; of final ones: ended. With a zone."
    )
    until: AwareDatetime | None = Field(default=None, description="Only before then.")
    limit: int = Field(default=100, ge=1, le=LIMIT, description="How many at most.")
    cursor: Annotated[str, Field(max_length=2_000)] | None = Field(
        default=None, description="`next` of the page before, with the same other parameters."
    )

    @property
    def wanted(self) -> Wanted:
        """What is asked for, without how much of it."""
        return Wanted(
            state=self.state,
            owner=self.owner,
            account=self.account,
            symbol=self.symbol,
            since=self.since,
            until=self.until,
        )


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """A page of orders."""

    orders: Annotated[list[Listed], Meta(description="In the order of the rows' keys.")]
    next: Annotated[
        str | None, Meta(description="The cursor of the next page; null: this is the last.")
    ]


@router.get("/orders", responses=answers(Orders), summary="Orders")
async def list_orders(faces: Parts, filters: Annotated[Filters, Query()]) -> Response:
    """Rows beside what the exchange says; a page may be short while there is a next one."""
    wanted = filters.wanted
    after = from_cursor(filters.cursor, wanted)
    page = await faces.lists.list_orders(wanted, after=after, limit=filters.limit)
    return answer(Orders(orders=page.orders, next=to_cursor(page.next, wanted)))
