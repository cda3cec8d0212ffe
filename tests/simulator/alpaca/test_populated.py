"""The world that a person gets: something of everything."""

from __future__ import annotations

from ordersync.simulator.alpaca.populated import populate
from tests.simulator.asking import Clock

STATUSES = {
    "pending_new", "accepted", "accepted_for_bidding", "held", "pending_review", "new",
    "partially_filled", "stopped", "suspended", "calculated", "done_for_day", "pending_cancel",
    "pending_replace", "filled", "canceled", "expired", "rejected", "replaced",
}  # fmt: skip


def test_every_status_and_every_family_is_there() -> None:
    world, account = populate(Clock().now, 0)
    orders = [world.order(each) for each in world.order_ids(account.account_id)]

    assert {world.condition(order).status for order in orders if order} == STATUSES
    assert {order.terms.order_class for order in orders if order} == {
        "", "bracket", "oco", "oto", "mleg",
    }  # fmt: skip


def test_the_same_seed_makes_the_same_world() -> None:
    first, second = (populate(Clock().now, 5) for _ in range(2))

    ids = first[0].order_ids(first[1].account_id)
    assert first[1] == second[1]
    assert ids == second[0].order_ids(second[1].account_id)
    assert [first[0].truth(each) for each in ids] == [second[0].truth(each) for each in ids]
