"""What a stream said and nobody has written yet: coalesced, never dropped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

from ordersync.sync.backlog import ORDERS_LIMIT, SAID_LIMIT, Backlog
from ordersync.truth.evidence import Sighting, Silence
from ordersync.truth.merge import merge
from ordersync.truth.model import Order, Report, Status

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OPEN, FILLED, CANCELED = Status.NEW, Status.FILLED, Status.CANCELED


def said(
    order: str, second: int, status: Status, filled: str, price: str | None = None
) -> Sighting:
    report = Report(
        as_of=NOW + timedelta(seconds=second),
        venue_order_id=order,
        status=status,
        filled_qty=Decimal(filled),
        avg_price=Decimal(price) if price else None,
    )
    return Sighting(report=report, endpoint="user_channel")


def merged(sightings: list[Sighting]) -> Order | None:
    truth: Order | None = None
    for sighting in sightings:
        truth = merge(truth, sighting.report)
    return truth


def test_what_waits_for_one_order_says_as_much_as_all_that_was_said_in_whatever_order() -> None:
    history = [
        said("a", 0, OPEN, "0"),
        said("a", 1, OPEN, "0.2", "10"),
        said("a", 3, CANCELED, "0.4", "11"),
        said("a", 2, OPEN, "0.5", "12"),
        said("a", 9, OPEN, "0.1", "9"),
    ]
    for order in permutations(history):
        backlog = Backlog()
        for one in order:
            assert backlog.add([one], (), NOW) == ""
        assert merged(backlog.take(10).sightings) == merged(list(order))


def test_a_burst_takes_as_much_room_as_the_orders_it_is_about() -> None:
    backlog = Backlog()
    for n in range(100_000):
        order = f"order {n * 7919 % 100}"
        backlog.add([said(order, n, OPEN, f"{n / 100_000:.5f}", "10")], (), NOW)
    load = backlog.take(1000)
    assert len(load.sightings) == 100


def test_who_waited_longest_goes_first_with_the_time_at_which_it_came() -> None:
    backlog = Backlog()
    for n, order in enumerate("abc"):
        backlog.add([said(order, n, OPEN, "0")], (), NOW + timedelta(seconds=n))
    backlog.add([said("a", 5, FILLED, "1")], (), NOW + timedelta(seconds=5))
    load = backlog.take(2)
    assert [s.report.venue_order_id for s in load.sightings] == ["a", "b"]
    assert load.heard_at == NOW
    assert len(backlog) == 1


def test_what_could_not_be_written_waits_again_together_with_what_came_meanwhile() -> None:
    backlog = Backlog()
    backlog.add([said("a", 0, OPEN, "0.3", "10")], (), NOW)
    load = backlog.take(10)
    backlog.add([said("a", 1, OPEN, "0.6", "10")], (), NOW + timedelta(seconds=1))
    backlog.put_back(load)
    again = backlog.take(10)
    assert len(again.sightings) == 1
    assert merged(again.sightings) == merged([said("a", 1, OPEN, "0.6", "10")])


def test_an_order_that_cannot_be_read_waits_like_the_others() -> None:
    backlog = Backlog()
    silence = Silence(endpoint="user_channel", why="unreadable", orders=("a",), garbled=True)
    backlog.add((), [silence, silence], NOW)
    assert backlog.take(10).garbled == [silence]
    assert not backlog


def test_reports_that_contradict_one_another_for_ever_are_given_up_for_a_question() -> None:
    backlog = Backlog()
    lost = [
        backlog.add([said("a", n, OPEN, str(100 - n), "10")], (), NOW)
        for n in range(SAID_LIMIT + 1)
    ]
    assert lost[:-1] == [""] * SAID_LIMIT
    assert lost[-1]
    assert len(backlog.take(10).sightings) == 1


def test_more_orders_than_memory_is_for_are_given_up_for_a_question() -> None:
    backlog = Backlog()
    for n in range(ORDERS_LIMIT):
        assert backlog.add([said(f"order {n}", 0, OPEN, "0")], (), NOW) == ""
    assert backlog.add([said("one more", 0, OPEN, "0")], (), NOW)
    assert not backlog
