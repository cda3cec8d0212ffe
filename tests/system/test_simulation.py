"""Random worlds, random faults, a random bot, restarts: nothing is ever invented, all comes true.

Each seed is one story; ORDERSYNC_SEEDS says how many (`ORDERSYNC_SEEDS=1000`), and a story that
fails is told again by its number alone: `-k "[17]"`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ordersync.simulator import Faults, Kind, Life, market
from tests.system.house import OPEN, House, Placed, ago, built, word_of
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.simulator.condition import PlacedOrder

SEEDS = int(os.environ.get("ORDERSYNC_SEEDS", "60"))
STORY = timedelta(minutes=8)
EPILOGUE = timedelta(minutes=2, seconds=30)
STATUSES = {
    "PENDING": {"pending_new"},
    "QUEUED": {"accepted"},
    "OPEN": {"new", "partially_filled", "pending_cancel"},
    "EDIT_QUEUED": {"pending_replace"},
    "CANCEL_QUEUED": {"pending_cancel"},
    "FILLED": {"filled"},
    "CANCELLED": {"canceled"},
    "EXPIRED": {"expired"},
    "FAILED": {"rejected"},
}


@dataclass
class Bot:
    """Places orders, writes rows, forgets, undoes, cancels. It knows nothing of ordersync."""

    house: House
    dice: Random
    placed: list[Placed] = field(default_factory=list)
    wrote: dict[int, set[str]] = field(default_factory=dict)

    async def live(self, until: float) -> None:
        while self.house.clock.monotonic() < until:
            await self.house.wait(seconds=self.dice.expovariate(1 / 15))
            deeds = [self.place] * 5 + [self.undo, self.claim, self.cancel, self.place_slowly]
            await self.dice.choice(deeds)()

    def life(self) -> Life:
        return Life.random(self.dice, span=timedelta(seconds=self.dice.choice((2, 20, 90))))

    async def place(self, *, age: timedelta = timedelta(0), **row: object) -> Placed:
        terms = market(quote_size="250") if self.dice.random() < 0.1 else None
        life = Life.filled(timedelta(seconds=self.dice.random() * 9)) if terms else self.life()
        source = self.dice.choice(("RETAIL_ADVANCED",) * 4 + ("RETAIL_SIMPLE",))
        placed = self.house.place(life, age=age, terms=terms, source=source, **row)
        self.placed.append(placed)
        self.wrote[placed.row_id] = {str(row.get("status", OPEN))}
        return placed

    async def place_slowly(self) -> None:
        """The row learns the venue's id from the bot only a while later."""
        placed = await self.place(order_id=None)
        await self.house.wait(seconds=self.dice.random() * 8)
        self.house.update(placed.row_id, order_id=placed.order_id)

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
        self.wrote[placed.row_id].add(word)
        self.house.update(placed.row_id, status=word)

    async def cancel(self) -> None:
        if self.placed:
            with contextlib.suppress(ValueError):
                self.house.world.cancel(self.dice.choice(self.placed).order_id)


