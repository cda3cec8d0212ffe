"""How a message leaves: through apprise, which knows a hundred services.

apprise waits in its thread; so each message has one of its own, that ends with the process. A
carrier that hangs keeps one thread, and takes nothing more until that is free.
"""

from __future__ import annotations

import asyncio
import logging
from threading import Thread
from typing import TYPE_CHECKING

from ordersync.alerted import Loudness
from ordersync.alerts.channels import Refused
from ordersync.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

_WORDS = {Loudness.INFO: "info", Loudness.WARNING: "warning", Loudness.CRITICAL: "failure"}


class ByApprise:
    """Implements `channels.Carrier`. Raises ConfigError where the address is none."""

    defect = ""

    def __init__(self, url: str, *, where: str) -> None:
        apprise = _library(where)
        # It would log what it sends, and where to.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._notify = apprise.Apprise()
        if not url or not self._notify.add(url):
            raise ConfigError(
                "it is no address that apprise understands.",
                where=where,
                mend="Write one as apprise documents them, such as mailto://… or slack://…",
            )
        self._hangs = False

    async def carry(self, title: str, text: str, loudness: Loudness, messages: bytes) -> None:
        """Deliver it, on a thread. Raises Refused."""
        del messages
        if self._hangs:
            raise Refused("the message before still hangs.")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()

        def end(why: str) -> None:
            self._hangs = False
            if not done.done():
                done.set_result(why)

        def work() -> None:
            word = _WORDS[loudness]
            try:
                taken = self._notify.notify(body=text, title=title, notify_type=word)
                why = "" if taken else "the service did not take it, or could not be reached."
            except Exception as error:  # noqa: BLE001 - given up for this time: plugins raise whatever they like
                why = f"the plugin broke ({type(error).__name__})."
            if not loop.is_closed():
                loop.call_soon_threadsafe(end, why)

        # No pool: the process would wait for its threads at the end.
        self._hangs = True
        Thread(target=work, name="ordersync-alert", daemon=True).start()
        if why := await done:
            raise Refused(why)


def _library(where: str) -> ModuleType:
    try:
        import apprise  # noqa: PLC0415 - an extra, and it takes a second to load
    except ImportError:
        raise ConfigError(
            "apprise is not installed.",
            where=where,
            mend='Install it: pip install "ordersync[alerts]". A webhook needs none.',
        ) from None
    return apprise
