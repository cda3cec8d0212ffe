"""Whether it lives, and whether what it says can be trusted: for those who watch over processes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from starlette.responses import Response

from ordersync.errors import OrdersyncError
from ordersync.web.api.described import answer, answers, problems
from ordersync.web.api.parts import Parts

router = APIRouter(tags=["health"])


_OPEN = problems(400, 403, 421, 431)
_NO_TOKEN: dict[str, Any] = {"security": []}


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Annotated[str, Meta(description="Always `alive`.", examples=["alive"])] = "alive"


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every account was verified within `sync.stale_after`."""

    ready: Annotated[bool, Meta(description="Whether what is told here is fresh.")]
    why: Annotated[str | None, Meta(description="Why not.")] = None


@router.get(
    "/healthz",
    responses={200: answers(Alive)[200], **_OPEN},
    openapi_extra=_NO_TOKEN,
    summary="Is it alive?",
)
async def healthz() -> Response:
    """Nothing is read for it: an answer means that the process runs."""
    return answer(Alive())


@router.get(
    "/readyz",
    responses={
        200: answers(Ready)[200],
        **_OPEN,
        503: {**answers(Ready)[200], "description": "Not fresh, or the database is away."},
    },
    openapi_extra=_NO_TOKEN,
    summary="Is what it says fresh?",
)
async def readyz(faces: Parts) -> Response:
    """Ready while every account was verified within `sync.stale_after`; 503 says why not."""
    now = faces.clock.now()
    try:
        verified = await faces.lists.verified_at()
    except OrdersyncError:
        return answer(Ready(ready=False, why="the database is away."), 503)
    late = sum(
        at is None or now - at > faces.stale_after
        for at in (verified.get(name) for name in faces.accounts)
    )
    if not late:
        return answer(Ready(ready=True))
    minutes = faces.stale_after.total_seconds() / 60
    why = f"{late} of {len(faces.accounts)} accounts were not verified within {minutes:g} minutes."
    return answer(Ready(ready=False, why=why), 503)
