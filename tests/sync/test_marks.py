"""Marks: whatever order commits end in, each is taken once and none is passed over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ordersync.logged import LATE, Recent
from ordersync.sync.marks import MOST_GAPS, Marks, marks_at

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

COMMITS = st.lists(st.integers(1, 60), unique=True, max_size=40)
"""The numbers of commits, in the order in which they end; those that are missing were given up."""


def look(marks: Marks, there: set[int], now: datetime) -> tuple[Marks, set[int]]:
    """One look at a log that holds these, as whoever reads it looks."""
    asked = {
        one
        for one in there
        if one > marks.newest or any(first <= one <= last for first, last in marks.ranges)
    }
    return marks.with_seen(asked, now).without_old(now), asked


@given(COMMITS, st.lists(st.integers(0, 5), min_size=45, max_size=45))
def test_each_commit_is_seen_once_whatever_the_order_in_which_they_end(
    ends: list[int], pauses: list[int]
) -> None:
    marks, there, seen, now = Marks(), set[int](), list[int](), NOON
    waiting = list(ends)
    for pause in pauses:
        now += SECOND
        for _ in range(pause):
            if waiting:
                there.add(waiting.pop(0))
        marks, found = look(marks, there, now)
        seen += found
    there.update(waiting)
    marks, found = look(marks, there, now)
    seen += found
    assert sorted(seen) == sorted(ends)
    assert look(marks, there, now)[1] == set()
    assert all(marks.has(one) for one in ends)


@given(COMMITS, st.integers(0, 40))
def test_who_begins_while_commits_are_under_way_sees_those_that_end_later(
    ends: list[int], already: int
) -> None:
    # The first five ended long ago, so whatever is under way has a higher number.
    before, after = ends[:already], [one for one in ends[already:] if one > 5]
    recent = sorted(one for one in before if one > 5)
    settled = max((one for one in before if one <= 5), default=0)
    marks = marks_at(max(before, default=0), Recent(before=settled, numbers=tuple(recent)), NOON)
    _, found = look(marks, {*before, *after}, NOON + SECOND)
    assert found == set(after)


def test_a_gap_is_looked_into_for_as_long_as_a_commit_can_be_late() -> None:
    marks, _ = look(Marks(), {1, 2, 5}, NOON)
    assert marks.ranges == [(3, 4)]
    marks, found = look(marks, {1, 2, 4, 5}, NOON + LATE)
    assert found == {4}
    assert marks.ranges == [(3, 3)]
    marks, found = look(marks, {1, 2, 4, 5}, NOON + LATE + SECOND)
    assert marks.ranges == []
    assert look(marks, {1, 2, 3, 4, 5}, NOON + LATE + SECOND)[1] == set()


def test_very_many_gaps_repeat_and_lose_nothing() -> None:
    odd = set(range(1, 1_001, 2))
    marks, _ = look(Marks(), odd, NOON)
    assert len(marks.ranges) <= MOST_GAPS
    _, found = look(marks, set(range(1, 1_001)), NOON + SECOND)
    assert set(range(2, 1_000, 2)) <= found
