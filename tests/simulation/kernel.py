"""The kernel's seeds: the whole way from a report to a row, in a world with nothing in it.

A storm, a calm, a rest, as in the stories; thousands of them in the time of one. What they
cannot find is what happens on the wire, in the parser and in the database: see the stories.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random

from ordersync.ports import Overlay
from ordersync.settings import Sync
from ordersync.sync.ingest import Ingest
from ordersync.sync.reconcile import Reconciler
from ordersync.sync.stream import State, Stream
from ordersync.truth.evidence import AbsencePolicy
from ordersync.truth.model import FINAL_PRECEDENCE, Event, Status
from tests.simulation import laws
from tests.simulation.bare import (
    BareOrder,
    BareRow,
    BareStore,
    BareVenue,
    Moment,
    StoreMishap,
    Weather,
)
from tests.virtual import Network, VirtualClock, VirtualLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

STORM, CALM, INTERVAL = 6.0, 4.0, 4
GONE, ELDER = "gone", "elder"
BOUND = timedelta(seconds=2)
ENDS = (Status.FILLED, Status.FILLED, Status.CANCELED, Status.EXPIRED, Status.REJECTED)
MIDDLE = (Status.NEW, Status.PENDING_CANCEL, Status.PENDING_REPLACE)


@dataclass
class Kernel:
    """One seed's world, and what it must never see."""

    dice: Random
    clock: VirtualClock
    weather: Weather = field(default_factory=Weather)
    alone: bool = False
    strange: str = ""
    has_gone: bool = False

    def __post_init__(self) -> None:
        self.venue = BareVenue(self.clock, self.dice, self.weather)
        self.store = BareStore(self.clock, self.dice, self.weather, self.look)
        self.filled: dict[str, Decimal] = {}
        self.ended: dict[str, Status] = {}
        self.failures: list[str] = []
        self.history: dict[int, list[tuple[datetime, str, Decimal]]] = {}
        self.meddled: set[int] = set()
        self.row_since: dict[int, datetime] = {}
        self.came_late = False
        born_at = self.clock.now() - timedelta(hours=1)
        self.elder = BareOrder(ELDER, [Moment(born_at, Status.NEW, Decimal(0))])

    # --- the service -------------------------------------------------------------------------

    async def serve(self) -> None:
        """Ingest, passes and the stream, composed as the service does."""
        interval = timedelta(hours=6) if self.alone else timedelta(seconds=INTERVAL)
        settings = Sync(interval=interval, stale_after=timedelta(seconds=30))

        def compare(events: Sequence[Event]) -> None:
            stream.compare(events)

        ingest = Ingest(
            self.store,
            self.clock,
            policy=AbsencePolicy(unknown_after=timedelta(0)),
            told_after=timedelta(seconds=30),
            listener=compare,
        )
        reconciler = Reconciler(
            "main",
            venue=self.venue,
            store=self.store,
            ingest=ingest,
            clock=self.clock,
            settings=settings,
        )
        self.stream = stream = Stream(
            "main",
            self.venue,
            venue=self.venue,
            ingest=ingest,
            demand=reconciler.demand,
            clock=self.clock,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(reconciler.run())
            group.create_task(stream.run())

    async def recover(self) -> None:
        """Until the stream is live, and tells of orders: one that does not has to be found out."""
        await self.clock.sleep(self.venue.quiet_limit)  # one that fell silent may not show it yet
        await self.until_live()
        if not self.alone:
            # A young order is asked about by steps of its own; this one only by every pass, and
            # who has not seen it yet cannot know that something was left out.
            while f"v:{ELDER}" not in self.store.told:
                await self.clock.sleep(1)
            self.move(self.elder, Status.NEW, Decimal(5))
            await self.clock.sleep(INTERVAL + 4)
            await self.until_live()
        if self.stream.health.gaps > 1:
            # After many gaps the next is not read at once.
            await self.clock.sleep(9)

    async def until_live(self) -> None:
        """It pauses for up to 45 s, and has to tell of a change."""
        deadline = self.clock.monotonic() + 80
        while self.stream.health.state is not State.LIVE:
            assert self.clock.monotonic() < deadline, f"never live again: {self.stream.health}"
            await self.live(0, 1)
            await self.clock.sleep(2)

    async def rest(self) -> None:
        """The table is true, the one order that is gone is known to be, and nobody writes."""
        clock, deadline = self.clock, self.clock.monotonic() + 60
        await clock.sleep(INTERVAL)
        while self.has_gone and self.store.rows[1].word != "unknown":
            assert clock.monotonic() < deadline, "nobody says that it is gone"
            await clock.sleep(2)
        assert not (untrue := self.untrue()), "\n".join(untrue)
        before = self.writes()
        await clock.sleep(INTERVAL + 1)
        assert self.writes() == before, "a table that is true is written to"

    def writes(self) -> int:
        """So far; where a row came after its order's end, details of it may still be asked for."""
        return self.store.rows_written if self.came_late else self.store.commits

    # --- the exchange and the bot ------------------------------------------------------------

    async def live(self, start: float, span: float) -> None:
        """Place an order at a time within the span, with its row; tell each moment of its life."""
        dice, clock = self.dice, self.clock
        await clock.sleep(start)
        order = BareOrder(f"o{len(self.venue.orders)}", [])
        now, filled = clock.now(), Decimal(0)
        times = sorted(dice.random() * span for _ in range(dice.randint(2, 5)))
        order.life.append(Moment(now, Status.PENDING_NEW, filled))
        for n, at in enumerate(times):
            is_last = n == len(times) - 1
            status = dice.choice(ENDS if is_last else MIDDLE)
            filled += dice.choice((0, 0, 5, 10)) if status is not Status.REJECTED else 0
            filled = Decimal(100) if status is Status.FILLED else filled
            order.life.append(Moment(now + timedelta(seconds=at), status, filled))
        self.venue.orders[order.order_id] = order
        if not (is_late := dice.random() < 0.2):
            self.note(order)
        for moment in order.life:
            await clock.sleep(moment.at - clock.now())
            self.venue.tell(order, moment)
        if is_late:
            self.came_late = True
            await clock.sleep(dice.random())
            self.note(order)

    def note(self, order: BareOrder) -> None:
        """The bot writes its row."""
        row_id = len(self.store.rows) + 1
        self.store.rows[row_id] = BareRow(order.order_id)
        self.row_since[row_id] = self.clock.now()
        self.store.written_by_others += 1

    def move(self, order: BareOrder, status: Status, filled: Decimal) -> None:
        """Something happens to it now, and the exchange tells it."""
        moment = Moment(self.clock.now(), status, filled)
        order.life.append(moment)
        self.venue.tell(order, moment)

    async def move_elder(self, start: float, mishap: StoreMishap | None) -> None:
        """Much happens within one commit to an order that is asked about seldom.

        It comes to its end, but not where the next commit has a mishap: an end is looked up.
        """
        await self.clock.sleep(start)
        moves = [(Status.NEW, 20), (Status.NEW, 30), (Status.NEW, 40)]
        if not mishap and self.dice.random() < 0.5:
            moves.append(self.dice.choice(((Status.FILLED, 100), (Status.CANCELED, 40))))
        for n, (status, filled) in enumerate(moves):
            self.store.mishaps += [mishap] if mishap and n == 1 else []
            self.move(self.elder, status, Decimal(filled))
            await self.clock.sleep(0.0005)

    async def meddle(self, until: float) -> None:
        """The bot writes into rows that it should leave alone: it forgets that they ended."""
        while self.clock.monotonic() < until and not self.alone:
            await self.clock.sleep(self.dice.expovariate(1 / 5))
            spared = {GONE, ELDER}
            if orders := [n for n, row in self.store.rows.items() if row.order_id not in spared]:
                row_id = self.dice.choice(orders)
                self.meddled.add(row_id)
                self.store.rows[row_id].word = "open"
                self.store.written_by_others += 1

    async def estrange(self) -> None:
        """For a while the key is of another account, which honestly has none of these orders."""
        for is_foreign in (True, False):
            await self.clock.sleep(self.dice.random() * STORM / 2)
            while self.venue.is_being_asked:  # no key is another in the middle of a pass
                await self.clock.sleep(0.02)
            self.venue.is_foreign = is_foreign

    # --- what must hold ----------------------------------------------------------------------

    def look(self, keys: list[str]) -> None:
        """After every commit."""
        for key in keys:
            try:
                self._check(key)
            except AssertionError as error:
                self.failures.append(str(error))
        now = self.clock.now()
        for row_id, row in self.store.rows.items():
            seen = self.history.setdefault(row_id, [])
            if not seen or seen[-1][1:] != (row.word, row.filled):
                seen.append((now, row.word, row.filled))

    def _check(self, key: str) -> None:
        kept, order = self.store.stored[key], self.venue.orders.get(key[2:])
        assert self.store.told.get(key, 0) == kept.version, f"{key}: told otherwise than stored"
        if order is None:
            assert kept.truth is None, f"{key} never was, and is {kept.truth}"
            return
        overlay = kept.absent.overlay if kept.absent else None
        assert overlay in {None, Overlay.SUSPECT}, f"{key} lives and is {overlay}"
        may_count = self.strange == "forgetful"
        assert may_count or kept.absent is None, f"{key} lives: {kept.absent}"
        if kept.truth is None:
            return
        now, status = self.clock.now(), kept.truth.status
        past = [moment for moment in order.life if moment.at <= now]
        possible = {moment.status for moment in past}
        possible |= {Status.PARTIALLY_FILLED} if any(m.filled for m in past) else set()
        assert status in possible, f"{key} is {status}, was {possible}"
        filled = kept.truth.filled_qty or Decimal(0)
        assert filled in {moment.filled for moment in past}, f"{key}: {filled} never was filled"
        assert filled >= self.filled.get(key, 0), f"{key}: fills were lost"
        self.filled[key] = filled
        before = self.ended.get(key, status)
        assert before is status, f"{key} was {before} and is {status}"
        if status in FINAL_PRECEDENCE:
            self.ended[key] = status

    def late(self, since: datetime) -> list[str]:
        """Changes since then that were not in their row in time."""
        found = []
        for row_id, row in self.store.rows.items():
            order = self.venue.orders.get(row.order_id)
            for moment in order.life if order and row_id not in self.meddled else ():
                due = max(moment.at, self.row_since[row_id]) + BOUND
                if due < since + BOUND or due > self.clock.now():
                    continue
                seen = [one for one in self.history.get(row_id, []) if one[0] <= due]
                _, word, filled = seen[-1] if seen else (due, "open", Decimal(0))
                ended = moment.status.is_final and word != moment.status.value
                if filled < moment.filled or ended:
                    found.append(f"{order} is {word} {filled} at {due}, not {moment}")
        return found

    def untrue(self) -> list[str]:
        """Rows that differ from the exchange."""
        found = []
        for row in self.store.rows.values():
            order = self.venue.orders.get(row.order_id)
            if order is None:
                continue
            last = order.life[-1]
            word = last.status.value if last.status.is_final else "open"
            if (row.word, row.filled) != (word, last.filled):
                found.append(f"{row} is not {last}")
        return found

    # --- the story ---------------------------------------------------------------------------

    async def run(self) -> None:
        dice, clock = self.dice, self.clock
        self.alone = dice.random() < 0.3
        self.has_gone = not self.alone and dice.random() < 0.3
        if self.has_gone:
            self.store.rows[1] = BareRow(GONE)
        self.venue.orders[ELDER] = self.elder
        self.note(self.elder)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self.serve())
            self.weather.silent = dice.choice((0, 0.1, 0.5))
            self.weather.garbled = 0 if self.alone else dice.choice((0, 0.1, 0.3))
            self.weather.frames = 0 if self.alone else dice.choice((0, 0.1, 0.5))
            self.weather.lines = dice.choice((0, 0.1, 0.5))
            self.weather.store = dice.choice((0, 0.05, 0.2))
            self.weather.hushed = 0 if self.alone else dice.choice((0, 0.2))
            self.strange = "" if self.alone else dice.choice(("", "", "foreign", "forgetful"))
            self.weather.forgets = dice.choice((0.2, 0.5)) if self.strange == "forgetful" else 0
            async with asyncio.TaskGroup() as storm:
                for _ in range(dice.randint(1, 4)):
                    storm.create_task(self.live(dice.random() * STORM / 2, STORM / 2))
                storm.create_task(self.meddle(STORM))
                if self.strange == "foreign":
                    storm.create_task(self.estrange())
            self.weather.clear()
            await self.recover()
            since = clock.now()
            mishap = dice.choice(("", "lost", "late", "twice", "old", *StoreMishap))
            at_store = mishap if isinstance(mishap, StoreMishap) else None
            self.venue.mishaps += [mishap] if mishap and not at_store else []
            async with asyncio.TaskGroup() as calm:
                calm.create_task(self.move_elder(dice.random() * CALM / 2, at_store))
                for _ in range(dice.randint(1, 2)):
                    calm.create_task(self.live(dice.random() * CALM / 2, CALM / 2))
            await clock.sleep(BOUND + timedelta(seconds=1))
            assert not (late := self.late(since)), "\n".join(late)
            if not self.elder.life[-1].status.is_final:
                self.move(self.elder, Status.CANCELED, Decimal(40))
            await self.rest()
            serving.cancel()
        assert not self.failures, "\n".join(self.failures[:5])


def play(seed: int) -> int:
    """One seed; how often it committed. Two runs of it are alike."""
    dice = Random(f"kernel {seed}")  # noqa: S311 - dice
    laws.check(dice)
    laws.check_correction(Random(f"correction {seed}"))  # noqa: S311 - dice

    async def main() -> int:
        kernel = Kernel(dice, VirtualClock())
        await kernel.run()
        return kernel.store.commits

    state = random.getstate()
    random.seed(seed)
    try:
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(Network(seed))) as runner:
            return runner.run(main())
    finally:
        random.setstate(state)
