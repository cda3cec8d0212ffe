"""One seed, one story: a random exchange, a careless bot, everything that goes wrong, and an end.

First the storm: faults at the exchange, on the stream and at the database, crashes and restarts,
two services at once, a bot that writes into rows at the worst moment. Then a calm with at most
one small mishap, in which each channel has to be as quick as it promises. Then rest: the table
is true, and nobody writes. What has to hold after every commit is the witness' affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from ordersync.errors import OrdersyncError
from ordersync.simulator import Fault, Faults, Kind, Life, StreamKind, market
from ordersync.sync.stream import State
from tests.simulation.disk import BROKEN, BUSY, Disk, Doubt
from tests.simulation.plan import Channel, Plan
from tests.simulation.ports import Gate
from tests.simulation.wire import Proxy
from tests.simulation.witness import Known, Witness
from tests.simulation.work import at_work
from tests.system.house import OPEN, House, Placed, Premises, ago, built, stream_of
from tests.virtual import Network, VirtualClock, run_virtually

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from ordersync.service import Service

STORM, CALM = 120.0, 50.0
SETTLING = timedelta(seconds=130)
"""In which the last end is looked at once more, a minute after it."""

ATTEMPTS = 3
"""How often one question is asked before its answer is given up."""


class Skewed(VirtualClock):
    """The machine's clock, which is wrong."""

    def __init__(self, skew: timedelta) -> None:
        super().__init__()
        self._skew = skew

    def now(self) -> datetime:
        return super().now() + self._skew


class Bot:
    """Places orders, writes rows, forgets, undoes, cancels. It knows nothing of ordersync.

    How an order is placed and canceled, the heirs know.
    """

    def __init__(self, house: Premises, witness: Witness, dice: Random, *, careful: bool) -> None:
        self.house, self.witness, self.dice = house, witness, dice
        self.careful = careful

    def order(self, age: timedelta, row: dict[str, object]) -> Placed:
        """An order of any kind, and its row."""
        raise NotImplementedError

    def ask_to_cancel(self, order_id: str) -> None:
        """Raises ValueError where the exchange will not hear of it."""
        raise NotImplementedError

    @property
    def placed(self) -> list[Placed]:
        return [known.placed for known in self.witness.known.values()]

    async def live(self, until: float, *, every: float, meddles: bool = True) -> None:
        while self.house.clock.monotonic() < until:
            await self.house.wait(seconds=self.dice.expovariate(1 / every))
            deeds: list[Any] = [self.place] * 5 + [self.cancel, self.place_slowly]
            deeds += [self.undo, self.claim] if meddles and not self.careful else []
            await self.dice.choice(deeds)()

    async def place(self, *, age: timedelta = timedelta(0), **row: object) -> Known:
        placed = self.order(age, row)
        return self.witness.add(placed, str(row.get("status", OPEN)))

    async def place_slowly(self) -> None:
        """The row learns the venue's id from the bot only a while later."""
        known = await self.place(order_id=None)
        known.is_meddled = True
        await self.house.wait(seconds=self.dice.random() * 8)
        self.house.update(known.placed.row_id, order_id=known.placed.order_id)

    async def undo(self) -> None:
        if self.placed:
            self.write(self.dice.choice(self.placed), OPEN)

    async def claim(self) -> None:
        """Its patience with an order ends, and it guesses the end."""
        waiting = [placed for placed in self.placed if self.house.word(placed) == OPEN]
        if waiting:
            word = self.dice.choice(("completed", "failed", "cancelled"))
            self.write(self.dice.choice(waiting), word)

    def write(self, placed: Placed, word: str) -> None:
        known = self.witness.known[placed.row_id]
        known.wrote.add(word)
        known.is_meddled = True
        self.house.update(placed.row_id, status=word)

    def scribble(self) -> None:
        """Write into a row after ordersync has read it and before it writes: now and then."""
        self.witness.scribbled.clear()  # of a transaction that did not come to its end
        if self.placed and self.dice.random() < 0.08:
            placed = self.dice.choice(self.placed)
            word = self.dice.choice((OPEN, "failed", "completed"))
            if self.house.word(placed) != word:
                self.write(placed, word)
                self.witness.scribbled[placed.row_id] = word

    async def cancel(self) -> None:
        if self.placed:
            with contextlib.suppress(ValueError):
                self.ask_to_cancel(self.dice.choice(self.placed).order_id)


