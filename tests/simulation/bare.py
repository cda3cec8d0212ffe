"""A world with nothing in it but orders: a venue, its stream and a store, all in memory.

For the kernel's seeds, where merge, ingest, backlog, demand, the passes and the stream's
supervisor run as they are, without wire, file or driver: hundreds of seconds in milliseconds.
"""

# ruff: noqa: ARG002 - what a port is asked is not all of interest in an empty world

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from ordersync.errors import StoreBusy, VenueSilent
from ordersync.ports import (
    AccountRecord,
    Claim,
    Identity,
    Known,
    Meaning,
    OrderName,
    Outcome,
    Result,
    Scan,
)
from ordersync.pushed import Heard
from ordersync.sync.parcels import key_of
from ordersync.truth.evidence import Absence, Reading, Sighting, Silence
from ordersync.truth.merge import same_facts
from ordersync.truth.model import Event, EventKind, EventOrder, Order, Report, Side, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
    from random import Random

    from ordersync.archived import Batch, LogSize, Movable, Reach
    from ordersync.hinted import Receipt
    from ordersync.leased import Lease, Leases
    from ordersync.orphaned import Rowless
    from ordersync.ports import Absent, Advance, Change, Decide, Finding, Ids
    from ordersync.pushed import Push, Subscription
    from tests.virtual import VirtualClock

ROUND_TRIP = 0.04
BEAT = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """How an order stood from then on."""

    at: datetime
    status: Status
    filled: Decimal


@dataclass(slots=True)
class BareOrder:
    """An order and all of its life, the first moment being its creation."""

    order_id: str
    life: list[Moment]

    def at(self, when: datetime) -> Moment | None:
        place = bisect_right([moment.at for moment in self.life], when)
        return self.life[place - 1] if place else None

    def report(self, moment: Moment, as_of: datetime, *, told: bool = False) -> Report:
        return Report(
            as_of=as_of,
            venue_order_id=self.order_id,
            status=moment.status,
            filled_qty=moment.filled,
            avg_price=Decimal(100) if moment.filled else None,
            quantity=None if told else Decimal(100),
            last_fill_at=moment.at if moment.filled and not told else None,
            settled=moment.status.is_final or None,
            created_at=self.life[0].at,
            changed_at=moment.at,
        )


@dataclass(slots=True)
class Weather:
    """How often what goes wrong, from 0 to 1. All zero is a calm."""

    silent: float = 0.0
    garbled: float = 0.0
    frames: float = 0.0
    lines: float = 0.0
    store: float = 0.0
    hushed: float = 0.0
    forgets: float = 0.0

    def clear(self) -> None:
        self.silent = self.garbled = self.frames = self.lines = self.store = 0
        self.hushed = self.forgets = 0


class BareVenue:
    """Implements `ports.Venue`, and `pushed.Push` for itself."""

    batch_size = 100
    list_page_size = 1000
    open_list_cap = 1000
    quiet_limit = timedelta(seconds=2.75)
    safety_poll: timedelta | None = None

    def __init__(self, clock: VirtualClock, dice: Random, weather: Weather) -> None:
        self.push: Push | None = self
        self.orders: dict[str, BareOrder] = {}
        self.lines: list[BareLine] = []
        self.clock, self.dice, self.weather = clock, dice, weather
        self.mishaps: list[str] = []
        self.is_foreign = self._asked_as_another = False
        self._asked_until = clock.monotonic()

    def now(self) -> datetime:
        return self.clock.now()

    @property
    def is_being_asked(self) -> bool:
        """Whether a pass may be under way: between its questions little time goes by."""
        return self.clock.monotonic() < self._asked_until + ROUND_TRIP

    async def tell_again(self, since: datetime) -> Sequence[Heard]:
        del since
        return ()

    def tell(self, order: BareOrder, moment: Moment) -> None:
        for line in self.lines:
            line.tell(order, moment)

    async def identify(self) -> Identity:
        return Identity(host="bare", name="another" if self._asked_as_another else "main")

    async def ask_ids(self, ids: Sequence[str], heard: Mapping[int, str] | None = None) -> Reading:
        return await self._ask(ids, "batch")

    async def ask_one(self, venue_order_id: str, client_order_id: str | None = None) -> Reading:
        return await self._ask([venue_order_id], "by_id")

    async def _ask(self, ids: Sequence[str], endpoint: str) -> Reading:
        as_of = self.now()
        # A connection has one key: whose orders it shows is whose name it gives.
        self._asked_as_another = is_foreign = self.is_foreign
        self._asked_until = self.clock.monotonic() + ROUND_TRIP
        await self.clock.sleep(ROUND_TRIP / 2)
        seen_at, dice, weather = self.now(), self.dice, self.weather
        await self.clock.sleep(ROUND_TRIP / 2)
        if dice.random() < weather.silent:
            return Reading(silences=(Silence(endpoint=endpoint, why="away", orders=tuple(ids)),))
        sightings, silences, absences = [], [], []
        for name in ids:
            is_hidden = is_foreign or dice.random() < weather.forgets
            order = None if is_hidden else self.orders.get(name)
            moment = order.at(seen_at) if order else None
            if dice.random() < weather.garbled:
                silences.append(
                    Silence(endpoint=endpoint, why="unreadable", orders=(name,), garbled=True)
                )
            elif order is None or moment is None:
                gone = Absence(venue_order_id=name, endpoint=endpoint, as_of=as_of)
                absences.append(gone)
            else:
                report = order.report(moment, as_of)
                sightings.append(Sighting(report=report, endpoint=endpoint))
        return Reading(
            sightings=tuple(sightings), silences=tuple(silences), absences=tuple(absences)
        )

    async def ask_open(
        self, heard: Mapping[int, str] | None = None, wanted: Collection[str] = ()
    ) -> Reading:
        return Reading()

    async def ask_created(
        self, start: datetime, end: datetime, client_order_ids: Collection[str] = ()
    ) -> Reading:
        return Reading()

    async def ask_fills(self, ids: Sequence[str]) -> Reading:
        return Reading()

    async def findings(self) -> list[Finding]:
        return []

    async def close(self) -> None:
        pass

    @contextlib.asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Subscription]:
        await self.clock.sleep(ROUND_TRIP)
        if self.dice.random() < self.weather.lines:
            raise VenueSilent("the stream cannot be opened.")
        line = BareLine(self)
        self.lines.append(line)
        try:
            yield line
        finally:
            self.lines.remove(line)


