"""The way that a request takes through an exchange, whichever it is.

The faults are struck first, then the client is let in or not, then its question is answered. What
a fault puts before the exchange answers in its stead; what it spoils is spoiled last. Questions
are answered without waiting for anything; only faults wait, by `asyncio.sleep` and nothing else,
so the application runs on any loop and in any time.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ordersync.simulator.answers import RefusedError
from ordersync.simulator.kinds import Kind
from ordersync.simulator.silence import silence_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from starlette.requests import Request

    from ordersync.simulator.answers import Answer, Json
    from ordersync.simulator.faults import Fault, Faults
    from ordersync.simulator.kinds import AnyKind

REMEMBERED = 100_000
NO_CONTENT = 204

Caller = TypeVar("Caller")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One request as it was answered, for tests and budgets. Status 0: it was not answered."""

    at: datetime
    endpoint: str
    query: str
    key_name: str
    status: int
    faults: tuple[AnyKind, ...]


@dataclass(slots=True, kw_only=True)
class Call(Generic[Caller]):
    """One request on its way. `caller` is whose it is, once that is known."""

    endpoint: str
    request: Request
    body: bytes
    asked_at: datetime
    faults: tuple[Fault, ...]
    caller: Caller | None = None
    headers: dict[str, str] = field(default_factory=dict)
    row_before: list[Json] = field(default_factory=list)


class Exchange(ABC, Generic[Caller]):
    """What all exchanges do with a request. `served` remembers each, oldest first."""

    json_type: ClassVar[str] = "application/json"

    def __init__(self, now: Callable[[], datetime], faults: Faults) -> None:
        self._now = now
        self._faults = faults
        self._turn = 0
        self.served: deque[Served] = deque(maxlen=REMEMBERED)

    @abstractmethod
    def admit(self, call: Call[Caller]) -> Answer | None:
        """Let the caller in, and say who it is in `call`; or answer why not.

        Raises RefusedError, which is the same.
        """

    @abstractmethod
    def key_name(self, caller: Caller) -> str:
        """Name the key that the caller came with."""

    @abstractmethod
    def instead(self, faults: Sequence[Fault]) -> Answer | None:
        """Answer for whatever a fault has put before the exchange, if one has."""

    @abstractmethod
    def damaged(self, answer: Answer, call: Call[Caller], turn: int) -> Answer:
        """Spoil a good answer by the call's faults; `turn` chooses the victim."""

    def route(
        self,
        endpoint: str,
        path: str,
        question: Callable[[Call[Caller]], Answer],
        method: str = "GET",
    ) -> Route:
        """Let this path be asked for."""

        async def answer(request: Request) -> Response:
            # The body is read first: an exchange that hangs or hangs up has still been asked.
            call: Call[Caller] = Call(
                endpoint=endpoint,
                request=request,
                body=await request.body(),
                asked_at=self._now(),
                faults=self._faults.strike(endpoint, self._now()),
            )
            return await self._answer(call, question)

        return Route(path, answer, methods=[method], name=endpoint)

    async def _answer(
        self, call: Call[Caller], question: Callable[[Call[Caller]], Answer]
    ) -> Response:
        self._turn += 1
        late = sum(f.seconds(1) for f in call.faults if f.kind is Kind.LATENCY)
        if late:
            await asyncio.sleep(late / 2)
        answer = self.instead(call.faults) or self._asked(call, question)
        answer = self.damaged(answer, call, self._turn)
        silent = silence_of(call.faults)
        self._remember(call, 0 if silent is not None else answer.status)
        if silent is not None:
            return silent
        if late:
            await asyncio.sleep(late / 2)
        return self._response(answer)

    def _asked(self, call: Call[Caller], question: Callable[[Call[Caller]], Answer]) -> Answer:
        try:
            answer = self.admit(call) or question(call)
        except RefusedError as refused:
            answer = refused.answer
        return replace(answer, headers={**call.headers, **answer.headers})

    def _remember(self, call: Call[Caller], status: int) -> None:
        self.served.append(
            Served(
                at=call.asked_at,
                endpoint=call.endpoint,
                query=call.request.url.query,
                key_name="" if call.caller is None else self.key_name(call.caller),
                status=status,
                faults=tuple(fault.kind for fault in call.faults),
            )
        )

    def _response(self, answer: Answer) -> Response:
        """Put an answer into bytes."""
        status, headers = answer.status, answer.headers
        if status == NO_CONTENT:
            return Response(status_code=status, headers=headers)
        if answer.stream is not None:
            return StreamingResponse(answer.stream, status, headers, media_type="text/event-stream")
        if answer.payload is None:
            return Response(answer.text, status, headers, media_type=answer.content_type)
        body = msgspec.json.encode(answer.payload)
        return Response(body, status, headers, media_type=self.json_type)
