"""Who waits for orders, and how the accounts are kept."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path
from msgspec import Meta
from starlette.responses import Response

from ordersync.alerted import ChannelHealth
from ordersync.listed import OwnerShown
from ordersync.web.api.conditions import AccountShown
from ordersync.web.api.described import answer, answers
from ordersync.web.api.filters import Segment
from ordersync.web.api.parts import Parts
from ordersync.web.api.problems import Refusal

router = APIRouter(prefix="/api/v1", tags=["owners and accounts"])


class Owners(msgspec.Struct, frozen=True, kw_only=True):
    """Every owner who waits, or waited untruly today."""

    owners: Annotated[list[OwnerShown], Meta(description="By name; those without one last.")]


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """How every account is kept."""

    accounts: Annotated[list[AccountShown], Meta(description="As the configuration lists them.")]
    channels: Annotated[
        list[ChannelHealth], Meta(description="The ways to people, and which of them fail.")
    ]


@router.get("/owners", responses=answers(Owners), summary="Which bots are blocked?")
async def list_owners(faces: Parts) -> Response:
    """For each value of the mapped owner column, how many rows it waits for, and since when."""
    return answer(Owners(owners=list(await faces.lists.owners())))


@router.get("/owners/{id}", responses=answers(OwnerShown, 404), summary="Is this bot blocked?")
async def get_owner(
    faces: Parts,
    name: Annotated[Segment, Path(alias="id", description="The owner's name.")],
) -> Response:
    """One owner; 404 for one that waits for nothing now and waited for nothing untruly today."""
    for one in await faces.lists.owners():
        if one.owner == name:
            return answer(one)
    raise Refusal(
        404,
        "not-found",
        "no open row has this owner, and none ended late today.",
        mend="GET /api/v1/owners lists those that wait. Nothing blocks one that is not there.",
    )


@router.get("/accounts", responses=answers(Accounts), summary="How are the accounts kept?")
async def list_accounts(faces: Parts) -> Response:
    """Stream, passes, lease and budget of each account, why one is degraded; who can be told."""
    verified = await faces.lists.verified_at()
    accounts = list(await faces.conditions.now(verified))
    channels = [_shown(one) for one in await faces.channels.stand()]
    return answer(Accounts(accounts=accounts, channels=channels))


def _shown(channel: ChannelHealth) -> ChannelHealth:
    """Where its address is kept is nobody's business who only reads here."""
    if channel.is_usable:
        return channel
    why = "its address cannot be used: the log and `ordersync doctor` say why."
    return msgspec.structs.replace(channel, why=why)
