"""`/api/v1/subscriptions`: who is told by a request to an address of his, and what is owed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from fastapi import APIRouter, Path, Query
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from ordersync.logged import Place
from ordersync.subscribed import Delivery, DeliveryState, Interest, Subscription
from ordersync.truth.model import EventKind
from ordersync.web.api.described import answer, answers, body_of, takes
from ordersync.web.api.filters import Segment
from ordersync.web.api.parts import Parts
from ordersync.web.api.problems import Refusal
from ordersync.web.outgoing import AddressRefused
from ordersync.web.subscribing import Subscribed, TooManySubscriptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.web.subscribing import Subscriptions

router = APIRouter(prefix="/api/v1", tags=["subscriptions"])

MOST_NAMES = 100

Name = Annotated[str, Meta(min_length=1, max_length=190)]
Names = Annotated[list[Name], Meta(max_length=MOST_NAMES)]
EventId = Annotated[str, Meta(pattern="^[0-9]{1,18}-[0-9]{1,9}$")]


class NewSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to send, and what; of each list any, all where it is empty."""

    url: Annotated[
        str,
        Meta(
            description="Needed. An https address.", examples=["https://bot.example/hooks/orders"]
        ),
    ]
    accounts: Annotated[Names, Meta(description="Only of these accounts.")] = []
    owners: Annotated[Names, Meta(description="Only of these owners.")] = []
    kinds: Annotated[list[EventKind], Meta(description="Only of these kinds.")] = []
    symbols: Annotated[Names, Meta(description="Only of these symbols.")] = []