class Witness:
    """Looks at the database whenever anything was committed, and remembers what it saw."""

    def __init__(self, house: House, bot: Bot, gone: Placed) -> None:
        self.house, self.bot, self.gone = house, bot, gone
        self.filled: dict[str, Decimal] = {}
        self.ended: dict[str, str] = {}
        self.looks = 0
        self.seen: dict[str, str] = {}

    async def watch(self) -> None:
        with contextlib.closing(sqlite3.connect(self.house.database)) as connection:
            version = None
            while True:
                now = connection.execute("PRAGMA data_version").fetchone()
                if now != version:
                    version = now
                    self.look(connection)
                await self.house.wait(seconds=0.5)

    def look(self, connection: sqlite3.Connection) -> None:
        self.looks += 1
        rows = dict(connection.execute("SELECT id, status FROM trades").fetchall())
        for placed in self.bot.placed:
            self.check_word(placed, rows[placed.row_id])
        assert rows[self.gone.row_id] in {OPEN, "unknown"}
        has_tables = connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'ordersync_orders'"
        ).fetchone()
        if has_tables:
            found = connection.execute("SELECT order_key, status, state FROM ordersync_orders")
            for key, status, state in found.fetchall():
                if self.seen.get(key) != state:
                    self.seen[key] = state
                    self.check_truth(key[2:], status, msgspec.json.decode(state))
            overlays = connection.execute("SELECT order_key, overlay FROM ordersync_absences")
            for key, overlay in overlays.fetchall():
                assert overlay != "unknown" or self.gone.order_id in key, f"{key} lives"

    def check_word(self, placed: Placed, word: str) -> None:
        """A row holds what the bot wrote, or what was the case at some moment."""
        if word in self.bot.wrote[placed.row_id]:
            return
        order = self.order(placed.order_id)
        assert word in {word_of(truth) for truth in self.truths(order)}, f"{word}: {placed}"

    def check_truth(self, order_id: str, status: str, state: dict[str, Any]) -> None:
        """No state that never was, no fill that never was or was lost, no end that was undone."""
        truths = self.truths(self.order(order_id))
        possible = set().union(*(STATUSES[truth.status] for truth in truths))
        if any(truth.filled_qty for truth in truths):
            possible.add("partially_filled")
        assert status in possible, f"{order_id} is said to be {status}, was {possible}"
        filled = Decimal(state.get("filled_qty") or 0)
        assert self.filled.get(order_id, Decimal(0)) <= filled <= truths[-1].filled_qty
        self.filled[order_id] = filled
        before = self.ended.get(order_id, status)
        assert before == status, f"{order_id} was {before} and is {status}"
        if status in {"filled", "canceled", "expired", "rejected"}:
            self.ended[order_id] = status

    def order(self, order_id: str) -> PlacedOrder:
        order = self.house.world.order(order_id)
        assert order is not None, f"nobody placed {order_id}"
        return order

    def truths(self, order: PlacedOrder) -> list[Any]:
        """How the order stood after each thing that happened to it so far."""
        now = self.house.clock.now()
        moments: list[datetime] = [order.created_at, *(mark.at for mark in order.marks)]
        for asked in order.cancels:
            moments += [asked, asked + order.life.cancel_lag]
        happened = sorted(moment for moment in moments if moment <= now)
        return [self.house.world.truth(order.order_id, at) for at in (*happened, now)]


async def serve(house: House, dice: Random, until: float) -> None:
    """The service, stopped and started again at any time, and sometimes two of it."""
    while house.clock.monotonic() < until:
        span = min(dice.expovariate(1 / 250), until - house.clock.monotonic())
        async with house.running():
            if dice.random() < 0.2:
                async with house.running():
                    await house.wait(seconds=span)
            else:
                await house.wait(seconds=span)
        await house.wait(seconds=dice.random() * 20)


async def tell(seed: int, folder: Path) -> None:
    dice = Random(f"story {seed}")  # noqa: S311 - dice
    faults = Faults.from_seed(seed, within_calls=dice.choice((40, 150)))
    settings = {"stale_after": "1m", "interval": dice.choice(("20s", "45s"))}
    async with built(folder, seed=seed, faults=faults, sync=settings) as house:
        bot = Bot(house, dice)
        gone = house.invent()
        for _ in range(dice.randint(1, 8)):
            await bot.place(age=ago(hours=dice.choice((0.01, 2, 20, 50))))
        witness = Witness(house, bot, gone)
        end = STORY.total_seconds()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(witness.watch())
            async with asyncio.TaskGroup() as story:
                story.create_task(bot.live(end))
                story.create_task(serve(house, dice, end))
            faults.clear()
            async with house.running():
                rest = house.world.steady_at() - house.clock.now()
                await house.clock.sleep(max(rest, timedelta(0)) + EPILOGUE)
                assert house.all_untrue(bot.placed) == {}
                assert house.word(gone) == "unknown"
                before = house.dump()
                await house.wait(minutes=1)
                assert house.dump() == before, "a table that is true is written to"
            watching.cancel()
        report = await house.sync()
        assert (report.rows_written, report.failed) == (0, {})
        assert house.dump() == before
        check_events(house)
        assert witness.looks > len(bot.placed)


def check_events(house: House) -> None:
    """Each version of each truth was told once, and nothing else claims to be a change."""
    versions = dict(house.sql("SELECT order_key, version FROM ordersync_orders"))
    told = dict(
        house.sql(
            "SELECT order_key, count(DISTINCT log_id) FROM ordersync_events"
            " WHERE kind = 'changed' GROUP BY order_key"
        )
    )
    assert told == versions


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_story_invents_nothing_and_ends_in_the_truth(tmp_path: Path, seed: int) -> None:
    run_virtually(partial(tell, seed, tmp_path), seed=seed)


def test_the_stories_meet_every_kind_of_fault() -> None:
    met = {fault.kind for seed in range(60) for fault in Faults.from_seed(seed).all}
    assert met == set(Kind)
