"""Celery's broker, as `doctor` sees it: is it named, is somebody there. Nobody logs in to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ordersync.errors import ConfigError
from ordersync.ports import Finding, Severity

if TYPE_CHECKING:
    from ordersync.settings import Settings

PATIENCE = 3.0
"""How many seconds the broker has to take a connection."""

_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}


async def examine_broker(settings: Settings) -> list[Finding]:
    """What is wrong with where messages go; nothing where the section is not there."""
    queued = settings.celery
    if queued is None:
        return []
    try:
        url = urlsplit(settings.broker_url())
    except ConfigError as error:
        what = f"{error.where}: {error.what}"
        return [Finding(severity=Severity.ERROR, about="celery", what=what, mend=error.mend)]
    seconds = queued.every.total_seconds()
    if url.scheme not in _PORTS or not url.hostname:
        # A socket, or sentinels: only the client knows where those lead.
        what = f"workers are told every {seconds:g} s by {url.scheme}; it was not tried."
        return [Finding(severity=Severity.OK, about="celery", what=what)]
    place = f"{url.hostname}:{url.port or _PORTS[url.scheme]}"
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(url.hostname, url.port or _PORTS[url.scheme])
    except OSError as error:
        return [
            Finding(
                severity=Severity.WARNING,
                about="celery",
                what=f"nobody takes a connection at {place} ({str(error) or 'no answer'}).",
                mend="Start the broker, or mend celery.broker_url. Workers wait for it.",
            )
        ]
    writer.close()
    what = f"the broker at {place} takes connections; accounts are due every {seconds:g} s."
    return [Finding(severity=Severity.OK, about="celery", what=what)]
