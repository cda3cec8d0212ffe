"""How far a stream can be relied on, and when last it could not be."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec


class Lapse(msgspec.Struct, frozen=True):
    """A time in which the account's stream could not be relied on, and the rows written after."""

    at: datetime
    lasted: timedelta
    why: str
    orders: int


class State(StrEnum):
    """How far a stream can be relied on."""

    CONNECTING = "connecting"  # never was live yet
    LIVE = "live"  # confirmed, and nothing is known to be missing
    DEGRADED = "degraded"  # closed, refused, mute, or a gap is not read yet


class Health(msgspec.Struct):
    """What is known of a stream. `is_proven`: it told of a change since it was last doubted.

    `since` is when `state` became so; `connections`, `gaps` and `unreadable` only count up.
    `last` is the last time that it could not be relied on, `repaired` how many rows that cost.
    """

    since: datetime
    state: State = State.CONNECTING
    why: str = ""
    is_proven: bool = True
    connections: int = 0
    gaps: int = 0
    unreadable: int = 0
    repaired: int = 0
    last: Lapse | None = None

    def recover(self, now: datetime) -> None:
        """It can be relied on from now on."""
        if self.state is State.DEGRADED:
            self.last = Lapse(self.since, now - self.since, self.why, self.repaired)
        self.state, self.why, self.since, self.repaired = State.LIVE, "", now, 0