class Trader(Bot):
    """A bot that trades at Coinbase."""

    house: House

    def order(self, age: timedelta, row: dict[str, object]) -> Placed:
        dice = self.dice
        terms = market(quote_size="250") if dice.random() < 0.1 else None
        life = Life.random(dice, span=timedelta(seconds=dice.choice((2, 20, 60))))
        if terms:
            life = Life.filled(timedelta(seconds=dice.random() * 9))
        if self.careful:
            # A frame about a fee that is lost with its line: only a pass asks for what has ended.
            life = replace(life, settle_lag=timedelta(0))
        source = dice.choice(("RETAIL_ADVANCED",) * 4 + ("RETAIL_SIMPLE",))
        return self.house.place(life, age=age, terms=terms, source=source, **row)

    def ask_to_cancel(self, order_id: str) -> None:
        self.house.world.cancel(order_id)


@dataclass
class Story:
    """The parts of one telling."""

    plan: Plan
    dice: Random
    house: Premises
    witness: Witness
    bot: Bot
    disk: Disk

    @property
    def clock(self) -> VirtualClock | None:
        return Skewed(self.plan.skew) if self.plan.skew else None

    async def serve(self, until: float) -> None:
        """The service, killed and started again at any time, and sometimes two of it."""
        house, dice = self.house, self.dice
        while house.clock.monotonic() < until:
            span = min(dice.expovariate(1 / 60), until - house.clock.monotonic())
            gate = Gate(dice.randint(1, 400)) if dice.random() < 0.5 else None
            with contextlib.suppress(OrdersyncError):  # the file is away when it starts
                async with at_work(house, self.disk, gate, clock=self.clock):
                    if dice.random() < 0.25:
                        async with at_work(house, self.disk, clock=self.clock):
                            await house.wait(seconds=span)
                    else:
                        await house.wait(seconds=span)
            await house.wait(seconds=dice.random() * 10)

    async def spoil(self, until: float) -> None:
        """The database goes away and comes back; some commits are of doubtful end, or have none."""
        while self.house.clock.monotonic() < until:
            await self.house.wait(seconds=self.dice.expovariate(1 / 25))
            self.disk.why = self.dice.choice((BUSY, BUSY, BROKEN))
            if self.dice.random() < 0.4:
                self.disk.is_away = True
                await self.house.wait(seconds=self.dice.random() * 12)
                self.disk.is_away = False
            elif self.dice.random() < 0.5:
                self.disk.doubts = [self.dice.choice(list(Doubt))]
            else:
                self.disk.fuse = self.dice.randrange(8)
        self.disk.doubts.clear()
        self.disk.fuse = None

    async def tell(self, proxy: Proxy) -> str:
        """From the first order to the last word; what the tables hold then, as a digest."""
        house, dice, bot = self.house, self.dice, self.bot
        gone = house.invent()
        self.witness.gone[gone.order_id] = gone.row_id
        for _ in range(dice.randint(1, 5)):
            await bot.place(age=ago(hours=dice.choice((0.001, 2, 20))))
        await self.storm()
        proxy.wrong = proxy.odd = 0.0
        async with at_work(house, self.disk, clock=self.clock) as service:
            await self.recover(service)
            await self.calm(service)
            await self.rest()
        self.witness.conclude()
        assert self.witness.looks > len(bot.placed) / 2
        return hashlib.sha256(repr(house.dump()).encode()).hexdigest()

    async def storm(self) -> None:
        self.disk.before = (lambda: None) if self.bot.careful else self.bot.scribble
        async with asyncio.TaskGroup() as group:
            group.create_task(self.bot.live(STORM, every=8))
            group.create_task(self.serve(STORM))
            group.create_task(self.spoil(STORM - 10))
        self.disk.before = int
        self.house.faults.clear()

    async def recover(self, service: Service) -> None:
        """Until the stream is live again. It is proven by what it tells, so the bot trades."""
        if self.plan.channel is Channel.POLL:
            await self.house.wait(seconds=self.plan.interval + 5)
            return
        health, deadline = stream_of(service).health, self.house.clock.monotonic() + 150
        while health.state is not State.LIVE:
            assert self.house.clock.monotonic() < deadline, f"never live again: {health}"
            await self.bot.place()
            await self.house.wait(seconds=5)
        await self.house.wait(seconds=9)  # after many gaps the next is not read at once

    async def calm(self, service: Service) -> None:
        """Little goes wrong, and each change is in its row in time."""
        house, (kind, value, _, rest) = self.house, self.plan.mishap
        began, end = house.clock.now(), house.clock.monotonic() + CALM
        gaps = sum(stream.health.gaps for stream in service.streams.values())
        async with asyncio.TaskGroup() as group:
            group.create_task(self.bot.live(end, every=4, meddles=False))
            await house.wait(seconds=self.dice.random() * CALM / 2)
            if kind is not None and self.plan.channel is not Channel.POLL:
                house.fault(kind, count=1, value=value)
                if rest is not None:
                    await self.meanwhile(rest)
        await house.wait(seconds=self.plan.bound.total_seconds())
        house.faults.clear()
        if kind is StreamKind.MISSING_HEARTBEAT and service.streams:
            assert stream_of(service).health.gaps > gaps, "nobody missed the heartbeat"
        late = list(self.witness.late(began, house.clock.now(), self.plan.bound))
        assert not late, f"later than {self.plan.bound}: " + "\n".join(late[:5])

    async def meanwhile(self, kind: Kind) -> None:
        """As soon as the stream has suffered, let the next question have no answer."""
        house, deadline = self.house, self.house.clock.monotonic() + CALM / 2
        told = house.connections[-1].told
        while not any(one.faults for one in told) and house.clock.monotonic() < deadline:
            await house.wait(milliseconds=5)
        house.faults.add(Fault(kind=kind, on="list", count=ATTEMPTS + 1))

    async def rest(self) -> None:
        """Everything has ended: the table is true, and nobody writes."""
        house = self.house
        left = max(house.steady_at() - house.clock.now(), timedelta(0))
        await house.clock.sleep(left + SETTLING)
        assert house.all_untrue(self.bot.placed) == {}
        for row_id in self.witness.gone.values():
            if self.plan.channel is not Channel.PUSH:
                assert house.row(row_id)["status"] == "unknown"
        before = house.dump()
        await house.wait(minutes=1)
        assert house.dump() == before, "a table that is true is written to"


