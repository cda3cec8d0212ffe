"""The rules of merging, each by example; then the cases that other programs get wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations, permutations, product

import msgspec
import pytest

from ordersync.truth.merge import contradicts, facts, merge, objection, order_of, standing_key
from ordersync.truth.model import Report, Standing, Status
from tests.truth.reports import FINAL, OPEN, at, said, truth_of, truth_of_all

NEW, PARTIAL = Status.NEW, Status.PARTIALLY_FILLED
FILLED, CANCELED, REJECTED = Status.FILLED, Status.CANCELED, Status.REJECTED


# --- the standing -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", FINAL)
@pytest.mark.parametrize("word", OPEN)
def test_a_late_open_report_does_not_reopen_a_final_order(end: Status, word: Status) -> None:
    for telling in permutations([said(end, 0), said(word, 99)]):
        assert truth_of(*telling).status is end


@pytest.mark.parametrize(("strong", "weak"), list(combinations(FINAL, 2)))
def test_among_finals_precedence_decides_and_not_time(strong: Status, weak: Status) -> None:
    for seconds, telling in product((-1, 0, 1), (1, -1)):
        reports = [said(strong, 0), said(weak, seconds)][::telling]
        assert truth_of(*reports).status is strong


@pytest.mark.parametrize(("early", "late"), list(product(OPEN, repeat=2)))
def test_of_two_open_standings_the_later_vouched_for_wins(early: Status, late: Status) -> None:
    for telling in permutations([said(early, 0), said(late, 0.001)]):
        truth = truth_of(*telling)
        assert truth.standing == Standing(late, at(0.001))


@pytest.mark.parametrize(("before", "after"), list(combinations(OPEN, 2)))
def test_of_two_open_standings_at_one_moment_the_later_in_life_wins(
    before: Status, after: Status
) -> None:
    for words in permutations(("a", "z")):
        reports = [said(before, venue_status=words[0]), said(after, venue_status=words[1])]
        for telling in permutations(reports):
            assert truth_of_all(telling).status is after


@pytest.mark.parametrize("status", [NEW, CANCELED])
def test_one_status_at_one_moment_in_two_words_keeps_the_greater_word(status: Status) -> None:
    reports = [said(status, venue_status=word) for word in ("PENDING", "OPEN", "")]
    for telling in permutations(reports):
        truth = truth_of_all(telling)
        assert truth.standing == Standing(status, at(0), "PENDING")


@pytest.mark.parametrize("status", [NEW, CANCELED])
def test_time_goes_before_the_venues_word(status: Status) -> None:
    reports = [said(status, 0, venue_status="z"), said(status, 1, venue_status="a")]
    for telling in permutations(reports):
        assert truth_of_all(telling).standing == Standing(status, at(1), "a")


def test_time_goes_before_rank() -> None:
    for telling in permutations([said(Status.PENDING_CANCEL, 0, "0"), said(Status.HELD, 1, "0")]):
        assert truth_of(*telling).status is Status.HELD


def test_a_refused_cancel_returns_to_new() -> None:
    for telling in permutations([said(NEW, 0), said(Status.PENDING_CANCEL, 1), said(NEW, 2)]):
        assert truth_of(*telling).status is NEW


def test_an_order_done_for_the_day_resumes_in_the_morning() -> None:
    for telling in permutations([said(NEW, 0), said(Status.DONE_FOR_DAY, 1), said(NEW, 50_000)]):
        assert truth_of(*telling).status is NEW


def test_a_final_outranks_a_pending_cancel_although_fix_labels_it_otherwise() -> None:
    for telling in permutations([said(FILLED, 0, "1"), said(Status.PENDING_CANCEL, 9)]):
        assert truth_of(*telling).status is FILLED


def test_the_orders_own_update_time_decides_nothing() -> None:
    vouched_later = said(NEW, 2, changed_at=at(-100))
    updated_later = said(Status.PENDING_CANCEL, 1, changed_at=at(100))
    for telling in permutations([vouched_later, updated_later]):
        truth = truth_of(*telling)
        assert truth.status is NEW
        assert truth.changed_at == at(100)


def test_the_newest_vouching_is_kept_whatever_it_said() -> None:
    for telling in permutations([said(FILLED, 0, "1"), said(NEW, 5), said(None, 9)]):
        assert truth_of(*telling).as_of == at(9)


@pytest.mark.parametrize("status", [None, Status.UNKNOWN])
def test_a_report_without_standing_leaves_the_standing(status: Status | None) -> None:
    for telling in permutations([said(NEW, 0, venue_status="OPEN"), said(status, 9)]):
        assert truth_of(*telling).standing == Standing(NEW, at(0), "OPEN")
    assert order_of(said(status)).standing is None


def test_every_status_but_unknown_can_be_compared() -> None:
    keys = {standing_key(Standing(status, at(0))) for status in (*FINAL, *OPEN)}
    assert len(keys) == len(Status) - 1


# --- fills ------------------------------------------------------------------------------------


def test_filled_qty_is_the_greatest_ever_said_apart_from_the_standing() -> None:
    reports = [said(NEW, 3, "0"), said(PARTIAL, 1, "0.7"), said(PARTIAL, 2, "0.4")]
    for telling in permutations(reports):
        truth = truth_of_all(telling)
        assert truth.filled_qty == Decimal("0.7")
        assert truth.status is PARTIAL


def test_a_cancel_keeps_the_fills_that_came_before_or_after_it() -> None:
    for telling in permutations([said(PARTIAL, 0, "0.4"), said(CANCELED, 1, None)]):
        truth = truth_of(*telling)
        assert (truth.status, truth.filled_qty) == (CANCELED, Decimal("0.4"))


def test_a_late_partial_fill_leaves_a_canceled_order_canceled() -> None:
    truth = truth_of(said(CANCELED, 0, "0"), said(PARTIAL, 9, "0.4"))
    assert (truth.status, truth.filled_qty) == (CANCELED, Decimal("0.4"))


def test_a_report_that_says_filled_makes_a_canceled_order_filled() -> None:
    for telling in permutations([said(CANCELED, 9, "0.4"), said(FILLED, 0, "1")]):
        truth = truth_of(*telling)
        assert (truth.status, truth.filled_qty) == (FILLED, Decimal(1))


def test_a_fills_listing_is_a_lower_bound_without_standing() -> None:
    listing = said(None, 5, "0.4", fee="0.1")
    alone = truth_of(listing)
    assert (alone.standing, alone.filled_qty, alone.fee) == (None, Decimal("0.4"), Decimal("0.1"))
    for telling in permutations([listing, said(PARTIAL, 1, "0.7")]):
        assert truth_of(*telling).filled_qty == Decimal("0.7")
    for telling in permutations([listing, said(CANCELED, 9, "0")]):
        truth = truth_of(*telling)
        assert (truth.status, truth.filled_qty) == (CANCELED, Decimal("0.4"))


def test_no_fill_is_not_the_same_as_not_knowing_of_fills() -> None:
    assert order_of(said(NEW, 0, None)).filled_qty is None
    assert truth_of(said(NEW, 0, None), said(NEW, 1, "0")).filled_qty == 0


# --- average and fee, which settle late -------------------------------------------------------

PRICED = ("avg_price", "fee")


def priced(name: str, *tellings: tuple[Report, ...]) -> set[Decimal | None]:
    """Return what every order of arrival gives for one of the two numbers."""
    return {getattr(truth_of_all(t), name) for telling in tellings for t in permutations(telling)}


@pytest.mark.parametrize("name", PRICED)
def test_a_number_said_of_more_fills_wins(name: str) -> None:
    more = said(PARTIAL, 0, "0.7", **{name: "5"})
    less = said(PARTIAL, 9, "0.4", settled=True, **{name: "6"})
    assert priced(name, (more, less)) == {Decimal(5)}


@pytest.mark.parametrize("name", PRICED)
def test_at_equal_fills_a_settled_number_wins(name: str) -> None:
    settled = said(FILLED, 0, "1", settled=True, **{name: "5"})
    for not_settled in (False, None):
        other = said(FILLED, 9, "1", settled=not_settled, **{name: "6"})
        assert priced(name, (settled, other)) == {Decimal(5)}


@pytest.mark.parametrize("name", PRICED)
@pytest.mark.parametrize("settled", [None, False, True])
def test_at_equal_fills_equally_settled_the_later_number_wins(
    name: str,
    settled: bool | None,  # noqa: FBT001
) -> None:
    early = said(FILLED, 0, "1", settled=settled, **{name: "6"})
    late = said(FILLED, 1, "1", settled=settled, **{name: "5"})
    assert priced(name, (early, late)) == {Decimal(5)}


@pytest.mark.parametrize("name", PRICED)
def test_at_one_moment_the_greater_number_wins(name: str) -> None:
    numbers = [said(FILLED, 0, "1", **{name: text}) for text in ("5", "6", "-7")]
    assert priced(name, tuple(numbers)) == {Decimal(6)}


@pytest.mark.parametrize("name", PRICED)
def test_a_number_without_fills_gives_way_to_one_with_fills(name: str) -> None:
    without = said(FILLED, 9, None, settled=True, **{name: "6"})
    assert priced(name, (without, said(PARTIAL, 0, "0.4", **{name: "5"}))) == {Decimal(5)}
    assert priced(name, (without, said(NEW, 0, "0"))) == {Decimal(6)}


@pytest.mark.parametrize("name", PRICED)
def test_a_number_is_never_lost_to_a_report_that_does_not_say_it(name: str) -> None:
    known = said(PARTIAL, 0, "0.4", **{name: "5"})
    silent = said(FILLED, 9, "1", settled=True)
    assert priced(name, (known, silent)) == {Decimal(5)}


def test_average_and_fee_come_from_different_reports_where_they_must() -> None:
    priced_later = said(FILLED, 2, "1", avg_price="10")
    charged_later = said(FILLED, 1, "1", settled=True, fee="0.3")
    for telling in permutations([priced_later, charged_later]):
        truth = truth_of(*telling)
        assert (truth.avg_price, truth.fee) == (Decimal(10), Decimal("0.3"))


def test_a_fee_may_be_zero_or_a_rebate() -> None:
    assert truth_of(said(FILLED, 0, "1", fee="0")).fee == 0
    assert truth_of(said(FILLED, 0, "1", fee="-0.1")).fee == Decimal("-0.1")


# --- settled ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "settled"),
    [
        pytest.param(("1", True), ("1", False), True, id="yes beats no at equal fills"),
        pytest.param(("1", False), ("1", None), False, id="no beats silence"),
        pytest.param(("1", None), ("1", None), None, id="nobody said"),
        pytest.param(("0.4", True), ("1", False), False, id="more fills are not settled by less"),
        pytest.param(("0.4", True), ("1", None), False, id="nor by silence"),
        pytest.param((None, True), ("0.4", None), False, id="no fills, then some"),
        pytest.param((None, True), (None, False), True, id="without any fills"),
        pytest.param(("0", True), (None, None), True, id="no fills that are settled"),
    ],
)
def test_settled_speaks_of_the_fills_it_came_with(
    one: tuple[str | None, bool | None],
    other: tuple[str | None, bool | None],
    settled: bool | None,  # noqa: FBT001
) -> None:
    reports = [said(CANCELED, 0, filled, settled=word) for filled, word in (one, other)]
    for telling in permutations(reports):
        assert truth_of(*telling).settled is settled


# --- the other facts --------------------------------------------------------------------------


def test_the_last_fill_is_that_of_the_greatest_fills_then_the_latest() -> None:
    reports = [
        said(PARTIAL, 9, "0.4", last_fill_at=at(8)),
        said(FILLED, 1, "1", last_fill_at=at(2)),
        said(FILLED, 0, "1", last_fill_at=at(3)),
        said(FILLED, 10, None, last_fill_at=at(10)),
    ]
    for telling in permutations(reports):
        assert truth_of(*telling).last_fill_at == at(3)


def test_the_quantity_is_what_was_said_last_then_the_greater() -> None:
    grown, shrunk, both = (said(NEW, s, quantity=q) for s, q in ((0, "3"), (1, "1"), (1, "2")))
    for telling in permutations([grown, shrunk]):
        assert truth_of(*telling).quantity == 1
    for telling in permutations([grown, shrunk, both]):
        assert truth_of(*telling).quantity == 2
    assert truth_of(grown, said(NEW, 9)).quantity == 3


def test_a_quantity_of_zero_is_a_quantity() -> None:
    assert truth_of(said(NEW, 0, quantity="0")).quantity == 0


def test_the_reason_is_that_of_the_strongest_standing_then_the_greater_text() -> None:
    reports = [
        said(REJECTED, 9, reason="no funds"),
        said(CANCELED, 1, reason="asked"),
        said(CANCELED, 2, reason="asked by the owner"),
        said(CANCELED, 2, reason="asked"),
        said(NEW, 99, reason="resting"),
    ]
    for telling in permutations(reports):
        assert truth_of_all(telling).reason == "asked by the owner"


@pytest.mark.parametrize("reason", ["", None])
def test_an_empty_reason_is_none(reason: str | None) -> None:
    assert order_of(said(REJECTED, 0, reason=reason)).ended_because is None
    known = said(REJECTED, 0, reason="no funds")
    assert truth_of(known, said(REJECTED, 9, reason=reason)).reason == "no funds"


def test_a_reason_without_standing_explains_nothing() -> None:
    assert order_of(said(None, 0, reason="why not")).reason is None


NAMES = ("venue_order_id", "client_order_id", "symbol", "side", "replaces", "replaced_by")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_once_known_stays_and_the_greater_of_two_wins(name: str) -> None:
    for telling in permutations([said(NEW, 5), said(NEW, 1, **{name: "b"})]):
        assert getattr(truth_of(*telling), name) == "b"
    for telling in permutations([said(NEW, 5, **{name: "a"}), said(NEW, 1, **{name: "b"})]):
        assert getattr(truth_of(*telling), name) == "b"


def test_the_creation_is_known_from_whoever_said_it() -> None:
    for telling in permutations([said(NEW, 5), said(NEW, 1, created_at=at(-9))]):
        assert truth_of(*telling).created_at == at(-9)


# --- epochs -----------------------------------------------------------------------------------


def test_an_operators_word_overrules_everything_said_before() -> None:
    bust = said(CANCELED, 5, "0", epoch=1)
    before = said(
        FILLED, 9, "1", avg_price="10", fee="1", settled=True, quantity="1", reason="x",
        last_fill_at=at(3), changed_at=at(4), venue_order_id="v", symbol="BTC-USD",
    )  # fmt: skip
    for telling in permutations([before, bust]):
        truth = truth_of(*telling)
        assert (truth.epoch, truth.status, truth.filled_qty) == (1, CANCELED, Decimal(0))
        assert (truth.avg_price, truth.fee, truth.settled, truth.quantity) == (None,) * 4
        assert (truth.reason, truth.last_fill_at, truth.changed_at) == (None,) * 3
        assert (truth.venue_order_id, truth.symbol) == ("v", "BTC-USD")


def test_a_report_of_an_earlier_epoch_changes_no_fact() -> None:
    corrected = truth_of(said(FILLED, 0, "1"), said(CANCELED, 1, "0.4", epoch=1))
    after = merge(corrected, said(FILLED, 9, "1", fee="3", changed_at=at(9)))
    assert facts(after) == facts(corrected)


def test_within_a_new_epoch_merging_goes_on_as_before() -> None:
    reports = [said(FILLED, 0, "1"), said(NEW, 1, "0", epoch=1), said(FILLED, 2, "0.9", epoch=1)]
    for telling in permutations(reports):
        truth = truth_of(*telling)
        assert (truth.status, truth.filled_qty) == (FILLED, Decimal("0.9"))


# --- facts ------------------------------------------------------------------------------------

CHANGES: dict[str, Report] = {
    "epoch": said(NEW, 0, "0.4", epoch=1, quantity="1", settled=False),
    "status": said(Status.PENDING_CANCEL, 1, "0.4"),
    "filled_qty": said(NEW, 0, "0.5", settled=False),
    "settled": said(NEW, 0, "0.4", settled=True),
    "avg_price": said(NEW, 0, "0.4", avg_price="10"),
    "fee": said(NEW, 0, "0.4", fee="10"),
    "last_fill_at": said(NEW, 0, "0.4", last_fill_at=at(0)),
    "quantity": said(NEW, 0, quantity="2"),
    "reason": said(NEW, 0, reason="resting"),
    "venue_order_id": said(NEW, 0, venue_order_id="v"),
    "client_order_id": said(NEW, 0, client_order_id="c"),
    "symbol": said(NEW, 0, symbol="BTC-USD"),
    "side": said(NEW, 0, side="buy"),
    "created_at": said(NEW, 0, created_at=at(-9)),
    "replaces": said(NEW, 0, replaces="u"),
    "replaced_by": said(NEW, 0, replaced_by="w"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_fact_alone_makes_the_state_another(name: str) -> None:
    truth = truth_of(said(NEW, 0, "0.4", quantity="1", settled=False))
    after = merge(truth, CHANGES[name])
    assert getattr(after, name) != getattr(truth, name) or name == "status"
    assert facts(after) != facts(truth)


def test_only_the_moments_of_vouching_are_no_facts() -> None:
    first = said(CANCELED, 0, "0.4", avg_price="10", fee="1", quantity="1", reason="asked")
    again = msgspec.structs.replace(first, as_of=at(99), changed_at=at(98), venue_status="DONE")
    truth = truth_of(first)
    assert merge(truth, again) != truth
    assert facts(merge(truth, again)) == facts(truth)


def test_a_truth_without_standing_has_facts_too() -> None:
    assert facts(truth_of(said(None, 0, "0"))) != facts(truth_of(said(NEW, 0, "0")))


# --- contradictions ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "report", "contradictory"),
    [
        pytest.param(said(CANCELED), said(FILLED, 1), True, id="another final that wins"),
        pytest.param(said(FILLED), said(REJECTED, 1), True, id="another final that loses"),
        pytest.param(said(FILLED), said(FILLED, 1), False, id="the same final"),
        pytest.param(said(FILLED, 0, "1"), said(FILLED, 1, "0.4"), True, id="fewer fills"),
        pytest.param(said(FILLED, 0, "1"), said(FILLED, 1, "1.0"), False, id="equal fills"),
        pytest.param(said(FILLED, 0, "1"), said(FILLED, 1, "2"), False, id="more fills"),
        pytest.param(said(FILLED, 0, "1"), said(FILLED, 1, None), False, id="fills not said"),
        pytest.param(said(FILLED, 0, None), said(FILLED, 1, "0"), False, id="fills not known"),
        pytest.param(said(FILLED, 0, "1"), said(NEW, 1, "0"), False, id="a late open report"),
        pytest.param(said(FILLED, 0, "1"), said(None, 1, "0.4"), False, id="a fills listing"),
        pytest.param(said(FILLED), said(Status.UNKNOWN, 1), False, id="a word nobody knows"),
        pytest.param(said(NEW, 0, "1"), said(CANCELED, 1, "0"), False, id="while still open"),
        pytest.param(said(None, 0, "1"), said(CANCELED, 1, "0"), False, id="only fills known"),
        pytest.param(said(CANCELED, epoch=1), said(FILLED, 9), False, id="overruled already"),
        pytest.param(said(CANCELED, epoch=1), said(FILLED, 9, epoch=1), True, id="in its epoch"),
    ],
)
def test_only_a_final_word_can_contradict_a_final_order(
    known: Report,
    report: Report,
    contradictory: bool,  # noqa: FBT001
) -> None:
    assert contradicts(order_of(known), report) is contradictory


# --- what cannot be believed ------------------------------------------------------------------

LATE = timedelta(seconds=300)


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        pytest.param(
            said(FILLED, 0, "2", quantity="1"),
            "filled_qty 2 is more than the order's quantity 1",
            id="more than its own quantity",
        ),
        pytest.param(said(NEW, 0, "-1"), "filled_qty -1 is negative", id="negative fills"),
        pytest.param(said(NEW, quantity="-1"), "quantity -1 is negative", id="negative quantity"),
        pytest.param(said(NEW, 0, "NaN"), "filled_qty is NaN", id="no number"),
        pytest.param(said(NEW, 0, "sNaN"), "filled_qty is sNaN", id="a number that signals"),
        pytest.param(said(NEW, quantity="Infinity"), "quantity is Infinity", id="no end"),
        pytest.param(said(NEW, avg_price="NaN"), "avg_price is NaN", id="no price"),
        pytest.param(said(NEW, fee="-Infinity"), "fee is -Infinity", id="no fee"),
        pytest.param(
            said(NEW, avg_price="1.1e30"),
            "avg_price 1.1E+30 is beyond any real number of its kind",
            id="huge",
        ),
        pytest.param(
            said(NEW, fee="-1.1e30"),
            "fee -1.1E+30 is beyond any real number of its kind",
            id="huge and negative",
        ),
        pytest.param(
            said(NEW, fee="1e1000000"),
            "fee 1E+1000000 is beyond any real number of its kind",
            id="beyond the arithmetic",
        ),
    ],
)
def test_numbers_that_no_order_has_are_not_believed(report: Report, sentence: str) -> None:
    assert objection(None, report, at(0)) == sentence


@pytest.mark.parametrize(
    "report",
    [
        said(FILLED, 0, "1", quantity="1.0"),
        said(NEW, 0, "0", quantity="0", avg_price="0", fee="0"),
        said(FILLED, 0, "1", fee="-0.1", avg_price="-3"),
        said(FILLED, 0, "1e30", quantity="1e30"),
        said(FILLED, 0, "3"),
        said(NEW, -(10**9), None, quantity="1"),
        said(None, 0, None),
    ],
)
def test_unusual_but_possible_reports_are_believed(report: Report) -> None:
    assert objection(None, report, at(0)) is None


def test_more_fills_than_the_known_quantity_are_not_believed() -> None:
    order = truth_of(said(NEW, 0, quantity="1"))
    assert objection(order, said(None, 0, "1"), at(0)) is None
    sentence = objection(order, said(None, 0, "1.1"), at(0))
    assert sentence == "filled_qty 1.1 is more than the order's quantity 1"


def test_an_edited_quantity_counts_before_the_known_one() -> None:
    order = truth_of(said(NEW, 0, quantity="1"))
    assert objection(order, said(FILLED, 1, "2", quantity="2"), at(1)) is None
    assert objection(order, said(FILLED, 1, "0.9", quantity="0.5"), at(1)) is not None


def test_an_order_sized_in_another_unit_has_no_quantity_to_exceed() -> None:
    assert objection(truth_of(said(NEW)), said(FILLED, 0, "99"), at(0)) is None


@pytest.mark.parametrize("name", ["as_of", "created_at", "changed_at", "last_fill_at"])
def test_a_time_far_beyond_the_venues_clock_is_not_believed(name: str) -> None:
    venue_now = at(0)
    edge = msgspec.structs.replace(said(NEW), **{name: venue_now + LATE})
    assert objection(None, edge, venue_now) is None
    beyond = venue_now + LATE + timedelta(microseconds=1)
    sentence = objection(None, msgspec.structs.replace(said(NEW), **{name: beyond}), venue_now)
    assert sentence == f"{name} 2026-03-01T12:05:00.000001+00:00 lies in the future"


@pytest.mark.parametrize("name", ["as_of", "created_at", "changed_at", "last_fill_at"])
def test_a_time_without_a_zone_is_not_believed(name: str) -> None:
    naive = datetime(2026, 3, 1, 11, tzinfo=UTC).replace(tzinfo=None)
    report = msgspec.structs.replace(said(NEW), **{name: naive})
    assert objection(None, report, at(0)) == f"{name} 2026-03-01T11:00:00 has no time zone"


# --- what other programs get wrong ------------------------------------------------------------


def test_a_repeated_and_reordered_fill_is_counted_once() -> None:
    fill, whole = said(PARTIAL, 1, "0.4"), said(FILLED, 2, "1")
    for telling in permutations([fill, whole, fill, whole]):
        truth = truth_of_all(telling)
        assert (truth.status, truth.filled_qty) == (FILLED, Decimal(1))


def test_a_whole_fill_replayed_after_a_restart_is_not_booked_again() -> None:
    truth = truth_of(said(FILLED, 0, "1", avg_price="10", fee="1"))
    replayed = merge(truth, said(FILLED, 600, "1", avg_price="10", fee="1"))
    assert facts(replayed) == facts(truth)


def test_a_partial_fill_and_a_cancel_while_blind_leave_what_was_bought() -> None:
    truth = truth_of(
        said(NEW, 0, "0", quantity="1"), said(CANCELED, 900, "0.4", quantity="1", avg_price="10")
    )
    assert (truth.status, truth.filled_qty, truth.avg_price) == (
        CANCELED,
        Decimal("0.4"),
        Decimal(10),
    )


def test_fills_that_only_their_listing_knows_survive_a_cancel_that_says_none() -> None:
    for telling in permutations([said(CANCELED, 5, "0"), said(None, 6, "0.4")]):
        truth = truth_of(*telling)
        assert (truth.status, truth.filled_qty) == (CANCELED, Decimal("0.4"))


def test_a_stale_open_list_takes_back_neither_fills_nor_clock() -> None:
    truth = truth_of(said(PARTIAL, 5, "0.4"))
    after = merge(truth, said(NEW, 3, "0"))
    assert after == truth


def test_a_cancel_that_raced_a_fill_is_filled() -> None:
    reports = [said(Status.PENDING_CANCEL, 1, "0"), said(CANCELED, 2, "0"), said(FILLED, 1, "1")]
    for telling in permutations(reports):
        truth = truth_of(*telling)
        assert (truth.status, truth.filled_qty) == (FILLED, Decimal(1))


def test_a_fill_that_the_venue_takes_back_is_told_to_a_person() -> None:
    truth = truth_of(said(FILLED, 0, "1"))
    expired = said(Status.EXPIRED, 9, "0")
    assert contradicts(truth, expired)
    assert merge(truth, expired).filled_qty == 1


def test_a_listing_of_fills_then_a_snapshot_with_them_are_not_added_up() -> None:
    for telling in permutations([said(None, 1, "0.4"), said(PARTIAL, 2, "0.4")]):
        assert truth_of(*telling).filled_qty == Decimal("0.4")


def test_a_cancel_of_the_old_leg_of_an_edit_is_a_cancel_only_where_the_venue_says_so() -> None:
    replaced = said(Status.REPLACED, 1, "0.4", replaced_by="w")
    truth = truth_of(replaced)
    assert (truth.status, truth.replaced_by, truth.filled_qty) == (
        Status.REPLACED, "w", Decimal("0.4"),
    )  # fmt: skip
    for telling in permutations([replaced, said(NEW, 9, "0")]):
        assert truth_of(*telling).status is Status.REPLACED


def test_a_fill_that_came_before_the_acknowledgement_is_kept() -> None:
    reports = [said(Status.PENDING_NEW, 0, "0"), said(FILLED, 1, "1"), said(NEW, 2, "0")]
    for telling in permutations(reports):
        assert truth_of(*telling).status is FILLED


def test_an_accepted_order_may_still_be_rejected() -> None:
    for telling in permutations([said(Status.ACCEPTED, 0), said(REJECTED, 1, reason="no funds")]):
        truth = truth_of(*telling)
        assert (truth.status, truth.reason) == (REJECTED, "no funds")
