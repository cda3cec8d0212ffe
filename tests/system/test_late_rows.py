"""Rows that the bot writes after the exchange has told of their order, while nobody can be asked.

Frames come before the bot's INSERT every day. What they said is known; a row that comes late
shows it, though REST is down.
"""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Fault, Kind, Life, alpaca
from ordersync.sync.audit import Difference
from ordersync.sync.reading import EARLIER_ORDER
from tests.system.alpaca_house import at_alpaca
from tests.system.house import OPEN, House, Placed, ago, built, naive
from tests.virtual import virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.system.house import Premises

TOLD = 60.0
"""Seconds after the start from which orders are heard of, and REST is down."""


@contextlib.asynccontextmanager
async def heard(
    folder: Path, life: Callable[[], Life], orders: int = 1
) -> AsyncIterator[tuple[House, list[tuple[Placed, dict[str, Any]]]]]:
    """A house that heard of orders by its stream and cannot ask; their rows, not written yet."""
    async with built(folder, pushes=True) as house:
        house.place()
        async with house.running():
            await house.wait(seconds=TOLD)
            house.faults.add(Fault(kind=Kind.SERVER_ERROR))
            placed = [house.place(life(), age=ago()) for _ in range(orders)]
            rows = [withheld(house, one) for one in placed]
            await house.wait(seconds=10)
            assert {one.order_id for one in house.connections[-1].told} >= {
                one.order_id for one in placed
            }
            yield house, list(zip(placed, rows, strict=True))


def withheld(house: Premises, placed: Placed) -> dict[str, Any]:
    """The row of an order as the bot would have written it, taken out of its table."""
    row = house.row(placed.row_id)
    house.sql("DELETE FROM trades WHERE id = ?", placed.row_id)
    return {name: row[name] for name in ("id", "order_id", "client_id", "created_at", "status")}


def filled_soon() -> Life:
    return Life.filled(ago(seconds=2))


@virtually
async def test_a_row_with_a_client_id_alone_shows_what_was_heard_before_it_came(
    tmp_path: Path,
) -> None:
    async with heard(tmp_path, filled_soon) as (house, ((order, row),)):
        house.insert(**{**row, "order_id": None})
        await house.wait(seconds=5)
        late = house.row(order.row_id)
        # Fees and the time of the last fill are no part of a frame.
        told = (late["order_id"], late["status"], late["filled_size"])
        assert told == (order.order_id, "completed", 1)


@virtually
async def test_a_row_that_comes_minutes_late_shows_what_was_heard(tmp_path: Path) -> None:
    async with heard(tmp_path, filled_soon) as (house, ((order, row),)):
        await house.wait(minutes=3)  # the end was to be confirmed meanwhile, and could not be
        house.insert(**row)
        await house.wait(seconds=10)
        assert house.row(order.row_id)["status"] == "completed"


@virtually
async def test_a_row_that_comes_late_shows_fills_of_an_order_that_is_open(tmp_path: Path) -> None:
    def partly() -> Life:
        return Life.open(fills=[(ago(seconds=2), Decimal("0.25"))])

    async with heard(tmp_path, partly) as (house, ((order, row),)):
        house.insert(**{**row, "order_id": None})
        await house.wait(seconds=10)
        assert house.row(order.row_id)["filled_size"] == 0.25
        assert house.row(order.row_id)["order_id"] == order.order_id
        assert house.word(order) == OPEN


@virtually
async def test_what_was_heard_before_reopens_no_row_that_says_it_ended(tmp_path: Path) -> None:
    async with heard(tmp_path, Life.open) as (house, ((order, row),)):
        house.insert(**{**row, "status": "failed"})
        await house.wait(minutes=2)  # rows that ended are looked at once a minute
        assert house.word(order) == "failed"


@virtually
@pytest.mark.parametrize("dated", [True, False])
async def test_a_row_does_not_show_how_an_earlier_order_with_its_client_id_ended(
    tmp_path: Path,
    dated: bool,  # noqa: FBT001 - pytest passes parameters by name
) -> None:
    """The bot gave a client id again, and nobody wrote down that the exchange refused it."""
    async with heard(tmp_path, filled_soon) as (house, ((order, row),)):
        await house.wait(minutes=10)
        created_at = naive(house.clock.now()) if dated else None
        house.insert(**{**row, "order_id": None, "created_at": created_at})
        await house.wait(seconds=10)
        assert house.word(order) == row["status"]
        house.faults.clear()
        await house.wait(minutes=2)
        again = house.row(order.row_id)
        assert (again["status"], again["order_id"]) == (row["status"], None)


@virtually
async def test_a_pass_and_an_audit_say_which_row_has_the_client_id_of_an_earlier_order(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        order = house.place(Life.filled(), age=ago(hours=3), order_id=None)
        house.update(order.row_id, created_at=naive(house.clock.now()))
        async with house.serving() as service:
            (found,) = await service.audit(ago(hours=24))
        assert found.failed == {order.client_id: EARLIER_ORDER}
        told = [(one.difference, one.venue_order_id) for one in found.rows]
        assert told == [(Difference.ORPHAN, order.order_id)]
        report = await house.sync()
        assert report.failed == {order.client_id: EARLIER_ORDER}
        assert house.word(order) == OPEN


@virtually
async def test_a_client_id_that_two_orders_have_is_nobodys(tmp_path: Path) -> None:
    async with heard(tmp_path, filled_soon, orders=2) as (house, ((one, row), (_, _))):
        same = "UPDATE ordersync_orders SET client_order_id = ? WHERE row_id IS NULL"
        house.sql(same, one.client_id)
        house.insert(**{**row, "order_id": None})
        await house.wait(seconds=10)
        assert house.word(one) == row["status"]
        assert house.row(one.row_id)["order_id"] is None


@virtually
async def test_at_alpaca_a_late_row_is_true_as_well(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        house.place()
        async with house.running():
            await house.wait(seconds=TOLD)
            house.faults.add(Fault(kind=Kind.SERVER_ERROR))
            order = house.order(alpaca.Life.filled(ago(seconds=2)), age=ago())
            await house.wait(seconds=10)
            row_id = house.insert(
                order_id=None,
                client_id=order.client_order_id,
                created_at=naive(order.created_at),
            )
            placed = Placed(order.order_id, order.client_order_id, row_id)
            assert await house.until_true(placed, within=10, step=0.1) <= 5
