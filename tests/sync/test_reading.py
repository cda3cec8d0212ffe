"""Which of the orders that a client id led to is the row's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ordersync.ports import Claim, Known, Meaning
from ordersync.sync.reading import EARLIER_ORDER, SEVERAL_ORDERS, told_apart
from ordersync.truth.evidence import Sighting
from ordersync.truth.model import Report, Status

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO = NOON - timedelta(hours=3)


def found(order: str, *, created_at: datetime = NOON, client: str = "c1") -> Sighting:
    report = Report(
        venue_order_id=order,
        client_order_id=client,
        status=Status.FILLED,
        created_at=created_at,
        as_of=NOON,
    )
    return Sighting(report=report, endpoint="list")


def row(client: str = "c1") -> dict[str, Known]:
    claim = Claim(
        row_id=1,
        venue_order_id=None,
        client_order_id=client,
        word="pending",
        meaning=Meaning.OPEN,
        created_at=NOON,
        symbol=None,
        owner=None,
        read_at=NOON,
        cells=(),
    )
    return {client: Known(key=f"c:{client}", truth=None, version=0, claims=(claim,))}


def test_the_order_of_the_rows_time_is_the_rows() -> None:
    one = found("v1")
    assert told_apart([one, found("v9", client="c9")], row()) == ([one], {})


def test_an_order_from_long_before_the_row_is_not_the_rows() -> None:
    assert told_apart([found("v1", created_at=LONG_AGO)], row()) == ([], {"c1": EARLIER_ORDER})


def test_the_later_of_two_orders_is_the_rows_where_the_other_was_long_before_it() -> None:
    early, late = found("v1", created_at=LONG_AGO), found("v2")
    assert told_apart([early, late], row()) == ([late], {})
    assert told_apart([late, early], row()) == ([late], {})


def test_of_two_orders_of_the_rows_time_neither_is_the_rows() -> None:
    assert told_apart([found("v1"), found("v2")], row()) == ([], {"c1": SEVERAL_ORDERS})


def test_an_order_that_was_shown_twice_is_one() -> None:
    assert told_apart([found("v1"), found("v1")], row())[1] == {}


def test_rows_of_another_zone_tell_no_orders_apart_by_their_times() -> None:
    one = found("v1", created_at=LONG_AGO)
    assert told_apart([one], row(), dated=False) == ([one], {})
    assert told_apart([one, found("v2")], row(), dated=False)[1] == {"c1": SEVERAL_ORDERS}
