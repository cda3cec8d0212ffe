"""Something between the exchange and the wire: small pages, a proxy that answers for itself, and
orders that nobody can read, whichever way they are asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from random import Random

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LISTED = "/orders/historical/batch"
PAGE = b"<html><head><title>404 Not Found</title></head><body>nginx</body></html>"


@dataclass
class Proxy:
    """`page` is how many orders a list has at most; `wrong` how often it knows no such page.

    `odd` is how many of the orders have a status that no client has heard of.
    """

    dice: Random
    page: int | None = None
    wrong: float = 0.0
    odd: float = 0.0
    _odd: dict[str, bool] = field(default_factory=dict)

    def around(self, app: ASGIApp) -> ASGIApp:
        async def proxied(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and "/orders/" in scope["path"]:
                if self.dice.random() < self.wrong:
                    await _not_found(send)
                    return
                if self.page is not None and scope["path"].endswith(LISTED):
                    asked = parse_qsl(scope["query_string"].decode())
                    kept = [(key, value) for key, value in asked if key != "limit"]
                    query = urlencode([*kept, ("limit", str(self.page))])
                    scope = {**scope, "query_string": query.encode()}
                if self.odd:
                    send = self._spoiling(send)
            await app(scope, receive, send)

        return proxied

    def _spoiling(self, send: Send) -> Send:
        start: Message = {}

        async def spoil(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body = self._spoiled(message.get("body", b""))
            kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
            length = (b"content-length", str(len(body)).encode())
            await send({**start, "headers": [*kept, length]})
            await send({**message, "body": body})

        return spoil

    def _spoiled(self, body: bytes) -> bytes:
        try:
            answer = json.loads(body)
        except ValueError:
            return body  # damaged already
        orders: list[Any] = []
        if isinstance(answer, dict):
            orders = answer.get("orders") or [answer.get("order")]
        odd = [one for one in orders if isinstance(one, dict) and self._is_odd(one)]
        for one in odd:
            one["status"] = "SETTLING"
        return json.dumps(answer).encode() if odd else body

    def _is_odd(self, order: dict[str, Any]) -> bool:
        return self._odd.setdefault(str(order.get("order_id")), self.dice.random() < self.odd)


async def _not_found(send: Send) -> None:
    headers = [(b"content-type", b"text/html"), (b"content-length", str(len(PAGE)).encode())]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE})
