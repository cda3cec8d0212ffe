"""Calls that do something: verify now, and what only a person may decide."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
import structlog
from fastapi import APIRouter
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from ordersync.listed import Listed
from ordersync.web.api.described import answer, answers, body_of, takes
from ordersync.web.api.filters import AccountQuery, Identity
from ordersync.web.api.looking import ask_about, one_named
from ordersync.web.api.parts import Parts

router = APIRouter(prefix="/api/v1", tags=["acts"])

FAILURES_SHOWN = 100

log = structlog.get_logger("ordersync")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No field: the body may be left out."""


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """An order before and after it was verified."""

    before: Annotated[Listed, Meta(description="As it was.")]
    after: Annotated[Listed, Meta(description="As it is now.")]
    verified: Annotated[bool, Meta(description="Whether the exchange vouches for it now.")]
    why: Annotated[str | None, Meta(description="Why not, or what else is wrong.")]


class AccountSynced(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass over one account did."""

    account: Annotated[str, Meta(description="Its name.")]
    asked: Annotated[int, Meta(description="How many orders were asked about.")]
    updated: Annotated[int, Meta(description="How many rows were written.")]
    not_found: Annotated[int, Meta(description="How many are proven to be gone.")]
    failed: Annotated[int, Meta(description="How many could not be verified or written.")]
    failures: Annotated[
        dict[str, str], Meta(description="Of these, by order, why; the first hundred.")
    ]


class AllSynced(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass over every account did."""

    accounts: Annotated[list[AccountSynced], Meta(description="As they are configured.")]


_SYNCED = answers(Synced, 404, 409, 413, 415)
_NO_BODY = takes(Nothing, required=False)


@router.post("/orders/{id}/sync", responses=_SYNCED, openapi_extra=_NO_BODY, summary="Verify now")
async def sync_order(
    faces: Parts, request: Request, name: Identity, account: AccountQuery = None
) -> Response:
    """Ask the exchange about one order now, repair its row, and show both."""
    return await _synced(faces, request, name, account)


@router.post(
    "/trades/sync-order-status/{id}",
    responses=_SYNCED,
    openapi_extra=_NO_BODY,
    summary="Verify now",
)
async def sync_trade(
    faces: Parts, request: Request, name: Identity, account: AccountQuery = None
) -> Response:
    """The same as `POST /api/v1/orders/{id}/sync`."""
    return await _synced(faces, request, name, account)


async def _synced(faces: Parts, request: Request, name: str, account: str | None) -> Response:
    await body_of(request, Nothing)
    before = await one_named(faces, name, account)
    asked, _ = await ask_about(faces, before, timedelta(0))
    return answer(
        Synced(before=before.order, after=asked.order, verified=asked.verified, why=asked.why)
    )


@router.post(
    "/sync",
    responses=answers(AllSynced, 413, 415),
    openapi_extra=_NO_BODY,
    summary="Verify everything now",
)
async def sync_all(faces: Parts, request: Request) -> Response:
    """A pass over every account, at once; who asks at the same time shares it."""
    await body_of(request, Nothing)
    reports = await faces.passes.verify_all()
    told = [
        AccountSynced(
            account=report.account,
            asked=report.asked,
            updated=report.rows_written,
            not_found=len(report.not_found),
            failed=len(report.failed),
            failures=dict(list(report.failed.items())[:FAILURES_SHOWN]),
        )
        for report in reports
    ]
    return answer(AllSynced(accounts=told))
