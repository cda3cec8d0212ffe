"""What the exchange can answer: a status, a body, and the exact shapes of its refusals.

Coinbase has several shapes of error, from different layers, and clients tell them apart; so they
are kept here as they are: the gateway's plain texts, the API's JSON, the rate limiter's list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

# The ASGI extensions of `server`: to close a connection, to abort it, and to hear no more on it.
HANG_UP, ABORT, DEAFEN = "ordersync.hang_up", "ordersync.abort", "ordersync.deafen"
# The key of an ASGI message that says that its bytes are a binary frame, not a text.
BINARY = "ordersync.binary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response before it is bytes. A `text` is sent as it is, a `payload` as JSON.

    A `stream` is sent as it comes, as server-sent events.
    """

    status: int = 200
    payload: Json = None
    text: str = ""
    content_type: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


class RefusedError(Exception):
    """The request is answered with an error. The answer says which."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer))
        self.answer = answer


def invalid_argument(message: str) -> RefusedError:
    """400 in the shape of the API's gateway."""
    return RefusedError(
        Answer(
            status=400,
            payload={
                "error": "INVALID_ARGUMENT",
                "code": 3,
                "message": message,
                "error_details": message,
                "details": [],
            },
        )
    )


def order_not_found(error: str = "NOT_FOUND") -> RefusedError:
    """404 for one order. `error` is NOT_FOUND today and was `unknown` before."""
    message = "order with this orderID was not found"
    return RefusedError(
        Answer(status=404, payload={"error": error, "error_details": message, "message": message})
    )


def missing_scopes() -> RefusedError:
    """403: the key is good, but not for this."""
    return RefusedError(
        Answer(
            status=403,
            payload={
                "error": "PERMISSION_DENIED",
                "error_details": "Missing required scopes",
                "message": "Missing required scopes",
            },
        )
    )


def unauthorized() -> Answer:
    """401: two words of plain text fewer than anybody would like."""
    return Answer(status=401, text="Unauthorized")


def too_many_requests() -> Answer:
    """429 in the rate limiter's own shape."""
    return Answer(
        status=429,
        payload={"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]},
    )


def internal_error(status: int = 500) -> Answer:
    """5xx from the API itself."""
    return Answer(
        status=status,
        payload={
            "error": "INTERNAL",
            "code": 13,
            "message": "internal server error",
            "details": [],
        },
    )


def gateway_page(status: int = 502) -> Answer:
    """5xx from what stands before the API."""
    return Answer(
        status=status,
        text=f"<html>\n<head><title>{status}</title></head>\n<body>cloudflare</body>\n</html>\n",
        content_type="text/html; charset=UTF-8",
    )
