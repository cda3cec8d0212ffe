"""What becomes of an order at the simulated broker: a function of time."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest

from ordersync.simulator import alpaca
from ordersync.simulator.alpaca import Event, Life, Step
from ordersync.simulator.alpaca.life import OVERNIGHT
from tests.simulator.alpaca.asking import Broker
from tests.simulator.asking import NOON

HALF = Decimal("0.5")
SECOND = timedelta(seconds=1)

# Each of the eighteen, by a life that leads to it.
LIVES = {
    "pending_new": Life.pending(),
    "accepted": Life.accepted(),
    "accepted_for_bidding": Life.of((0, "accepted"), (1, "accepted_for_bidding")),
    "held": Life.of((0, "held")),
    "pending_review": Life.of((0, "pending_review")),
    "new": Life.open(),
    "partially_filled": Life.open(fills=((SECOND, HALF),)),
    "stopped": Life.of((0.2, "new"), (1, "stopped")),
    "suspended": Life.of((0.2, "new"), (1, "suspended")),
    "calculated": Life.of((0.2, "new"), (1, "done_for_day"), (2, "calculated")),
    "done_for_day": Life.of((0.2, "new"), (1, "done_for_day")),
    "pending_cancel": Life.of((0.2, "new"), (1, "pending_cancel")),
    "pending_replace": Life.of((0.2, "new"), (1, "pending_replace")),
    "filled": Life.filled(),
    "canceled": Life.canceled(),
    "expired": Life.expired(),
    "rejected": Life.rejected(),
    "replaced": Life.of((0.2, "new"), (1, "replaced")),
}


@pytest.mark.parametrize("status", LIVES)
async def test_every_status_is_reached_and_told(broker: Broker, status: str) -> None:
    order_id = broker.place(life=LIVES[status])
    broker.clock.go_on(5)

    assert (await broker.order(order_id))["status"] == status
    final = status in {"filled", "canceled", "expired", "rejected", "replaced"}
    assert broker.world.truth(order_id).final is final
    assert await broker.ids(status="open") == ([] if final else [order_id])
    assert await broker.ids(status="closed") == ([order_id] if final else [])


async def test_the_past_is_told_as_it_was(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled(SECOND * 4, fills=((SECOND * 2, HALF),)))

    told = [broker.world.truth(order_id, NOON + SECOND * s).status for s in (0, 1, 3, 5)]

    assert told == ["pending_new", "new", "partially_filled", "filled"]


async def test_done_for_day_resumes_on_the_next(broker: Broker) -> None:
    order_id = broker.place(life=Life.overnight(share=HALF))

    broker.clock.go_on(3600)
    assert broker.status(order_id) == "done_for_day"
    broker.clock.at = NOON + OVERNIGHT + SECOND * 2
    assert broker.status(order_id) == "partially_filled"
    broker.clock.go_on(2)
    assert broker.status(order_id) == "filled"


async def test_an_order_for_an_amount_of_money_has_no_qty(broker: Broker) -> None:
    order_id = broker.place(alpaca.market("AAPL", "buy", notional="100"), life=Life.filled())
    broker.clock.go_on(2)

    order = await broker.order(order_id)

    assert (order["qty"], order["notional"]) == (None, "100")
    assert (order["filled_qty"], order["filled_avg_price"]) == ("0.5", "200")


async def test_an_execution_during_a_request_raises_what_is_filled_and_nothing_else(
    broker: Broker,
) -> None:
    life = Life(steps=LIVES["new"].steps, cancel_lag=SECOND * 10)
    order_id = broker.place(life=life)
    broker.clock.go_on(1)
    broker.world.cancel(order_id)
    broker.world.happen(order_id, Event.PARTIAL_FILL, qty=HALF)

    truth = broker.world.truth(order_id)

    assert (truth.status, truth.filled_qty) == ("pending_cancel", HALF)


async def test_a_refused_cancel_falls_back_to_what_it_was(broker: Broker) -> None:
    order_id = broker.place(life=Life.open(fills=((SECOND, HALF),), refuses_cancel=True))
    broker.clock.go_on(2)
    broker.world.cancel(order_id)

    assert broker.status(order_id) == "pending_cancel"
    broker.clock.go_on(1)
    assert broker.status(order_id) == "partially_filled"


async def test_a_fill_overtakes_a_cancel(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled(SECOND))
    broker.clock.go_on(0.9)
    broker.world.cancel(order_id)
    broker.clock.go_on(5)

    assert broker.status(order_id) == "filled"


async def test_a_bust_takes_an_execution_back(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled(SECOND * 2, fills=((SECOND, HALF),)))
    broker.clock.go_on(3)
    broker.world.happen(order_id, Event.TRADE_BUST)

    truth = broker.world.truth(order_id)

    assert (truth.status, truth.filled_qty) == ("partially_filled", HALF)
    assert broker.world.truth(order_id, broker.clock.now() - SECOND / 2).status == "filled"


async def test_what_fills_out_of_turn_is_not_filled_again(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled(SECOND * 3, fills=((SECOND * 2, HALF),)))
    broker.clock.go_on(1)
    broker.world.happen(order_id, Event.PARTIAL_FILL, qty=Decimal("0.75"))
    with pytest.raises(ValueError, match=r"only 0\.25 left"):
        broker.world.happen(order_id, Event.PARTIAL_FILL, qty=HALF)
    broker.clock.go_on(5)

    truth = broker.world.truth(order_id)

    assert (truth.status, truth.filled_qty) == ("filled", Decimal(1))


async def test_what_was_busted_is_made_up_for(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled(SECOND * 3, fills=((SECOND, HALF),)))
    broker.clock.go_on(2)
    broker.world.happen(order_id, Event.TRADE_BUST)
    assert broker.status(order_id) == "new"
    broker.clock.go_on(2)

    truth = broker.world.truth(order_id)

    assert (truth.status, truth.filled_qty) == ("filled", Decimal(1))


async def test_a_correction_changes_the_last_execution(broker: Broker) -> None:
    order_id = broker.place(life=Life.filled())
    broker.clock.go_on(2)
    broker.world.happen(order_id, Event.TRADE_CORRECT, price=Decimal("149.5"))

    truth = broker.world.truth(order_id)

    assert (truth.status, truth.filled_qty, truth.avg_price) == (
        "filled",
        Decimal(1),
        Decimal("149.5"),
    )


async def test_nothing_can_be_busted_where_nothing_was_filled(broker: Broker) -> None:
    with pytest.raises(ValueError, match="no execution"):
        broker.world.happen(broker.place(life=Life.open()), Event.TRADE_BUST)


async def test_a_late_fill_leaves_a_canceled_order_canceled(broker: Broker) -> None:
    order_id = broker.place(life=Life.canceled())
    broker.clock.go_on(2)
    broker.world.happen(order_id, Event.PARTIAL_FILL, qty=HALF)

    truth = broker.world.truth(order_id)

    assert (truth.status, truth.filled_qty) == ("canceled", HALF)


async def test_a_restatement_changes_the_size(broker: Broker) -> None:
    order_id = broker.place(life=Life.open())
    broker.clock.go_on(1)
    broker.world.happen(order_id, Event.RESTATED, qty=Decimal(3))

    order = await broker.order(order_id)

    assert (order["status"], order["qty"]) == ("new", "3")


async def test_another_life_begins_where_the_first_was_left(broker: Broker) -> None:
    order_id = broker.place(life=Life.open(fills=((SECOND, HALF),)))
    broker.clock.go_on(5)
    broker.world.live(order_id, Life(steps=(Step(after=SECOND, event=Event.FILL),)))
    broker.clock.go_on(2)

    truth = broker.world.truth(order_id)

    assert (truth.status, truth.filled_qty) == ("filled", Decimal(1))


async def test_an_update_without_news_moves_only_its_time(broker: Broker) -> None:
    steps = (*Life.open().steps, Step(after=SECOND * 9, event=None))
    order_id = broker.place(life=Life(steps=steps))
    broker.clock.go_on(10)

    order = await broker.order(order_id)

    assert (order["status"], order["updated_at"]) == ("new", "2026-03-01T12:00:09Z")


@pytest.mark.parametrize(
    "steps",
    [
        (Step(after=SECOND, event=Event.NEW), Step(after=SECOND / 2, event=Event.FILL)),
        (Step(after=SECOND, event=Event.FILL), Step(after=SECOND, event=Event.NEW)),
    ],
)
def test_a_life_keeps_to_time_and_ends_once(steps: tuple[Step, ...]) -> None:
    with pytest.raises(ValueError, match=r"order of time|Nothing happens after"):
        Life(steps=steps)


def test_a_life_cannot_fill_more_than_there_is(broker: Broker) -> None:
    with pytest.raises(ValueError, match="fills 2 of an order for 1"):
        broker.place(life=Life(steps=(Step(after=SECOND, event=Event.FILL, qty=Decimal(2)),)))


def test_random_lives_are_lives(broker: Broker) -> None:
    rng = Random(3)  # noqa: S311 - reproducible
    ids = [broker.place(life=Life.random(rng)) for _ in range(300)]
    broker.clock.at = broker.world.steady_at()

    statuses = {broker.status(each) for each in ids}

    assert {"filled", "canceled", "expired", "rejected", "new"} <= statuses


async def test_the_same_seed_gives_the_same_natural_lives() -> None:
    worlds = [Broker(seed=4).world for _ in range(2)]
    lives = []
    for world in worlds:
        account = next(iter(world.accounts))
        wish = alpaca.limit("SPY", "buy", "2", "500", time_in_force="day")
        order = world.place(account, wish, client_order_id="mine")
        lives.append((order.order_id, order.marks))

    assert lives[0] == lives[1]