class BareLine:
    """Implements `pushed.Subscription`: a frame a change, a beat a second, and mishaps."""

    def __init__(self, venue: BareVenue) -> None:
        self._venue = venue
        self._frames: deque[Heard] = deque()
        self._held: list[Heard] = []
        self._missed = ""
        self._arrived, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self._is_mute = self._is_over = self._is_hushed = False

    def tell(self, order: BareOrder, moment: Moment) -> None:
        venue = self._venue
        dice, mishaps = venue.dice, venue.mishaps
        self._is_hushed = self._is_hushed or dice.random() < venue.weather.hushed
        if self._is_hushed:
            return
        struck = mishaps.pop() if mishaps else ""
        if not struck and dice.random() < venue.weather.frames:
            struck = dice.choice(("lost", "late", "twice", "old", "unsent", "unread"))
        elif not struck and dice.random() < venue.weather.lines / 4:
            struck = dice.choice(("mute", "closed"))
        frame = self._frame(order, moment)
        if struck in {"mute", "closed"}:
            self._is_mute, self._is_over = True, struck == "closed"
        elif struck == "unsent":
            return
        elif struck in {"lost", "late"}:
            self._missed = "1 message of the stream is missing"
            self._held += [frame] if struck == "late" else []
            return
        elif struck == "unread":
            lost = Silence(endpoint="stream", why="unreadable", garbled=True)
            frame = Heard(silences=(lost,), missed="a message could not be read")
        self._say(frame)
        if struck == "twice":
            self._say(frame)
        elif struck == "old":
            earlier = [one for one in order.life if one.at <= moment.at and one.status.is_final < 1]
            news = Moment(venue.now(), earlier[-1].status, earlier[-1].filled)
            self._say(self._frame(order, news))

    def _frame(self, order: BareOrder, moment: Moment) -> Heard:
        report = order.report(moment, moment.at, told=True)
        return Heard(sightings=(Sighting(report=report, endpoint="stream"),))

    def _say(self, frame: Heard) -> None:
        if self._missed:
            frame = msgspec.structs.replace(frame, missed=frame.missed or self._missed)
            self._missed = ""
        self._frames.append(frame)
        self._frames.extend(self._held)
        self._held.clear()
        self._arrived.set()

    async def hear(self) -> Heard:
        while not self._frames or self._is_mute:
            if self._is_over:
                raise VenueSilent("the stream was closed (1006).")
            if self._is_mute:
                await self._venue.clock.sleep(3600)
            self._arrived.clear()
            beat = self._loop.call_later(BEAT, self._arrived.set)
            await self._arrived.wait()
            beat.cancel()
            if not self._frames:
                self._say(Heard())
        return self._frames.popleft()


@dataclass(slots=True)
class BareRow:
    """A row of the bot's table."""

    order_id: str
    word: str = "open"
    filled: Decimal = Decimal(0)


