"""The past of an order as pages, wherever it is by now: files of the archive first, then the log.

A page of a file costs a walk through that file, so one is read at a time, and no more of it is kept
than a page.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import structlog
from msgspec import Meta

from ordersync.archived import EVENTS, file_name, number_of
from ordersync.errors import ArchiveRefused
from ordersync.truth.model import Side

if TYPE_CHECKING:
    from ordersync.archived import Archive, Archived
    from ordersync.listed import OrderLists, Place
    from ordersync.truth.model import Event

NOT_THERE = "the file is not there; whoever moved it has it."
DAMAGED = "the file cannot be read; the log of ordersync says more, gzip -t whether it is whole."

ONLY_LOG = "log"
"""Ends a place behind which nothing is in a file any more: those pages read none."""

_Number = tuple[int, ...]

log = structlog.get_logger("ordersync")


class MovedOut(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an order's past that left the database."""

    place: Annotated[str, Meta(description="The month of the files that hold it.")]
    file: Annotated[str, Meta(description="The file with its events, in `retention.folder`.")]
    moved_at: Annotated[datetime, Meta(description="When it moved.")]
    side: Annotated[Side | None, Meta(description="How the order stood; null: never seen.")]
    why: Annotated[
        str | None, Meta(description="Why its events are not told here; null: they are.")
    ]


class PastPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events as JSON, oldest first; what moved out; where the next page begins."""

    events: list[bytes]
    moved: list[MovedOut]
    next: Place | None


class _WithId(msgspec.Struct, frozen=True):
    id: str


_decode_id = msgspec.json.Decoder(_WithId).decode


class Pasts:
    """Reads pasts. Raises StoreBusy or StoreRefused; a file that fails is told, not raised."""

    def __init__(self, lists: OrderLists, archive: Archive) -> None:
        self._lists = lists
        self._archive = archive
        self._turn = asyncio.Lock()

    async def page(self, account: str, key: str, after: Place | None, limit: int) -> PastPage:
        """The next events after this place."""
        stored = (after or ())[:2] or None
        past = await self._lists.past(account, key, after=stored, limit=limit)
        texts = [text.encode() for text in past.events]
        if not past.archived or (after or ())[2:]:
            rest = (*past.next, ONLY_LOG) if past.next and past.archived else past.next
            return PastPage(events=texts, moved=[], next=rest)
        begin = tuple(int(part) for part in stored or ())
        old, moved = await self._read(past.archived, account, key, begin, limit + 1)
        # What was archived and not deleted any more, because the power went, is in both.
        found = {number_of(event.id): msgspec.json.encode(event) for event in old}
        found |= {number_of(_decode_id(text).id): text for text in texts}
        numbers = sorted(found)[:limit]
        place: Place | None = None
        if len(found) > limit or past.next is not None:
            is_more_old = any(number_of(event.id) > numbers[-1] for event in old)
            place = (*map(str, numbers[-1]), *(() if is_more_old else (ONLY_LOG,)))
        return PastPage(events=[found[number] for number in numbers], moved=moved, next=place)

    async def _read(
        self, archived: list[Archived], account: str, key: str, after: _Number, limit: int
    ) -> tuple[list[Event], list[MovedOut]]:
        """The oldest events after that one, of all files that can be read; and every file."""
        events: list[Event] = []
        moved = []
        async with self._turn:
            for one in archived:
                why = None
                try:
                    there = await self._archive.read_events(
                        one.place, account, key, after=after, limit=limit
                    )
                except ArchiveRefused as error:
                    # Cannot be understood, or is not for us: what else there is is told all the
                    # same.
                    log.warning(f"A part of an order's history is not told: {error}")
                    there, why = [], DAMAGED
                events += there or ()
                moved.append(
                    MovedOut(
                        place=one.place,
                        file=file_name(EVENTS, one.place),
                        moved_at=one.moved_at,
                        side=one.side,
                        why=NOT_THERE if there is None else why,
                    )
                )
        return events, moved
