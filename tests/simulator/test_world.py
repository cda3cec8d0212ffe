"""The world keeps accounts apart, is reproducible, and refuses what no exchange could hold."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import Life, World, limit_gtc
from ordersync.simulator.changes import Change, Watch
from ordersync.simulator.populated import populate
from tests.simulator.asking import NOON, Clock

if TYPE_CHECKING:
    from ordersync.simulator.condition import Condition

ID = "0b7de0e1-3f0c-4d8f-8b6f-0d5f8f5f1a11"


def test_the_same_seed_makes_the_same_world() -> None:
    one, first = populate(Clock().now, 7)
    two, second = populate(Clock().now, 7)

    assert first.key.private_key == second.key.private_key
    ids = one.order_ids(first.portfolio)
    assert ids == two.order_ids(second.portfolio)
    assert [one.truth(each) for each in ids] == [two.truth(each) for each in ids]


def test_another_seed_makes_another_world() -> None:
    one, first = populate(Clock().now, 7)
    two, second = populate(Clock().now, 8)

    assert first.key.name != second.key.name
    assert one.order_ids(first.portfolio) != two.order_ids(second.portfolio)


def test_a_populated_world_shows_every_status_and_old_and_new_orders() -> None:
    world, account = populate(Clock().now, 3)
    ids = world.order_ids(account.portfolio)

    statuses = {world.truth(each).status for each in ids}
    assert len(ids) >= 40
    assert statuses >= {
        "PENDING", "QUEUED", "OPEN", "EDIT_QUEUED", "FILLED", "CANCELLED", "EXPIRED", "FAILED",
    }  # fmt: skip
    ages = [NOON - order.created_at for each in ids if (order := world.order(each))]
    assert min(ages) < timedelta(minutes=2)
    assert max(ages) > timedelta(days=30)
    canceled = [truth for each in ids if (truth := world.truth(each)).status == "CANCELLED"]
    assert {bool(truth.filled_qty) for truth in canceled} == {True, False}


def test_a_world_knows_when_it_will_have_come_to_rest() -> None:
    clock = Clock()
    world, account = populate(clock.now, 7)
    ids = world.order_ids(account.portfolio)
    rest = world.steady_at()

    assert [world.truth(each, rest) for each in ids] == [
        world.truth(each, rest + timedelta(days=9)) for each in ids
    ]
    assert rest > NOON


@pytest.mark.parametrize("seed", range(30))
def test_any_seed_makes_a_world_that_can_be_lived_through(seed: int) -> None:
    clock = Clock()
    world, account = populate(clock.now, seed)

    for _ in range(5):
        clock.go_on(77)
        assert all(world.truth(each) for each in world.order_ids(account.portfolio))


def test_a_life_from_the_seed_does_not_depend_on_who_came_first() -> None:
    def truth_of(clients: list[str]) -> object:
        world = World(Clock().now, seed=5)
        placed = {
            client: world.place(
                "p", "BTC-USD", "BUY", limit_gtc("1", "100"), client_order_id=client
            )
            for client in clients
        }
        return placed["b"].life

    assert truth_of(["a", "b"]) == truth_of(["b", "a"])


def test_an_order_may_have_an_id_of_the_callers_choice() -> None:
    world = World(Clock().now)

    order = world.place("p", "BTC-USD", "BUY", limit_gtc("1", "100"), order_id=ID)

    assert order.order_id == ID
    with pytest.raises(ValueError, match="exists already"):
        world.place("p", "BTC-USD", "BUY", limit_gtc("1", "100"), order_id=ID)


@pytest.mark.parametrize(
    "wrong",
    [
        {"order_id": "abc123"},
        {"side": "HOLD"},
        {"configuration": {"limit_limit_gtc": {"base_size": "-1", "limit_price": "2"}}},
        {"created_at": datetime(2026, 3, 1)},  # noqa: DTZ001 - a naive time is the point
    ],
    ids=["id", "side", "size", "naive time"],
)
def test_an_order_that_no_exchange_could_hold_is_refused(wrong: dict[str, object]) -> None:
    world = World(Clock().now)
    good: dict[str, object] = {
        "portfolio": "p",
        "product_id": "BTC-USD",
        "side": "BUY",
        "configuration": limit_gtc("1", "100"),
        "life": Life.open(),
    }

    with pytest.raises(ValueError, match=r".+"):
        world.place(**{**good, **wrong})  # type: ignore[arg-type] # wrong on purpose


def test_a_watch_tells_every_change_once_and_in_order_of_time() -> None:
    for seed in range(8):
        clock = Clock()
        world, account = populate(clock.now, seed)
        watch = Watch(world, account.portfolio, lambda: None)
        rest = world.steady_at()
        seen: dict[str, Condition] = {}
        told: list[Change] = []
        while (at := watch.next_at) is not None:
            clock.at = at
            told += watch.due(at)
        assert [change.at for change in told] == sorted(change.at for change in told)
        assert max(change.at for change in told) <= rest
        for change in told:
            assert seen.get(change.order.order_id) != change.condition
            seen[change.order.order_id] = change.condition
        # Whoever was open at first and heard all of it knows how everything ended.
        for order_id, condition in seen.items():
            truth = world.truth(order_id, rest)
            assert (condition.status, condition.filled_qty, condition.fee) == (
                truth.status,
                truth.filled_qty,
                truth.fee,
            )
        assert len(seen) > 3


def test_a_watch_is_woken_by_what_nobody_could_foresee() -> None:
    clock = Clock()
    world = World(clock.now)
    account, other = world.open_account(), world.open_account()
    woken: list[datetime] = []
    watch = Watch(world, account.portfolio, lambda: woken.append(clock.at))
    configuration = limit_gtc("1", "2")
    world.place(other.portfolio, "BTC-USD", "BUY", configuration, life=Life.open())
    order = world.place(account.portfolio, "BTC-USD", "BUY", configuration, life=Life.open())
    assert (woken, watch.next_at) == ([NOON], NOON)
    assert [change.condition.status for change in watch.due(clock.now())] == ["PENDING"]
    assert watch.next_at == NOON + timedelta(milliseconds=200)

    world.cancel(order.order_id)
    assert [change.condition.status for change in watch.due(clock.now())] == ["CANCEL_QUEUED"]
    clock.go_on(10)
    assert [change.condition.status for change in watch.due(clock.now())] == ["CANCELLED"]
    assert watch.next_at is None

    watch.stop()
    world.place(account.portfolio, "BTC-USD", "BUY", configuration, life=Life.open())
    assert woken == [NOON, NOON]
    assert list(watch.due(clock.now())) == []
