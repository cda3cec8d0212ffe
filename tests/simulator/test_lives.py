"""An order's state is a function of its written life, of cancel requests, and of the time."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersync.simulator import Life, Step, What, World, limit_gtc, limit_gtd, market
from ordersync.simulator.condition import FINAL_STATUSES
from tests.simulator.asking import NOON, Clock

SECOND = timedelta(seconds=1)
HALF = Decimal("0.5")


def status_over_time(life: Life, *seconds: float) -> list[str]:
    clock = Clock()
    world = World(clock.now)
    order = world.place("p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=life)
    return [world.truth(order.order_id, NOON + second * SECOND).status for second in seconds]


def test_an_order_is_pending_then_open_then_filled() -> None:
    life = Life.filled(5 * SECOND, opens=SECOND)

    assert status_over_time(life, 0, 0.9, 1, 4.9, 5, 900) == [
        "PENDING", "PENDING", "OPEN", "OPEN", "FILLED", "FILLED",
    ]  # fmt: skip


def test_every_end_and_every_waiting_state_has_its_coinbase_word() -> None:
    waiting = {What.QUEUED, What.OPEN, What.CANCEL_QUEUED, What.EDIT_QUEUED}
    ends = {What.FILLED, What.CANCELED, What.EXPIRED, What.FAILED}

    words = {
        what: status_over_time(Life(steps=(Step(after=SECOND, what=what),)), 1)[0]
        for what in waiting | ends
    }

    assert words == {
        What.QUEUED: "QUEUED",
        What.OPEN: "OPEN",
        What.CANCEL_QUEUED: "CANCEL_QUEUED",
        What.EDIT_QUEUED: "EDIT_QUEUED",
        What.FILLED: "FILLED",
        What.CANCELED: "CANCELLED",
        What.EXPIRED: "EXPIRED",
        What.FAILED: "FAILED",
    }


def test_a_partly_filled_order_stays_open_and_knows_what_it_filled() -> None:
    world = World(Clock().now)
    order = world.place(
        "p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=Life.open(fills=((SECOND, HALF),))
    )

    truth = world.truth(order.order_id, NOON + SECOND)

    assert (truth.status, truth.standing, truth.final) == ("OPEN", "open", False)
    assert (truth.filled_qty, truth.avg_price) == (Decimal(1), Decimal(100))
    assert truth.last_fill_at == NOON + SECOND


def test_a_fill_before_the_open_step_proves_that_the_order_is_open() -> None:
    fill = Step(after=SECOND, what=What.FILL, share=HALF)

    assert status_over_time(Life(steps=(fill,)), 0, 1) == ["PENDING", "OPEN"]


def test_the_average_price_weighs_the_fills() -> None:
    world = World(Clock().now)
    life = Life(
        steps=(
            Step(after=SECOND, what=What.FILL, qty=Decimal("0.5"), price=Decimal(90)),
            Step(after=2 * SECOND, what=What.FILLED, price=Decimal(98)),
        )
    )
    order = world.place("p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=life)

    assert world.truth(order.order_id, NOON + 2 * SECOND).avg_price == Decimal(96)


def test_the_last_fees_and_settled_appear_only_after_the_settle_lag() -> None:
    world = World(Clock().now)
    life = Life.filled(2 * SECOND, fills=((SECOND, HALF),), settle_lag=3 * SECOND)
    order = world.place("p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=life)

    before = world.truth(order.order_id, NOON + 4 * SECOND)
    after = world.truth(order.order_id, NOON + 5 * SECOND)

    assert (before.status, before.settled, before.fee) == ("FILLED", False, Decimal("0.4"))
    assert (after.status, after.settled, after.fee) == ("FILLED", True, Decimal("0.8"))
    assert before.final_fee == after.final_fee == after.fee
    assert after.updated_at == NOON + 5 * SECOND


def test_an_end_without_fills_is_never_settled() -> None:
    world = World(Clock().now)
    order = world.place("p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=Life.canceled())

    assert world.truth(order.order_id, NOON + 900 * SECOND).settled is False


def test_makers_pay_less_than_takers_and_market_orders_always_take() -> None:
    world = World(Clock().now)
    rests = world.place("p", "BTC-USD", "BUY", limit_gtc("1", "100"), life=Life.filled())
    takes = world.place("p", "BTC-USD", "BUY", market(base_size="1"), life=Life.filled())

    at = NOON + 9 * SECOND

    assert world.truth(rests.order_id, at).fee == Decimal(100) * Decimal("0.004")
    assert world.truth(takes.order_id, at).fee == Decimal(64000) * Decimal("0.006")


def test_a_quote_sized_order_spends_its_quote_with_the_fee_in_it() -> None:
    world = World(Clock().now)
    order = world.place("p", "BTC-USD", "BUY", market(quote_size="640"), life=Life.filled())

    truth = world.truth(order.order_id, NOON + 9 * SECOND)

    assert truth.avg_price == Decimal(64000)
    spent = truth.filled_qty * Decimal(64000) + truth.fee
    assert Decimal("639.999") < spent <= Decimal(640)


def test_a_cancel_request_is_queued_and_then_keeps_the_fills() -> None:
    clock = Clock()
    world = World(clock.now)
    life = Life(
        steps=(
            Step(after=SECOND, what=What.FILL, share=HALF),
            Step(after=5.5 * SECOND, what=What.FILL, share=Decimal("0.25")),
            Step(after=9 * SECOND, what=What.FILLED),
        ),
        cancel_lag=SECOND,
    )
    order = world.place("p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=life)
    clock.go_on(5)
    world.cancel(order.order_id)

    queued, late = world.truth(order.order_id), world.truth(order.order_id, NOON + 5.5 * SECOND)
    canceled = world.truth(order.order_id, NOON + 60 * SECOND)

    assert (queued.status, queued.filled_qty) == ("CANCEL_QUEUED", Decimal(1))
    assert (late.status, late.filled_qty) == ("CANCEL_QUEUED", Decimal("1.5"))
    assert (canceled.status, canceled.filled_qty) == ("CANCELLED", Decimal("1.5"))


def test_an_order_that_fills_while_its_cancel_waits_is_filled() -> None:
    clock = Clock()
    world = World(clock.now)
    life = Life(steps=(Step(after=2 * SECOND, what=What.FILLED),), cancel_lag=5 * SECOND)
    order = world.place("p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=life)
    clock.go_on(1)
    world.cancel(order.order_id)
    clock.go_on(60)

    assert world.truth(order.order_id).status == "FILLED"


def test_a_refused_cancel_leaves_the_order_open_and_may_be_asked_again() -> None:
    clock = Clock()
    world = World(clock.now)
    order = world.place(
        "p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=Life.open(refuses_cancel=True)
    )
    seen = []
    for _ in range(2):
        clock.go_on(1)
        world.cancel(order.order_id)
        seen.append(world.truth(order.order_id).status)
        clock.go_on(1)
        seen.append(world.truth(order.order_id).status)

    assert seen == ["CANCEL_QUEUED", "OPEN"] * 2


def test_a_finished_or_already_canceled_order_cannot_be_canceled() -> None:
    clock = Clock()
    world = World(clock.now)
    done = world.place("p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=Life.filled())
    rests = world.place("p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=Life.open())
    clock.go_on(60)
    world.cancel(rests.order_id)

    with pytest.raises(ValueError, match="is FILLED"):
        world.cancel(done.order_id)
    with pytest.raises(ValueError, match="is CANCEL_QUEUED"):
        world.cancel(rests.order_id)
    with pytest.raises(KeyError):
        world.cancel("nobody")


def test_the_past_does_not_know_a_cancel_request_of_today() -> None:
    clock = Clock()
    world = World(clock.now)
    order = world.place("p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=Life.open())
    clock.go_on(10)
    world.cancel(order.order_id)
    clock.go_on(10)

    assert world.truth(order.order_id).status == "CANCELLED"
    assert world.truth(order.order_id, NOON + 9 * SECOND).status == "OPEN"


def test_a_good_till_date_order_of_nature_expires_at_its_end_time() -> None:
    for seed in range(20):
        world = World(Clock().now, seed=seed)
        order = world.place(
            "p", "BTC-USD", "BUY", limit_gtd("2", "100", NOON + SECOND), client_order_id="gtd"
        )
        assert world.truth(order.order_id, NOON + SECOND).standing == "expired"


def test_market_orders_of_nature_fill_within_the_second() -> None:
    for seed in range(20):
        world = World(Clock().now, seed=seed)
        order = world.place("p", "BTC-USD", "BUY", market(base_size="1"))
        assert world.truth(order.order_id, NOON + SECOND).status == "FILLED"


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ((Step(after=2 * SECOND, what=What.OPEN), Step(after=SECOND, what=What.FILLED)), "order"),
        ((Step(after=SECOND, what=What.FAILED), Step(after=SECOND, what=What.OPEN)), "Nothing"),
    ],
    ids=["backwards", "after the end"],
)
def test_an_impossible_life_is_refused(steps: tuple[Step, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Life(steps=steps)


@pytest.mark.parametrize(
    "steps",
    [
        (Step(after=SECOND, what=What.FILL, qty=Decimal(3)),),
        (Step(after=SECOND, what=What.FILLED, qty=Decimal(1)),),
    ],
    ids=["more than the order", "filled with less"],
)
def test_a_life_that_does_not_fit_the_order_is_refused(steps: tuple[Step, ...]) -> None:
    world = World(Clock().now)

    with pytest.raises(ValueError, match="The life"):
        world.place("p", "BTC-USD", "BUY", limit_gtc("2", "100"), life=Life(steps=steps))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), quote=st.booleans())
def test_in_any_random_life_fills_never_shrink_and_an_end_is_an_end(
    seed: int, *, quote: bool
) -> None:
    world = World(Clock().now, seed=seed)
    terms = market(quote_size="500") if quote else limit_gtc("2", "100")
    dice = Random(seed)  # noqa: S311 - reproducible on purpose
    order = world.place("p", "BTC-USD", "BUY", terms, life=Life.random(dice))

    states = [world.truth(order.order_id, NOON + SECOND * second) for second in range(140)]

    for earlier, later in pairwise(states):
        assert later.filled_qty >= earlier.filled_qty
        assert later.updated_at >= earlier.updated_at
        if earlier.final:
            assert later.status == earlier.status
            assert later.fee >= earlier.fee
    assert states[0].status in {"PENDING", "QUEUED", "OPEN", *FINAL_STATUSES}
    # Asked again in another order, after the end was remembered, the past is still the past.
    assert [world.truth(order.order_id, NOON + SECOND * second) for second in range(140)] == states
