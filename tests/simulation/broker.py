"""The same stories at Alpaca: no sequence numbers, statuses of its own, a small rate budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from ordersync.simulator import Faults, Kind, StreamKind, alpaca
from ordersync.simulator.alpaca import Life
from ordersync.simulator.alpaca.condition import condition_after
from tests.simulation.disk import Disk
from tests.simulation.plan import NOTICED, Channel, Mishap, Plan
from tests.simulation.story import Bot, Story
from tests.simulation.wire import Proxy
from tests.simulation.witness import Witness
from tests.system.alpaca_house import AlpacaHouse, at_alpaca
from tests.virtual import Network, run_virtually

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tests.system.house import Placed, Truth

STATED = timedelta(seconds=2.5)
"""Without sequence numbers a lost frame is missed by asking, every two seconds."""

DEARLY = 2 * NOTICED
"""Where the list does not answer either, each order is asked for by itself: a call each, of a
hundred a minute."""

UNHEARD = {StreamKind.MISSING_HEARTBEAT, StreamKind.STALE_SNAPSHOT}
"""It numbers nothing and sends no snapshot."""

TERMS = (
    alpaca.limit("AAPL", "buy", "4", "100"),
    alpaca.limit("AAPL", "buy", "0.37", "100"),
    alpaca.market("AAPL", "buy", notional="250"),
)


def mishap_of(drawn: Mishap) -> Mishap:
    """What can happen on this stream, within its own bound."""
    if drawn.kind in UNHEARD:
        return Mishap(None, None, STATED)
    if drawn.rest is not None:
        return drawn._replace(bound=DEARLY)
    return drawn if drawn.bound == NOTICED else drawn._replace(bound=STATED)


class Investor(Bot):
    """A bot that trades at Alpaca."""

    house: AlpacaHouse

    def order(self, age: timedelta, row: dict[str, object]) -> Placed:
        dice = self.dice
        life = Life.random(dice, span=timedelta(seconds=dice.choice((2, 20, 60))))
        order = self.house.order(life, age=age, body=dice.choice(TERMS))
        return self.house.tell(order, **row)

    def ask_to_cancel(self, order_id: str) -> None:
        self.house.world.cancel(order_id)


class BrokerWitness(Witness):
    """Knows what the broker's statuses are."""

    house: AlpacaHouse

    def words_for(self, truth: Truth) -> set[str]:
        order, now = self.house.world.order(truth.order_id), self.house.clock.now()
        assert order is not None, f"nobody placed {truth.order_id}"
        # Two things may happen in one moment, and each is announced.
        happened = sum(mark.at <= now for mark in order.marks)
        return {condition_after(order, n, now).status for n in range(happened + 1)}

    def moments(self, order_id: str) -> list[datetime]:
        order, now = self.house.world.order(order_id), self.house.clock.now()
        assert order is not None, f"nobody placed {order_id}"
        moments = [order.created_at, *(mark.at for mark in order.marks)]
        return sorted(moment for moment in moments if moment <= now)


async def tell(seed: int, folder: Path) -> str:
    """Tell the story; what the tables hold in the end, as a digest."""
    dice = Random(f"broker {seed}")  # noqa: S311 - dice
    plan = Plan.drawn(dice, Channel.BOTH)
    plan = replace(plan, mishap=mishap_of(plan.mishap))
    kinds = [*Kind, *StreamKind, *StreamKind]
    drawn = Faults.from_seed(seed, most=10, within_calls=dice.choice((10, 40)), kinds=kinds)
    faults = Faults(f for f in drawn.all if plan.allows(f) and f.kind not in UNHEARD)
    proxy = Proxy(Random(f"proxy {seed}"), None, plan.wrong)  # noqa: S311 - dice
    proxy.odd = plan.odd
    settings = {"stale_after": "1m", "interval": f"{plan.interval}s"}
    async with at_alpaca(
        folder, seed=seed, faults=faults, sync=settings, around=proxy.around
    ) as house:
        witness = BrokerWitness(house, may_suspect=plan.lies)
        bot = Investor(house, witness, dice, careful=False)
        story = Story(plan, dice, house, witness, bot, Disk(after=witness.look))
        return await story.tell(proxy)


def play(seed: int, folder: Path) -> str:
    """Tell a story by its number; the digest of all that went over the wire and into the tables."""
    slowest = Plan.drawn(Random(f"broker {seed}"), Channel.BOTH).slowest  # noqa: S311 - dice
    network = Network(seed, latency=(0.0005, slowest))
    folder.mkdir(parents=True, exist_ok=True)
    tables = run_virtually(partial(tell, seed, folder), seed=seed, network=network)
    return f"{network.digest()} {tables}"
