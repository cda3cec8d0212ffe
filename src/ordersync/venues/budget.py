"""The rate budget of one account: every call to the venue takes from it.

Our own, because it needs the venue's own headers, one pause for all callers on a 429, and an
injected clock; the libraries that were tried ignore virtual time or let a burst of almost
twice the rate through (see docs/decisions).
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ordersync.ports import Clock

LONGEST_PAUSE = timedelta(minutes=5)
_EPOCH_SECONDS = 1_000_000_000
_WHOLE = re.compile(r"[0-9]{1,12}")


class RateBudget:
    """At most `per_second` calls a second, `burst` of them at once after a quiet time.

    With a `share` the rate follows the number of calls a minute that the venue's headers allow:
    no minute then takes more than that share of it, bursts counted in. The last `reserve` calls
    before the venue's reset are left alone: they may be on their way already, or another's.
    `per_minute` is what its headers allow, None before they were seen.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        per_second: float,
        burst: int,
        share: float | None = None,
        reserve: int = 2,
    ) -> None:
        self._clock = clock
        self._burst = burst
        self._share = share
        self._reserve = reserve
        self.per_minute: int | None = None
        self._allow(per_second)
        # A share counts bursts in, so the first one need not be earned by waiting.
        self._next = clock.monotonic() - (self._slack if share is not None else 0.0)
        self._paused_until = clock.monotonic()
        self._turn = asyncio.Lock()

    async def take(self) -> None:
        """Wait for one's turn. Turns are given in the order of asking."""
        # One waits, the others queue behind it: after a pause they come at the usual rate.
        async with self._turn:
            while (wait := max(self._next, self._paused_until) - self._clock.monotonic()) > 0:
                # A pause may have been called meanwhile: look again after waking.
                await self._clock.sleep(max(timedelta(seconds=wait), timedelta.resolution))
            self._next = max(self._next, self._clock.monotonic() - self._slack) + self._gap

    def pause(self, pause: timedelta) -> None:
        """Let nobody ask for this long."""
        seconds = min(pause, LONGEST_PAUSE).total_seconds()
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def learn(self, headers: Mapping[str, str], venue_now: datetime) -> None:
        """Mind the venue's own count: with next to nothing left, wait for its reset."""
        limit = _whole(headers.get("x-ratelimit-limit"))
        if self._share is not None and limit and limit * self._share > self._burst:
            self.per_minute = limit
            self._allow((limit * self._share - self._burst) / 60)
        remaining = _whole(headers.get("x-ratelimit-remaining"))
        if remaining is None or remaining > self._reserve:
            return
        seconds = float(_whole(headers.get("x-ratelimit-reset")) or 1)
        if seconds > _EPOCH_SECONDS:
            seconds -= venue_now.timestamp()
        self.pause(timedelta(seconds=min(max(seconds, 0.2), 60.0)))

    @property
    def left(self) -> int:
        """How many calls could be made at once."""
        now = self._clock.monotonic()
        if self._paused_until > now or self._next > now:
            return 0
        return min(self._burst, 1 + int((now - self._next) / self._gap))

    @property
    def allowed_per_minute(self) -> float:
        """How many calls a minute it lets through in the long run."""
        return 60.0 / self._gap

    @property
    def paused_for(self) -> timedelta:
        """For how long nobody may ask; zero where anybody may."""
        return timedelta(seconds=max(0.0, self._paused_until - self._clock.monotonic()))

    def _allow(self, per_second: float) -> None:
        self._gap = 1.0 / per_second
        self._slack = self._gap * (self._burst - 1)


def _whole(text: str | None) -> int | None:
    """A count in a header; None where there is none that makes sense."""
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None
