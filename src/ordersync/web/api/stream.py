"""`GET /api/v1/events`: server-sent events, for as long as somebody listens.

What all listeners get is encoded once. A listener has a page in its hands and no more; one whose
connection takes nothing for half a minute is dropped, and goes on from its last id.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from ordersync.errors import OrdersyncError
from ordersync.sync.page import Wanted
from ordersync.truth.model import EventKind
from ordersync.web.api.described import problems
from ordersync.web.api.heads import is_only_head
from ordersync.web.api.parts import Parts
from ordersync.web.api.problems import of_error
from ordersync.web.guest import ABORT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from starlette.types import Receive, Scope, Send

    from ordersync.logged import Logged
    from ordersync.ports import Clock
    from ordersync.sync.outbox import Listener

HEARTBEAT = timedelta(seconds=15)
"""After so much silence a comment is sent: both sides see that the other is there."""

LEAST_PATIENCE = timedelta(milliseconds=100)

STUCK = timedelta(seconds=30)
ASK_AGAIN_EVERY = timedelta(minutes=1)
"""How often it is looked whether a listener's token still is one."""

AWAY_PAUSE = timedelta(seconds=1)
RETRY_MILLISECONDS = 1_000
CHUNK = 256 * 1024

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]

log = structlog.get_logger("ordersync")

router = APIRouter(prefix="/api/v1", tags=["events"])

Name = Annotated[str, Field(min_length=1, max_length=190)]


class Filters(BaseModel):
    """Which events, and from where on. Each may be given several times: any of them."""

    model_config = ConfigDict(extra="forbid")

    account: list[Name] = Field(default=[], max_length=100, description="Only of these accounts.")
    owner: list[Name] = Field(default=[], max_length=100, description="Only of these owners.")
    kind: list[EventKind] = Field(
        default=[], max_length=100, description="Only of these kinds: see the reference of events."
    )
    symbol: list[Name] = Field(default=[], max_length=100, description="Only of these symbols.")
    order: list[Name] = Field(
        default=[],
        max_length=100,
        description="Only of these orders, by row id, venue id or client id.",
    )
    last_event_id: Annotated[str, Field(max_length=40)] | None = Field(
        default=None,
        description="Go on after this event, for who cannot set the header Last-Event-ID, "
        "which counts where both are given.",
    )

    @property
    def wanted(self) -> Wanted:
        """What is asked for, without where it begins."""
        return Wanted(
            accounts=frozenset(self.account),
            owners=frozenset(self.owner),
            kinds=frozenset(self.kind),
            symbols=frozenset(self.symbol),
            orders=frozenset(self.order),
        )


_STREAMED: dict[int | str, dict[str, Any]] = {
    **problems(400, 401, 403, 421, 422, 431, 503),
    200: {
        "description": 'Server-sent events: `hello` first, its data `{"newest": id}`; then one '
        "message for each event, `id` its id, `event` its kind, `data` the Event as JSON; `reset` "
        "where the id asked for is gone. Comments keep the connection alive.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
}


@router.get(
    "/events", response_class=Response, responses=_STREAMED, summary="Events, as they happen"
)
async def stream_events(
    request: Request,
    faces: Parts,
    filters: Annotated[Filters, Query()],
    last_event_id: Annotated[
        str | None, Header(max_length=40, description="Go on after the event of this id.")
    ] = None,
) -> Response:
    """Hear of every change from now on, or from what came after `Last-Event-ID`, without loss.

    An event can come twice after a reconnect: its id tells.
    """
    after = last_event_id if last_event_id is not None else filters.last_event_id
    secret = request.headers.get("authorization", "").partition(" ")[2].strip()

    async def is_welcome() -> bool:
        return not secret or await faces.keyring.holder(secret) is not None

    return Stream(faces.outbox.listening(filters.wanted, after), faces.clock, is_welcome)


def framed(logged: Logged) -> bytes:
    """One event as a message. JSON has no line ends of its own."""
    return (f"id: {logged.place}\nevent: {logged.kind}\ndata: {logged.body}\n\n").encode()


class Stream(Response):
    """The answer that does not end by itself."""

    def __init__(
        self,
        listening: AbstractAsyncContextManager[Listener],
        clock: Clock,
        is_welcome: Callable[[], Awaitable[bool]],
    ) -> None:
        super().__init__()
        self._listening = listening
        self._clock = clock
        self._is_welcome = is_welcome

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell until the listener has gone, or takes nothing any more."""
        async with AsyncExitStack() as stack:
            try:
                listener = await stack.enter_async_context(self._listening)
            except OrdersyncError as error:
                # What cannot begin is a problem, and not an empty stream.
                await of_error(error).response(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
            if is_only_head(scope):
                await send({"type": "http.response.body"})
                return
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._tell(listener, scope, send))
                while (await receive())["type"] != "http.disconnect":
                    pass
                telling.cancel()

    async def _tell(self, listener: Listener, scope: Scope, send: Send) -> None:
        try:
            await _put(send, _hello(listener))
            asked = spoke = self._clock.monotonic()
            while True:
                # What passes by unwanted is no sign of life for the other side.
                silent = timedelta(seconds=self._clock.monotonic() - spoke)
                text = await self._next(listener, max(HEARTBEAT - silent, LEAST_PATIENCE))
                now = self._clock.monotonic()
                if not text and now - spoke >= HEARTBEAT.total_seconds():
                    text = _alive(listener)
                if text:
                    spoke = now
                    await _put(send, text)
                if now - asked >= ASK_AGAIN_EVERY.total_seconds():
                    asked = now
                    if await self._was_turned_out():
                        break
            _drop(scope)
        except TimeoutError:
            log.info("A listener was dropped: it took nothing for half a minute")
            _drop(scope)

    async def _was_turned_out(self) -> bool:
        try:
            return not await self._is_welcome()
        except OrdersyncError:
            return False  # nobody can tell at the moment: it is looked again

    async def _next(self, listener: Listener, patience: timedelta) -> bytes:
        try:
            heard = await listener.take(patience)
        except OrdersyncError:
            # Whatever the database has: the connection stays, and what is in the log is told
            # once it can be read again.
            await self._clock.sleep(AWAY_PAUSE)
            return b""
        return heard.as_bytes(framed) if heard is not None else b""


def _alive(listener: Listener) -> bytes:
    """With the id of what has passed by, so that who wanted none of it need not begin there."""
    return f": alive\nid: {listener.place}\n\n".encode() if listener.place else b": alive\n\n"


def _drop(scope: Scope) -> None:
    """Close the connection at once; what waits for it is forgotten."""
    abort = scope.get("extensions", {}).get(ABORT)
    if abort is not None:
        abort["abort"]()


def _hello(listener: Listener) -> bytes:
    newest = str(listener.newest) if listener.newest else None
    # Who goes on from an id keeps that until the first event: a hello must not pass it by.
    mark = "" if listener.place else f"id: {newest or '0-0'}\n"
    data = msgspec.json.encode({"newest": newest}).decode()
    text = f"retry: {RETRY_MILLISECONDS}\n{mark}event: hello\ndata: {data}\n\n"
    if listener.is_reset:
        text += f"event: reset\ndata: {data}\n\n"
    return text.encode()


async def _put(send: Send, text: bytes) -> None:
    """Send it in pieces, each as long as it takes but not for ever. Raises TimeoutError."""
    for start in range(0, len(text), CHUNK):
        async with asyncio.timeout(STUCK.total_seconds()):
            body = text[start : start + CHUNK]
            await send({"type": "http.response.body", "body": body, "more_body": True})
