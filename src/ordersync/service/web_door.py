"""The door for programs and people: the API on a listener of its own, opened by `run`.

Whatever happens to it, orders go on being verified: a port that somebody else has, or a database
that is away, is told and tried again. Only what would let strangers in ends the start.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import structlog

from ordersync.errors import AskAgain, ConfigError
from ordersync.service.build import build_lists, build_tokens
from ordersync.service.conditions import Conditions, Kept
from ordersync.service.passes import Passes, Passing
from ordersync.web.api.faces import Faces
from ordersync.web.api.figures import Figures
from ordersync.web.api.keyring import Keyring
from ordersync.web.api.past import Pasts
from ordersync.web.api.rules import Rules

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.types import ASGIApp

    from ordersync.archived import Archive
    from ordersync.ports import Clock, Known
    from ordersync.service.telling import Telling
    from ordersync.service.watching import Watch
    from ordersync.settings import Settings
    from ordersync.sync.answering import Answering
    from ordersync.sync.operator import Operator

TRY_AGAIN = timedelta(seconds=30)

EXPOSED = (
    "the API is called over plain http from other machines: tokens can be read on their way.",
    "Let a proxy with TLS stand before it, and listen on 127.0.0.1.",
)
"""What a person should hear where it is not on loopback, and the mend."""

log = structlog.get_logger("ordersync")


async def check_exposure(settings: Settings, clock: Clock) -> None:
    """Raise ConfigError where other machines could call and nobody has a token."""
    web = settings.web
    if not web.enabled or not (web.is_exposed or web.require_token):
        return
    tokens = await asyncio.to_thread(build_tokens, settings)
    if await Keyring(tokens, clock).has_any():
        return
    if web.is_exposed:
        key, why = f"listen ({web.listen})", "other machines may reach it"
        instead = "listen on 127.0.0.1:8642"
    else:
        key, why, instead = "require_token", "everybody needs one", "take this key out"
    raise ConfigError(
        f"there is no token, and {why}.",
        where=f"{settings.path}: web.{key}",
        mend=f"Make one with: ordersync token new --scope read --name NAME. Or {instead}.",
    )


class Served(Kept, Passing, Protocol):
    """As much of a service as the API answers from."""

    answering: Answering
    archive: Archive
    operator: Operator
    telling: Telling
    watch: Watch

    def vouched(self, account: str, known: Known) -> datetime | None:
        """Since when an order is vouched for as far as it is known here, stored or not."""


async def serve_api(service: Served) -> None:
    """Serve the API until cancelled."""
    settings, clock = service.settings, service.clock
    while True:
        try:
            # Both look at the table, which may take as long as the database lets them wait.
            lists = await asyncio.to_thread(build_lists, settings, clock, service.vouched)
            tokens = await asyncio.to_thread(build_tokens, settings)
            break
        except AskAgain as error:
            log.warning(f"The API is not served yet: {error}")
            await clock.sleep(TRY_AGAIN)
    # Only now: it takes a while to load, and the first pass need not wait for it.
    from ordersync.web.api.application import application  # noqa: PLC0415

    web = settings.web
    faces = Faces(
        clock=clock,
        lists=lists,
        pasts=Pasts(lists, service.archive),
        outbox=service.telling.outbox,
        subscriptions=service.telling.subscriptions,
        keyring=Keyring(tokens, clock),
        rules=Rules(
            exposed=web.is_exposed,
            require_token=web.require_token,
            hosts=frozenset(web.hosts),
            origins=frozenset(web.origins),
        ),
        accounts=tuple(settings.served_accounts),
        stale_after=settings.sync.stale_after,
        answering=service.answering,
        operator=service.operator,
        passes=Passes(service),
        columns={
            field: column
            for field in ("status", "filled_qty", "avg_price", "fee")
            if (column := getattr(settings.orders, field)) is not None
        },
        conditions=Conditions(service),
        channels=service.watch.channels,
        figures=Figures(service.watch.samples, clock),
        metrics=service.watch.metrics,
    )
    try:
        await _listen(application(faces), settings, clock)
    finally:
        lists.close()


async def _listen(app: ASGIApp, settings: Settings, clock: Clock) -> None:
    """Answer until cancelled; where the port is taken, say so once and try again."""
    from ordersync.web.guest import listening  # noqa: PLC0415 - a web server, only for who serves

    host, port = settings.web.address
    is_told = False
    while True:
        try:
            async with listening(app, host, port) as bound:
                shown = f"[{host}]" if ":" in host else host
                log.info(
                    f"The API answers at http://{shown}:{bound}, described at /docs;"
                    " the same address in a browser is the dashboard"
                )
                if settings.web.is_exposed:
                    log.warning(" ".join(EXPOSED))
                while True:
                    await clock.sleep(timedelta(days=1))
        except OSError as error:
            if not is_told:
                log.warning(
                    f"The API is not served: {error} Orders are kept true all the same. End the"
                    " program that listens there, or set web.listen to another port;"
                    " web.enabled = false serves none."
                )
            is_told = True
            await clock.sleep(TRY_AGAIN)
