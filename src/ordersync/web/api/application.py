"""The application that programs call, put together: its routes, its guard, its problems.

A router is one subject; whoever brings another adds it to ROUTERS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI

from ordersync import __version__
from ordersync.web.api import (
    acting,
    callers,
    deciding,
    health,
    orders,
    owners,
    problems,
    reading,
    slo,
    stream,
    subscriptions,
)
from ordersync.web.api.described import complete
from ordersync.web.api.guard import Guard
from ordersync.web.api.heads import Heads
from ordersync.web.api.parameters import check_parameters
from ordersync.web.dashboard.pages import dashboard_routes

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ordersync.web.api.faces import Faces

ROUTERS = (
    health.router,
    orders.router,
    acting.router,
    deciding.router,
    owners.router,
    slo.router,
    stream.router,
    callers.router,
    subscriptions.router,
)

_ABOUT = """Asks and tells what ordersync knows: which orders really are open, and what changed.

Errors are problems (RFC 9457). Times are RFC 3339 in UTC; money and quantities are text."""


def application(faces: Faces) -> ASGIApp:
    """What answers the calls, behind its guard."""
    return Guard(Heads(routes(faces)), faces.rules, faces.keyring)


def routes(faces: Faces) -> FastAPI:
    """The calls without their guard."""
    app = FastAPI(
        title="ordersync",
        version=__version__,
        description=_ABOUT,
        openapi_url="/openapi.json",
        docs_url=None,  # it would load its page from strangers
        redoc_url=None,
        redirect_slashes=False,
        # A 422 is described by each route, as the problem that it is.
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.faces = faces
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(check_parameters)])
    app.add_route("/docs", lambda _: reading.page(app), include_in_schema=False)
    app.router.routes.extend(dashboard_routes())
    problems.install(app)
    complete(app)
    return app
