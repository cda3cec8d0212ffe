"""Push: subscribe, read the gap, feed ingest, watch, reconnect. One for each account.

A stream that is open proves nothing. What counts is that orders are verified: so the gap is
read by asking after every subscription and after every sign that something was lost, and what
asking finds although the stream should have told it makes the stream doubtful. While there is
no stream that can be relied on, the account is degraded and is asked about more often.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.errors import AskAgain, OrdersyncError, VenueRefused, VenueSilent
from ordersync.ports import OrderName
from ordersync.sync.backlog import Backlog
from ordersync.sync.health import Health, State
from ordersync.sync.telling import RareWarnings
from ordersync.truth.model import EventKind, Source, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.ports import Clock, Venue
    from ordersync.pushed import Heard, Push, Subscription
    from ordersync.sync.backlog import Load
    from ordersync.sync.demand import Demand
    from ordersync.sync.ingest import Ingest, Taken
    from ordersync.truth.model import Event

__all__ = ["Health", "State", "Stream"]

CLOSE_WATCH = timedelta(seconds=2)
"""How often the account is asked about while its stream cannot be relied on."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=250), timedelta(seconds=30)
REFUSED_PAUSE = timedelta(seconds=60)
LONGEST_ASKED_PAUSE = timedelta(minutes=5)
"""What a venue's Retry-After is heeded up to, as by the rate budget: it may be back sooner."""
STEADY_AFTER = timedelta(seconds=5)
"""How long a stream has to last before the next failure counts as a first one."""

GAP_PAUSE = timedelta(seconds=1)
LONGEST_GAP_PAUSE = timedelta(seconds=16)
"""Between two readings of a gap: one that is noticed meanwhile waits, and shares the next. The
pauses grow while there is always another, so that a stream of nonsense is no storm of questions."""

TOLD_WITHIN = timedelta(seconds=3)
"""How much later than asking a stream may tell of a change before it counts as mute."""

REMEMBERED, ORDERS_A_COMMIT = 10_000, 500
AWAY_PAUSE = timedelta(seconds=1)
UNREADABLE_EVERY = timedelta(minutes=1)
DEGRADED_EVERY = timedelta(seconds=10)
"""How often the log tells of one kind of trouble; of its end always, if it told of it."""

TOLD_TWICE = timedelta(seconds=5)
"""So much more than the gap is told again, where a venue does that: frames may have been late."""

ASKING = frozenset({Source.POLL, Source.DEMAND})
ZERO = Decimal(0)

log = structlog.get_logger("ordersync")


class _Told(msgspec.Struct, gc=False):
    """What the stream last told of an order, and when that came, on the steady clock."""

    at: float
    is_final: bool
    filled_qty: Decimal


