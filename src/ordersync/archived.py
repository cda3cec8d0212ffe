"""What moves out of the database: the data that cross the ports, and the ports for them.

An order that ended long ago leaves `ordersync_orders` and `ordersync_events` for files; one
line of `ordersync_archived` stays. `ports` puts its own protocols on top of these.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from ordersync.truth.model import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordersync.truth.model import Event

ORDERS, EVENTS = "orders", "events"

Reach = tuple[str | int, str | int]
"""How far a walk has come: what was looked at last, by what it is sorted by."""


def file_name(kind: str, place: str) -> str:
    """The file that holds orders or events of a place, which is a month: `2026-08`."""
    return f"{kind}-{place}.jsonl.gz"


def place_of(at: str) -> str:
    """The place for what happened at this time, spelled as our tables spell it."""
    return at[:7]


def number_of(event_id: str) -> tuple[int, ...]:
    """By which the events of one database are sorted: of `10-2` it is (10, 2)."""
    return tuple(int(part) for part in event_id.split("-") if part.isdigit())


class Archived(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the database still says of an order that moved out.

    `side` is how it stood, without the row's word; None where it was never seen at the venue.
    """

    place: str
    moved_at: datetime
    side: Side | None = None


class Movable(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that is stored about one order, ready to move: lines of JSON, with their places.

    `version` is that of its truth, 0 where there is none: then there is no `order` line, and
    the events are those up to the batch's `last_log_id`.
    """

    key: str
    place: str
    events: tuple[tuple[str, bytes], ...]
    version: int = 0
    order: bytes | None = None
    side: Side | None = None
    venue_order_id: str | None = None
    client_order_id: str | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Some orders that may move, and how far that walk has come; `reach` None is its end."""

    movable: tuple[Movable, ...] = ()
    reach: Reach | None = None
    last_log_id: int | None = None

    def lines(self) -> dict[str, list[bytes]]:
        """What goes into which file."""
        files: dict[str, list[bytes]] = {}
        for one in self.movable:
            for place, line in one.events:
                files.setdefault(file_name(EVENTS, place), []).append(line)
            if one.order is not None:
                files.setdefault(file_name(ORDERS, one.place), []).append(one.order)
        return files


class LogSize(msgspec.Struct, frozen=True, kw_only=True):
    """How many events there are, `or_more` where counting on would cost, and the oldest's time."""

    events: int = 0
    or_more: bool = False
    oldest_at: datetime | None = None


class RetentionStore(Protocol):
    """The part of an OrderStore by which orders move out. Raises what an OrderStore raises."""

    async def list_movable(
        self, account: str, *, before: datetime, after: Reach, limit: int
    ) -> Batch:
        """Of the next orders that ended before then, those that may move, with all of theirs.

        Not one with a due time, a case of absence, an operator's correction, or a row that is
        open or was written since.
        """

    async def list_movable_events(
        self, account: str, *, before: datetime, after: Reach, limit: int
    ) -> Batch:
        """Of the next events from before then, those of orders without truth and case."""

    async def move_out(self, account: str, batch: Batch) -> Sequence[Movable]:
        """Delete what was archived and note where it is, in one short transaction.

        What has changed since it was read is left; what moved comes back.
        """

    async def measure_log(self) -> LogSize:
        """How many events are stored, at a price that does not grow with them."""


class ArchiveViews(Protocol):
    """The part of OrderViews that knows what moved out."""

    async def archived(self, account: str, key: str) -> list[Archived]:
        """Where else something about this order is, oldest first."""


class Archive(Protocol):
    """Where moved orders and events are kept. Raises ArchiveRefused."""

    async def check(self, *, make: bool) -> None:
        """Raise ConfigError where nothing can be written there; `make` makes the folder."""

    async def append(self, lines: Mapping[str, Sequence[bytes]]) -> None:
        """Add these lines to these files. When it returns, they survive a power cut."""

    async def read_events(
        self,
        place: str,
        account: str,
        key: str,
        *,
        after: tuple[int, ...] = (),
        limit: int | None = None,
    ) -> list[Event] | None:
        """The events of one order, each once, oldest first; None where the file is away.

        Only those after this number, and of these the first `limit`: no more are kept meanwhile.
        """

    def path_of(self, kind: str, place: str) -> str:
        """Where the file of this name is, or was."""
