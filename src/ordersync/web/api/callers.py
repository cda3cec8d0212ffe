"""Who calls: so that a page or a program knows beforehand what it may ask for."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from ordersync.tokened import Scope
from ordersync.web.api.described import answer, answers

router = APIRouter(prefix="/api/v1", tags=["tokens"])


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as the guard let him in."""

    token: Annotated[
        str | None, Meta(description="The name of the token; null: none is needed from here.")
    ]
    scope: Annotated[Scope, Meta(description="`read` looks, `operate` acts besides.")]


@router.get("/caller", responses=answers(Caller), summary="What may I do?")
async def get_caller(request: Request) -> Response:
    """What the token that comes with this call may do; without a token: what this machine may."""
    return answer(Caller(token=request.scope["caller"], scope=request.scope["may"]))
