"""`ordersync run` in real time: quiet, and gone when it is told to go."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.acceptance.house import House, ago, naive, now, pause
from tests.acceptance.stub import wire_time

if TYPE_CHECKING:
    from tests.acceptance.stub import Stub


LONG_BEFORE_THE_NEXT_PASS = 15
"""Seconds, where a pass comes every 30: how soon exactly is measured where time is virtual."""

SOON = 8
"""Seconds in which a process ends: fewer than the ten for which a call may hang."""


def test_an_order_that_fills_while_it_runs_is_true_long_before_the_next_pass(
    house: House, stub: Stub
) -> None:
    house.place(status="OPEN")
    house.ready()
    with house.running() as running:
        running.asked()
        row, order = house.place(status="OPEN", created=now())
        pause(0.5)
        end = now()
        order.update(
            status="FILLED",
            filled_size="10",
            average_filled_price="2",
            total_fees="0.12",
            last_fill_time=wire_time(end),
            settled=True,
        )
        took = running.until(lambda: house.trade(row).status == "completed", 60, "the row is true")
        said = running.stop()

    trade = house.trade(row)
    assert (trade.fee, trade.filled_at) == (0.12, naive(end))
    assert took < LONG_BEFORE_THE_NEXT_PASS, f"{took:.1f} s\n{said}"
    assert f"Updating order {order['order_id']}: pending -> completed" in said.text
    assert said.status == 0
    del stub


def test_an_order_that_was_filled_before_its_row_was_written_is_true_at_once(house: House) -> None:
    house.ready()
    with house.running() as running:
        running.asked()
        row, _ = house.place(
            status="FILLED", filled="10", fee="0.1", created=now(), last_fill=now()
        )
        took = running.until(lambda: house.trade(row).status == "completed", 60, "the row is true")
        running.stop()
    assert took < LONG_BEFORE_THE_NEXT_PASS


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(house: House, by: signal.Signals) -> None:
    row, _ = house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    with house.running() as running:
        running.until(lambda: house.trade(row).status == "completed", 60, "the first pass")
        began = now()
        said = running.stop(by)

    assert said.status == 0, said
    assert (now() - began).total_seconds() < SOON
    assert house.sql("PRAGMA integrity_check") == [("ok",)]


def test_a_signal_ends_it_cleanly_while_the_venue_hangs(house: House, stub: Stub) -> None:
    house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    stub.turn("hang")
    with house.running() as running:
        running.until(lambda: stub.asked, 60, "the first question")
        pause(1)
        began = now()
        said = running.stop()

    assert said.status == 0, said
    assert (now() - began).total_seconds() < SOON


def test_the_lines_that_users_look_for_appear(house: House) -> None:
    orders = [
        house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))[1]
        for _ in range(3)
    ]
    house.ready()
    with house.running() as running:
        running.until(lambda: "Sync complete: 3 updated" in running.so_far, 60, "Sync complete")
        said = running.stop()

    assert "Found 3 stale orders to check" in said.text, said
    for order in orders:
        assert f"Updating order {order['order_id']}: pending -> completed" in said.text
    assert "Sync complete: 3 updated, 0 not found on exchange, 0 failed" in said.text


def test_with_nothing_to_do_it_says_so(house: House) -> None:
    house.ready()
    with house.running() as running:
        running.until(
            lambda: "No stale orders found" in running.so_far, 60, "No stale orders found"
        )
        said = running.stop()
    assert said.status == 0


@pytest.mark.parametrize("outage", ["500", "401", "hang", "closed"])
def test_an_outage_in_the_middle_heals_by_itself(house: House, stub: Stub, outage: str) -> None:
    house.place(status="OPEN")
    house.ready()
    house.settle("sync", 'interval = "1s"')
    with house.running() as running:
        running.asked()
        stub.turn(outage)
        row, order = house.place(
            status="FILLED", filled="10", fee="0.1", created=now(), last_fill=now()
        )
        if outage == "401":  # the others may heal before it has given up asking
            failed = f"Failed to sync order {order['order_id']}"
            running.until(lambda: failed in running.so_far, 60, "the outage is told")
        else:
            pause(3)
        assert house.trade(row).status == "pending"
        stub.turn("well")
        running.until(lambda: house.trade(row).status == "completed", 60, "it healed")
        said = running.stop()

    assert said.status == 0, said


def test_a_database_locked_for_a_while_does_not_end_it(house: House) -> None:
    row, _ = house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    with house.running() as running:
        running.until(lambda: house.trade(row).status == "completed", 60, "the first pass")
        with house.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            pause(8)
            connection.exec_driver_sql("ROLLBACK")
        second, _ = house.place(
            status="FILLED", filled="10", fee="0.1", created=now(), last_fill=now()
        )
        running.until(lambda: house.trade(second).status == "completed", 60, "it goes on")
        said = running.stop()
    assert said.status == 0


def test_as_json_each_line_of_stdout_is_one_event(house: House) -> None:
    house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.place(status="CANCELLED")
    house.ready()
    with house.running("run", "--json") as running:
        running.until(lambda: running.so_far.count('"changed"') >= 2, 60, "two events")
        said = running.stop()

    assert said.status == 0, said
    events = [json.loads(line) for line in said.out.splitlines()]
    assert len(events) == 2, said
    for event in events:
        assert set(event) >= {
            "id",
            "at",
            "account",
            "order",
            "kind",
            "source",
            "evidence",
            "before",
            "after",
            "latency_ms",
        }
    for line in said.err.splitlines():
        assert isinstance(json.loads(line), dict), line


def test_shadow_decides_and_records_but_writes_no_row(house: House) -> None:
    row, _ = house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    before = house.dump("trades")
    with house.running("run", "--shadow") as running:
        running.until(
            lambda: "ordersync_events" in house.tables() and house.dump()["ordersync_events"],
            60,
            "a decision",
        )
        pause(1)
        said = running.stop()

    assert house.dump("trades") == before, said
    assert "filled" in house.ordersync("history", str(row)).out


def test_a_bot_that_undoes_a_repair_is_not_fought_forever(house: House, stub: Stub) -> None:
    row, _ = house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    house.settle("sync", 'interval = "1s"')
    undone = 0
    with house.running() as running:
        running.until(lambda: house.trade(row).status == "completed", 60, "the first repair")

        def undo() -> None:
            nonlocal undone
            if house.trade(row).status == "completed":
                house.sql("UPDATE trades SET status = 'pending' WHERE id = ?", row)
                undone += 1
            pause(0.2)

        def is_contested() -> bool:
            undo()
            return bool(house.sql("SELECT 1 FROM ordersync_events WHERE kind = 'contested'"))

        running.until(is_contested, 60, "it is contested")
        for _ in range(15):
            undo()
        said = running.stop()

    assert 1 <= undone <= 5, f"repaired {undone} times\n{said}"
    del stub


def test_orders_placed_while_the_row_is_unknown_are_asked_gently(house: House, stub: Stub) -> None:
    for _ in range(3):
        house.bot_writes(order_id=str(uuid4()))
    house.place(status="OPEN")
    house.ready()
    with house.running() as running:
        running.asked()
        stub.asked.clear()
        pause(5)
        asked = len(stub.asked)
        running.stop()

    assert asked < 60, f"{asked} questions in 5 s about 4 orders"
    assert {trade.status for trade in house.trades() if trade.id > 3} == {"pending"}
