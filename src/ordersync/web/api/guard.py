"""Who gets in: asked before any route sees the request.

A browser lets any page ask addresses of this machine. So the Host has to be one of ours (a page
whose name was bound anew to 127.0.0.1 brings its own), the Origin as well, and there is nothing
that a browser would send by itself: no cookie. Beyond loopback nobody gets in without a token.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from ordersync.errors import OrdersyncError
from ordersync.tokened import Scope
from ordersync.web.api.problems import Refusal, of_error
from ordersync.web.draining import drain
from ordersync.web.guest import HEAD_LIMIT

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as Call

    from ordersync.web.api.keyring import Keyring
    from ordersync.web.api.rules import Rules

BODY_LIMIT = 64 * 1024
BODY_WITHIN_SECONDS = 10.0

GUARDED = ("/api/", "/metrics")
"""What takes a token where one is needed; the rest tells nothing about anybody's orders."""

READS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, rules: Rules, keyring: Keyring) -> None:
        self._app = app
        self._rules = rules
        self._keyring = keyring

    async def __call__(self, scope: Call, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it."""
        if scope["type"] != "http":
            return
        scope = {**scope, "path": _as_escaped(scope)}
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        try:
            _check_head(scope)
            host = self._check_host(headers)
            is_ours = self._check_origin(scope, headers)
            if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                # Of our own origin too: nothing is to be seen there.
                response: Response | None = _preflight()
            else:
                response = None
                await self._check_token(scope, headers, host)
                self._check_body(scope, headers)
        except Refusal as refusal:
            # Its body, if it has one, is not read: the connection cannot go on.
            closing = {} if scope["method"] in READS else {"connection": "close"}
            refusal.headers.update(closing)
            response, is_ours = refusal.response, origin in self._rules.origins
        except OrdersyncError as error:
            response, is_ours = of_error(error).response, origin in self._rules.origins
        allowed = origin if origin and is_ours and origin in self._rules.origins else None
        answer = _dressed(send, allowed)
        if response is not None:
            if _has_body(headers):
                await drain(Request(scope, receive))
            await response(scope, receive, answer)
            return
        await self._app(scope, _bounded(receive), answer)

    def _check_host(self, headers: Headers) -> str:
        """The name by which we are called."""
        values = headers.getlist("host")
        host = _name_in(values[0]) if len(values) == 1 else None
        if host is None:
            raise Refusal(
                400,
                "bad-host",
                "the header Host is needed, once, with a name or an address.",
                mend="Send the Host and port of the URL that you call.",
            )
        if not (_is_address(host) or host == "localhost" or host in self._rules.hosts):
            raise Refusal(
                421,
                "unknown-host",
                "nobody here goes by the name that the header Host gives.",
                mend="Call it by its address, or add the name to web.hosts.",
            )
        return host

    def _check_origin(self, scope: Call, headers: Headers) -> bool:
        """Whether the page that asks, if it is one, is ours."""
        origins = headers.getlist("origin")
        site = headers.get("sec-fetch-site", "none")
        if not origins:
            if site in {"cross-site", "same-site"} and _is_guarded(scope["path"]):
                raise self._other_page()
            return True
        origin = origins[0].lower()
        if len(origins) == 1 and (
            origin in self._rules.origins or _host_of(origin) == headers["host"].lower()
        ):
            return True
        raise self._other_page()

    @staticmethod
    def _other_page() -> Refusal:
        return Refusal(
            403,
            "other-origin",
            "a page of another host may not ask here.",
            mend="Add its origin to web.origins, if it is yours.",
        )

    async def _check_token(self, scope: Call, headers: Headers, host: str) -> None:
        if not _is_guarded(scope["path"]):
            return
        wanted = Scope.READ if scope["method"] in READS else Scope.OPERATE
        given = headers.getlist("authorization")
        if not given:
            if self._needs_token(headers, host):
                raise _unauthorized("a token is needed.")
            scope["caller"], scope["may"] = None, Scope.OPERATE
            return
        kind, _, secret = given[0].partition(" ")
        if len(given) != 1 or kind.lower() != "bearer" or not secret:
            raise _unauthorized("Authorization is to be: Bearer and the token.")
        token = await self._keyring.holder(secret.strip())
        if token is None:
            raise _unauthorized("the token is none, or no longer one.", invalid=True)
        if not token.scope.includes(wanted):
            raise Refusal(
                403,
                "scope",
                f"the token {token.name!r} may only {token.scope}; this asks for {wanted}.",
                mend="Use one made with: ordersync token new --scope operate --name NAME",
                headers={"www-authenticate": 'Bearer error="insufficient_scope"'},
            )
        scope["caller"], scope["may"] = token.name, token.scope

    def _needs_token(self, headers: Headers, host: str) -> bool:
        """Who comes through a proxy comes from beyond, whatever address the proxy has."""
        rules = self._rules
        is_here = host == "localhost" or (_is_address(host) and _is_loopback(host))
        return (
            rules.exposed
            or rules.require_token
            or not is_here
            or any(name in headers for name in _FORWARDED)
        )

    @staticmethod
    def _check_body(scope: Call, headers: Headers) -> None:
        declared, has_body = headers.get("content-length"), _has_body(headers)
        if declared is not None and (not declared.isdecimal() or int(declared[:12]) > BODY_LIMIT):
            raise _too_long()
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if has_body and scope["method"] not in READS and kind != "application/json":
            raise Refusal(
                415,
                "not-json",
                "the body has to be JSON.",
                mend="Send it with: Content-Type: application/json",
            )


def _as_escaped(scope: Call) -> str:
    """The path as it is routed: each part escaped in one way, so that a / in an id is no border.

    Else the order `1/sync` could not be named, and asking for it would verify the order `1`.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    parts = raw.decode("ascii", "replace").partition("?")[0].split("/")
    return "/".join(quote(unquote(part), safe="") for part in parts)


def _check_head(scope: Call) -> None:
    """What came in one piece is whole before the listener would find it too long."""
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    if size + sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_LIMIT:
        raise Refusal(
            431,
            "head-too-long",
            f"the head of the request is longer than {HEAD_LIMIT} bytes.",
            mend="Send fewer or shorter headers and parameters.",
            headers={"connection": "close"},
        )


def _too_long() -> Refusal:
    return Refusal(
        413,
        "too-long",
        f"the body is longer than {BODY_LIMIT} bytes.",
        mend="No call needs so much.",
        headers={"connection": "close"},
    )


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _unauthorized(what: str, *, invalid: bool = False) -> Refusal:
    challenge = 'Bearer realm="ordersync"' + (', error="invalid_token"' if invalid else "")
    return Refusal(
        401,
        "token",
        what,
        mend="Make one with: ordersync token new --scope read --name NAME; "
        "send it as Authorization: Bearer TOKEN",
        headers={"www-authenticate": challenge},
    )


def _host_of(origin: str) -> str | None:
    """Host and port; None where the text is no address: anybody may send any."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _is_guarded(path: str) -> bool:
    return path.startswith(GUARDED)


def _name_in(host: str) -> str | None:
    """The name or address in a Host header, without its port."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return (parts.hostname or "").rstrip(".") or None


def _is_address(host: str) -> bool:
    """Whether it is an address: no name that leads here can have been bound anew."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


def _preflight() -> Response:
    return Response(
        status_code=204,
        headers={
            "access-control-allow-methods": "GET, POST, DELETE",
            "access-control-allow-headers": "authorization, content-type, last-event-id",
            "access-control-max-age": "600",
        },
    )


def _dressed(send: Send, allowed: str | None) -> Send:
    """The answer with what a browser should know of it."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _SAFE.items():
                headers.setdefault(name, value)
            if allowed is not None:
                headers["access-control-allow-origin"] = allowed
                headers["cross-origin-resource-policy"] = "cross-origin"
                headers.add_vary_header("origin")
        await send(message)

    return dressed


def _bounded(receive: Receive) -> Receive:
    """The body, no longer and no slower than it may be."""
    left, deadline = BODY_LIMIT, 0.0
    is_whole = False

    async def bounded() -> Message:
        nonlocal left, deadline, is_whole
        if is_whole:
            return await receive()  # whether the client has gone
        loop = asyncio.get_running_loop()
        deadline = deadline or loop.time() + BODY_WITHIN_SECONDS
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            what = "the body did not come in time."
            mend = f"Send it within {BODY_WITHIN_SECONDS:g} seconds."
            raise Refusal(
                408, "too-slow", what, mend=mend, headers={"connection": "close"}
            ) from None
        left -= len(message.get("body", b""))
        if left < 0:
            raise _too_long()
        is_whole = not message.get("more_body", False)
        return message

    return bounded