class SubscriptionShown(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription, and how it goes with it."""

    id: Annotated[str, Meta(description="Its id.")]
    url: Annotated[str, Meta(description="Where it sends; what stands behind a ? is not shown.")]
    accounts: tuple[str, ...]
    owners: tuple[str, ...]
    kinds: tuple[str, ...]
    symbols: tuple[str, ...]
    created_at: datetime
    stopped_at: Annotated[datetime | None, Meta(description="Since when nothing is sent.")]
    stopped_why: str | None
    delivered: Annotated[int, Meta(description="How many events were taken so far.")]
    delivered_at: datetime | None
    waiting: Annotated[int, Meta(description="How many are owed.")]
    dead: Annotated[int, Meta(description="How many were given up after three days.")]
    failed_at: Annotated[datetime | None, Meta(description="When an attempt last failed.")]
    failure: Annotated[str | None, Meta(description="Why.")]


class SubscriptionMade(msgspec.Struct, frozen=True, kw_only=True):
    """A new subscription with its secret, which is shown this once."""

    subscription: SubscriptionShown
    secret: Annotated[str, Meta(description="whsec_ and base64, as Standard Webhooks has it.")]


class SubscriptionList(msgspec.Struct, frozen=True, kw_only=True):
    """All subscriptions, oldest first."""

    subscriptions: list[SubscriptionShown]


class SubscriptionRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """It is gone, and what was owed to it is forgotten."""

    removed: bool = True


class DeliveryShown(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is owed, or was given up."""

    event_id: str
    account: str
    state: DeliveryState
    owed_since: datetime
    next_try_at: Annotated[datetime | None, Meta(description="null: none, it is dead.")]
    attempts: int
    tried_at: datetime | None
    failure: str | None
    event: Annotated[msgspec.Raw, Meta(description="The Event, as it is sent.")]


class DeliveryList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of deliveries, in the order of the log."""

    deliveries: list[DeliveryShown]
    next: Annotated[str | None, Meta(description="Give it as `after`; null: this is the last.")]


class SendAgain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead deliveries to send again; all where none are named."""

    events: Annotated[list[EventId], Meta(max_length=1_000)] = []


class SentAgain(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead deliveries wait again."""

    count: int


class Which(BaseModel):
    """Which deliveries."""

    model_config = ConfigDict(extra="forbid")

    state: DeliveryState = Field(default=DeliveryState.DEAD, description="dead, or waiting.")
    limit: int = Field(default=100, ge=1, le=1_000, description="How many at most.")
    after: Annotated[str, Field(pattern=r"^[0-9]{1,18}-[0-9]{1,9}$")] | None = Field(
        default=None, description="`next` of the page before."
    )


Id = Annotated[Segment, Path(description="The subscription's id.")]


@router.post(
    "/subscriptions",
    status_code=201,
    responses=answers(SubscriptionMade, 408, 409, 413, 415, status=201),
    openapi_extra=takes(NewSubscription),
    summary="Be told by requests to an address",
)
async def make_subscription(request: Request, faces: Parts) -> Response:
    """Webhooks, signed by Standard Webhooks, from now on. The secret is shown in this answer only.

    The address is judged now and at every delivery; where it leads inside, it is refused.
    """
    new = await body_of(request, NewSubscription)
    interest = Interest(
        accounts=tuple(new.accounts),
        owners=tuple(new.owners),
        kinds=tuple(kind.value for kind in new.kinds),
        symbols=tuple(new.symbols),
    )
    try:
        made, secret = await faces.subscriptions.make(new.url, interest)
    except AddressRefused as refusal:
        raise Refusal(
            422,
            "address-refused",
            f"nothing is sent to this address: {refusal}",
            mend="Give an https address that can be reached from outside this machine.",
            errors=[{"where": "body.url", "what": str(refusal)}],
        ) from None
    except TooManySubscriptions:
        raise Refusal(
            409,
            "too-many",
            "there are as many subscriptions as there may be.",
            mend="Remove one that nobody needs.",
        ) from None
    shown = _shown(Subscribed(subscription=made, waiting=0, dead=0))
    return answer(SubscriptionMade(subscription=shown, secret=secret), 201)


@router.get("/subscriptions", responses=answers(SubscriptionList), summary="Subscriptions")
async def list_subscriptions(faces: Parts) -> Response:
    """All of them, with what is owed to each; their secrets are shown to nobody."""
    found = await faces.subscriptions.list_all()
    return answer(SubscriptionList(subscriptions=[_shown(one) for one in found]))


@router.get(
    "/subscriptions/{id}", responses=answers(SubscriptionShown, 404), summary="One subscription"
)
async def get_subscription(faces: Parts, id: Id) -> Response:  # noqa: A002 - as the path has it
    """How it goes with it."""
    return answer(_shown(await _found(faces.subscriptions, id)))


@router.delete(
    "/subscriptions/{id}", responses=answers(SubscriptionRemoved, 404), summary="End a subscription"
)
async def remove_subscription(faces: Parts, id: Id) -> Response:  # noqa: A002 - as the path has it
    """Nothing more is sent, and what was owed is forgotten."""
    if not await faces.subscriptions.remove(id):
        raise _unknown()
    return answer(SubscriptionRemoved())


@router.get(
    "/subscriptions/{id}/deliveries",
    responses=answers(DeliveryList, 404),
    summary="What is owed, and what was given up",
)
async def list_deliveries(
    faces: Parts,
    id: Id,  # noqa: A002 - as the path has it
    which: Annotated[Which, Query()],
) -> Response:
    """Dead deliveries (or those that wait), each with its event and why it failed."""
    subscriptions = faces.subscriptions
    await _found(subscriptions, id)
    after = _place(which.after) if which.after else None
    found = await subscriptions.list_deliveries(id, which.state, after, which.limit)
    more = str(found[-1].place) if len(found) == which.limit else None
    return answer(DeliveryList(deliveries=[_owed(one) for one in found], next=more))


@router.post(
    "/subscriptions/{id}/send-again",
    responses=answers(SentAgain, 404, 408, 413, 415),
    openapi_extra=takes(SendAgain, required=False),
    summary="Send again what was given up",
)
async def send_again(request: Request, faces: Parts, id: Id) -> Response:  # noqa: A002 - as the path has it
    """Dead deliveries wait again, all or those named; a subscription that was stopped goes on."""
    wanted = await body_of(request, SendAgain)
    subscriptions = faces.subscriptions
    await _found(subscriptions, id)
    places: Sequence[Place] = [_place(one) for one in wanted.events]
    return answer(SentAgain(count=await subscriptions.send_again(id, places)))


async def _found(subscriptions: Subscriptions, subscription_id: str) -> Subscribed:
    found = await subscriptions.get(subscription_id)
    if found is None:
        raise _unknown()
    return found


def _unknown() -> Refusal:
    return Refusal(
        404,
        "not-found",
        "there is no such subscription.",
        mend="GET /api/v1/subscriptions lists them.",
    )


def _place(text: str) -> Place:
    log_id, _, n = text.partition("-")
    return Place(int(log_id), int(n))


def _shown(found: Subscribed) -> SubscriptionShown:
    one: Subscription = found.subscription
    address, mark, _ = one.url.partition("?")
    return SubscriptionShown(
        id=one.subscription_id,
        # Who takes webhooks may have put a token there, and this is for whoever may read.
        url=f"{address}?…" if mark else address,
        accounts=one.interest.accounts,
        owners=one.interest.owners,
        kinds=one.interest.kinds,
        symbols=one.interest.symbols,
        created_at=one.created_at,
        stopped_at=one.stopped_at,
        stopped_why=one.stopped_why,
        delivered=one.delivered,
        delivered_at=one.delivered_at,
        waiting=found.waiting,
        dead=found.dead,
        failed_at=one.failed_at,
        failure=one.failure,
    )


def _owed(one: Delivery) -> DeliveryShown:
    waits = one.state is DeliveryState.WAITING
    return DeliveryShown(
        event_id=str(one.place),
        account=one.account,
        state=one.state,
        owed_since=one.put_at,
        next_try_at=one.due_at if waits else None,
        attempts=one.attempts,
        tried_at=one.tried_at,
        failure=one.failure,
        event=msgspec.Raw(one.body.encode()),
    )
