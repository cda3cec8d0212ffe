"""Webhooks: the orders that they name are asked about, and only the venue's answer is written.

A webhook proves nothing but that somebody who knows a secret wants an order looked at. Whatever
waits is asked about together, and about one order at most once a second: a flood of webhooks is
no flood of calls. The receipt of a webhook commits with what came of it; until then it is not
taken, and whoever sent it sends it again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.errors import AskAgain, OrdersyncError, StoreBusy, VenueSilent
from ordersync.hinted import Receipt
from ordersync.ports import Known, OrderName, Result
from ordersync.sync.parcels import Parcel, key_of
from ordersync.sync.reading import ids_of, lacks_fill_facts, told_apart
from ordersync.sync.windows import creation_windows
from ordersync.truth.evidence import Reading
from ordersync.truth.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from ordersync.ports import Clock, OrderStore, Venue
    from ordersync.sync.demand import Demand
    from ordersync.sync.ingest import Ingest

PACE = timedelta(seconds=1)
"""How long after it was asked about an order is asked about again for a webhook's sake."""

PATIENCE = timedelta(seconds=12)
"""How long a sender is kept waiting: most give up after 15 s or more."""

HINTS_LIMIT = 1_000
ORDERS_AT_ONCE, CALLS_AT_ONCE = 500, 10
"""Of how many orders, and for how many calls, others wait: a venue may tell one order a call."""

KEPT_FOR = timedelta(days=4)
FORGET_EVERY = timedelta(hours=1)
FORGOTTEN_AT_ONCE = 500
TURN = timedelta(milliseconds=50)

log = structlog.get_logger("ordersync")


class Took(StrEnum):
    """What became of a webhook."""

    TAKEN = "taken"  # what the venue says of its orders is committed
    REPEATED = "repeated"  # it had been taken before
    CROWDED = "crowded"  # too many wait already: not taken


class _Hint:
    """A webhook that waits. Its takers hear at the end what became of it, or why nothing did.

    That a venue's and a client's id belong together is the venue's to say: until it has, they
    are two names, and `partners` is only where to ask first about a client's.
    """

    def __init__(self, webhook_id: str, names: Iterable[OrderName]) -> None:
        self.webhook_id = webhook_id
        self.names: dict[str, OrderName] = {}
        self.partners: dict[str, str] = {}
        for name in names:
            alone = [OrderName(name.venue_order_id), OrderName(None, name.client_order_id)]
            self.names |= {key_of(one): one for one in alone if one != OrderName()}
            if name.venue_order_id and name.client_order_id:
                self.partners[key_of(alone[1])] = name.venue_order_id
        self.takers: list[asyncio.Future[Took | OrdersyncError]] = []
        self.due_at = 0.0


