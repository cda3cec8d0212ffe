"""How calls are described: every shape once, as a msgspec Struct, for answers and for OpenAPI.

Answers are bytes that msgspec made: a second model, through which FastAPI would send each order,
would cost more than reading it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.responses import Response

from ordersync.web.api.problems import MEDIA_TYPE, Problem, Refusal, invalid

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

ANYWHERE = (400, 401, 403, 421, 422, 431, 503)
"""The problems that every call behind the guard may have."""

_REFERENCE = "#/components/schemas/{name}"
_T = TypeVar("_T")

_encode = msgspec.json.Encoder(enc_hook=str).encode


def answer(content: object, status: int = 200) -> Response:
    """A Struct as JSON; never kept by anybody on the way."""
    return Response(
        _encode(content),
        status,
        headers={"cache-control": "no-store"},
        media_type="application/json",
    )


async def body_of(request: Request, shape: type[_T]) -> _T:
    """The request's body as a Struct; one that is empty reads as `{}`. Raises Refusal (422)."""
    body = await request.body()
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        raise invalid([{"where": f"body.{place.rstrip('`')}".rstrip("."), "what": what}]) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal(
            400, "not-json", "the body is not JSON.", mend="Send JSON (RFC 8259), in UTF-8."
        ) from None


def answers(shape: type, *more: int, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: the shape of its answer, and which more problems it may have."""
    content = {"application/json": {"schema": named(shape)}}
    return {status: {"description": "Done.", "content": content}, **problems(*ANYWHERE, *more)}


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: which problems it may have."""
    content = {MEDIA_TYPE: {"schema": named(Problem)}}
    return {code: {"description": _MEANINGS[code], "content": content} for code in codes}


def takes(shape: type, *, required: bool = True) -> dict[str, Any]:
    """For a route's `openapi_extra`: the shape of its body."""
    content = {"application/json": {"schema": named(shape)}}
    return {"requestBody": {"content": content, "required": required}}


def named(shape: type) -> dict[str, str]:
    """The schema of a Struct, as a reference to where the document has it."""
    _SHAPES[shape.__name__] = shape
    return {"$ref": _REFERENCE.format(name=shape.__name__)}


_SHAPES: dict[str, type] = {}
"""The Structs that routes speak of, by name; of one name there is one."""

_MEANINGS = {
    400: "The request cannot be read, or its cursor belongs to another query.",
    401: "A token is needed, or the one given is none.",
    403: "The token's scope does not cover this, or a page of another host asks.",
    404: "There is no such thing.",
    408: "The body did not come in time.",
    409: "Several orders go by this name, or it is not possible now.",
    413: "The body is too long.",
    415: "The body is no JSON.",
    421: "Nobody here goes by the name in the header Host.",
    422: "A parameter or a field is not as it has to be.",
    431: "The head of the request is too long.",
    503: "The database or the exchange is away; ask again.",
}


def complete(app: FastAPI) -> None:
    """From now on the application's OpenAPI has the Structs' schemas, and who may call what."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            _, components = msgspec.json.schema_components(
                _SHAPES.values(), ref_template=_REFERENCE
            )
            known = document.setdefault("components", {})
            known["schemas"] = components
            known["securitySchemes"] = {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made by `ordersync token new`. Not needed on loopback.",
                }
            }
            document["security"] = [{"token": []}, {}]
        return app.openapi_schema or {}

    app.openapi = described  # type: ignore[method-assign]
