"""The laws of merging: exhaustively over small alphabets, then over anything at all."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersync.truth.merge import contradicts, facts, join, merge, order_of, vouch
from ordersync.truth.model import Order, Report, Status
from tests.truth.reports import (
    ALPHABETS,
    FINAL,
    LAWS,
    LETTERS,
    OPEN,
    any_report,
    any_truth,
    at,
    one_epoch,
    said,
    truth_of,
    truth_of_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=sorted(ALPHABETS))
def alphabet(request: pytest.FixtureRequest) -> list[Report]:
    """Each of the alphabets whose pairs and triples are exhausted."""
    return ALPHABETS[request.param]()


# --- exhaustively -----------------------------------------------------------------------------


def test_every_pair_of_reports_gives_one_truth_in_either_order(alphabet: list[Report]) -> None:
    for a, b in product(alphabet, repeat=2):
        assert merge(merge(None, a), b) == merge(merge(None, b), a), (a, b)


def test_every_report_said_twice_says_nothing_new(alphabet: list[Report]) -> None:
    for a, b in product(alphabet, repeat=2):
        once = truth_of(a, b)
        assert merge(once, a) == once, (a, b)
        assert merge(once, b) == once, (a, b)
        assert join(once, once) == once, (a, b)


def test_every_triple_of_reports_may_be_joined_in_any_grouping(alphabet: list[Report]) -> None:
    said_alone = [order_of(report) for report in alphabet]
    known: dict[Order, Order] = {}
    pairs = [[known.setdefault(o, o) for o in (join(a, b) for b in said_alone)] for a in said_alone]
    for a, order_a in enumerate(said_alone):
        for b, ab in enumerate(pairs[a]):
            for c, order_c in enumerate(said_alone):
                left, right = join(ab, order_c), join(order_a, pairs[b][c])
                assert left == right, (alphabet[a], alphabet[b], alphabet[c])


def histories(letters: list[Report], longest: int) -> Iterator[tuple[int, Order]]:
    """Each way to tell a history of up to `longest` reports: what was in it, the truth of it."""
    tellings: list[tuple[int, Order | None]] = [(0, None)]
    for _ in range(longest):
        longer: list[tuple[int, Order | None]] = []
        for told, truth in tellings:
            for index, letter in enumerate(letters):
                now = (told | 1 << index, merge(truth, letter))
                longer.append(now)
                yield now
        tellings = longer


def test_histories_up_to_five_reports_in_every_order_with_repetitions_have_one_truth() -> None:
    truths: dict[int, Order] = {}
    letters = [*LETTERS[1:2], *LETTERS[3:10], LETTERS[12]]
    for told, truth in histories(letters, longest=5):
        assert truths.setdefault(told, truth) == truth, told


def test_what_was_said_decides_alone_whatever_the_length_of_the_telling() -> None:
    """By induction: the truth of a set, and one more report, is the truth of the larger set."""
    truths: list[Order | None] = [None] * (1 << len(LETTERS))
    for told in range(1, len(truths)):
        first = (told & -told).bit_length() - 1
        truths[told] = merge(truths[told & (told - 1)], LETTERS[first])
    for told, truth in enumerate(truths):
        for index, letter in enumerate(LETTERS):
            assert merge(truth, letter) == truths[told | 1 << index], (told, index)


def test_sampled_histories_up_to_eight_reports_have_one_truth_in_any_order() -> None:
    dice = random.Random(20260301)  # noqa: S311
    everything = [report for make in ALPHABETS.values() for report in make()] + LETTERS
    for _ in range(3000):
        history = dice.sample(everything, dice.randint(6, 8))
        truth = truth_of_all(history)
        for _ in range(3):
            again = history + dice.choices(history, k=dice.randint(0, 4))
            dice.shuffle(again)
            assert truth_of_all(again) == truth, history


# --- over anything ----------------------------------------------------------------------------


@LAWS
@given(any_truth(), any_truth(), any_truth())
def test_joining_commutes_associates_repeats_without_effect_and_loses_nothing(
    x: Order, y: Order, z: Order
) -> None:
    """Of truths, not of reports only: two instances may each have merged part of a history."""
    both = join(x, y)
    assert both == join(y, x)
    assert join(both, z) == join(x, join(y, z))
    assert join(x, x) == x
    assert join(both, x) == both
    assert join(both, y) == both


@LAWS
@given(
    st.lists(any_report(), min_size=1, max_size=6).flatmap(
        lambda history: st.tuples(st.just(history), st.permutations(history + history[:3]))
    )
)
def test_any_history_has_one_truth_in_any_order(
    history_and_telling: tuple[list[Report], list[Report]],
) -> None:
    history, telling = history_and_telling
    assert truth_of_all(telling) == truth_of_all(history)


@LAWS
@given(st.lists(one_epoch(), min_size=1, max_size=6))
def test_fills_never_shrink_and_none_is_invented(history: list[Report]) -> None:
    quantities = [r.filled_qty for r in history if r.filled_qty is not None]
    truth: Order | None = None
    for report in history:
        before, truth = truth, merge(truth, report)
        if before is not None and before.filled_qty is not None:
            assert truth.filled_qty is not None
            assert truth.filled_qty >= before.filled_qty
    assert truth is not None
    assert truth.filled_qty == (max(quantities) if quantities else None)


@LAWS
@given(st.lists(one_epoch(), min_size=1, max_size=6), st.sampled_from(FINAL), one_epoch())
def test_a_final_order_stays_final(history: list[Report], end: Status, later: Report) -> None:
    truth = merge(truth_of_all(history), said(end))
    standing, after = standing_of(truth), standing_of(merge(truth, later))
    assert standing in FINAL
    assert after in FINAL
    assert FINAL.index(after) <= FINAL.index(standing)


@LAWS
@given(one_epoch(), any_truth(), st.sampled_from([0.0, 9.0]))
def test_a_cancel_keeps_the_fills_whichever_came_first(
    fill: Report, truth: Order, seconds: float
) -> None:
    cancel = said(Status.CANCELED, seconds)
    if fill.status in FINAL:
        fill = msgspec.structs.replace(fill, status=Status.PARTIALLY_FILLED)
    for telling in ((fill, cancel), (cancel, fill)):
        canceled = truth_of(*telling)
        assert canceled.status is Status.CANCELED
        assert canceled.filled_qty == fill.filled_qty
        assert canceled.avg_price == fill.avg_price
    fills_before = truth.filled_qty
    cancel = msgspec.structs.replace(cancel, epoch=truth.epoch)
    assert merge(truth, cancel).filled_qty == fills_before


NAMES = (
    "venue_order_id",
    "client_order_id",
    "symbol",
    "side",
    "created_at",
    "replaces",
    "replaced_by",
)
FACTS = (
    *NAMES,
    "status",
    "filled_qty",
    "avg_price",
    "fee",
    "quantity",
    "changed_at",
    "last_fill_at",
    "reason",
)


@LAWS
@given(any_truth(), any_report())
def test_an_absent_value_never_replaces_a_known_one(truth: Order, report: Report) -> None:
    report = msgspec.structs.replace(report, epoch=truth.epoch)
    after = merge(truth, report)
    before, now = truth.standing, after.standing
    stands_as_before = (before and before.status) is (now and now.status)
    for name in FACTS:
        # Why it stood as it did goes with how it stood.
        if getattr(truth, name) is not None and (name != "reason" or stands_as_before):
            assert getattr(after, name) is not None, name


@LAWS
@given(any_truth(), st.floats(min_value=-1e6, max_value=1e6))
def test_an_empty_report_changes_nothing_but_the_moment_of_vouching(
    truth: Order, seconds: float
) -> None:
    empty = said(None, seconds, epoch=truth.epoch)
    after = merge(truth, empty)
    assert after == msgspec.structs.replace(truth, as_of=max(truth.as_of, at(seconds)))
    assert facts(after) == facts(truth)


@LAWS
@given(one_epoch(), st.floats(min_value=0, max_value=1e6))
def test_the_facts_are_unchanged_where_only_as_of_moved(report: Report, seconds: float) -> None:
    truth = order_of(report)
    again = msgspec.structs.replace(report, as_of=report.as_of + (at(seconds) - at(0)))
    assert facts(merge(truth, again)) == facts(truth)
    assert merge(truth, again).as_of == again.as_of


@LAWS
@given(st.lists(any_report(st.just(0)), min_size=1, max_size=4), any_report(st.just(1)))
def test_a_later_epoch_discards_what_was_said_and_keeps_the_names(
    history: list[Report], correction: Report
) -> None:
    earlier, alone = truth_of_all(history), order_of(correction)
    for truth in (merge(earlier, correction), truth_of_all([correction, *history])):
        assert truth.epoch == 1
        for name in ("standing", "filled_qty", "settled", "priced", "charged", "filled"):
            assert getattr(truth, name) == getattr(alone, name), name
        for name in ("sized", "ended_because", "changed_at"):
            assert getattr(truth, name) == getattr(alone, name), name
        for name in NAMES:
            said_of_it = [getattr(o, name) for o in (earlier, alone)]
            assert getattr(truth, name) == max(
                (name_of_it for name_of_it in said_of_it if name_of_it is not None), default=None
            )


@LAWS
@given(any_truth(), any_report())
def test_a_report_changes_the_facts_or_it_could_have_been_left_out(
    truth: Order, report: Report
) -> None:
    after = merge(truth, report)
    changed = [
        name
        for name in (*FACTS, "settled", "epoch")
        if getattr(truth, name) != getattr(after, name)
    ]
    if set(changed) - {"changed_at"}:
        assert facts(after) != facts(truth)
    elif standing_of(after) is standing_of(truth):
        assert facts(after) == facts(truth)


@LAWS
@given(st.lists(one_epoch(), min_size=1, max_size=5))
def test_a_report_never_contradicts_itself(history: list[Report]) -> None:
    for report in history:
        assert not contradicts(order_of(report), report)


def test_a_decimal_compares_by_value_whatever_its_zeros() -> None:
    short, long = said(Status.NEW, 0, "1.0", fee="2.0"), said(Status.NEW, 0, "1.00", fee="2.00")
    assert truth_of(short, long) == truth_of(long, short)
    assert facts(truth_of(short, long)) == facts(truth_of(short))


def test_the_order_of_life_covers_every_open_status_without_ties() -> None:
    assert len(OPEN) + len(FINAL) + 1 == len(Status)


def standing_of(order: Order) -> Status | None:
    """Return the status that was said, not the label that is derived from it."""
    return order.standing.status if order.standing else None


# --- the same words again ---------------------------------------------------------------------


@LAWS
@given(st.none() | any_truth(), any_report(), st.integers(1, 99), st.integers(1, 99))
def test_vouching_for_the_latest_report_is_as_merging_its_words_again(
    before: Order | None, report: Report, later: int, later_still: int
) -> None:
    started = before.as_of if before is not None else report.as_of
    first = started + timedelta(seconds=later)
    again = first + timedelta(seconds=later_still)
    truth = merge(before, msgspec.structs.replace(report, as_of=first))
    if truth.as_of == first:
        assert vouch(truth, again) == merge(truth, msgspec.structs.replace(report, as_of=again))


@LAWS
@given(any_truth(), st.integers(0, 99))
def test_vouching_for_an_earlier_moment_says_nothing(truth: Order, earlier: int) -> None:
    assert vouch(truth, truth.as_of - timedelta(seconds=earlier)) is truth
