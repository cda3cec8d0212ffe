"""After the commit: events on their way to whoever listens. The event log is the outbox.

There is one way from the log to a listener, for events of this process and of others alike: the
log is read, at once where this process has committed, else every second; a page of it is encoded
once and shared. Who writes only raises a flag. A listener that falls behind reads on from the log
by its own marks; nobody waits for another.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import OrderedDict, deque
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ordersync.errors import AskAgain, OrdersyncError
from ordersync.logged import LATE, LEAST_AGE_TO_MOVE, Place
from ordersync.sync.marks import Marks, marks_at
from ordersync.sync.page import Heard, Page, Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ordersync.logged import EventLog
    from ordersync.ports import Clock
    from ordersync.sync.page import Message
    from ordersync.truth.model import Event

LOOK_EVERY = timedelta(seconds=1)
BEAT = timedelta(milliseconds=100)
"""Listeners are given something ten times a second at most."""

SHARE = 50
"""Between two beats this many times as long passes as the first has cost: 2 % of the time."""

BUSY_COMMITS = 5
"""So many commits since the beat before, and this process writes: only then listeners must wait."""

LONGEST_BEAT = timedelta(seconds=5)
PAGE_EVENTS, LEAST_PAGE_EVENTS = 500, 50
EVENTS_A_BEAT = 10_000
"""So many messages are given out in a beat at most, all listeners together."""

KEPT_BYTES = 16 * 1024 * 1024
KEPT_PAGES = 300
"""What is kept for listeners that are not quite as fast; who falls behind reads the log."""

READ_PAGES = 8
LISTENERS_LIMIT = 1_000

_PLACE = re.compile(r"([0-9]{1,18})-([0-9]{1,9})")
_START = Place(0, 0)

log = structlog.get_logger("ordersync")


class Crowded(AskAgain):
    """There are too many listeners already."""


class Listener:
    """One who listens: see `Outbox.listening`.

    `newest` is the newest event when it began. `is_reset`: what it asked to go on after is gone,
    so it hears what comes from now on. `place` is how far it has come, None before the first.
    """

    def __init__(self, outbox: Outbox, wanted: Wanted, newest: Place | None) -> None:
        self.newest = newest
        self.place: Place | None = None
        self.is_reset = False
        self._wanted = wanted
        self._outbox = outbox
        self._next_page = outbox.pages_end
        self._seen = outbox.marks
        # Where it reads the log by itself: its marks, and the part of a commit it has already.
        self._own: Marks | None = None
        self._has: Place | None = None
        # What it had read by itself when it joined the others.
        self._had: Marks | None = None
        self._is_first = True

    def go_on(self, marks: Marks, after: Place) -> None:
        """Read on from these marks; of the commit of `after` only what comes after it."""
        self._own, self._has, self.place = marks, after, after

    async def take(self, patience: timedelta) -> Heard | None:
        """The next that comes, None where nothing does within `patience`. Raises StoreBusy."""
        while True:
            if self._own is None and self._next_page < self._outbox.pages_start:
                # Too slow for what is kept. The log has it all.
                self._own, self._had = self._seen, None
            if self._own is not None:
                return await self._read(self._own)
            if self._next_page < self._outbox.pages_end:
                return self._hear()
            if not await self._outbox.beat(patience):
                return None

    async def _read(self, marks: Marks) -> Heard:
        """A page of the log by its own marks; at the log's end it joins the others."""
        if not self._is_first:
            await self._outbox.beat(LONGEST_BEAT, hurry=True)
        self._is_first = False
        # Before the read: what comes in between is then in both, and heard once by the marks.
        joins_at = self._outbox.pages_end
        page = await self._outbox.read(marks)
        self._own = self._seen = page.marks
        if page.is_last:
            self._next_page, self._had, self._own = joins_at, page.marks, None
        messages, had = None, self._has
        if had is not None:
            messages = [
                one
                for one in page.messages
                if one.logged.place.log_id != had.log_id or one.logged.place.n > had.n
            ]
        return self._heard(page, messages)

    def _hear(self) -> Heard:
        page = self._outbox.page(self._next_page)
        self._next_page += 1
        messages, had = None, self._had
        if had is not None:
            messages = [one for one in page.messages if not had.has(one.logged.place.log_id)]
        if had is None or page.marks.newest >= had.newest:
            self._seen = page.marks
        return self._heard(page, messages)

    def _heard(self, page: Page, messages: list[Message] | None) -> Heard:
        """These of the page; None: all of it."""
        if messages is None:
            self.place = page.place or self.place
        elif messages:
            self.place = messages[-1].logged.place
        if not self._wanted.is_all:
            messages = page.messages if messages is None else messages
            messages = [one for one in messages if self._wanted.fits(one)]
        is_whole = messages is None or len(messages) == len(page.read)
        return Heard(page, None if is_whole else messages)


