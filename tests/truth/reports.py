"""Reports, alphabets of them and strategies for them, for the tests of the kernel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ordersync.truth.merge import merge
from ordersync.truth.model import Report, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ordersync.truth.model import Order

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

FINAL = (Status.FILLED, Status.CANCELED, Status.EXPIRED, Status.REPLACED, Status.REJECTED)
"""The strongest first."""

OPEN = tuple(s for s in Status if s not in FINAL and s is not Status.UNKNOWN)
"""In the order of an order's life."""

LAWS = settings(
    max_examples=70,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def at(seconds: float) -> datetime:
    """A moment, counted from noon."""
    return NOON + timedelta(seconds=seconds)


def number(text: str | None) -> Decimal | None:
    """The number that a text holds."""
    return None if text is None else Decimal(text)


def said(
    status: Status | None = None,
    seconds: float = 0,
    filled: str | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of a report; numbers may be text
) -> Report:
    """Build a report: its standing, when the venue vouched for it, how much was filled."""
    for name in ("avg_price", "fee", "quantity"):
        if isinstance(more.get(name), str):
            more[name] = Decimal(more[name])
    return Report(status=status, as_of=at(seconds), filled_qty=number(filled), **more)


def truth_of(*reports: Report) -> Order:
    """Merge reports in this order of arrival."""
    return truth_of_all(reports)


def truth_of_all(reports: Iterable[Report]) -> Order:
    """Merge reports in the order in which they come."""
    truth: Order | None = reduce(merge, reports, None)
    assert truth is not None
    return truth


# --- alphabets --------------------------------------------------------------------------------
# A truth is a product of facts, so each alphabet exhausts the fields that meet in some facts.


def standings() -> list[Report]:
    """Every final and the open ones that are easily confused, with ties in time and in rank."""
    words = [
        *FINAL,
        Status.NEW,
        Status.PARTIALLY_FILLED,
        Status.DONE_FOR_DAY,
        Status.PENDING_CANCEL,
        Status.UNKNOWN,
        None,
    ]
    plain = [said(word, second) for word, second in product(words, (0, 1))]
    marked = [
        said(word, second, venue_status=venue_word, reason=reason)
        for word, second, venue_word, reason in product(
            (Status.CANCELED, Status.REJECTED, Status.NEW), (0, 1), ("", "b"), (None, "x", "y")
        )
        if venue_word or reason
    ]
    return plain + marked


def fills() -> list[Report]:
    """Fills with what settles late: every tie of quantity, settled and time."""
    return [
        said(Status.CANCELED, second, filled, settled=settled, avg_price=avg, fee=fee)
        for second, filled, settled, (avg, fee) in product(
            (0, 1),
            (None, "0", "0.4", "1"),
            (None, False, True),
            ((None, None), ("10", None), ("11", "0.1")),
        )
        if not (second and filled == "0")
    ]


def edits() -> list[Report]:
    """Quantities that an edit changes, times of fills, names, in two epochs."""
    loose = [
        said(Status.NEW, second, filled, quantity=quantity, last_fill_at=fill_at, epoch=epoch)
        for second, filled, quantity, fill_at, epoch in product(
            (0, 1), (None, "1"), (None, "1", "2"), (None, at(-2), at(-1)), (0, 1)
        )
        if not (filled is None and (fill_at == at(-1) or quantity == "2"))
    ]
    named = [
        said(None, 0, None, venue_order_id=venue_id, created_at=created, epoch=epoch)
        for venue_id, created, epoch in product(("a", "b"), (None, at(-9)), (0, 1))
    ]
    return loose + named


def epochs() -> list[Report]:
    """An operator's word against every sort of earlier and later report."""
    return [
        said(status, second, filled, epoch=epoch, changed_at=at(second - 5))
        for status, second, filled, epoch in product(
            (Status.FILLED, Status.CANCELED, Status.NEW, None),
            (0, 1),
            (None, "0.4", "1"),
            (0, 1, 2),
        )
        if epoch < 2 or filled == "1"
    ]


ALPHABETS: dict[str, Callable[[], list[Report]]] = {
    "standings": standings,
    "fills": fills,
    "edits": edits,
    "epochs": epochs,
}

LETTERS = [
    said(Status.NEW, 0, "0", quantity="1", venue_order_id="v"),
    said(Status.PARTIALLY_FILLED, 1, "0.4", quantity="1", avg_price="10", fee="0.1"),
    said(Status.PENDING_CANCEL, 1, "0.4", venue_status="PENDING"),
    said(Status.NEW, 2, "0", settled=False),
    said(Status.CANCELED, 2, "0.4", settled=False, reason="asked", avg_price="10"),
    said(Status.CANCELED, 3, None, settled=True, fee="0.2", reason="expired at the venue"),
    said(Status.FILLED, 1, "1", settled=False, avg_price="11"),
    said(Status.FILLED, 1, "1", settled=True, avg_price="12", fee="0.3", last_fill_at=at(0)),
    said(None, 4, "0.7", fee="0.15", last_fill_at=at(1)),
    said(Status.REJECTED, 5, None, reason="no funds", client_order_id="c"),
    said(Status.REPLACED, 0, "0.4", replaced_by="w", quantity="2"),
    said(Status.UNKNOWN, 9, None, symbol="BTC-USD"),
    said(Status.CANCELED, 6, "0.4", epoch=1),
]
"""Thirteen reports of one unlucky order, to be put in every order."""


# --- strategies -------------------------------------------------------------------------------


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_moments = st.sampled_from([at(s) for s in range(4)]) | st.datetimes(
    min_value=at(-(10**9)).replace(tzinfo=None),
    max_value=at(10**9).replace(tzinfo=None),
    timezones=st.just(UTC),
)
_quantities = st.sampled_from([Decimal(q) for q in ("0", "0.4", "0.40", "1", "3")]) | st.decimals(
    min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False
)
_amounts = st.sampled_from([Decimal(q) for q in ("-0.1", "0", "1", "1.0")]) | st.decimals(
    min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False
)
_words = st.sampled_from(["", "a", "b"]) | st.text(max_size=5)


def any_report(epochs: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[Report]:
    """Any report at all; small values often, so that ties are common."""
    return st.builds(
        Report,
        as_of=_moments,
        venue_order_id=_maybe(_words),
        client_order_id=_maybe(_words),
        symbol=_maybe(_words),
        side=_maybe(st.sampled_from(["buy", "sell"])),
        status=_maybe(st.sampled_from(Status)),
        venue_status=_words,
        filled_qty=_maybe(_quantities),
        avg_price=_maybe(_amounts),
        fee=_maybe(_amounts),
        settled=_maybe(st.booleans()),
        quantity=_maybe(_quantities),
        created_at=_maybe(_moments),
        changed_at=_maybe(_moments),
        last_fill_at=_maybe(_moments),
        reason=_maybe(_words),
        replaces=_maybe(_words),
        replaced_by=_maybe(_words),
        epoch=st.sampled_from([0, 0, 0, 1, 2]) if epochs is None else epochs,
    )


def one_epoch() -> st.SearchStrategy[Report]:
    """Any report that no operator has touched."""
    return any_report(st.just(0))


def any_truth() -> st.SearchStrategy[Order]:
    """The merge of any few reports."""
    return st.lists(any_report(), min_size=1, max_size=3).map(truth_of_all)
