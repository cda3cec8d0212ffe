"""HEAD: what GET would be answered, without the body (RFC 9110, 9.3.2).

Uptime monitors and `curl -I` ask so. It is done once, before the routes: each route is described
by its one method, and OpenAPI has no call twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_ONLY_HEAD = "only_head"


class Heads:
    """ASGI middleware. The body is left out by the server, which knows how it was asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD by what answers GET."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", _ONLY_HEAD: True}
        await self._app(scope, receive, send)


def is_only_head(scope: Scope) -> bool:
    """Whether nobody will get the body: one that has no end must not begin."""
    return _ONLY_HEAD in scope
