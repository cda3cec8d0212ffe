"""The rate budget of one account: every call to the venue takes from it.

Our own, because it needs the venue's own headers, one pause for all callers on a 429, and an
injected clock; the libraries that were tried ignore virtual time or let a burst of almost
twice the rate through (see docs/decisions).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ordersync.ports import Clock

LONGEST_PAUSE = timedelta(minutes=5)
A_MINUTE = timedelta(minutes=1)
_LEAST_RATE = 0.1
"""Calls a second that are always asked for: the last of the limit are left alone anyway."""

_PARTS = 3
"""The part of a minute after which what others spent in it tells how they go on."""
_EPOCH_SECONDS = 1_000_000_000
_WHOLE = re.compile(r"[0-9]{1,12}")


class RateBudget:
    """At most `per_second` calls a second, `burst` of them at once after a quiet time.

    With a `share` the rate follows the number of calls in a `window` that the venue's headers
    allow: no minute then takes more than that share of it, bursts counted in. It falls when
    others spend more than the rest, whether they told us or not. The last `reserve` calls before
    the venue's reset are left alone: they may be on their way already, or another's.
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
        window: timedelta = A_MINUTE,
    ) -> None:
        self._clock = clock
        self._window = window
        self._burst = burst
        self._share = share
        self._reserve = reserve
        self.per_minute: int | None = None
        self._slowed_gap, self._slowed_until, self._crowded_until = 0.0, -1.0, -1.0
        self._others = 0.0
        self._taken: deque[float] = deque()
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
            now = self._clock.monotonic()
            # Where others spend much, nothing is saved up: their calls come in bursts, too.
            slack = self._slack if now >= self._crowded_until else 0.0
            gap = self._gap if now >= self._slowed_until else max(self._gap, self._slowed_gap)
            self._next = max(self._next, now - slack) + gap
            self._taken.append(now)
            while self._taken[0] <= now - self._window.total_seconds():
                self._taken.popleft()

    def pause(self, pause: timedelta) -> None:
        """Let nobody ask for this long."""
        seconds = min(pause, LONGEST_PAUSE).total_seconds()
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def learn(self, headers: Mapping[str, str], venue_now: datetime) -> None:
        """Mind the venue's own count: with next to nothing left, wait for its reset."""
        limit = _whole(headers.get("x-ratelimit-limit"))
        remaining = _whole(headers.get("x-ratelimit-remaining"))
        seconds = float(_whole(headers.get("x-ratelimit-reset")) or 1)
        if seconds > _EPOCH_SECONDS:
            seconds -= venue_now.timestamp()
        seconds = min(max(seconds, 0.2), 60.0)
        if self._share is not None and limit:
            self._keep_to_share(limit, self._share)
            if remaining is not None:
                self._leave_to_others(limit, remaining, seconds, self._share)
        if remaining is not None and remaining <= self._reserve:
            self.pause(timedelta(seconds=seconds))

    def _keep_to_share(self, limit: int, share: float) -> None:
        window = self._window.total_seconds()
        self.per_minute = round(limit * 60 / window)
        # Within a minute bursts count in; within a second there is room for one beside the share.
        ours = limit * share - (self._burst if self._window >= A_MINUTE else 0)
        if ours > 0:
            self._allow(ours / window)

    def _leave_to_others(self, limit: int, remaining: int, seconds: float, share: float) -> None:
        """What others spend of the same limit is not there for us: the rate falls with it."""
        now, window = self._clock.monotonic(), self._window.total_seconds()
        # A window of a second slides; a longer one begins and ends, for all who spend in it.
        elapsed = window - seconds if self._window >= A_MINUTE else window
        own = sum(1 for at in self._taken if at > now - elapsed)
        if elapsed >= window / _PARTS:  # else it says too little: what was seen before counts
            self._others = max(limit - remaining - own, 0) / elapsed
        if self._others <= limit * (1 - share) / window:
            return  # they keep to their part of it
        if self._window >= A_MINUTE:
            rate = (remaining - self._reserve) / seconds - self._others
        else:
            rate = (limit - self._reserve) / window - self._others
        self._slowed_gap = min(1 / max(rate, _LEAST_RATE), max(seconds, 1.0))
        self._slowed_until = now + seconds
        self._crowded_until = now + A_MINUTE.total_seconds()

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
        is_slowed = self._clock.monotonic() < self._slowed_until
        return 60.0 / (max(self._gap, self._slowed_gap) if is_slowed else self._gap)

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