async def tell(seed: int, folder: Path, channel: Channel | None = None) -> str:
    """Tell the story; what the tables hold in the end, as a digest."""
    dice = Random(f"story {seed}")  # noqa: S311 - dice
    plan = Plan.drawn(dice, channel)
    within = dice.choice((10, 40))
    kinds = (*Kind, *StreamKind, *StreamKind) if plan.channel is not Channel.POLL else tuple(Kind)
    drawn = Faults.from_seed(seed, most=10, within_calls=within, kinds=kinds)
    faults = Faults(fault for fault in drawn.all if plan.allows(fault))
    interval = "6h" if plan.channel is Channel.PUSH else f"{plan.interval}s"
    settings = {"stale_after": "1m", "interval": interval}
    pushes = plan.channel is not Channel.POLL
    proxy = Proxy(Random(f"proxy {seed}"), plan.page, plan.wrong)  # noqa: S311 - dice
    proxy.odd = 0.0 if plan.channel is Channel.PUSH else plan.odd
    async with built(
        folder, seed=seed, faults=faults, sync=settings, pushes=pushes, around=proxy.around
    ) as house:
        witness = Witness(house, may_suspect=plan.lies)
        bot = Trader(house, witness, dice, careful=plan.channel is Channel.PUSH)
        story = Story(plan, dice, house, witness, bot, Disk(after=witness.look))
        return await story.tell(proxy)


def play(seed: int, folder: Path, channel: Channel | None = None) -> str:
    """Tell a story by its number; the digest of all that went over the wire and into the tables."""
    slowest = Plan.drawn(Random(f"story {seed}"), channel).slowest  # noqa: S311 - dice
    network = Network(seed, latency=(0.0005, slowest))
    folder.mkdir(parents=True, exist_ok=True)
    tables = run_virtually(partial(tell, seed, folder, channel), seed=seed, network=network)
    return f"{network.digest()} {tables}"
