"""Whatever is asked: no 5xx, no answer that the description does not know, no secret.

schemathesis makes requests from the OpenAPI document, good ones and bad ones; they are sent over
HTTP in virtual time, by callers with the right token, a wrong one, or none. `ORDERSYNC_FUZZ` says
how many are made for each call and kind; without it, a few.
"""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta
from functools import cache
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ordersync.service import new_token, revoke_token
from ordersync.simulator import Life
from ordersync.tokened import Scope
from ordersync.web.api.application import routes
from tests.system.caller import BASE, calling, with_api
from tests.system.house import ago
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2
    from hypothesis.strategies import SearchStrategy
    from schemathesis import Case

    from ordersync.web.api.faces import Faces
    from tests.system.caller import Caller
    from tests.system.house import House

EACH: Final = int(os.environ.get("ORDERSYNC_FUZZ", "1000")) // 50
GOOD: Final = frozenset({"read", "operate"})
REFUSED: Final = frozenset({400, 401, 403, 413, 415, 431})
STREAMS: Final = {"/api/v1/events"}
"""What answers for ever is asked elsewhere."""

CHECKS: Final = [status_code_conformance, content_type_conformance, response_schema_conformance]


@cache
def document() -> dict[str, Any]:
    return routes(cast("Faces", None)).openapi()


def cases(mode: GenerationMode) -> Iterator[Case[Any]]:
    """Requests to every call, as the document describes them."""
    schema = schemathesis.openapi.from_dict(document())
    for result in schema.get_all_operations():
        operation = cast("Any", result).ok()
        if operation.path not in STREAMS:
            yield from drawn(operation.as_strategy(generation_mode=mode))


def drawn(strategy: SearchStrategy[Case[Any]]) -> list[Case[Any]]:
    """A few examples, the same in every run; none where nothing about a call can be wrong."""
    found: list[Case[Any]] = []

    def take(case: Case[Any]) -> None:
        found.append(case)

    few = settings(
        max_examples=EACH,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with contextlib.suppress(Unsatisfiable):
        few(given(strategy)(take))()
    return found


async def answered(caller: Caller, case: Case[Any], token: str | None) -> httpx2.Response:
    """What is said to this request."""
    sent = case.as_transport_kwargs(base_url=BASE)
    headers = {
        name: value
        for name, value in dict(sent.get("headers") or {}).items()
        if name.lower() not in {"authorization", "host"}
    }
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    body = {name: sent[name] for name in ("json", "data", "content") if sent.get(name) is not None}
    if isinstance(body.get("data"), bytes | str):
        body = {"content": body["data"]}
    return await caller.client.request(
        sent["method"], sent["url"], params=sent.get("params"), headers=headers, **body
    )


async def tokens(house: House) -> dict[str, str | None]:
    """One of each kind of caller."""
    made: dict[str, str | None] = {"none": None, "forged": "ost_" + "x" * 43}
    for name, scope, lasts in (
        ("read", Scope.READ, None),
        ("operate", Scope.OPERATE, None),
        ("revoked", Scope.OPERATE, None),
        ("expired", Scope.OPERATE, timedelta(seconds=1)),
    ):
        made[name] = await new_token(house.settings(), name, scope, lasts, house.clock)
    assert await revoke_token(house.settings(), "revoked", house.clock)
    return made


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_has_an_answer_that_is_not_described(
    mode: GenerationMode, tmp_path: Path
) -> None:
    found = list(cases(mode))
    assert len(found) > 100
    run_virtually(lambda: ask_all(found, tmp_path))


async def ask_all(found: list[Case[Any]], folder: Path) -> None:
    web = {"require_token": True}
    async with with_api(folder, web=web, orders={"owner": "bot_id"}) as house:
        for n in range(3):
            house.place(Life.open(), age=ago(hours=1 + n))
        house.place(Life.filled())
        house.invent()
        known = await tokens(house)
        secrets = [str(folder), *(secret for secret in known.values() if secret)]
        async with calling(house) as caller:
            for case, (kind, token) in zip(found, cycle(known.items()), strict=False):
                answer = await answered(caller, case, token)
                told = f"{kind}: {case.method} {answer.request.url} {case.body!r}: {answer.text}"
                assert may_be_said(kind, case, answer), told
                assert not any(secret in answer.text for secret in secrets), told
                if kind in GOOD:
                    case.validate_response(answer, checks=CHECKS)


def may_be_said(kind: str, case: Case[Any], answer: httpx2.Response) -> bool:
    """Whether this status may be what this caller hears."""
    status = answer.status_code
    is_guarded = case.operation.path.startswith("/api/") or case.operation.path == "/metrics"
    if is_guarded and kind not in GOOD:
        return status in REFUSED
    if is_guarded and kind == "read" and case.method not in {"GET", "HEAD"}:
        return status in REFUSED
    return status < 500 or case.operation.path == "/readyz"


def test_every_call_and_every_field_is_described() -> None:
    whole = document()
    assert whole["openapi"].startswith("3.1")
    nameless = []
    for path, methods in whole["paths"].items():
        for method, call in methods.items():
            if not call.get("summary") or not call.get("description"):
                nameless.append(f"{method} {path}")
            nameless += [
                f"{method} {path}: {one['name']}"
                for one in call.get("parameters", [])
                if not one.get("description")
            ]
    for name, shape in whole["components"]["schemas"].items():
        nameless += [
            f"{name}.{field}"
            for field, about in shape.get("properties", {}).items()
            if not about.get("description") and name in {"Listed", "Orders", "Totals", "Problem"}
        ]
    assert nameless == []