class Stream:
    """Keeps one account's stream. `run` ends only by cancellation."""

    def __init__(
        self,
        account: str,
        push: Push,
        *,
        venue: Venue,
        ingest: Ingest,
        demand: Demand,
        clock: Clock,
    ) -> None:
        self.account = account
        self.health = Health(since=clock.now())
        self.backlog = Backlog()
        self._push = push
        self._venue = venue
        self._ingest = ingest
        self._demand = demand
        self._clock = clock
        self._arrived = asyncio.Event()
        self._gap = asyncio.Event()
        self._doubt = asyncio.Event()
        self._is_connected = False
        self._confirmed_at: float | None = None
        self._is_mute = ""
        self._relied_on_since: datetime | None = None
        self._untold: OrderedDict[str, float] = OrderedDict()
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._told_until: datetime | None = None
        self._warn = RareWarnings(account, clock).say
        self._has_told_of_it = True
        demand.watch(self._pace)

    async def run(self) -> None:
        """Keep the stream, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write(), name=f"write stream {self.account}")
            group.create_task(self._read_gaps(), name=f"read gaps {self.account}")
            group.create_task(self._look_for_untold(), name=f"doubt stream {self.account}")
            group.create_task(self._keep(), name=f"listen {self.account}")

    # --- the connection ----------------------------------------------------------------------

    async def _keep(self) -> None:
        """Connect, listen until that ends, and again: with pauses that grow while it is vain."""
        pause = FIRST_PAUSE
        while True:
            self._confirmed_at = None
            asked = timedelta(0)
            try:
                await self._listen()
            except VenueRefused as error:
                self._degrade(str(error), about="refused")
                asked = REFUSED_PAUSE
            except VenueSilent as error:
                self._degrade(str(error), about="ended")
                asked = min(error.pause or asked, LONGEST_ASKED_PAUSE)
            if self._was_steady() and self.health.is_proven:
                pause = FIRST_PAUSE
            jitter = random.uniform(0.5, 1.5)  # noqa: S311 - so that not all come back at once
            await self._clock.sleep(max(pause * jitter, asked))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _was_steady(self) -> bool:
        """Whether the last connection lasted: that a venue is slow to refuse us does not count."""
        if self._confirmed_at is None:
            return False
        return self._clock.monotonic() - self._confirmed_at >= STEADY_AFTER.total_seconds()

    async def _listen(self) -> None:
        """One connection, from the venue's confirmation to its end."""
        async with self._push.subscribe() as subscription:
            self.health.connections += 1
            self._is_mute, self._is_connected = "", True
            self._confirmed_at = self._clock.monotonic()
            # Subscribed first, then the gap is read; what comes meanwhile is merged all the same.
            self._gap.set()
            try:
                await self._hear(subscription)
            except VenueSilent as error:
                # Before it is closed: that takes its time where nobody answers.
                self._degrade(str(error), about="ended")
                raise
            finally:
                self._is_connected = False
                # What it would have told from now on has to be asked for: at once.
                self._gap.set()

    async def _hear(self, subscription: Subscription) -> None:
        """Take what it says, to its end. Raises VenueSilent."""
        limit = self._push.quiet_limit.total_seconds()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit) as quiet:
                while not self._is_mute:
                    self._take(await subscription.hear())
                    quiet.reschedule(loop.time() + limit)
        except TimeoutError:
            raise VenueSilent(f"the stream has said nothing for {limit:g} s.") from None
        raise VenueSilent(self._is_mute)

    def _take(self, heard: Heard) -> None:
        """Put what was heard in line, and note what it says of the stream itself."""
        lost = heard.missed
        if heard.sightings or heard.silences:
            now = self._clock.now()
            lost = self.backlog.add(heard.sightings, heard.silences, now) or lost
            self._arrived.set()
            if not heard.is_snapshot:
                self._note_told(heard)
        for silence in heard.silences:
            self.health.unreadable += 1
            count = self.health.unreadable
            what = f"Unreadable in the stream ({count} so far): {silence.why}"
            self._warn("unreadable", what, every=UNREADABLE_EVERY)
        if lost:
            self._miss(lost)

    # --- the gap -----------------------------------------------------------------------------

    def _miss(self, why: str) -> None:
        """Something was lost: all that it may have been about is asked for."""
        self.health.gaps += 1
        self._degrade(f"{why}.", about="gap")
        self._gap.set()

    async def _read_gaps(self) -> None:
        """Whenever something may have been lost, ask for everything; then the stream is live."""
        pause = GAP_PAUSE
        while True:
            await self._gap.wait()
            self._gap.clear()
            await self._hear_again()
            report = await self._demand.read_gap()
            self.health.repaired += report.rows_written
            if not report.was_answered:
                self._gap.set()
            if self._gap.is_set():
                pause = min(pause * 2, LONGEST_GAP_PAUSE)
            else:
                pause = GAP_PAUSE
                if self._is_connected:
                    self._go_live()
            await self._clock.sleep(pause / 2)

    async def _hear_again(self) -> None:
        """Take what the venue tells again of the gap: of each end in it, nobody has to ask."""
        if self._told_until is not None:
            for heard in await self._push.tell_again(self._told_until):
                # It proves nothing about the stream, neither that it tells nor that it lost.
                self._take(msgspec.structs.replace(heard, missed="", is_snapshot=True))

    def _go_live(self) -> None:
        """Nothing is missing. Once doubted, it also has to tell of a change to be relied on."""
        self._told_until = None
        self._untold.clear()
        self._relied_on_since = self._venue.now()
        if self.health.is_proven and self.health.state is not State.LIVE:
            self.health.recover(self._clock.now())
            if self._has_told_of_it:
                log.info("Push is live", account=self.account)
            self._has_told_of_it = False
            self._demand.watch(self._pace)

    def _degrade(self, why: str, *, about: str) -> None:
        """The stream cannot be relied on: ask more often until it can be.

        `about` is the kind of why: a person hears of one kind only so often.
        """
        if self.health.state is State.LIVE:
            self._told_until = self._venue.now() - self._push.quiet_limit - TOLD_TWICE
        if self.health.state is not State.DEGRADED:
            self.health.since = self._clock.now()
        self.health.state, self.health.why = State.DEGRADED, why
        text = f"Push is degraded, asking every {CLOSE_WATCH.seconds} s instead: {why}"
        self._has_told_of_it |= self._warn(about, text, every=DEGRADED_EVERY)
        self._untold.clear()
        self._relied_on_since = None
        self._demand.watch(self._pace)

    def _pace(self) -> timedelta | None:
        """How often to ask about everything: what a venue's budget allows, it knows itself."""
        allowed = self._push.safety_poll
        if self.health.state is State.LIVE:
            return allowed
        return max(CLOSE_WATCH, allowed or CLOSE_WATCH)

    # --- what it says ------------------------------------------------------------------------

    async def _write(self) -> None:
        """Hand what was heard to ingest: whatever waits, each time the last is written."""
        pause = AWAY_PAUSE / 8
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self.backlog:
                load = self.backlog.take(ORDERS_A_COMMIT)
                try:
                    taken = await self._ingest.take(
                        load.parcel(self.account, self._venue.now(), self._demand.vouched)
                    )
                except OrdersyncError as error:
                    # Nothing of it is lost: it waits, and what comes meanwhile joins it.
                    if lost := self.backlog.put_back(load):
                        self._miss(lost)
                    about = "away" if isinstance(error, AskAgain) else "unwritable"
                    self._degrade(f"what it says cannot be written: {error}", about=about)
                    self._gap.set()
                    await self._clock.sleep(pause)
                    pause = min(pause * 2, AWAY_PAUSE * 8)
                else:
                    pause = AWAY_PAUSE / 8
                    self._follow_up(load, taken)

    def _follow_up(self, load: Load, taken: Taken) -> None:
        """What a stream cannot say is asked for: how an end was settled, what was unreadable."""
        orders = {
            OrderName(s.report.venue_order_id, s.report.client_order_id): None
            for s in load.sightings
            if s.report.status is not None and s.report.status.is_final
        }
        orders |= {OrderName(key[2:]): None for key in taken.disbelieved if key[:2] == "v:"}
        orders |= {OrderName(order): None for s in load.garbled for order in s.orders}
        self._demand.ask_soon(orders)
        self._demand.stir(s.report.venue_order_id or "" for s in load.sightings)

    # --- what it does not say ----------------------------------------------------------------

    def _note_told(self, heard: Heard) -> None:
        """It told of these changes, so it is no mute stream."""
        now, told = self._clock.monotonic(), {}
        for report in (sighting.report for sighting in heard.sightings):
            is_final = report.status is not None and report.status.is_final
            told[report.venue_order_id or ""] = _Told(now, is_final, report.filled_qty or ZERO)
        # Of what could not be read, whatever asking finds may have been in it.
        unread = (order for silence in heard.silences for order in silence.orders)
        told |= dict.fromkeys(unread, _Told(now, is_final=True, filled_qty=Decimal("Infinity")))
        for order, what in told.items():
            self._untold.pop(order, None)
            self._told[order] = what
            self._told.move_to_end(order)
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        if heard.sightings and not self.health.is_proven:
            self.health.is_proven = True
            if self._relied_on_since is not None:
                self._go_live()

    def compare(self, events: Sequence[Event]) -> None:
        """Asking found these changes. Those of a live stream should have been told by it."""
        for event in events:
            if event.account == self.account and self._should_have_told(event):
                self._untold.setdefault(event.order.venue_order_id or "", self._clock.monotonic())
                self._doubt.set()

    def _should_have_told(self, event: Event) -> bool:
        at, since = event.evidence.venue_time, self._relied_on_since
        before, after = event.before, event.after
        if event.source not in ASKING or event.kind is not EventKind.CHANGED:
            return False
        if at is None or since is None or at <= since or before.status is None:
            return False
        if (before.status, before.filled_qty) == (after.status, after.filled_qty):
            return False  # fees settle without a word
        told = self._told.get(event.order.venue_order_id or "")
        if told is None:
            return True
        # Told, and not written yet: that is no fault of the stream's.
        # A label may say more than a status: `canceled+fills`.
        is_final = Status((after.status or "unknown").partition("+")[0]).is_final
        says_it = told.is_final >= is_final and told.filled_qty >= Decimal(after.filled_qty or 0)
        return not says_it and self._clock.monotonic() - told.at > TOLD_WITHIN.total_seconds()

    async def _look_for_untold(self) -> None:
        """A change that asking found, and the stream did not tell in time, makes it doubtful."""
        while True:
            if not self._untold:
                self._doubt.clear()
                await self._doubt.wait()
                continue  # it may have been told in the same turn
            order, since = next(iter(self._untold.items()))
            left = since + TOLD_WITHIN.total_seconds() - self._clock.monotonic()
            if left > 0:
                await self._clock.sleep(timedelta(seconds=left))
                continue
            self.health.is_proven = False
            self._is_mute = f"the stream is open but did not tell of order {order}."
            self._degrade(self._is_mute, about="mute")
