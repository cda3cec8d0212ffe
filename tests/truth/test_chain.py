"""Orders that replaced one another, as one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ordersync.truth.chain import chain_of, is_replaced
from ordersync.truth.merge import merge
from ordersync.truth.model import Order, Report, Status

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def order(
    name: str,
    status: Status,
    qty: str | None = "0",
    price: str | None = None,
    *,
    minute: int = 0,
    heir: str | None = None,
    fee: str | None = None,
) -> Order:
    return merge(
        None,
        Report(
            as_of=NOON + timedelta(minutes=minute),
            venue_order_id=name,
            status=status,
            filled_qty=None if qty is None else Decimal(qty),
            avg_price=None if price is None else Decimal(price),
            fee=None if fee is None else Decimal(fee),
            last_fill_at=NOON + timedelta(minutes=minute) if price else None,
            replaced_by=heir,
        ),
    )


def test_a_chain_stands_as_its_last_order_with_the_fills_of_all() -> None:
    first = order("a", Status.REPLACED, "1", "100", heir="b", fee="0.1")
    second = order("b", Status.REPLACED, "0", minute=1, heir="c")
    last = order("c", Status.FILLED, "3", "104", minute=2, fee="0.3")
    chain = chain_of([first, second, last])
    assert (chain.status, chain.is_final, chain.venue_order_id) == (Status.FILLED, True, "a")
    assert chain.filled_qty == 4
    assert chain.avg_price == 103
    assert chain.fee == Decimal("0.4")
    assert chain.last_fill_at == NOON + timedelta(minutes=2)


def test_an_open_end_is_partially_filled_where_any_of_them_was() -> None:
    chain = chain_of(
        [order("a", Status.REPLACED, "1", "100", heir="b"), order("b", Status.NEW, minute=1)]
    )
    assert chain.status is Status.PARTIALLY_FILLED
    assert not chain.is_final


def test_what_one_of_them_does_not_tell_is_not_told_of_all() -> None:
    silent = order("a", Status.REPLACED, "1", heir="b")
    chain = chain_of([silent, order("b", Status.FILLED, "1", "100", minute=1, fee="1")])
    assert chain.filled_qty == 2
    assert (chain.avg_price, chain.fee, chain.last_fill_at) == (None, None, None)


def test_a_chain_without_fills_has_neither_price_nor_time() -> None:
    chain = chain_of([order("a", Status.REPLACED, heir="b"), order("b", Status.CANCELED, minute=1)])
    assert chain.status is Status.CANCELED
    assert chain.filled_qty == 0
    assert (chain.avg_price, chain.last_fill_at) == (None, None)


@pytest.mark.parametrize(
    ("one", "is_so"),
    [
        (None, False),
        (order("a", Status.REPLACED), False),
        (order("a", Status.PENDING_REPLACE, heir="b"), False),
        (order("a", Status.FILLED, "1", heir="b"), False),
        (order("a", Status.REPLACED, heir="b"), True),
    ],
)
def test_only_an_order_that_names_its_heir_is_replaced(one: Order | None, *, is_so: bool) -> None:
    assert is_replaced(one) is is_so
