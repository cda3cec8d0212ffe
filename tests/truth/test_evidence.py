"""What a case of absence proves, to the second and to the last reading."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ordersync.truth.evidence import (
    Absence,
    AbsencePolicy,
    Case,
    Reading,
    Sighting,
    Silence,
    Tally,
    Verdict,
    account_proves_itself,
    is_enough,
    verdict,
)
from ordersync.truth.model import Status
from tests.truth.reports import at, said

POLICY = AbsencePolicy()
DAY = timedelta(hours=24)
MINUTE = timedelta(minutes=1)
HOUR = 3600


def case_of(*readings: tuple[str, float]) -> Case:
    """Build a case from readings: the endpoint, and when it was asked."""
    case = Case(opened_at=at(0), tallies={})
    for endpoint, seconds in readings:
        case = case.with_absence(Absence(venue_order_id="v", endpoint=endpoint, as_of=at(seconds)))
    return case


# --- the case ---------------------------------------------------------------------------------


def test_a_case_counts_by_endpoint_and_spreads_over_all_of_them() -> None:
    case = case_of(("id", 5), ("history", 2), ("id", 9), ("history", 30), ("id", 7))
    assert case.tallies == {"id": Tally(3, at(5), at(9)), "history": Tally(2, at(2), at(30))}
    assert case.count == 5
    assert case.spread == timedelta(seconds=28)
    assert case.opened_at == at(0)


def test_a_late_reading_of_an_earlier_moment_widens_the_case_to_both_sides() -> None:
    assert case_of(("id", 5), ("id", 1), ("id", 3)).tallies == {"id": Tally(3, at(1), at(5))}


def test_readings_in_any_order_make_the_same_case() -> None:
    readings = [("id", 5.0), ("history", 2.0), ("id", 9.0)]
    assert case_of(*readings) == case_of(*readings[::-1])


def test_one_more_reading_leaves_the_case_it_was_added_to() -> None:
    case = case_of(("id", 1))
    case.with_absence(Absence(endpoint="id", as_of=at(2)))
    case.with_absence(Absence(endpoint="history", as_of=at(2)))
    assert case == case_of(("id", 1))


def test_a_case_without_readings_proves_nothing() -> None:
    case = case_of()
    assert (case.count, case.spread) == (0, timedelta(0))
    assert not is_enough(case, sighted_before=False, policy=POLICY)


# --- enough -----------------------------------------------------------------------------------


def test_the_documented_policy_is_the_default() -> None:
    assert (
        AbsencePolicy(
            unknown_after=DAY,
            count=3,
            endpoints=2,
            spread=timedelta(seconds=10),
            spread_sighted=timedelta(hours=1),
            lone_endpoint_gap=timedelta(minutes=10),
        )
        == AbsencePolicy()
    )


@pytest.mark.parametrize(
    ("readings", "never_sighted", "sighted"),
    [
        pytest.param([("id", 0)], False, False, id="one reading"),
        pytest.param([("id", 0), ("history", HOUR)], False, False, id="two readings"),
        pytest.param([("id", 0), ("history", 5), ("id", 10)], True, False, id="three in 10 s"),
        pytest.param([("id", 0), ("history", 5), ("id", 9.999)], False, False, id="too close"),
        pytest.param([("id", 0), ("history", 10), ("id", 4)], True, False, id="10 s, unsorted"),
        pytest.param([("id", 0), ("id", 5), ("id", 10)], False, False, id="one endpoint"),
        pytest.param([("id", 0), ("id", 5), ("id", 600)], True, False, id="alone, 10 min"),
        pytest.param([("id", 0), ("id", 5), ("id", 599.9)], False, False, id="alone, too close"),
        pytest.param([("id", 0), ("id", HOUR)], False, False, id="alone, an hour, only two"),
        pytest.param([("id", 0), ("id", 9), ("id", HOUR)], True, True, id="alone, an hour"),
        pytest.param([("id", 0), ("id", 9), ("id", HOUR - 0.001)], True, False, id="not quite"),
        pytest.param(
            [("id", 0), ("history", 9), ("id", HOUR)], True, True, id="two endpoints, an hour"
        ),
        pytest.param(
            [("id", 0), ("history", 9), ("id", HOUR - 0.001)], True, False, id="just under an hour"
        ),
        pytest.param(
            [("id", 0), ("history", 0), ("client id", 10)], True, False, id="three endpoints"
        ),
        pytest.param([("id", 0), ("history", 0), ("client id", 0)], False, False, id="all at once"),
    ],
)
def test_an_absence_is_proven_by_three_readings_two_endpoints_and_a_spread(
    readings: list[tuple[str, float]],
    never_sighted: bool,  # noqa: FBT001
    sighted: bool,  # noqa: FBT001
) -> None:
    case = case_of(*readings)
    assert is_enough(case, sighted_before=False, policy=POLICY) is never_sighted
    assert is_enough(case, sighted_before=True, policy=POLICY) is sighted


def test_readings_far_apart_stand_for_one_endpoint_only() -> None:
    policy = AbsencePolicy(endpoints=3)
    alone = case_of(("id", 0), ("id", HOUR), ("id", 2 * HOUR))
    two = case_of(("id", 0), ("history", HOUR), ("id", 2 * HOUR))
    assert not is_enough(alone, sighted_before=False, policy=policy)
    assert is_enough(two, sighted_before=False, policy=policy)


@pytest.mark.parametrize(
    ("policy", "enough"),
    [
        (AbsencePolicy(count=4), True),
        (AbsencePolicy(count=5), False),
        (AbsencePolicy(endpoints=1), True),
        (AbsencePolicy(endpoints=3), False),
        (AbsencePolicy(spread=timedelta(seconds=30)), True),
        (AbsencePolicy(spread=timedelta(seconds=31)), False),
    ],
)
def test_a_person_may_ask_for_more_or_less_proof(policy: AbsencePolicy, *, enough: bool) -> None:
    case = case_of(("id", 0), ("history", 10), ("id", 20), ("id", 30))
    assert is_enough(case, sighted_before=False, policy=policy) is enough


def test_of_an_order_once_sighted_the_longer_spread_is_asked() -> None:
    case = case_of(("id", 0), ("history", 10), ("id", 30))
    policy = AbsencePolicy(spread=timedelta(hours=9), spread_sighted=timedelta(seconds=30))
    assert is_enough(case, sighted_before=True, policy=policy)
    assert not is_enough(case, sighted_before=False, policy=policy)


# --- the verdict ------------------------------------------------------------------------------

PROVEN = case_of(("id", 0), ("history", 5), ("id", 10))
THIN = case_of(("id", 0))
INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("case", "age", "expected"),
    [
        pytest.param(PROVEN, DAY, Verdict.UNKNOWN, id="old and proven"),
        pytest.param(PROVEN, DAY - INSTANT, Verdict.SUSPECT, id="proven, but not old"),
        pytest.param(THIN, DAY, Verdict.SUSPECT, id="old, but thin"),
        pytest.param(THIN, 900 * DAY, Verdict.SUSPECT, id="very old, but thin"),
        pytest.param(THIN, MINUTE, Verdict.SUSPECT, id="old enough to be told"),
        pytest.param(THIN, MINUTE - INSTANT, Verdict.OPEN, id="just created"),
        pytest.param(PROVEN, MINUTE - INSTANT, Verdict.OPEN, id="just created, proven"),
        pytest.param(THIN, -MINUTE, Verdict.OPEN, id="from the future"),
    ],
)
def test_the_verdict_is_unknown_only_of_an_old_order_whose_absence_is_proven(
    case: Case, age: timedelta, expected: Verdict
) -> None:
    found = verdict(case, age=age, sighted_before=False, told_after=MINUTE, policy=POLICY)
    assert found is expected


def test_an_order_once_sighted_stays_suspect_until_an_hour_of_absence() -> None:
    for case, expected in (
        (PROVEN, Verdict.SUSPECT),
        (case_of(("id", 0), ("history", 5), ("id", HOUR)), Verdict.UNKNOWN),
    ):
        found = verdict(case, age=DAY, sighted_before=True, told_after=MINUTE, policy=POLICY)
        assert found is expected


def test_unknown_after_is_the_policys() -> None:
    policy = AbsencePolicy(unknown_after=timedelta(hours=1))
    for age, expected in (
        (timedelta(hours=1), Verdict.UNKNOWN),
        (timedelta(hours=1) - INSTANT, Verdict.SUSPECT),
    ):
        found = verdict(PROVEN, age=age, sighted_before=False, told_after=MINUTE, policy=policy)
        assert found is expected


# --- the account ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "absent", "proves"),
    [
        (10, 10, True),
        (11, 11, False),
        (40, 10, True),
        (40, 11, False),
        (43, 11, False),
        (44, 11, True),
        (1000, 250, True),
        (1000, 251, False),
        (1, 0, True),
        (0, 0, True),
    ],
)
def test_at_most_ten_or_a_quarter_of_those_asked_may_be_absent(
    asked: int, absent: int, *, proves: bool
) -> None:
    assert (
        account_proves_itself(
            same_identity=True, asked=asked, absent=absent, endpoint_sighted_another=True
        )
        is proves
    )


@pytest.mark.parametrize(
    ("same_identity", "endpoint_sighted_another"), [(False, True), (True, False), (False, False)]
)
def test_another_identity_or_an_endpoint_that_showed_nothing_proves_nothing(
    *, same_identity: bool, endpoint_sighted_another: bool
) -> None:
    assert not account_proves_itself(
        same_identity=same_identity,
        asked=1000,
        absent=1,
        endpoint_sighted_another=endpoint_sighted_another,
    )


# --- readings ---------------------------------------------------------------------------------


def test_two_readings_together_hold_all_that_both_brought() -> None:
    one = Reading(
        sightings=(Sighting(report=said(Status.NEW), endpoint="id"),),
        silences=(Silence(endpoint="history", why="time-out"),),
    )
    other = Reading(
        sightings=(Sighting(report=said(Status.FILLED), endpoint="id", raw="{}"),),
        absences=(Absence(endpoint="id", as_of=at(0)),),
        silences=(Silence(endpoint="id", why="403", orders=("v",), refused=True),),
    )
    assert one + other == Reading(
        sightings=one.sightings + other.sightings,
        absences=other.absences,
        silences=one.silences + other.silences,
    )
    assert one + Reading() == one == Reading() + one
