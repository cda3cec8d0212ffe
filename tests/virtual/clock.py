"""The service's clock, read from a loop."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 11, 20, 12, tzinfo=UTC)


class VirtualClock:
    """Implements the project's `Clock` on the time of a loop, by default the running one.

    On a virtual loop two runs read the same times to the microsecond.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop | None = None, *, epoch: datetime = EPOCH
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._epoch = epoch
        self._read: tuple[float, datetime] = (0.0, epoch)

    def now(self) -> datetime:
        at, now = self._read
        if (seconds := self._loop.time()) != at:
            # Asked often in one moment, and this is what costs.
            now = self._epoch + timedelta(seconds=seconds)
            self._read = seconds, now
        return now

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, pause: timedelta | float) -> None:
        seconds = pause.total_seconds() if isinstance(pause, timedelta) else pause
        await asyncio.sleep(seconds)  # noqa: TID251 - this is the clock to ask
