"""The real clock: whatever decides over an order reads the time and waits through `ports.Clock`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Wall time in UTC, a steady clock for durations, and waiting. Implements `ports.Clock`."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    async def sleep(self, pause: timedelta) -> None:
        """Wait for `pause`; not at all where it is zero or negative."""
        await asyncio.sleep(max(0.0, pause.total_seconds()))
