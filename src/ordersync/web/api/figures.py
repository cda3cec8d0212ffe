"""What was sampled, as the calls take it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordersync.ports import Clock
    from ordersync.sampled import Sample, Samples

KEPT = timedelta(seconds=15)
"""For how long an answer stands: thirty days of minutes are many, and dashboards ask often."""


class Figures:
    """What was sampled, read once for all who ask at about the same time."""

    def __init__(self, samples: Samples, clock: Clock) -> None:
        self._samples = samples
        self._clock = clock
        self._read: dict[timedelta, tuple[datetime, list[Sample]]] = {}

    async def since(self, window: timedelta) -> list[Sample]:
        """Those of a window that ends now. Raises StoreBusy or StoreRefused."""
        now = self._clock.now()
        read_at, found = self._read.get(window, (None, []))
        if read_at is None or abs(now - read_at) >= KEPT:
            found = await self._samples.list_since(now - window)
            self._read[window] = (now, found)
        return found