@dataclass(slots=True)
class Stored:
    """What is kept of an order."""

    truth: Order | None = None
    version: int = 0
    final_since: datetime | None = None
    due_at: datetime | None = None
    absent: Absent | None = None
    row_id: str | None = None


class StoreMishap(StrEnum):
    """What becomes of a write that its caller is told has failed."""

    UNDONE = "undone"
    HAPPENED = "happened"


@dataclass
class BareStore:
    """Implements `ports.OrderStore` in memory, by compare-and-set of truth and row.

    `look` is called after every commit, with the keys that it was about.
    """

    clock: VirtualClock
    dice: Random
    weather: Weather
    look: Callable[[list[str]], object] = lambda _: None
    rows: dict[int, BareRow] = field(default_factory=dict)
    stored: dict[str, Stored] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    commits: int = 0
    rows_written: int = 0
    written_by_others: int = 0
    mishaps: list[StoreMishap] = field(default_factory=list)
    record: AccountRecord = field(default_factory=lambda: AccountRecord(account="main"))

    async def open(self, *, create: bool) -> None:
        pass

    async def close(self) -> None:
        pass

    def leases(self) -> Leases:
        raise NotImplementedError

    def fence(self, account: str, lease: Lease | None) -> None:
        """Nobody has a lease here: correctness must not need one."""

    async def revision(self) -> int | None:
        return self.written_by_others

    def _busy(self) -> None:
        if self.dice.random() < self.weather.store:
            raise StoreBusy("the database is away.")

    def _claim(self, row_id: int) -> Claim:
        row = self.rows[row_id]
        return Claim(
            row_id=row_id,
            venue_order_id=row.order_id,
            client_order_id=None,
            word=row.word,
            meaning=_meaning(row.word),
            created_at=None,
            symbol=None,
            owner=None,
            read_at=self.clock.now(),
            cells=(row_id, row.order_id, row.word, row.filled),
        )

    def _known(self, name: OrderName) -> Known:
        key, order_id = key_of(name), name.venue_order_id
        claims = tuple(self._claim(n) for n, row in self.rows.items() if row.order_id == order_id)
        kept = self.stored.get(key, Stored())
        return Known(
            key=key,
            truth=kept.truth,
            version=kept.version,
            claims=claims,
            absent=kept.absent,
            final_since=kept.final_since,
            due_at=kept.due_at,
            row_id=kept.row_id,
        )

    async def scan_open(
        self, account: str, seen: Mapping[int, str], most: int | None = None
    ) -> Scan:
        self._busy()
        claims = [self._claim(n) for n, r in self.rows.items() if _meaning(r.word) != Meaning.FINAL]
        return Scan(moved=claims, places=[0] * len(claims), unmoved={}, unread={})

    async def list_finished(self, account: str, since: datetime) -> list[Claim]:
        return [self._claim(n) for n, r in self.rows.items() if _meaning(r.word) is Meaning.FINAL]

    async def list_unmapped(self, account: str, limit: int) -> list[Claim]:
        return []

    async def list_witnesses(self, account: str, limit: int) -> list[str]:
        return [row.order_id for row in self.rows.values()][-limit:]

    async def list_due(
        self, account: str, now: datetime, *, open_truths: int | None = None, unread: Ids = None
    ) -> list[OrderName]:
        return [
            OrderName(key[2:])
            for key, kept in self.stored.items()
            if key[2:] not in (unread or ())
            if (kept.due_at is not None and kept.due_at <= now)
            or (kept.truth is not None and not kept.truth.is_final and kept.row_id)
        ]

    async def read(self, account: str, names: Sequence[OrderName]) -> list[Known]:
        self._busy()
        return [self._known(name) for name in names]

    async def read_claims(self, account: str, claims: Sequence[Claim]) -> list[Known]:
        return [self._known(OrderName(claim.venue_order_id)) for claim in claims]

    async def read_rows(self, account: str, row_ids: Sequence[int | str]) -> list[Known]:
        return [self._known(OrderName(self.rows[int(n)].order_id)) for n in row_ids]

    async def carry(
        self, account: str, names: Sequence[OrderName], decide: Decide
    ) -> list[Outcome]:
        return await self.advance(account, decide(await self.read(account, names)))

    async def read_hinted(
        self, account: str, webhook_ids: Sequence[str], names: Sequence[OrderName]
    ) -> tuple[set[str], list[Known]]:
        return set(), await self.read(account, names)

    async def drop_receipts(self, account: str, *, before: datetime, limit: int) -> int:
        return 0

    async def list_rowless(
        self, account: str, *, before: datetime, after: Rowless | None, limit: int
    ) -> list[Rowless]:
        return []

    async def list_open_orphans(self, account: str, limit: int) -> list[str]:
        return []

    async def find_venue_ids(self, account: str, client_ids: Sequence[str]) -> Mapping[str, str]:
        return {}

    async def advance(
        self, account: str, steps: Sequence[Advance], receipts: Sequence[Receipt] = ()
    ) -> list[Outcome]:
        mishap = self.mishaps.pop() if self.mishaps else None
        await self.clock.sleep(timedelta(milliseconds=3))
        self._busy()
        if mishap is StoreMishap.UNDONE:
            raise StoreBusy("the database is away.")
        outcomes = [self._advance(account, step) for step in steps]
        self.look([step.known.key for step in steps])
        if self.dice.random() < self.weather.store or mishap is StoreMishap.HAPPENED:
            raise StoreBusy("nobody knows whether it was committed.")
        return outcomes

    def _advance(self, account: str, step: Advance) -> Outcome:
        known, truth = step.known, step.truth
        kept = self.stored.get(known.key, Stored())
        overlay = step.absent.overlay if step.absent else None
        changed = truth is not None and not (known.truth and same_facts(truth, known.truth))
        if kept.version != known.version:
            return Outcome(key=known.key, result=Result.LOST, overlay=overlay)
        rows, lost = 0, False
        for claim in known.claims:
            wrote = self._project(step, claim)
            rows, lost = rows + (wrote is True), lost or wrote is None
        self.stored[known.key] = kept
        kept.absent, kept.due_at = step.absent, step.due_at
        kept.row_id = str(known.claims[0].row_id) if known.claims else kept.row_id
        events: tuple[Event, ...] = ()
        if changed and truth is not None:
            kept.truth, kept.version = truth, known.version + 1
            kept.final_since = (known.final_since or self.clock.now()) if truth.is_final else None
            self.told[known.key] = self.told.get(known.key, 0) + 1
            events = (self._event(account, step, truth),)
        self.commits += bool(changed or rows)
        self.rows_written += rows
        won = Result.WON if changed or rows else Result.UNCHANGED
        return Outcome(
            key=known.key,
            result=Result.LOST if lost else won,
            rows_written=rows,
            events=events,
            overlay=overlay,
        )

    def _project(self, step: Advance, claim: Claim) -> bool | None:
        """Write the row; False where nothing is to be written, None where another was first."""
        truth, row = step.truth, self.rows[int(claim.row_id)]
        word, filled = row.word, row.filled
        if step.absent is not None and step.absent.overlay is not None:
            word = "unknown" if step.absent.overlay == "unknown" else word
        elif truth is not None:
            word = truth.standing.status.value if truth.is_final and truth.standing else "open"
            filled = truth.filled_qty or Decimal(0)
            young = step.asked_at <= claim.read_at
            if word == "open" and claim.meaning is Meaning.FINAL and young:
                word = row.word
        if (word, filled) == (claim.word, claim.cells[3]):
            return False
        if claim.cells[1:] != (row.order_id, row.word, row.filled):
            return None
        row.word, row.filled = word, filled
        return True

    def _event(self, account: str, step: Advance, truth: Order) -> Event:
        return Event(
            at=self.clock.now(),
            account=account,
            order=EventOrder(venue_order_id=truth.venue_order_id),
            kind=EventKind.CHANGED,
            source=step.source,
            evidence=step.evidence,
            before=_side(step.known.truth),
            after=_side(truth),
        )

    async def preview(self, account: str, steps: Sequence[Advance]) -> list[list[Change]]:
        raise NotImplementedError

    async def get_account(self, account: str) -> AccountRecord:
        return self.record

    async def keep_account(self, record: AccountRecord) -> None:
        self.record = record

    async def findings(self) -> list[Finding]:
        return []

    async def list_movable(
        self, account: str, *, before: datetime, after: Reach, limit: int
    ) -> Batch:
        raise NotImplementedError

    async def list_movable_events(
        self, account: str, *, before: datetime, after: Reach, limit: int
    ) -> Batch:
        raise NotImplementedError

    async def move_out(self, account: str, batch: Batch) -> Sequence[Movable]:
        raise NotImplementedError

    async def measure_log(self) -> LogSize:
        raise NotImplementedError


def _meaning(word: str) -> Meaning:
    if word in {"open", "unknown"}:
        return Meaning(word)
    return Meaning.FINAL


def _side(truth: Order | None) -> Side:
    if truth is None:
        return Side()
    ends_with_fills = truth.is_final and truth.status is not Status.FILLED and truth.filled_qty
    label = f"{truth.status}+fills" if ends_with_fills else truth.status
    return Side(status=label, filled_qty=format(truth.filled_qty or 0, "f"))
