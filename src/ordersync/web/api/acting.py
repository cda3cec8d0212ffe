"""Calls that do something: verify now, and what only a person may decide."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

import msgspec
import structlog
from fastapi import APIRouter
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from ordersync.listed import Listed, Wanted
from ordersync.settings import parse_duration
from ordersync.web.api.described import answer, answers, body_of, takes
from ordersync.web.api.faces import Cleaned, Faces
from ordersync.web.api.filters import AccountQuery, Identity
from ordersync.web.api.looking import ask_about, one_named
from ordersync.web.api.parts import Parts
from ordersync.web.api.problems import invalid

router = APIRouter(prefix="/api/v1", tags=["acts"])

FAILURES_SHOWN = 100
ROWS_SHOWN = AT_A_TIME = 1_000

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


class CleanUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rows are to be cleaned up, and why."""

    dry_run: Annotated[
        bool, Meta(description="Needed. true: show what would be written, write nothing.")
    ]
    reason: Annotated[
        str,
        Meta(min_length=1, max_length=500, description="Needed. Why; it is in ordersync's log."),
    ]
    older_than: Annotated[
        str,
        Meta(
            pattern=r"^[0-9]{1,6}(s|m|h|d)$",
            description="Only rows at least this old: `90s`, `5m`, `24h`, `7d`.",
            examples=["24h"],
        ),
    ] = "24h"
    accept_absent: Annotated[
        bool,
        Meta(
            description="A person's word that the key is the right one, where the account cannot "
            "prove it (`--accept-absent`); a dry run shows nothing of it."
        ),
    ] = False


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of a row."""

    column: Annotated[str, Meta(description="The column of the bot's table.")]
    stored: Annotated[str | None, Meta(description="What it held.")]
    true: Annotated[str | None, Meta(description="What is true.")]


class RowCleaned(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was, or would be, written."""

    order: Annotated[Listed, Meta(description="As it is now.")]
    changes: Annotated[list[Cell], Meta(description="Its cells that differed.")]


class CleanedUp(msgspec.Struct, frozen=True, kw_only=True):
    """What a clean-up wrote, or would write."""

    changes: Annotated[list[RowCleaned], Meta(description="The first 1000 rows.")]
    rows: Annotated[int, Meta(description="How many rows there are in all.")]
    failed: Annotated[int, Meta(description="How many could not be verified or written.")]
    failures: Annotated[
        dict[str, str], Meta(description="Of these, by order, why; the first hundred.")
    ]
    dry_run: Annotated[bool, Meta(description="Whether nothing was written.")]


_SYNCED = answers(Synced, 404, 409, 408, 413, 415)
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
    responses=answers(AllSynced, 408, 413, 415),
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


@router.post(
    "/cleanup",
    responses=answers(CleanedUp, 408, 413, 415),
    openapi_extra=takes(CleanUp),
    summary="Clean up old open rows",
)
async def clean_up(faces: Parts, request: Request) -> Response:
    """What `ordersync cleanup` does: verify old open rows once, repair them, mark what is gone.

    It stays, for up to a minute, until the absences that can be decided now are decided.
    """
    wish = await body_of(request, CleanUp)
    try:
        span = parse_duration(wish.older_than)
    except ValueError as error:
        raise invalid([{"where": "body.older_than", "what": str(error)}]) from None
    if wish.dry_run:
        found, rows = await _would_clean(faces, span)
    else:
        log.info(
            f"Cleanup of rows older than {wish.older_than}: {wish.reason}",
            by=caller(request),
            **({"accept_absent": True} if wish.accept_absent else {}),
        )
        found, rows = await _clean(faces, span, accept_absent=wish.accept_absent)
    return answer(
        CleanedUp(
            changes=rows[:ROWS_SHOWN],
            rows=len(rows),
            failed=len(found.failed),
            failures=dict(list(found.failed.items())[:FAILURES_SHOWN]),
            dry_run=wish.dry_run,
        )
    )


async def _would_clean(faces: Faces, span: timedelta) -> tuple[Cleaned, list[RowCleaned]]:
    found = await faces.passes.preview(span)
    cells: dict[tuple[str, str], list[Cell]] = {}
    for one in found.changes:
        cell = Cell(column=one.column, stored=one.stored, true=one.true)
        cells.setdefault((one.account, one.row_id), []).append(cell)
    now = await _open_rows(faces, span)
    rows = {(order.account, order.row_id): order for order in now}
    return found, [
        RowCleaned(order=rows[row], changes=changes)
        for row, changes in cells.items()
        if row in rows
    ]


async def _clean(
    faces: Faces, span: timedelta, *, accept_absent: bool
) -> tuple[Cleaned, list[RowCleaned]]:
    before = {
        (order.account, name): order
        for order in await _open_rows(faces, span)
        for name in (order.client_order_id, order.venue_order_id)
    }
    found = await faces.passes.clean_up(span, accept_absent=accept_absent)
    rows = []
    for account, name in found.written:
        then = before.get((account, name))
        for match in await faces.lists.match(name, account):
            if then is not None and match.order.row_id == then.row_id:
                cells = _differences(faces.columns, then, match.order)
                rows.append(RowCleaned(order=match.order, changes=cells))
    return found, rows


async def _open_rows(faces: Faces, span: timedelta) -> list[Listed]:
    """All open rows that are so old, or of which nobody knows how old they are."""
    found: list[Listed] = []
    place, since = None, faces.clock.now() - span
    while True:
        page = await faces.lists.list_orders(Wanted(), after=place, limit=AT_A_TIME)
        found += [o for o in page.orders if o.created_at is None or o.created_at <= since]
        place = page.next
        if place is None:
            return found


def _differences(columns: Mapping[str, str], then: Listed, now: Listed) -> list[Cell]:
    pairs = {
        "status": (then.row_word, now.row_word),
        "filled_qty": (then.filled_qty, now.filled_qty),
        "avg_price": (then.avg_price, now.avg_price),
        "fee": (then.fee, now.fee),
    }
    return [
        Cell(column=column, stored=pairs[field][0], true=pairs[field][1])
        for field, column in columns.items()
        if pairs[field][0] != pairs[field][1]
    ]


def caller(request: Request) -> str:
    """Whose token came with a request; without one it came from this machine."""
    name: str | None = request.scope.get("caller")
    return f"token {name}" if name else "this machine"
