"""What Alpaca can answer: a status, a body, and the exact shapes of its refusals.

Most refusals are `{"code", "message"}`, the code being the HTTP status and four digits more; the
rate limiter leaves the code out, and what stands before the API speaks HTML.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.simulator.answers import Answer, RefusedError

if TYPE_CHECKING:
    from ordersync.simulator.answers import Json

MALFORMED = 40010001
UNPROCESSABLE = 42210000
FORBIDDEN = 40310000


def refusal(status: int, code: int, message: str, **more: Json) -> RefusedError:
    """Answer with a code and a message."""
    return RefusedError(Answer(status=status, payload={"code": code, "message": message, **more}))


def malformed(message: str) -> RefusedError:
    """422: the request itself is none."""
    return refusal(422, MALFORMED, message)


def unprocessable(message: str) -> RefusedError:
    """422: the request is one, and cannot be done."""
    return refusal(422, UNPROCESSABLE, message)


def order_not_found(order_id: str) -> RefusedError:
    """404 for one order."""
    return refusal(404, 40410000, f"order not found for {order_id}")


def forbidden(message: str, **more: Json) -> RefusedError:
    """403: the funds, the shares or the token's scope do not suffice."""
    return refusal(403, FORBIDDEN, message, **more)


def unauthorized(status: int = 401) -> Answer:
    """401: no such key, or one for the other host. Some gateways say 403 instead."""
    if status == 403:  # noqa: PLR2004 - an HTTP status is its own name
        return Answer(status=403, payload={"message": "forbidden."})
    return Answer(status=401, payload={"code": 40110000, "message": "request is not authorized"})


def too_many_requests() -> Answer:
    """429, without a code."""
    return Answer(status=429, payload={"message": "too many requests."})


def internal_error(status: int = 500) -> Answer:
    """5xx from the API itself."""
    return Answer(
        status=status,
        payload={"code": status * 100_000 + 10_000, "message": "internal server error occurred"},
    )


def gateway_page(status: int = 502) -> Answer:
    """5xx from what stands before the API."""
    return Answer(
        status=status,
        text=f"<html>\n<head><title>{status}</title></head>\n<body>nginx</body>\n</html>\n",
        content_type="text/html",
    )
