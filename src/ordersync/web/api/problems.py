"""Every error as a problem (RFC 9457): what was wrong, where, and the mend.

No secret is ever quoted: what a stranger sent is named by its place, not repeated.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ordersync.errors import AskAgain, ConfigError, NotUnderstood, OrdersyncError, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

MEDIA_TYPE = "application/problem+json"
AWAY_PAUSE_SECONDS = 5

MEANINGS: Mapping[str, str] = {
    "not-json": "the body is not JSON",
    "cursor": "`cursor` is none, or of another query",
    "bad-host": "the header Host is missing, or there twice",
    "token": "a token is needed, or the one given is none",
    "scope": "the token may not do that",
    "other-origin": "a page of another host asks",
    "not-found": "there is no such thing",
    "no-metrics": "this process counts nothing",
    "too-slow": "the body did not come in time",
    "act-refused": "what an operator wanted of the order cannot be done",
    "several-orders": "several orders go by this name",
    "too-many": "there are as many of them as there may be",
    "too-long": "the body is too long",
    "head-too-long": "path, parameters and headers are too long",
    "unknown-host": "nobody here goes by the name in Host",
    "invalid-request": "a parameter or a field is not as it has to be; `errors` lists each",
    "address-refused": "nothing is sent to that address",
    "defect": "a mistake of ordersync: report it",
    "away": "the database or the exchange is away; ask again",
    "needs-mending": "a person has to mend something; the log and `doctor` say what",
}
"""What each problem means, by its name: for the reference."""

log = structlog.get_logger("ordersync")


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong, by RFC 9457."""

    type: Annotated[
        str,
        msgspec.Meta(
            description="Which problem it is; for programs to tell them apart.",
            examples=["urn:ordersync:problem:not-found"],
        ),
    ]
    title: Annotated[str, msgspec.Meta(description="The same, for people.")]
    status: Annotated[int, msgspec.Meta(description="The HTTP status.")]
    detail: Annotated[str, msgspec.Meta(description="What was wrong this time.")] = ""
    mend: Annotated[str, msgspec.Meta(description="The next step.")] = ""
    errors: Annotated[
        list[dict[str, str]], msgspec.Meta(description="Each mistake with its place (422).")
    ] = []
    orders: Annotated[
        list[Any], msgspec.Meta(description="The orders that one name matched (409).")
    ] = []


class Refusal(Exception):
    """The request is answered with a problem. `kind` names it: `not-found`."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        mend: str,
        headers: Mapping[str, str] | None = None,
        orders: list[Any] | None = None,
        errors: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.problem = Problem(
            type=f"urn:ordersync:problem:{kind}",
            title=kind.replace("-", " ").capitalize(),
            status=status,
            detail=detail,
            mend=mend,
            errors=errors or [],
            orders=orders or [],
        )

    @property
    def response(self) -> Response:
        """The answer."""
        return Response(
            msgspec.json.encode(self.problem),
            self.status,
            headers={"cache-control": "no-store", **self.headers},
            media_type=MEDIA_TYPE,
        )


def install(app: FastAPI) -> None:
    """From now on every error of the application is a problem."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OrdersyncError, _explained)
    app.add_exception_handler(Exception, _unexpected)


def of_error(error: OrdersyncError) -> Refusal:
    """What an error of ours is to a caller. The text of a database's error is not for him."""
    if isinstance(error, AskAgain):
        return Refusal(
            503,
            "away",
            "the database or the exchange gave no answer.",
            mend="Ask again in a moment; the log of ordersync says why.",
            headers={"retry-after": str(AWAY_PAUSE_SECONDS)},
        )
    if isinstance(error, StoreRefused):
        what = "the database refuses; a person has to mend it."
    elif isinstance(error, ConfigError):
        what = "the configuration cannot be used for this."
    elif isinstance(error, NotUnderstood):
        what = "the exchange's answer could not be read."
    else:
        what = "a person has to mend something first."
    return Refusal(503, "needs-mending", what, mend="The log of ordersync and its doctor say more.")


async def _refused(_: Request, error: Exception) -> Response:
    return cast("Refusal", error).response


async def _invalid(_: Request, error: Exception) -> Response:
    found = [
        {"where": ".".join(str(part) for part in one["loc"]), "what": str(one["msg"])}
        for one in cast("RequestValidationError", error).errors()
    ]
    return invalid(found).response


def invalid(errors: list[dict[str, str]]) -> Refusal:
    """The request has mistakes: each with its place."""
    first = errors[0]
    return Refusal(
        422,
        "invalid-request",
        f"{first['where']}: {first['what']}.",
        mend="See /docs for what this call takes.",
        errors=errors,
    )


async def _http(request: Request, error: Exception) -> Response:
    error = cast("HTTPException", error)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"allow": ", ".join(sorted(_methods_of(request))) or headers["Allow"]}
    phrase = HTTPStatus(error.status_code).phrase
    kind = phrase.lower().replace(" ", "-").replace("'", "")
    details = {
        404: "there is no such path.",
        405: "this path does not take that method.",
        400: "the request could not be read.",
    }
    detail = details.get(error.status_code, str(error.detail))
    return Refusal(
        error.status_code, kind, detail, mend="See /docs for all calls.", headers=headers
    ).response


def _methods_of(request: Request) -> set[str]:
    """All that the path takes; Starlette names those of the first route that has it."""
    path: str = request.scope["path"]
    calls: Mapping[str, Mapping[str, object]] = request.app.openapi()["paths"]
    described = {
        method.upper()
        for template, methods in calls.items()
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path)
        for method in methods
    }
    # See `heads`: OpenAPI has no call twice.
    return described | {"HEAD"} if "GET" in described else described


async def _explained(request: Request, error: Exception) -> Response:
    error = cast("OrdersyncError", error)
    log.warning(f"A call was not answered: {error}", path=request.url.path)
    return of_error(error).response


async def _unexpected(request: Request, error: Exception) -> Response:
    # A defect of ours. The server logs the traceback; the caller learns that it was not him.
    log.error(f"A call failed: {type(error).__name__}", path=request.url.path)
    return Refusal(
        500, "defect", "ordersync made a mistake.", mend="Report it with the log's traceback."
    ).response