class Outbox:
    """Reads the log for as long as anybody listens, and keeps a little of it for all of them."""

    def __init__(self, event_log: EventLog, clock: Clock) -> None:
        self._log = event_log
        self._clock = clock
        self._pages: deque[Page] = deque()
        self._bytes = 0
        self.pages_start = self.pages_end = 0
        self.marks = Marks()
        self._listeners = 0
        self._hurried = False
        self._beat = asyncio.Event()
        self._news = asyncio.Event()
        self._somebody = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._read_pages: OrderedDict[Marks, Page] = OrderedDict()
        self._told = ""
        self._commits = 0

    def tell(self, events: Sequence[Event]) -> None:
        """This process has committed: let the log be read at once."""
        if self._listeners and events:
            self._commits += 1
            self._news.set()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return self._listeners

    @contextlib.asynccontextmanager
    async def listening(self, wanted: Wanted, after: str | None = None) -> AsyncIterator[Listener]:
        """Somebody listens while the block runs, from now on or from what comes `after` an event.

        What is repeated then is told in docs/reference/events.md. Raises Crowded, StoreBusy or
        StoreRefused.
        """
        if self._listeners >= LISTENERS_LIMIT:
            raise Crowded("too many listen already.", mend="Try again in a while.")
        self._listeners += 1
        try:
            async with self._one_at_a_time:
                newest = await self._log.newest()
                if not self._somebody.is_set():
                    self.marks = await marks_now(self._log, self._clock, newest)
                    self._somebody.set()
            listener = Listener(self, wanted, newest)
            if after is not None:
                await self._resume(listener, after)
            yield listener
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._end()

    async def run(self) -> None:
        """Read on until cancelled: whenever told to, else every second, while anybody listens."""
        while True:
            await self._somebody.wait()
            self._news.clear()
            has_more = await self.read_on()
            hurried, self._hurried = self._hurried, False
            if has_more is not None or hurried:
                commits, self._commits = self._commits, 0
                cost = await self._give_beat()
                pause = timedelta(seconds=cost * SHARE if commits >= BUSY_COMMITS else 0)
                await self._clock.sleep(max(BEAT, min(pause, LONGEST_BEAT)))
            if not has_more and not self._hurried:
                await _set_within(self._news, LOOK_EVERY)

    # --- what listeners ask ----------------------------------------------------------------

    async def beat(self, patience: timedelta, *, hurry: bool = False) -> bool:
        """Wait for the next beat; whether it came in time. `hurry`: there is more to give."""
        if hurry:
            self._hurried = True
            self._news.set()
        return await _set_within(self._beat, patience)

    def page(self, number: int) -> Page:
        """One of the pages that are kept."""
        return self._pages[number - self.pages_start]

    async def read(self, marks: Marks) -> Page:
        """What comes after these marks. Who reads the same at the same time shares it."""
        async with self._one_at_a_time:
            page = self._read_pages.get(marks)
            if page is None:
                page = await read_page(self._log, self._clock, marks, PAGE_EVENTS)
                # The last one may go on: it is nobody else's.
                if not page.is_last:
                    self._read_pages[marks] = page
                    while len(self._read_pages) > READ_PAGES:
                        self._read_pages.popitem(last=False)
            return page

    # --- reading ---------------------------------------------------------------------------

    def _end(self) -> None:
        """Nobody listens any more: nothing is read, and nothing kept."""
        self._somebody.clear()
        self._pages.clear()
        self._read_pages.clear()
        self._bytes, self.pages_start = 0, self.pages_end

    async def _resume(self, listener: Listener, after: str) -> None:
        found = _PLACE.fullmatch(after.strip())
        place = Place(int(found[1]), int(found[2])) if found else None
        if place is None or not await self._may_resume(place):
            listener.is_reset = True
            return
        settled = max(0, place.log_id - 1)
        if not self._log.commits_in_order and place != _START:
            # Told after this one may have been others with lower numbers, or not: they are told
            # again.
            at = await self._log.find_time(place)
            if at is not None:
                settled = (await self._log.find_recent(at - LATE, place.log_id)).before
        listener.go_on(Marks(newest=settled), place)

    async def _may_resume(self, place: Place) -> bool:
        """Whether everything that came after it is still in the log."""
        if place == _START:
            return not await self._log.has_moved_out()
        at = await self._log.find_time(place)
        if at is None:
            return False
        is_young = self._clock.now() - at < LEAST_AGE_TO_MOVE
        return is_young or not await self._log.has_moved_out()

    async def read_on(self) -> bool | None:
        """Read the next page for all; whether there is more, None where there was nothing."""
        marks = self.marks
        limit = max(LEAST_PAGE_EVENTS, min(PAGE_EVENTS, EVENTS_A_BEAT // max(1, self._listeners)))
        try:
            page = await read_page(self._log, self._clock, marks, limit)
            again = None if page.read else await marks_after_rewind(self._log, marks)
        except OrdersyncError as error:
            # Whatever the database has: orders go on being verified. What is not read now is
            # read later, for it is in the log.
            if str(error) != self._told:
                log.warning(f"The event log cannot be read, so listeners wait: {error}")
            self._told = str(error)
            return None
        self._told = ""
        if self.marks is not marks or not self._somebody.is_set():
            return None  # all have gone meanwhile, and others may have come
        self.marks = page.marks if again is None else again
        if not page.read:
            return None
        self._pages.append(page)
        self._bytes += page.size
        self.pages_end += 1
        while len(self._pages) > 1 and (self._bytes > KEPT_BYTES or len(self._pages) > KEPT_PAGES):
            self._bytes -= self._pages.popleft().size
            self.pages_start += 1
        return not page.is_last

    async def _give_beat(self) -> float:
        """Wake all who wait; how many seconds that took them."""
        began = self._clock.monotonic()
        beat, self._beat = self._beat, asyncio.Event()
        beat.set()
        # Those who were woken run in the loop's next round, and what is asked for now after them.
        after = asyncio.Event()
        asyncio.get_running_loop().call_soon(after.set)
        await after.wait()
        return self._clock.monotonic() - began


async def marks_now(event_log: EventLog, clock: Clock, newest: Place | None) -> Marks:
    """The marks of who begins now, where this is the newest event. Raises StoreBusy."""
    if newest is None:
        return Marks()
    if event_log.commits_in_order:
        return Marks(newest=newest.log_id)
    now = clock.now()
    recent = await event_log.find_recent(now - LATE, newest.log_id + 1)
    return marks_at(newest.log_id, recent, now)


async def marks_after_rewind(event_log: EventLog, marks: Marks) -> Marks | None:
    """Where to go on if the log now ends before what was seen of it; None where it does not.

    Somebody has put the database back from a copy: its numbers come again. Raises StoreBusy.
    """
    newest = await event_log.newest()
    ends_at = newest.log_id if newest is not None else 0
    if ends_at >= marks.newest:
        return None
    log.warning("The event log ends earlier than before: it was put back, and is heard from there")
    return Marks(newest=ends_at)


async def read_page(event_log: EventLog, clock: Clock, marks: Marks, limit: int) -> Page:
    """What comes after these marks: whole commits, about `limit` events. Raises StoreBusy."""
    read = await event_log.read_after(marks.newest, marks.ranges, limit)
    now = clock.now()
    seen = marks.with_seen({logged.place.log_id for logged in read}, now).without_old(now)
    return Page(read, seen, is_last=len(read) < limit)


async def _set_within(event: asyncio.Event, patience: timedelta) -> bool:
    try:
        async with asyncio.timeout(patience.total_seconds()):
            await event.wait()
    except TimeoutError:
        return False
    return True
