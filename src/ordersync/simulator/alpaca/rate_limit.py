"""How often an account may ask: so many requests within a minute that begins with the first."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=1)


class RateLimit:
    """A fixed window for each account. What was refused does not count against it."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._windows: dict[str, tuple[datetime, int]] = {}  # its end, and what was granted

    def grant(self, account_id: str, now: datetime) -> bool:
        """Whether the account may ask now; if so, it has."""
        ends, granted = self._window(account_id, now)
        if granted >= self.per_minute:
            return False
        self._windows[account_id] = (ends, granted + 1)
        return True

    def headers(self, account_id: str, now: datetime) -> dict[str, str]:
        """Say what the answer says about the limit; `reset` is a moment in unix seconds."""
        ends, granted = self._window(account_id, now)
        return {
            "X-Ratelimit-Limit": str(self.per_minute),
            "X-Ratelimit-Remaining": str(self.per_minute - granted),
            "X-Ratelimit-Reset": str(math.ceil(ends.timestamp())),
        }

    def _window(self, account_id: str, now: datetime) -> tuple[datetime, int]:
        ends, granted = self._windows.get(account_id, (now, 0))
        return (now + WINDOW, 0) if ends <= now else (ends, granted)
