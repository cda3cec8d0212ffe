"""What a person's word makes of a truth: the laws of corrections and resolutions."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import reduce
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from ordersync.truth.merge import contradicts, facts, heed, merge
from ordersync.truth.model import Facts, Order, Report, Statement, Status
from ordersync.truth.operator import correct, facts_of, refusal, resolve
from tests.truth.reports import FINAL, LAWS, at, said, truth_of, truth_of_all

BUST = "the exchange busted the trade"
AFTER = timedelta(microseconds=1)


def stated(status: Status | None = None, **numbers: str) -> Statement:
    told: dict[str, Any] = {name: Decimal(text) for name, text in numbers.items()}
    return Statement(at=at(10), by="anna", reason=BUST, facts=Facts(status=status, **told))


quantities = st.none() | st.sampled_from([Decimal(q) for q in ("0", "0.4", "0.5", "1")])
statements = st.builds(
    Facts,
    status=st.none() | st.sampled_from([*FINAL, Status.NEW]),
    filled_qty=quantities,
    avg_price=st.none() | st.sampled_from([Decimal(9), Decimal(10)]),
    fee=st.none() | st.sampled_from([Decimal(0), Decimal("0.1")]),
)
letters = st.builds(
    Report,
    as_of=st.sampled_from([at(n) for n in range(8)]),
    status=st.none() | st.sampled_from([Status.FILLED, Status.CANCELED, Status.NEW]),
    filled_qty=quantities,
    avg_price=st.none() | st.sampled_from([Decimal(10), Decimal(11)]),
    fee=st.none() | st.sampled_from([Decimal("0.1"), Decimal("0.2")]),
    settled=st.none() | st.booleans(),
    venue_order_id=st.just("v"),
)
histories = st.lists(letters, min_size=1, max_size=5)


def corrected(truth: Order, what: Facts, *, by: str = "anna") -> Order:
    moment = truth.as_of + AFTER
    return correct(truth, Statement(at=moment, by=by, reason=BUST, facts=what))


def later(report: Report, truth: Order, seconds: float = 5) -> Report:
    """The same, said after the last correction of this truth."""
    assert truth.corrected is not None
    moment = truth.corrected.at + timedelta(seconds=seconds)
    return msgspec.structs.replace(report, as_of=moment)


# --- corrections ------------------------------------------------------------------------------


@LAWS
@given(histories, statements)
def test_what_a_person_says_is_true_and_the_rest_stays_as_it_was(
    history: list[Report], what: Facts
) -> None:
    truth = truth_of_all(history)
    after = corrected(truth, what)
    assert after.epoch == truth.epoch + 1
    assert after.venue_order_id == truth.venue_order_id
    new, old = facts_of(after), facts_of(truth)
    for name in ("status", "filled_qty", "fee"):
        told = getattr(what, name)
        assert getattr(new, name) == (getattr(old, name) if told is None else told)
    if new.filled_qty != 0 and what.avg_price is not None:
        assert new.avg_price == what.avg_price


@LAWS
@given(histories, statements, letters)
def test_what_was_said_before_a_correction_changes_nothing_whenever_it_comes(
    history: list[Report], what: Facts, report: Report
) -> None:
    truth = corrected(truth_of_all(history), what)
    assert truth.corrected is not None
    assume(report.as_of <= truth.corrected.at)
    assert facts(merge(truth, report)) == facts(truth)
    assert not contradicts(truth, report)


@LAWS
@given(histories, statements, st.data())
def test_a_correction_comes_to_the_same_whatever_comes_before_and_after_it(
    history: list[Report], what: Facts, data: st.DataObject
) -> None:
    """Of the reports from before it any may be late; the truth is one all the same."""
    truth = truth_of_all(history)
    after = corrected(truth, what)
    assert reduce(merge, data.draw(st.permutations(history)), after) == after


@LAWS
@given(histories, statements, st.lists(letters, min_size=1, max_size=5), st.data())
def test_after_a_correction_merging_is_a_join_again(
    history: list[Report], what: Facts, reports: list[Report], data: st.DataObject
) -> None:
    truth = corrected(truth_of_all(history), what)
    said_later = [later(r, truth, (r.as_of - at(0)).total_seconds()) for r in reports]
    told = reduce(merge, said_later, truth)
    again = data.draw(st.permutations(said_later + said_later[:2]))
    assert reduce(merge, again, truth) == told


@LAWS
@given(histories, statements)
def test_the_exchange_may_repeat_for_ever_what_was_overruled(
    history: list[Report], what: Facts
) -> None:
    truth = truth_of_all(history)
    assume(truth.standing is not None)
    after = corrected(truth, what)
    assert after.corrected is not None
    assume(after.corrected.overruled)
    old = facts_of(truth)
    repeated = Report(
        as_of=after.corrected.at + timedelta(days=1),
        venue_order_id="v",
        status=old.status,
        filled_qty=old.filled_qty,
        avg_price=old.avg_price,
        fee=old.fee,
    )
    assert merge(after, repeated) == after
    assert not contradicts(after, repeated)


@LAWS
@given(histories, statements, statements)
def test_a_later_correction_undoes_an_earlier_one(
    history: list[Report], first: Facts, second: Facts
) -> None:
    truth = truth_of_all(history)
    known = facts_of(truth)
    assume(truth.standing is not None)
    assume(None not in (known.filled_qty, known.avg_price, known.fee))
    assume(known.filled_qty != 0)
    there = corrected(truth, first)
    back = corrected(corrected(there, second, by="ben"), known)
    assert facts_of(back) == known
    assert back.epoch == truth.epoch + 3
    # What the exchange said all along is no longer overruled: it counts again.
    repeated = later(truth_report(truth), back)
    assert heed(back, repeated).epoch == back.epoch


def truth_report(truth: Order) -> Report:
    known = facts_of(truth)
    return Report(
        as_of=truth.as_of,
        status=known.status,
        filled_qty=known.filled_qty,
        avg_price=known.avg_price,
        fee=known.fee,
        venue_order_id="v",
    )


# --- the cases that people meet ---------------------------------------------------------------


FEE = Decimal("0.6")
FILL = said(Status.FILLED, 1, "1", avg_price="100", fee="0.6", settled=False, venue_order_id="v")


def test_a_busted_trade_stays_busted_though_its_fee_settles_at_the_exchange() -> None:
    truth = correct(truth_of(FILL), stated(status=Status.CANCELED, filled_qty="0"))
    settles = said(Status.FILLED, 60, "1", avg_price="100", fee="0.61", settled=True)
    assert facts_of(merge(truth, settles)) == facts_of(truth)
    assert facts_of(truth) == Facts(status=Status.CANCELED, filled_qty=Decimal(0), fee=FEE)


def test_fills_that_are_listed_do_not_bring_back_what_was_overruled_not_even_in_part() -> None:
    truth = correct(truth_of(FILL), stated(status=Status.CANCELED, filled_qty="0.5"))
    for filled in ("0.7", "1"):
        assert merge(truth, said(None, 60, filled)).filled_qty == Decimal("0.5")


def test_what_the_exchange_says_newly_after_a_correction_counts() -> None:
    truth = correct(truth_of(FILL), stated(status=Status.CANCELED, filled_qty="0.5"))
    other = said(Status.FILLED, 60, "0.9", avg_price="99")
    after = merge(truth, other)
    new = facts_of(after)
    assert (new.status, new.filled_qty) == (Status.FILLED, Decimal("0.9"))
    assert new.avg_price == Decimal(99)


def test_a_corrected_price_stays_while_the_exchange_repeats_the_old_one() -> None:
    truth = correct(truth_of(FILL), stated(avg_price="99.5"))
    assert merge(truth, said(Status.FILLED, 60, "1", avg_price="100", fee="9")).avg_price == 99.5
    assert merge(truth, said(Status.FILLED, 60, "1", avg_price="99")).avg_price == 99


def test_an_order_that_a_person_ended_is_not_reopened_by_an_open_report() -> None:
    truth = correct(truth_of(said(Status.NEW, 0, "0.2")), stated(status=Status.CANCELED))
    after = merge(truth, said(Status.PENDING_CANCEL, 60, "0.2"))
    assert (after.status, after.filled_qty) == (Status.CANCELED, Decimal("0.2"))


def test_the_reason_of_an_end_is_the_persons_where_the_end_is() -> None:
    truth = truth_of(said(Status.CANCELED, 0, reason="expired in the book"))
    assert correct(truth, stated(fee="0.2")).reason == "expired in the book"
    assert correct(truth, stated(status=Status.FILLED)).reason == BUST


# --- resolutions ------------------------------------------------------------------------------


@LAWS
@given(st.none() | histories.map(truth_of_all), statements)
def test_a_resolution_shows_what_was_said_and_is_no_part_of_the_truth(
    truth: Order | None, what: Facts
) -> None:
    word = Statement(at=at(20), by="anna", reason=BUST, facts=what)
    shown = resolve(truth, word)
    if what.status is not None:
        assert shown.standing is not None
        assert shown.standing.status is what.status
    if what.filled_qty is not None:
        assert shown.filled_qty == what.filled_qty
    assert shown.corrected is None


def test_nobody_may_say_what_cannot_be() -> None:
    truth = truth_of(said(Status.NEW, 0, "0", quantity="1"))
    assert refusal(truth, stated(filled_qty="1"), at(20)) is None
    assert "more than the order's quantity" in (
        refusal(truth, stated(filled_qty="2"), at(20)) or ""
    )
    assert "negative" in (refusal(truth, stated(filled_qty="-1"), at(20)) or "")
    assert "NaN" in (refusal(truth, stated(filled_qty="1", avg_price="NaN"), at(20)) or "")
    assert "no average price" in (refusal(truth, stated(avg_price="9"), at(20)) or "")
    assert "unknown" in (refusal(None, stated(status=Status.UNKNOWN), at(20)) or "")
