"""What a venue should never say: kept raw, reported, and the others go on."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.acceptance.house import House, ago, now
from tests.acceptance.stub import ELSEWHERE, wire_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.stub import Stub

    Damage = Callable[[dict[str, Any]], object]


def put(**fields: Any) -> Damage:  # noqa: ANN401
    return lambda order: order.update(fields)


def lose(name: str) -> Damage:
    return lambda order: order.pop(name)


DAMAGES: dict[str, Damage] = {
    "an unknown status word": put(status="HALF_BAKED"),
    "no information": put(status="UNKNOWN_ORDER_STATUS"),
    "a status that is null": put(status=None),
    "a missing status": lose("status"),
    "a missing filled size": lose("filled_size"),
    "an object for a number": put(filled_size={"value": "10"}),
    "a list for fees": put(total_fees=["0.1"]),
    "words for a number": put(average_filled_price="two and a half"),
    "NaN": put(filled_size="NaN"),
    "NaN for fees": put(total_fees="nan"),
    "Infinity": put(average_filled_price="Infinity"),
    "a huge exponent": put(filled_size="1e999999"),
    "ten thousand digits": put(filled_size="9" * 10_000),
    "a negative size": put(filled_size="-1"),
    "more filled than ordered": put(filled_size="11"),
    "a fill far in the future": put(last_fill_time=wire_time(now() + timedelta(days=4000))),
    "a fill beyond the calendar": put(last_fill_time="99999-01-01T00:00:00Z"),
    "a time that is none": put(last_fill_time="yesterday"),
    "a creation far in the future": put(created_time=wire_time(now() + timedelta(days=4000))),
    "an order of another account": put(retail_portfolio_id=ELSEWHERE),
    "a settled flag that is a word": put(settled="perhaps"),
}


def test_each_bad_order_is_quarantined_raw_and_reported_while_the_others_go_on(
    house: House,
) -> None:
    bad: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {}
    good = []
    for name, damage in DAMAGES.items():
        row, order = house.place(
            status="FILLED",
            filled="10",
            average="2.5",
            fee="0.1",
            created=ago(days=2),
            last_fill=ago(days=1),
        )
        healthy = dict(order)
        damage(order)
        bad[name] = (row, order, healthy)
        good.append(
            house.place(
                status="FILLED", filled="1", fee="0.1", created=ago(days=2), last_fill=ago(days=1)
            )[0],
        )
    house.ready(unknown="unknown")

    said = house.ordersync("sync")

    assert {house.trade(row).status for row in good} == {"completed"}, said
    written = {name: house.trade(row).status for name, (row, _, _) in bad.items()}
    assert {name: word for name, word in written.items() if word != "pending"} == {}, said
    assert said.status == 2, said
    assert (
        f"Sync complete: {len(good)} updated, 0 not found on exchange, {len(bad)} failed"
        in said.out
    ), said

    kept = [
        json.loads(line)
        for line in house.ordersync(
            "history", "--json", str(bad["an unknown status word"][0])
        ).out.splitlines()
    ]
    assert "HALF_BAKED" in json.dumps(kept), kept
    assert "quarantined" in {event["kind"] for event in kept}

    before = house.dump()
    house.ordersync("sync")
    assert house.dump() == before, "the same nonsense again is no news"

    for _, order, healthy in bad.values():
        order.clear()
        order.update(healthy)
    healed = house.ordersync("sync")
    assert {house.trade(row).status for row, _, _ in bad.values()} == {"completed"}, healed
    assert healed.status == 0, healed


def test_a_json_literal_that_is_no_json_is_silence(house: House) -> None:
    row, order = house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    order["filled_size"] = float("nan")
    house.ready()
    before = house.dump("trades")

    said = house.ordersync("sync")

    assert house.dump("trades") == before, said
    assert said.status == 2
    assert house.trade(row).status == "pending"


def test_a_batch_that_holds_orders_nobody_asked_for_is_no_proof_of_absence(
    house: House, stub: Stub
) -> None:
    house.place(status="OPEN", created=ago(days=2))
    row, order = house.place(
        status="FILLED", filled="10", fee="0.1", created=ago(days=3), last_fill=ago(days=2)
    )
    house.ready(unknown="lost")
    right = order["order_id"]
    order["order_id"] = str(uuid4())
    stub.orders[right] = order

    said = house.ordersync("sync")

    assert house.trade(row).status in {"pending", "lost"}, said
    assert house.trade(row).fee == 0.0


@pytest.mark.parametrize("text", ["", None], ids=["empty", "null"])
def test_empty_numbers_are_no_numbers_and_change_nothing(house: House, text: str | None) -> None:
    row, order = house.place(
        row={"fee": 0.7},
        status="FILLED",
        filled="10",
        fee="0.1",
        last_fill=ago(hours=1),
    )
    order.update(total_fees=text, fee=text)
    house.ready()

    said = house.ordersync("sync")

    assert (house.trade(row).status, house.trade(row).fee) == ("completed", 0.7), said


def test_exact_numbers_survive_as_the_venue_wrote_them(house: House) -> None:
    row, _ = house.place(
        status="FILLED",
        size="123456789.123456789123456789",
        filled="123456789.123456789123456789",
        average="0.000000001234567891",
        fee="0.30000000000000000001",
        last_fill=ago(hours=1),
    )
    house.ready()
    house.ordersync("sync")

    event = json.loads(house.ordersync("history", str(row), "--json").out.splitlines()[-1])

    assert event["after"]["filled_qty"] == "123456789.123456789123456789"
    assert event["after"]["avg_price"] == "0.000000001234567891"
    assert event["after"]["fee"] == "0.30000000000000000001"
    assert house.trade(row).fee == 0.3


def test_a_price_far_below_a_cent_is_written_in_plain_digits_into_a_text_column(
    house: House,
) -> None:
    row, _ = house.place(
        status="FILLED",
        filled="10",
        average="0.00000000021",
        fee="0.00000000007",
        last_fill=ago(hours=1),
    )
    house.sql("ALTER TABLE trades ADD COLUMN paid TEXT")
    house.ready()
    house.settle("orders", 'avg_price = "paid"')

    said = house.ordersync("sync")

    assert house.sql("SELECT paid FROM trades WHERE id = ?", row) == [("0.00000000021",)], said
