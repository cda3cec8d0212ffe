"""Two services on one database, and all who deal with them.

One of the two is paused in the middle of a write until its lease has gone to the other, and then
goes on. Somebody trades by hand, and writes the row late or never; an operator corrects what the
exchange goes on saying wrongly; a subscriber often fails to take what he is sent. The exchange
itself is well: what it can do wrong, the stories have.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from ordersync.errors import OrdersyncError
from ordersync.ports import OrderName
from ordersync.simulator import Life, limit_gtc
from ordersync.subscribed import Interest
from ordersync.sync.operator import Word
from ordersync.truth.merge import same_facts
from ordersync.truth.model import Facts
from tests.simulation.disk import Disk
from tests.simulation.ports import Gate
from tests.simulation.story import SETTLING, Trader
from tests.simulation.witness import Witness
from tests.simulation.work import at_work
from tests.system.house import House, built
from tests.system.receiver import URL, Receiver, receiving
from tests.virtual import Network, run_virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from ordersync.service import Service
    from ordersync.simulator.condition import PlacedOrder

DAY = 110.0
"""So long they all work: a minute for a lease to end, and time before and after it."""

GRACE = timedelta(seconds=20)
BUSTED = Decimal("0.77")
"""The fee that an operator knows better."""

SETTINGS = {
    "orphans": {"grace": f"{GRACE.seconds}s", "look_every": "10s"},
    "subscriptions": {"allow": ["127.0.0.1"]},
}


@dataclass
class Seat:
    """One of the two services, with a disk and a gate of its own."""

    disk: Disk
    gate: Gate
    service: Service | None = None

    @property
    def process(self) -> str:
        """By what the database knows it."""
        assert self.service is not None
        return self.service.tenures["main"].holder.process


@dataclass
class ByHand:
    """An order that somebody placed who is no bot. `row_after` is None where no row comes."""

    order: PlacedOrder
    row_after: timedelta | None


@dataclass
class Office:
    """The parts of one telling."""

    house: House
    witness: Witness
    dice: Random
    receiver: Receiver
    bot: Trader
    seats: list[Seat] = field(default_factory=list)
    by_hand: list[ByHand] = field(default_factory=list)
    corrected: dict[int, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    # --- who works ---------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Both services at work."""
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                seat = Seat(Disk(), Gate())
                seat.disk.after = partial(self.look, seat)
                work = at_work(self.house, seat.disk, seat.gate, wholly=True)
                seat.service = await stack.enter_async_context(work)
                self.seats.append(seat)
                stack.callback(seat.gate.is_open.set)
            yield

    def holder(self) -> Seat | None:
        """Whose the account is, by the database's word."""
        found = self.house.sql(
            "SELECT process FROM ordersync_leases WHERE account = 'main' AND until_at > ?",
            self.house.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        )
        return next((one for one in self.seats if found and one.process == found[0][0]), None)

    def look(self, seat: Seat) -> None:
        """After a commit: nobody writes about an account that is another's."""
        self.witness.look()
        if seat.service is not None and self.holder() is not seat:
            task = asyncio.current_task()
            who = task.get_name() if task else "?"
            self.failures.append(f"{self.house.clock.now()}: {who} wrote, whose lease has gone")

    async def pause(self) -> None:
        """Who serves stands still between read and write, until the other has taken over."""
        await self.house.wait(seconds=10 + self.dice.random() * 10)
        seat = self.holder()
        assert seat is not None, "nobody serves"
        seat.gate.closes = _is_about_to_write
        began = self.house.clock.monotonic()
        while (there := self.holder()) is seat or there is None:
            assert self.house.clock.monotonic() < began + 100, "nobody takes over"
            await self.house.wait(seconds=1)
        await self.house.wait(seconds=self.dice.random() * 3)
        seat.gate.is_open.set()

    # --- who deals with them -----------------------------------------------------------------

    async def trade_by_hand(self) -> None:
        while self.house.clock.monotonic() < DAY:
            await self.house.wait(seconds=self.dice.expovariate(1 / 8))
            house, has_row = self.house, self.dice.random() < 0.5
            # What comes and goes while nobody listens, nobody hears of; what stays is found.
            life = Life.random(self.dice, span=timedelta(seconds=30)) if has_row else Life.open()
            order = house.world.place(
                house.account.portfolio,
                house.symbol,
                "BUY",
                limit_gtc("1", "100"),
                life=life,
                created_at=house.clock.now(),
            )
            row_after = GRACE * self.dice.random() * 0.9 if has_row else None
            self.by_hand.append(ByHand(order, row_after))
            if row_after is not None:
                await house.wait(seconds=row_after.total_seconds())
                placed = house.note(order.order_id, order.client_order_id, order.created_at, {})
                self.witness.add(placed)

    async def correct(self) -> None:
        """Of an order that has come to its end, the fee was another; the exchange never says so."""
        while self.house.clock.monotonic() < DAY:
            await self.house.wait(seconds=self.dice.expovariate(1 / 10))
            seat = self.holder()
            if seat is None or not seat.gate.is_open.is_set() or seat.service is None:
                continue
            for placed in self.bot.placed:
                truth, later = self.house.truth(placed), self.house.clock.now() + timedelta(days=1)
                is_settled = truth.filled_qty and truth.fee == self.house.truth(placed, later).fee
                is_done = truth.final and is_settled and not self.house.untrue(placed)
                if not is_done or placed.row_id in self.corrected:
                    continue
                word = Word(by="anna", reason="ticket 4711", facts=Facts(fee=BUSTED))
                name = OrderName(placed.order_id)
                with contextlib.suppress(OrdersyncError):  # not settled, or overtaken: another time
                    await seat.service.operator.correct("main", name, word)
                    self.corrected[placed.row_id] = placed.order_id
                break

    def answer(self, event: Any) -> int:  # noqa: ANN401 - as it was sent
        """The subscriber is no better than others."""
        del event
        is_busy = self.house.clock.monotonic() < DAY and self.dice.random() < 0.3
        return 503 if is_busy else 204

    # --- the story ---------------------------------------------------------------------------

    async def tell(self) -> str:
        house, service = self.house, self.seats[0].service
        assert service is not None
        await house.wait(seconds=2)
        _, secret = await service.telling.subscriptions.make(URL, Interest())
        self.receiver.secret, self.receiver.answers = secret, self.answer
        before = set(self.logged())
        async with asyncio.TaskGroup() as group:
            group.create_task(self.pause())
            group.create_task(self.bot.live(DAY, every=6, meddles=False))
            group.create_task(self.trade_by_hand())
            group.create_task(self.correct())
        left = max(house.steady_at() - house.clock.now(), timedelta(0))
        await house.clock.sleep(left + SETTLING)
        await self.until_sent(set(self.logged()) - before)
        self.conclude()
        return hashlib.sha256(repr(house.dump("trades", "ordersync_orders")).encode()).hexdigest()

    def logged(self) -> list[str]:
        return [f"{i}-{n}" for i, n in self.house.sql("SELECT log_id, n FROM ordersync_events")]

    async def until_sent(self, owed: set[str]) -> None:
        """All that was written since he subscribed was taken by him, some of it twice."""
        deadline = self.house.clock.monotonic() + 300
        while missing := owed - set(self.receiver.ids):
            assert self.house.clock.monotonic() < deadline, f"never sent: {sorted(missing)[:5]}"
            await self.house.wait(seconds=5)

    def conclude(self) -> None:
        self.witness.conclude()
        assert not self.failures, self.failures[0]
        house = self.house
        rows = [one.placed for one in self.witness.known.values()]
        untrue = house.all_untrue(one for one in rows if one.row_id not in self.corrected)
        assert untrue == {}, untrue
        for row_id in self.corrected:
            fee = house.row(row_id)["fee"]
            assert fee == float(BUSTED), f"row {row_id} was corrected, its fee is {fee}"
        told = Counter(
            key[2:]
            for (key,) in house.sql("SELECT order_key FROM ordersync_events WHERE kind = 'orphan'")
        )
        wanted = {one.order.order_id: int(one.row_after is None) for one in self.by_hand}
        assert {order: told[order] for order in wanted} == wanted, f"orphans: {told}, not {wanted}"


def _is_about_to_write(name: str, asked: Sequence[Any]) -> bool:
    """Whether somebody has read, and is to write what is new."""
    steps = asked[1] if name == "before advance" else ()
    return any(
        step.truth and not (step.known.truth and same_facts(step.truth, step.known.truth))
        for step in steps
    )


async def tell(seed: int, folder: Path) -> str:
    """Tell the story; what the tables hold in the end, as a digest."""
    dice = Random(f"office {seed}")  # noqa: S311 - dice
    receiver = Receiver()
    sync = {"interval": "20s", "stale_after": "1m"}
    async with (
        built(folder, seed=seed, sync=sync, pushes=True, more=SETTINGS) as house,
        receiving(receiver),
    ):
        witness = Witness(house, may_suspect=False)
        bot = Trader(house, witness, dice, careful=False)
        office = Office(house, witness, dice, receiver, bot)
        async with office.opened():
            return await office.tell()


def play(seed: int, folder: Path) -> str:
    """Tell a story by its number; a digest of the wire and the tables."""
    network = Network(seed, latency=(0.0005, 0.01))
    folder.mkdir(parents=True, exist_ok=True)
    tables = run_virtually(partial(tell, seed, folder), seed=seed, network=network)
    return f"{network.digest()} {tables}"
