"""What holds for every seed: the past stands, nothing fills too much, what is told is true."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import alpaca
from ordersync.simulator.alpaca import Event, Life, World
from ordersync.simulator.alpaca.condition import condition_after, size_of
from tests.simulator.asking import NOON, Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ordersync.simulator.alpaca.condition import PlacedOrder

SEEDS = range(60)
ENTRY = alpaca.limit("AAPL", "buy", "4", "150")
WISHES: list[dict[str, object]] = [
    ENTRY,
    alpaca.market("SPY", "buy", notional="1000"),
    alpaca.bracket(ENTRY, take_profit="160", stop_loss="140"),
    alpaca.oco("AAPL", "sell", "2", take_profit="160", stop_loss="140"),
    alpaca.oto(ENTRY, stop_loss="140"),
    alpaca.spread(
        "2",
        "10",
        ("AAPL271217C00200000", "2", "buy_to_open"),
        ("AAPL271217C00250000", "1", "sell_to_open"),
    ),
]


def interfere(world: World, account_id: str, rng: Random) -> None:
    """Do something to somebody, in vain or not."""
    order_id = rng.choice(world.order_ids(account_id))
    order = world.order(order_id)
    assert order is not None
    with contextlib.suppress(ValueError):
        match rng.randrange(5):
            case 0 | 1:
                world.cancel(order_id)
            case 2 if order.terms.notional is None and not order.legs:
                world.replace(order_id, order.terms, life=Life.random(rng))
            case 3 if not world.condition(order).final:
                world.happen(order_id, rng.choice((Event.FILL, Event.EXPIRED, Event.SUSPENDED)))
            case 4:
                world.happen(order_id, Event.TRADE_BUST)


def days(seed: int) -> Iterator[tuple[World, str, Clock]]:
    """A world after each of many moments at which something was done."""
    rng = Random(seed)  # noqa: S311 - reproducible
    clock = Clock()
    world = World(clock.now, seed=seed)
    account_id = world.open_account().account_id
    for _ in range(12):
        body = rng.choice(WISHES)
        life = None if rng.random() < 0.3 else Life.random(rng)
        lives = [Life.random(rng) if rng.random() < 0.7 else None for _ in range(2)]
        world.place(account_id, body, life=life, leg_lives=lives)
        clock.go_on(rng.random() * 20)
        interfere(world, account_id, rng)
        yield world, account_id, clock
    clock.at = world.steady_at()
    yield world, account_id, clock


def orders_of(world: World, account_id: str) -> list[PlacedOrder]:
    return [order for each in world.order_ids(account_id) if (order := world.order(each))]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_done_the_past_stands(seed: int) -> None:
    known: dict[tuple[str, datetime], object] = {}
    for world, account_id, clock in days(seed):
        for (order_id, at), truth in known.items():
            assert world.truth(order_id, at) == truth
        # A moment ago, because what is done now is part of now.
        at = clock.now() - timedelta.resolution
        for order in orders_of(world, account_id):
            if order.created_at <= at:
                known[order.order_id, at] = world.truth(order.order_id, at)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_fills_more_than_there_is_and_marks_are_in_order(seed: int) -> None:
    for world, account_id, _ in days(seed):
        for order in orders_of(world, account_id):
            moments = [mark.at for mark in order.marks]
            assert moments == sorted(moments)
            truth = world.truth(order.order_id)
            whole = size_of(order.terms, order.terms.price)
            assert 0 <= truth.filled_qty <= whole
            assert (truth.status == "filled") <= (truth.filled_qty == whole)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_announcement_of_an_order_tells_its_truth(seed: int) -> None:
    *_, (world, account_id, clock) = days(seed)
    announced = world.announcements.of(account_id)
    assert list(announced) == sorted(announced)
    assert len({each.event_id for each in announced}) == len(announced)
    assert [each.event_id for each in announced] == sorted(each.event_id for each in announced)
    last = {each.order_id: each for each in announced}
    assert last.keys() == set(world.order_ids(account_id))
    for order in orders_of(world, account_id):
        told = condition_after(order, last[order.order_id].number + 1, clock.now())
        assert (told.status, told.filled_qty) == (
            world.truth(order.order_id).status,
            world.truth(order.order_id).filled_qty,
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_the_chain_of_replacements_leads_both_ways(seed: int) -> None:
    *_, (world, account_id, _) = days(seed)
    for order in orders_of(world, account_id):
        heir_id = world.truth(order.order_id).replaced_by
        if heir_id is not None:
            heir = world.order(heir_id)
            assert heir is not None
            assert heir.replaces == order.order_id
        if order.replaces is not None and world.truth(order.replaces).replaced_by is None:
            assert world.truth(order.order_id).status == "rejected"


def test_the_last_moment_of_a_long_history_costs_little() -> None:
    clock = Clock()
    world = World(clock.now)
    account_id = world.open_account().account_id
    for number in range(3000):
        world.place(
            account_id,
            ENTRY,
            life=Life.filled(),
            created_at=NOON - timedelta(seconds=number),
            client_order_id=str(number),
        )
    held = [
        world.announcements.position(account_id, "AAPL", each)
        for each in world.announcements.of(account_id)
    ]

    assert held[-1] == 4 * 3000


def test_news_begin_behind_what_is_written_down_at_the_same_moment() -> None:
    clock = Clock()
    world = World(clock.now)
    account_id = world.open_account().account_id
    world.place(account_id, ENTRY, life=Life.pending())
    last = world.announcements.written_by(clock.now())
    assert world.announcements.next_behind(account_id, last) is None

    order = world.place(account_id, ENTRY, life=Life.pending())

    news = world.announcements.next_behind(account_id, last)
    assert news is not None
    assert news.order_id == order.order_id
