"""Somebody who is told by webhooks: takes them on a port of his own, and checks each by hand."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ordersync.web.guest import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

PORT: Final = 9_300
URL: Final = f"http://127.0.0.1:{PORT}/hooks"


@dataclass
class Receiver:
    """What came, as (webhook id, event). `answers` decides on each; by default all are taken."""

    secret: str = ""
    came: list[tuple[str, Any]] = field(default_factory=list)
    taken: list[tuple[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answers: Callable[[Any], int] = lambda _: 204
    before_answer: Callable[[], Any] | None = None

    @property
    def ids(self) -> list[str]:
        """The webhook ids of what was taken, in the order in which it came."""
        return [one for one, _ in self.taken]

    def of_order(self, order_id: str) -> list[str]:
        return [i for i, one in self.taken if one["order"]["venue_order_id"] == order_id]

    async def take(self, request: Request) -> Response:
        body = await request.body()
        headers = request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        mac = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{mac}"
        assert headers["content-type"] == "application/json"
        event = json.loads(body)
        self.came.append((headers["webhook-id"], event))
        self.times.append(asyncio.get_running_loop().time())
        if self.before_answer is not None:
            await self.before_answer()
        status = self.answers(event)
        if status < 300:
            self.taken.append((headers["webhook-id"], event))
        return Response(status_code=status, headers={"location": "http://127.0.0.1:1/"})


@contextlib.asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[Receiver]:
    app = Starlette(routes=[Route("/hooks", receiver.take, methods=["POST"])])
    async with listening(app, "127.0.0.1", PORT):
        yield receiver
