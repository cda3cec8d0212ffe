"""What may stand behind the `?`: what the call's own description has, and each once.

A slip such as `?maxage=2` must not be answered as if nothing had been wanted, nor
`?owner=a&owner=b` as if only one of them had.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from ordersync.web.api.problems import invalid

if TYPE_CHECKING:
    from fastapi import FastAPI

NAME_SHOWN = 40


async def check_parameters(request: Request) -> None:
    """Raise Refusal (422) for a parameter that the call does not take, or not so often."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    path: str = request.scope["route"].path
    if not given or not path.startswith("/api/"):
        return  # who watches over processes may send what he sends to all of them
    takes = _takes(request.app, path, request.method)
    errors = [
        {
            "where": f"query.{name[:NAME_SHOWN]}",
            "what": "it may be given once" if name in takes else f"this call takes {_all(takes)}",
        }
        for name, times in given.items()
        if name not in takes or (times > 1 and not takes[name])
    ]
    if errors:
        raise invalid(errors)


def _takes(app: FastAPI, path: str, method: str) -> dict[str, bool]:
    """The parameters of a call, and which of them may be given several times."""
    call: dict[str, Any] = app.openapi()["paths"].get(path, {}).get(method.lower(), {})
    return {
        one["name"]: one["schema"].get("type") == "array"
        for one in call.get("parameters", [])
        if one["in"] == "query"
    }


def _all(takes: dict[str, bool]) -> str:
    return f"no other parameters than {', '.join(takes)}" if takes else "no parameters"
