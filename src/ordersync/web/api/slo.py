"""Figures over HTTP: the objectives, the plots behind them, and what Prometheus scrapes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query
from msgspec import Meta
from starlette.responses import Response

from ordersync.sync.objectives import (
    LONGEST,
    STEPS,
    TARGETS,
    WINDOWS,
    Objectives,
    Point,
    Targets,
    objectives,
    points,
)
from ordersync.web.api.described import answer, answers, problems
from ordersync.web.api.filters import Text
from ordersync.web.api.parts import Parts
from ordersync.web.api.problems import Refusal
from ordersync.web.metrics import CONTENT_TYPE

router = APIRouter(tags=["figures"])

AccountOfAll = Annotated[Text | None, Query(description="Only of this account.")]


class Slo(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the promises are kept."""

    windows: Annotated[
        dict[str, Objectives], Meta(description="By window: `1h`, `24h`, `30d`, each up to now.")
    ]
    targets: Annotated[Targets, Meta(description="What is promised.")] = TARGETS


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a window, step by step."""

    step_seconds: Annotated[int, Meta(description="How long a step is.")]
    samples: Annotated[list[Point], Meta(description="Oldest first; nobody watched in a gap.")]


@router.get("/api/v1/slo", responses=answers(Slo), summary="Objectives")
async def get_slo(faces: Parts) -> Response:
    """How late the truth was, how accurate, and whether bots were held up untruly."""
    now, samples = faces.clock.now(), await faces.figures.since(LONGEST)
    windows = {name: objectives(samples, window, now) for name, window in WINDOWS.items()}
    return answer(Slo(windows=windows))


@router.get("/api/v1/samples", responses=answers(Plot), summary="Figures for plots")
async def get_samples(
    faces: Parts,
    window: Annotated[
        Literal["1h", "24h", "30d"], Query(description="Up to now: in steps of 1 min, 5 min, 1 h.")
    ] = "24h",
    account: AccountOfAll = None,
) -> Response:
    """What was counted in each step, over all accounts or of one."""
    samples = await faces.figures.since(WINDOWS[window])
    if account is not None:
        samples = [one for one in samples if one.account == account]
    step = int(STEPS[window].total_seconds())
    return answer(Plot(step_seconds=step, samples=points(samples, window, faces.clock.now())))


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **problems(400, 401, 403, 404, 421, 431),
        200: {"description": "Done.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
    summary="Metrics for Prometheus",
)
async def get_metrics(faces: Parts) -> Response:
    """The figures of this process, in Prometheus' text form."""
    if faces.metrics is None:
        raise Refusal(
            404,
            "no-metrics",
            "this process keeps no account: it counts nothing.",
            mend="Ask the ordersync that keeps one: GET /api/v1/accounts has each lease's holder.",
        )
    return Response(faces.metrics.text(), headers={"content-type": CONTENT_TYPE})
