"""Something between the exchange and the wire: small pages, and a proxy that answers for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from random import Random

    from starlette.types import ASGIApp, Receive, Scope, Send

LISTED = "/orders/historical/batch"
PAGE = b"<html><head><title>404 Not Found</title></head><body>nginx</body></html>"


@dataclass
class Proxy:
    """`page` is how many orders a list has at most; `wrong` how often it knows no such page."""

    dice: Random
    page: int | None = None
    wrong: float = 0.0

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
            await app(scope, receive, send)

        return proxied


async def _not_found(send: Send) -> None:
    headers = [(b"content-type", b"text/html"), (b"content-length", str(len(PAGE)).encode())]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE})
