"""When an order is asked about again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync.truth.cadence import next_ask_final, next_ask_open, next_ask_unknown
from tests.truth.reports import at

if TYPE_CHECKING:
    from datetime import datetime

MINUTE, HOUR, DAY = 60, 3600, 86_400
INTERVAL = timedelta(seconds=30)


def asks_of_an_open_order(interval: timedelta, count: int) -> list[datetime]:
    """When an order is asked about that is asked whenever it is due."""
    asks: list[datetime] = []
    asked_at = None
    for _ in range(count):
        asked_at = next_ask_open(first_seen_at=at(0), asked_at=asked_at, interval=interval)
        asks.append(asked_at)
    return asks


def test_a_young_order_is_asked_at_once_then_at_doubling_steps_then_each_interval() -> None:
    asks = asks_of_an_open_order(INTERVAL, 10)
    assert asks == [at(s) for s in (0, 0.5, 1, 2, 4, 8, 16, 32, 62, 92)]


def test_no_step_is_longer_than_the_interval() -> None:
    assert asks_of_an_open_order(timedelta(seconds=3), 6) == [at(s) for s in (0, 0.5, 1, 2, 4, 7)]
    assert asks_of_an_open_order(timedelta(milliseconds=100), 3) == [at(s) for s in (0, 0.1, 0.2)]


def test_an_order_asked_before_it_was_first_seen_is_young() -> None:
    due = next_ask_open(first_seen_at=at(0), asked_at=at(-100), interval=INTERVAL)
    assert due == at(-99.5)


@pytest.mark.parametrize(
    ("settled", "asked", "due"),
    [
        pytest.param(None, 0, MINUTE, id="the venue does not settle: one last look"),
        pytest.param(True, 0, MINUTE, id="settled at once: one last look all the same"),
        pytest.param(True, 59.9, MINUTE, id="just before the last look"),
        pytest.param(True, MINUTE, None, id="that was the last look"),
        pytest.param(None, MINUTE, None, id="that was the last look, without settling"),
        pytest.param(True, HOUR, None, id="settled after an hour"),
        pytest.param(False, 0, 15, id="not settled: soon"),
        pytest.param(False, 30, 45, id="at half the wait the step is still the shortest"),
        pytest.param(False, 40, 60, id="then the step grows with the wait"),
        pytest.param(False, HOUR, 1.5 * HOUR, id="after an hour, half an hour"),
        pytest.param(False, DAY - 2, 1.5 * DAY - 3, id="patience until a day has passed"),
        pytest.param(False, DAY, None, id="no more"),
        pytest.param(False, 2 * DAY, None, id="long past"),
        pytest.param(False, -10, 5, id="asked before it was final"),
        pytest.param(None, -10, MINUTE, id="asked before it was final, no settling"),
    ],
)
def test_a_final_order_is_due_until_it_is_settled_and_once_after_a_minute(
    settled: bool | None,  # noqa: FBT001
    asked: float,
    due: float | None,
) -> None:
    found = next_ask_final(final_since=at(0), asked_at=at(asked), settled=settled)
    assert found == (None if due is None else at(due))


def test_an_order_that_never_settles_is_asked_less_and_less_and_then_left() -> None:
    asks: list[datetime] = []
    due: datetime | None = at(0)
    while due is not None:
        asks.append(due)
        due = next_ask_final(final_since=at(0), asked_at=due, settled=False)
    assert len(asks) == 23
    assert asks[-2] < at(DAY) <= asks[-1]


@pytest.mark.parametrize(
    ("waited", "due"),
    [
        (0, HOUR),
        (5 * HOUR, 6 * HOUR),
        (DAY - 1, DAY - 1 + HOUR),
        (DAY, 2 * DAY),
        (29 * DAY, 30 * DAY),
        (30 * DAY - 1, 31 * DAY - 1),
        (30 * DAY, None),
        (31 * DAY, None),
    ],
)
def test_an_unknown_order_is_asked_hourly_for_a_day_then_daily_for_thirty(
    waited: float, due: float | None
) -> None:
    found = next_ask_unknown(unknown_since=at(0), asked_at=at(waited))
    assert found == (None if due is None else at(due))


def test_an_unknown_order_is_asked_fifty_odd_times_in_all() -> None:
    asks = 0
    due: datetime | None = at(0)
    while due is not None:
        asks += 1
        due = next_ask_unknown(unknown_since=at(0), asked_at=due)
    assert asks == 1 + 24 + 29
