"""The rate budget of one account: every call to the venue takes from it.

Our own, because it needs the venue's own headers, one pause for all callers on a 429, and an
injected clock; the libraries that were tried ignore virtual time or let a burst of almost
twice the rate through (see docs/decisions).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordersync.ports import Clock

LONGEST_PAUSE = timedelta(minutes=5)
_EPOCH_SECONDS = 1_000_000_000
_RESERVE = 2


class RateBudget:
    """At most `per_second` calls a second, `burst` of them at once after a quiet time."""

    def __init__(self, clock: Clock, *, per_second: float, burst: int) -> None:
        self._clock = clock
        self._gap = 1.0 / per_second
        self._slack = self._gap * burst
        self._next = clock.monotonic()
        self._paused_until = clock.monotonic()

    async def take(self) -> None:
        """Wait for one's turn. Turns are given in the order of asking."""
        now = self._clock.monotonic()
        self._next = max(self._next, now - self._slack) + self._gap
        turn = self._next
        while (wait := max(turn, self._paused_until) - self._clock.monotonic()) > 0:
            # A pause may have been called meanwhile: look again after waking.
            await self._clock.sleep(timedelta(seconds=wait))

    def pause(self, pause: timedelta) -> None:
        """Let nobody ask for this long."""
        seconds = min(pause, LONGEST_PAUSE).total_seconds()
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Mind the venue's own count: with next to nothing left, wait for its reset."""
        remaining, reset = headers.get("x-ratelimit-remaining"), headers.get("x-ratelimit-reset")
        if remaining is None or not remaining.isdigit() or int(remaining) > _RESERVE:
            return
        seconds = float(reset) if reset and reset.isdigit() else 1.0
        if seconds > _EPOCH_SECONDS:
            seconds -= self._clock.now().timestamp()
        self.pause(timedelta(seconds=min(max(seconds, 0.2), 60.0)))
