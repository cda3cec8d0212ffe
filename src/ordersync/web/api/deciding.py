"""What only a person can know of an order: said with name and reason, and shown first."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from ordersync.errors import ActRefused
from ordersync.listed import Listed, State
from ordersync.ports import OrderName
from ordersync.sync.operator import Acted, Word
from ordersync.truth.model import Facts, Status
from ordersync.web.api.acting import caller
from ordersync.web.api.described import answer, answers, body_of, takes
from ordersync.web.api.filters import AccountQuery, Identity
from ordersync.web.api.looking import NAMELESS, again, one_named
from ordersync.web.api.parts import Parts
from ordersync.web.api.problems import Refusal

router = APIRouter(prefix="/api/v1", tags=["acts"])

Number = Annotated[str, Meta(pattern=r"^[0-9]{1,24}(\.[0-9]{1,18})?$", examples=["0.25"])]


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person says of an order. What is null, or left out, nothing is said of."""

    dry_run: Annotated[
        bool, Meta(description="Needed. true: show what would be written, write nothing.")
    ]
    reason: Annotated[
        str, Meta(min_length=1, max_length=500, description="Needed. Why; it stays in the history.")
    ]
    by: Annotated[
        Annotated[str, Meta(min_length=1, max_length=190)] | None,
        Meta(description="Who says it; without it the name of the token."),
    ] = None
    status: Annotated[Status | None, Meta(description="How it stands, as a FIX word.")] = None
    filled_qty: Annotated[Number | None, Meta(description="How much is filled, base units.")] = None
    avg_price: Annotated[Number | None, Meta(description="The average price, quote units.")] = None
    fee: Annotated[Number | None, Meta(description="All fees, quote units.")] = None

    def word(self, by: str) -> Word:
        """The same as a person's word."""
        return Word(
            by=by,
            reason=self.reason,
            facts=Facts(
                status=self.status,
                filled_qty=_decimal(self.filled_qty),
                avg_price=_decimal(self.avg_price),
                fee=_decimal(self.fee),
            ),
        )


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """An order before and after a person's word."""

    before: Annotated[Listed, Meta(description="As it was.")]
    after: Annotated[Listed, Meta(description="As it is now, or would be.")]
    dry_run: Annotated[bool, Meta(description="Whether nothing was written.")]
    why: Annotated[str | None, Meta(description="What could not be written into the row.")]


_MEND = "GET /api/v1/orders/{id}/history tells what is known of it."

_DECIDED = answers(Decided, 404, 409, 408, 413, 415)


@router.post(
    "/orders/{id}/resolve",
    responses=_DECIDED,
    openapi_extra=takes(Said),
    summary="Say what became of it",
)
async def resolve_order(
    faces: Parts, request: Request, name: Identity, account: AccountQuery = None
) -> Response:
    """Say how an order that is suspect or unknown stands. Any later sighting overrules it."""
    return await _decide(faces, request, name, account, is_correction=False)


@router.post(
    "/orders/{id}/correct",
    responses=_DECIDED,
    openapi_extra=takes(Said),
    summary="Overrule the exchange",
)
async def correct_order(
    faces: Parts, request: Request, name: Identity, account: AccountQuery = None
) -> Response:
    """Overrule what the exchange said: a bust, a correction, a settlement elsewhere.

    What it said before is kept as evidence and changes nothing any more; what it says anew does.
    """
    return await _decide(faces, request, name, account, is_correction=True)


async def _decide(
    faces: Parts, request: Request, name: str, account: str | None, *, is_correction: bool
) -> Response:
    said = await body_of(request, Said)
    found = await one_named(faces, name, account)
    before = found.order
    order = OrderName(before.venue_order_id, before.client_order_id)
    if not (order.venue_order_id or order.client_order_id):
        raise Refusal(
            409,
            "act-refused",
            f"nothing can be said of it: {NAMELESS}.",
            mend="Write the exchange's id into the row; then ask again.",
        )
    operator = faces.operator
    act = operator.correct if is_correction else operator.resolve
    try:
        word = said.word(said.by or caller(request))
        acted = await act(before.account, order, word, dry_run=said.dry_run)
    except ActRefused as error:
        raise Refusal(409, "act-refused", error.what, mend=error.mend or _MEND) from None
    after = _as_if(before, acted) if said.dry_run else (await again(faces, found)).order
    return answer(Decided(before=before, after=after, dry_run=said.dry_run, why=acted.why or None))


def _as_if(before: Listed, acted: Acted) -> Listed:
    """The order as it would be told."""
    after = acted.after
    standing = (after.status or "").partition("+")[0]
    is_final = standing in set(Status) and Status(standing).is_final
    return msgspec.structs.replace(
        before,
        row_word=after.word,
        exchange_status=after.status,
        filled_qty=after.filled_qty,
        avg_price=after.avg_price,
        fee=after.fee,
        state=State.FINAL if is_final else before.state,
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
