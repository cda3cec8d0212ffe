"""How each way to a person last did, out of what was kept: nothing is sent, no sender is loaded."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.alerted import ChannelHealth

if TYPE_CHECKING:
    from ordersync.alerted import AlertLog
    from ordersync.ports import Clock
    from ordersync.settings import Settings

LOOKED_AT_EVERY = timedelta(seconds=5)
"""Pages ask every other second, and each look takes a connection."""


class ToldChannels:
    """Implements `alerted.Channels`, out of what was kept."""

    def __init__(self, settings: Settings, told: AlertLog, clock: Clock) -> None:
        self._names = [channel.name for channel in settings.alerts.channels]
        self._told = told
        self._clock = clock
        self._stood: tuple[float, list[ChannelHealth]] | None = None

    async def stand(self) -> list[ChannelHealth]:
        """How each last did; those that the configuration does not have any more are nobody's."""
        now = self._clock.monotonic()
        if self._stood is not None and now - self._stood[0] < LOOKED_AT_EVERY.total_seconds():
            return self._stood[1]
        kept = await self._told.read() if self._names else {}
        found = [
            msgspec.json.decode(body, type=ChannelHealth)
            if (body := kept.get(f"channel {name}"))
            else ChannelHealth(name=name)
            for name in self._names
        ]
        self._stood = now, found
        return found