class Hints:
    """Takes webhooks for one account; `run` ends only by cancellation."""

    def __init__(
        self,
        account: str,
        *,
        venue: Venue,
        store: OrderStore,
        ingest: Ingest,
        demand: Demand,
        clock: Clock,
    ) -> None:
        self.account = account
        self._venue = venue
        self._store = store
        self._ingest = ingest
        self._demand = demand
        self._clock = clock
        self._in_hand: dict[str, _Hint] = {}
        self._waiting: list[_Hint] = []
        self._arrived = asyncio.Event()
        self._orders_at_once = min(ORDERS_AT_ONCE, CALLS_AT_ONCE * venue.batch_size)
        self._asked_at: OrderedDict[str, float] = OrderedDict()

    # --- what the door calls -----------------------------------------------------------------

    async def take(self, webhook_id: str, names: Sequence[OrderName]) -> Took:
        """Ask about these orders; the answer, once it is committed.

        Raises VenueSilent, or what the store raises: then it was not taken.
        """
        hint = self._in_hand.get(webhook_id)
        if hint is None:
            if len(self._in_hand) >= HINTS_LIMIT:
                return Took.CROWDED
            hint = self._in_hand[webhook_id] = _Hint(webhook_id, names)
            self._enqueue(hint)
        # Of two deliveries at once the second waits for the first.
        taker: asyncio.Future[Took | OrdersyncError] = asyncio.get_running_loop().create_future()
        hint.takers.append(taker)
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                answer = await taker
        except TimeoutError:
            # It stays in hand: when it comes again, it is likely to be taken already.
            raise VenueSilent("the venue has not answered yet.") from None
        if isinstance(answer, OrdersyncError):
            raise answer
        return answer

    def _enqueue(self, hint: _Hint) -> None:
        now, pace = self._clock.monotonic(), PACE.total_seconds()
        asked = [self._asked_at[key] + pace for key in hint.names if key in self._asked_at]
        hint.due_at = max(asked, default=now)
        self._waiting.append(hint)
        self._arrived.set()

    def _settle(self, hint: _Hint, answer: Took | OrdersyncError) -> None:
        if self._in_hand.get(hint.webhook_id) is hint:
            del self._in_hand[hint.webhook_id]
        for taker in hint.takers:
            if not taker.done():
                taker.set_result(answer)
        hint.takers.clear()

    # --- for as long as the service runs -----------------------------------------------------

    async def run(self) -> None:
        """Ask for what webhooks name, and forget old ones, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._answer_all(), name=f"webhooks {self.account}")
            group.create_task(self._forget(), name=f"forget webhooks {self.account}")

    async def _answer_all(self) -> None:
        while True:
            hints = await self._next()
            try:
                await self._answer(hints)
            except OrdersyncError as error:
                if not isinstance(error, AskAgain):
                    log.error(f"Failed to take a webhook: {error}", account=self.account)  # noqa: TRY400
                for hint in hints:
                    self._settle(hint, error)

    async def _next(self) -> list[_Hint]:
        """Those whose time has come, the first that came first: at least one."""
        while True:
            now, orders = self._clock.monotonic(), set[str]()
            due, waiting = list[_Hint](), list[_Hint]()
            for hint in self._waiting:
                if hint.due_at <= now and len(orders) < self._orders_at_once:
                    due.append(hint)
                    orders |= hint.names.keys()
                else:
                    waiting.append(hint)
            self._waiting = waiting
            if due:
                return due
            pause = min((hint.due_at for hint in waiting), default=None)
            self._arrived.clear()
            if pause is None:
                await self._arrived.wait()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause - now):
                    await self._arrived.wait()

    async def _answer(self, hints: Sequence[_Hint]) -> None:
        """Ask the venue once for all of them, and write what it says with their receipts."""
        named = {key: name for hint in hints for key, name in hint.names.items()}
        # Rows are read before the question is asked: an open truth overwrites no younger word.
        # Of an order without a row nothing has to be known yet: it is asked about as soon as
        # one appears.
        known, hints = await self._read(hints, named)
        wanted = {known[key].key for hint in hints for key in hint.names}
        rows = {one.key: one for one in known.values() if one.claims and one.key in wanted}
        if not hints:
            return
        asked_at = self._clock.now()
        partners = {key: order for hint in hints for key, order in hint.partners.items()}
        reading, unclear = await self._ask(rows, partners)
        self._note_asked(key for key, one in known.items() if one.key in rows)
        told = _keys_told(reading)
        settled = told.keys() | unclear
        silent = {key for key, one in rows.items() if key not in settled and _is_askable(one)}
        taken: list[tuple[_Hint, Receipt]] = []
        for hint in hints:
            orders = {known[key].key for key in hint.names}
            if silent.isdisjoint(orders):
                led_to = tuple(told[key] for key in orders if key in told)
                taken.append((hint, Receipt(webhook_id=hint.webhook_id, orders=led_to)))
            else:
                why = next((one.why for one in reading.silences), "no answer")
                self._settle(hint, VenueSilent(f"the venue told nothing of its orders: {why}"))
        lost = await self._write(reading, rows, [receipt for _, receipt in taken], asked_at)
        for hint, receipt in taken:
            is_lost = not lost.isdisjoint(receipt.orders)
            self._settle(hint, StoreBusy("another holds its row.") if is_lost else Took.TAKEN)

    async def _read(
        self, hints: Sequence[_Hint], named: Mapping[str, OrderName]
    ) -> tuple[dict[str, Known], list[_Hint]]:
        """What is stored of these names, and the hints without a receipt; the others end here."""
        ids, names = [hint.webhook_id for hint in hints], list(named.values())
        taken, read = await self._store.read_hinted(self.account, ids, names)
        for hint in hints:
            if hint.webhook_id in taken:
                self._settle(hint, Took.REPEATED)
        known = dict(zip(named, read, strict=True))
        return known, [hint for hint in hints if hint.webhook_id not in taken]

    async def _ask(
        self, rows: Mapping[str, Known], partners: Mapping[str, str]
    ) -> tuple[Reading, set[str]]:
        """What the venue says of the orders of these rows; of ended ones also their fills.

        And of which rows it showed orders that are not beyond doubt theirs: no asking ends that.
        """
        ids = [key[2:] for key in rows if key[0] == "v"]
        by_client = {key[2:]: known for key, known in rows.items() if key[0] == "c"}
        ids += [partners[key] for key in rows if key in partners]
        reading = await self._venue.ask_ids(list(dict.fromkeys(ids))) if ids else Reading()
        told = _keys_told(reading)
        unseen = {name: known for name, known in by_client.items() if f"c:{name}" not in told}
        for start, end, client_ids in creation_windows(unseen):
            reading += await self._venue.ask_created(start, end, client_ids)
        # A listing shows other orders too, and a partner may be one that nobody has a row of.
        named, unclear = told_apart(reading.sightings, by_client)
        wanted = ids_of(named)
        ours = tuple(
            s
            for s in reading.sightings
            if f"v:{s.report.venue_order_id}" in rows or s.report.venue_order_id in wanted
        )
        bare = {s.report.venue_order_id for s in ours if lacks_fill_facts(s)}
        if bare:
            fills = await self._venue.ask_fills(sorted(filter(None, bare)))
            ours += fills.sightings
        return msgspec.structs.replace(reading, sightings=ours), {f"c:{one}" for one in unclear}

    def _note_asked(self, keys: Iterable[str]) -> None:
        now, pace = self._clock.monotonic(), PACE.total_seconds()
        for key in keys:
            self._asked_at[key] = now
            self._asked_at.move_to_end(key)
        while self._asked_at and next(iter(self._asked_at.values())) <= now - pace:
            self._asked_at.popitem(last=False)

    async def _write(
        self,
        reading: Reading,
        rows: Mapping[str, Known],
        receipts: Sequence[Receipt],
        asked_at: datetime,
    ) -> set[str]:
        """Hand it to ingest; the orders whose row was written by others again and again.

        Absences are not counted: the account has not proved itself here.
        """
        taken = await self._ingest.take(
            Parcel(
                account=self.account,
                source=Source.WEBHOOK,
                asked_at=asked_at,
                venue_now=self._venue.now(),
                sightings=reading.sightings,
                garbled=[silence for silence in reading.silences if silence.garbled],
                known=rows,
                receipts=receipts,
            )
        )
        self._demand.stir(s.report.venue_order_id or "" for s in reading.sightings)
        return {one.key for one in taken.outcomes if one.result is Result.LOST}

    async def _forget(self) -> None:
        """Forget what was taken days ago, a little at a time."""
        while True:
            pause, before = FORGET_EVERY, self._clock.now() - KEPT_FOR
            try:
                drop = self._store.drop_receipts
                if await drop(self.account, before=before, limit=FORGOTTEN_AT_ONCE):
                    pause = TURN
            except OrdersyncError as error:
                log.warning(f"Failed to forget old webhooks: {error}", account=self.account)
            await self._clock.sleep(pause)


def _keys_told(reading: Reading) -> dict[str, str]:
    """The orders that were shown or are absent: by each of their names, the key they have now."""
    told: dict[str, str] = {}
    shown = [(s.report.venue_order_id, s.report.client_order_id) for s in reading.sightings]
    absent = [(one.venue_order_id, one.client_order_id) for one in reading.absences]
    for venue_id, client_id in (*shown, *absent):
        key = key_of(OrderName(venue_id, client_id))
        told |= {key: key, f"c:{client_id}": key}
    return told


def _is_askable(known: Known) -> bool:
    """Whether the venue can be asked: by its own id, or around the row's creation."""
    return known.key[0] == "v" or known.claims[0].created_at is not None
