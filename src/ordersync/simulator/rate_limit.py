"""How often somebody may ask: so many requests within any one second."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime, timedelta

WINDOW = timedelta(seconds=1)


class RateLimit:
    """A sliding window for each caller. What was refused does not count against it."""

    def __init__(self, per_second: int) -> None:
        self.per_second = per_second
        self._granted: dict[str, deque[datetime]] = {}

    def grant(self, caller: str, now: datetime) -> bool:
        """Whether `caller` may ask now; if so, it has."""
        granted = self._window(caller, now)
        if len(granted) >= self.per_second:
            return False
        granted.append(now)
        return True

    def headers(self, caller: str, now: datetime) -> dict[str, str]:
        """Say what the answer says about the limit; `reset` is in seconds."""
        granted = self._window(caller, now)
        wait = granted[0] + WINDOW - now if granted else timedelta()
        return {
            "x-ratelimit-limit": str(self.per_second),
            "x-ratelimit-remaining": str(self.per_second - len(granted)),
            "x-ratelimit-reset": str(math.ceil(wait.total_seconds())),
        }

    def _window(self, caller: str, now: datetime) -> deque[datetime]:
        granted = self._granted.setdefault(caller, deque())
        while granted and granted[0] + WINDOW <= now:
            granted.popleft()
        return granted
