"""Orders that carry a row's client id and are not the row's order."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest

from ordersync.truth.merge import order_of
from ordersync.truth.model import Order, Status
from ordersync.truth.namesake import EARLIER_BY, is_namesake
from tests.truth.reports import NOON, said

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    venue_order_id: str | None = None
    created_at: datetime | None = None
    read_at: datetime = NOON + HOUR


def order(status: Status = Status.FILLED, *, created_at: datetime | None = NOON) -> Order:
    return order_of(said(status, created_at=created_at))


@pytest.mark.parametrize("status", [Status.FILLED, Status.CANCELED, Status.NEW])
def test_an_order_from_long_before_the_row_is_another(status: Status) -> None:
    made_at = NOON + EARLIER_BY
    assert not is_namesake(order(status), Row(created_at=made_at))
    assert is_namesake(order(status), Row(created_at=made_at + SECOND))


def test_an_order_that_was_placed_after_its_row_is_the_rows() -> None:
    assert not is_namesake(order(), Row(created_at=NOON - 24 * HOUR))


def test_a_row_that_knows_the_venues_id_has_no_namesake() -> None:
    assert not is_namesake(order(), Row(venue_order_id="v1", created_at=NOON + HOUR))


def test_a_row_without_a_time_is_told_from_an_order_that_ended_long_before_it_was_read() -> None:
    assert is_namesake(order(), Row())
    assert not is_namesake(order(Status.NEW), Row())
    assert not is_namesake(order(), Row(read_at=NOON + SECOND))


def test_no_row_was_made_after_it_was_read() -> None:
    """A bot east of Greenwich that writes local time."""
    assert not is_namesake(order(), Row(created_at=NOON + 9 * HOUR, read_at=NOON + SECOND))


def test_an_order_without_a_time_is_as_old_as_what_was_said_of_it() -> None:
    undated = order(created_at=None)
    assert is_namesake(undated, Row(created_at=NOON + HOUR))
    assert not is_namesake(undated, Row(created_at=NOON))
