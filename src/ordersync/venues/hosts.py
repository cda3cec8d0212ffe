"""What all accounts of one process share at a host: its clock, and what it tells anybody.

A question without a key is counted by the address that it comes from. Many accounts that each ask
for the time would use up that limit together, and its headers say nothing of any account's own.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from ordersync.venues.budget import RateBudget
from ordersync.venues.venue_clock import VenueClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from ordersync.ports import Clock

SHARE = 0.5
BURST = 2
A_SECOND = timedelta(seconds=1)


class Host:
    """One host. `clock` is what time it is there; `budget` is for questions without a key."""

    def __init__(self, clock: Clock, per_second: int) -> None:
        self.clock = VenueClock(clock)
        self.budget = RateBudget(
            clock, per_second=per_second * SHARE, burst=BURST, share=SHARE, window=A_SECOND
        )
        self._turn = asyncio.Lock()
        self._asked = 0

    async def compare_clocks(self, ask: Callable[[], Awaitable[datetime | None]]) -> None:
        """Set the clock by what `ask` brings, unless that was done just now for another account.

        Where it brings None the clock stays as it is.
        """
        asked = self._asked
        async with self._turn:
            # Whoever waited meanwhile has the answer, too, were it none.
            if self._asked != asked or self.clock.was_set_lately:
                return
            moment = await ask()
            self._asked += 1
            if moment is not None:
                self.clock.set(moment)


class Hosts:
    """The hosts that this process talks to, by name; `per_second` is what one lets anybody ask."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, Host] = {}

    def at(self, name: str, per_second: int) -> Host:
        """The one of this name, always the same."""
        if name not in self._known:
            self._known[name] = Host(self._clock, per_second)
        return self._known[name]
