"""What `run` opens to the network: each door stands while its block runs."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from ordersync.errors import ConfigError
from ordersync.service.build import read_webhook_secrets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ordersync.ports import Clock
    from ordersync.settings import Settings
    from ordersync.sync.owner import Taker

EXPOSED = (
    "webhooks come over plain http from other machines: signed, but readable on their way.",
    "Let a proxy with TLS stand before it, and listen on 127.0.0.1.",
)
"""What a person should hear where the door is not on loopback, and the mend."""

log = structlog.get_logger("ordersync")


@asynccontextmanager
async def webhook_door(
    settings: Settings, clock: Clock, takers: Mapping[str, Taker]
) -> AsyncIterator[None]:
    """Webhooks are taken while the block runs, where a section says so; `takers` by account.

    Raises ConfigError.
    """
    webhooks = settings.webhooks
    if webhooks is None:
        yield
        return
    # A web server takes memory: only who takes webhooks has one.
    from ordersync.web.guest import listening  # noqa: PLC0415
    from ordersync.web.webhooks import Door  # noqa: PLC0415

    # Only now: who syncs once takes no webhooks, and needs no secrets.
    secrets = read_webhook_secrets(settings)
    door, (host, port) = Door(takers, secrets, clock), webhooks.address
    async with AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(listening(door.app, host, port))
        except OSError as error:
            raise ConfigError(
                str(error),
                where=f"{settings.path}: webhooks.listen",
                mend="End the program that listens there, or choose another port.",
            ) from None
        if webhooks.is_exposed:
            log.warning(" ".join(EXPOSED))
        accounts = ", ".join(secrets)
        log.info(f"Webhooks are taken at {host}:{port}/webhooks/… for: {accounts}")
        yield
