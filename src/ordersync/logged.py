"""What listeners need of the event log: the data that cross the port, and the port for them.

The log is the outbox: what stands in it was committed together with what it tells of. Commits
are numbered when they begin to write and seen when they end, so on most databases a lower
number can appear after a higher one; `sync.marks` sees to that.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

LATE = timedelta(minutes=5)
"""So long after its number was drawn a commit may still appear.

Whoever writes gives a request up after about a minute; the rest is for clocks that differ.
"""

LEAST_AGE_TO_MOVE = timedelta(days=2)
"""No event that is younger moves out."""


class Place(msgspec.Struct, frozen=True, order=True, gc=False):
    """Where an event stands: the number of its commit, and its own in that."""

    log_id: int
    n: int

    def __str__(self) -> str:
        return f"{self.log_id}-{self.n}"


class Logged(msgspec.Struct, frozen=True, gc=False):
    """One event as it stands in the log; `body` is its JSON."""

    place: Place
    account: str
    order_key: str
    kind: str
    body: str


class Recent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The numbers of recent commits, ascending, and that of the last one before them, or 0.

    Whatever is still under way has a number above that one.
    """

    before: int = 0
    numbers: tuple[int, ...] = ()


class EventLog(Protocol):
    """Reads the log. Raises StoreBusy (ask again) or StoreRefused (give up).

    `commits_in_order`: whether a commit's number is always above those of all before it.
    """

    commits_in_order: bool

    async def newest(self) -> Place | None:
        """The event with the highest number; None where there is none."""

    async def read_after(
        self, last: int, gaps: Sequence[tuple[int, int]], limit: int
    ) -> list[Logged]:
        """What is in these gaps, then what comes after `last`: whole commits, about `limit` events.

        Gaps are given by their first and last number.
        """

    async def find_recent(self, since: datetime, before: int) -> Recent:
        """Of the commits below `before` those that began after then."""

    async def find_time(self, place: Place) -> datetime | None:
        """When this event happened; None where there is no such event."""

    async def has_moved_out(self) -> bool:
        """Whether anything ever left the log."""

    async def close(self) -> None:
        """Give back the connection."""
