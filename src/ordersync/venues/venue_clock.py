"""The venue's clock, as far as it is known here: set by what the venue said, then kept running.

Between two comparisons it follows the machine's steady clock, so that somebody who sets this
machine's time of day moves no `as_of`. A machine that slept has a steady clock that slept too;
where the two clocks of the machine have parted, the venue has to be asked again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordersync.ports import Clock

COMPARE_EVERY_SECONDS = 20.0
"""How often a doubt is worth a question."""

PARTED = timedelta(seconds=2)
"""From how far apart on the machine's two clocks are not believed to have run together."""

EARLIEST_YEAR, LATEST_YEAR = 2020, 2200
"""No venue is older, nor will this program be: any other year is a slip, and no time of day."""


class VenueClock:
    """What time it is at the venue; ours, until the venue has said."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._set_to = self._set_at = clock.now()
        self._ticks = self._compared_at = clock.monotonic()
        self._was_set = False

    def now(self) -> datetime:
        """The time at the venue."""
        return self._set_to + timedelta(seconds=self._clock.monotonic() - self._ticks)

    def set(self, moment: datetime) -> None:
        """The venue said that it is this time there now; nothing where that makes no sense."""
        if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
            return
        self._set_to, self._set_at = moment, self._clock.now()
        self._ticks = self._clock.monotonic()
        self._was_set = True

    @property
    def was_set_lately(self) -> bool:
        """Whether the venue said what time it is so short a while ago that it need not again."""
        elapsed = self._clock.monotonic() - self._ticks
        return self._was_set and elapsed < COMPARE_EVERY_SECONDS and not self.is_doubtful

    @property
    def skew(self) -> timedelta:
        """How far the venue is ahead of this machine's time of day."""
        return self.now() - self._clock.now()

    @property
    def is_doubtful(self) -> bool:
        """Whether the time of day was set, or the machine slept, since the clock was set."""
        elapsed = timedelta(seconds=self._clock.monotonic() - self._ticks)
        return abs(self._clock.now() - self._set_at - elapsed) > PARTED

    def is_worth_comparing(self) -> bool:
        """Whether to ask the venue now, where something speaks for it: not all the time."""
        now = self._clock.monotonic()
        if now - self._compared_at < COMPARE_EVERY_SECONDS:
            return False
        self._compared_at = now
        return True
