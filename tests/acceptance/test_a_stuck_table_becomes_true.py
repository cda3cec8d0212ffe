"""The main job as its user does it: init, sync, and a look through the bot's own models."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.acceptance.house import House, ago, naive, pause

if TYPE_CHECKING:
    from tests.acceptance.stub import Stub

LAST_FILL = ago(minutes=50)


def place_every_kind(house: House) -> dict[str, tuple[int, tuple[str, float, bool]]]:
    """Rows by name, each with what it must say in the end: word, fee, whether it has fills."""
    story: dict[str, tuple[int, tuple[str, float, bool]]] = {}

    def tell(
        name: str,
        word: str,
        fee: float = 0.0,
        *,
        row: dict[str, Any] | None = None,
        **order: Any,  # noqa: ANN401
    ) -> None:
        if fee or order.get("filled"):
            order = {"fee": str(fee), "last_fill": LAST_FILL, **order}
        filled = word == "completed"
        story[name] = (house.place(row=row, **order)[0], (word, fee, filled))

    tell("stuck", "completed", 0.15, status="FILLED", filled="10", average="2.5")
    tell("fee beyond a float's comfort", "completed", 0.1, status="FILLED", filled="10")
    tell("partly filled, then canceled", "completed", 0.05, status="CANCELLED", filled="4")
    tell("canceled", "cancelled", status="CANCELLED")
    tell("expired", "cancelled", status="EXPIRED")
    tell("partly filled, then expired", "completed", 0.01, status="EXPIRED", filled="3")
    tell("rejected", "failed", status="FAILED")
    tell("wrongly failed", "completed", 0.2, status="FILLED", filled="10", row={"status": "failed"})
    tell("rightly failed", "failed", status="FAILED", row={"status": "failed"})
    tell(
        "wrongly cancelled",
        "completed",
        0.3,
        status="FILLED",
        filled="10",
        row={"status": "cancelled"},
    )
    tell("wrongly completed", "cancelled", status="CANCELLED", row={"status": "completed"})
    tell("simple", "completed", 0.2, status="FILLED", filled="10", source="RETAIL_SIMPLE")
    tell("simple and open", "pending", status="OPEN", source="RETAIL_SIMPLE")
    tell("unsettled", "completed", 0.2, status="FILLED", filled="10", settled=False)
    tell(
        "quote-sized",
        "completed",
        0.06,
        status="FILLED",
        filled="40",
        average="0.25",
        quote_size="10",
    )
    tell("cancel queued", "pending", status="CANCEL_QUEUED")
    tell("edit queued", "open", status="EDIT_QUEUED", row={"status": "open"})
    tell("not on the book yet", "pending", status="PENDING")
    tell("queued", "open", status="QUEUED", row={"status": "open"})
    tell("open", "open", status="OPEN", row={"status": "open"})
    tell("old and stuck", "completed", 0.4, status="FILLED", filled="10", created=ago(days=40))
    never = house.bot_writes(order_id=None, created_at=ago(hours=3))
    story["never acknowledged"] = (never, ("pending", 0.0, False))
    gone = house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    story["long gone"] = (gone, ("pending", 0.0, False))
    return story


def test_after_init_and_sync_every_row_is_right_and_a_second_sync_writes_nothing(
    house: House,
) -> None:
    story = place_every_kind(house)
    own_wishes = house.sql(
        "SELECT id, bot_id, product_id, side, size, price, order_id, created_at FROM trades"
    )
    closed_long_ago = house.sql("SELECT * FROM trades WHERE id <= 3")
    schema = house.sql("SELECT sql FROM sqlite_master WHERE tbl_name = 'trades'")
    assert house.init().status == 0
    house.settle("sync", 'absence = { spread = "1s" }')

    said = house.ordersync("sync")

    told = {
        name: (t.status, t.fee, t.filled_at is not None) for name, t in rows(house, story).items()
    }
    assert told == {name: end for name, (_, end) in story.items()}, said
    for name, trade in rows(house, story).items():
        if trade.filled_at is not None:
            assert trade.filled_at == naive(LAST_FILL), name
    assert said.status == 0, said
    updated = 14
    assert (
        f"Sync complete: {updated} updated, 1 not found on exchange, 0 failed"
        in said.out.splitlines()
    )
    assert (
        house.sql(
            "SELECT id, bot_id, product_id, side, size, price, order_id, created_at FROM trades",
        )
        == own_wishes
    )
    assert house.sql("SELECT * FROM trades WHERE id <= 3") == closed_long_ago
    assert house.sql("SELECT sql FROM sqlite_master WHERE tbl_name = 'trades'") == schema
    assert house.sql("PRAGMA journal_mode") == [("delete",)]

    before = house.dump()
    again = house.ordersync("sync")

    assert again.status == 0, again
    assert "Sync complete: 0 updated, " in again.out
    assert house.dump() == before


def rows(house: House, story: dict[str, tuple[int, Any]]) -> dict[str, Any]:
    found = {trade.id: trade for trade in house.trades()}
    return {name: found[row_id] for name, (row_id, _) in story.items()}


def test_each_repair_is_told_in_the_line_that_users_look_for(house: House) -> None:
    _, order = house.place(status="FILLED", filled="10", fee="0.1", last_fill=LAST_FILL)
    house.ready()

    said = house.ordersync("sync")

    line = f"Updating order {order['order_id']}: pending -> completed"
    assert any(line in told for told in said.err.splitlines()), said
    assert "updat" not in said.out.replace("Sync complete: 1 updated", "").lower(), (
        "logs go to stderr"
    )


def test_stale_orders_are_announced_in_the_line_that_users_look_for(house: House) -> None:
    for _ in range(5):
        house.place(status="FILLED", filled="10", fee="0.1", last_fill=LAST_FILL)
    house.ready()

    said = house.ordersync("sync")

    assert "Found 5 stale orders to check" in said.err, said


def test_without_stale_orders_sync_says_so(house: House) -> None:
    house.ready()

    said = house.ordersync("sync")

    assert "No stale orders found" in said.err, said
    assert said.status == 0, said


def test_a_fee_that_settles_later_is_repaired_later(house: House, stub: Stub) -> None:
    row, order = house.place(
        status="FILLED", filled="10", fee="0", last_fill=LAST_FILL, settled=False
    )
    order["total_fees"] = ""
    house.ready()
    assert house.ordersync("sync").status == 0
    assert (house.trade(row).status, house.trade(row).fee) == ("completed", 0.0)

    order.update(settled=True, total_fees="0.17")
    stub.add_fill(order, when=LAST_FILL, size="10", price="2", fee="0.17")
    pause(16)  # nobody asks more often whether a fee has settled
    said = house.ordersync("sync")

    assert house.trade(row).fee == pytest.approx(0.17), said
    assert "Sync complete: 1 updated" in said.out


def test_orders_that_go_on_living_are_followed_from_pass_to_pass(house: House) -> None:
    row, order = house.place(status="OPEN", created=ago(minutes=30))
    house.ready()
    house.ordersync("sync")
    assert house.trade(row).status == "pending"

    order.update(status="OPEN", filled_size="4", average_filled_price="2", total_fees="0.04")
    order["last_fill_time"] = ago(minutes=9).isoformat().replace("+00:00", "Z")
    house.ordersync("sync")
    assert house.trade(row).status == "pending"

    end = ago(minutes=2)
    order.update(status="FILLED", filled_size="10", total_fees="0.1", settled=True)
    order["last_fill_time"] = end.isoformat().replace("+00:00", "Z")
    house.ordersync("sync")

    trade = house.trade(row)
    assert (trade.status, trade.fee, trade.filled_at) == ("completed", 0.1, naive(end))


def test_a_true_row_keeps_the_time_that_its_bot_wrote(house: House) -> None:
    own = ago(minutes=49)
    row, _ = house.place(
        row={"status": "completed", "filled_at": naive(own), "fee": 0.1},
        status="FILLED",
        filled="10",
        fee="0.1",
        last_fill=LAST_FILL,
    )
    house.ready()
    before = house.dump("trades")

    said = house.ordersync("sync")

    assert house.dump("trades") == before, said
    assert house.trade(row).filled_at == naive(own)


def test_an_open_order_that_the_bot_thinks_dead_comes_back_to_life(house: House) -> None:
    row, _ = house.place(
        row={"status": "cancelled"}, status="OPEN", filled="2", last_fill=LAST_FILL
    )
    house.ready()

    said = house.ordersync("sync")

    assert house.trade(row).status in {"pending", "open"}, said
    assert "Sync complete: 1 updated" in said.out


def test_where_cancelled_is_not_in_use_a_canceled_order_has_failed(house: House) -> None:
    house.sql("DELETE FROM trades WHERE status = 'cancelled'")
    canceled, _ = house.place(status="CANCELLED")
    expired, _ = house.place(status="EXPIRED")
    assert house.init().status == 0
    house.settle("sync", 'absence = { spread = "1s" }')

    said = house.ordersync("sync")

    assert [house.trade(row).status for row in (canceled, expired)] == ["failed", "failed"], said


def test_a_word_for_unknown_in_use_is_written_for_what_is_provably_gone(house: House) -> None:
    house.bot_writes(order_id=str(uuid4()), status="unknown", created_at=ago(days=200))
    house.place(status="OPEN")
    gone = house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    young = house.bot_writes(order_id=str(uuid4()), created_at=ago(hours=3))
    assert house.init().status == 0
    house.settle("sync", 'absence = { spread = "1s" }')

    said = house.ordersync("sync")

    assert house.trade(gone).status == "unknown", said
    assert house.trade(young).status == "pending", "younger than unknown_after"
    assert "Sync complete: 1 updated, " in said.out


def test_a_word_for_unknown_is_written_where_the_user_gave_one(house: House) -> None:
    house.place(status="OPEN")
    gone = house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    assert house.init("--unknown-word", "lost").status == 0
    house.settle("sync", 'absence = { spread = "1s" }')

    said = house.ordersync("sync")

    assert house.trade(gone).status == "lost", said
    before = house.dump()
    assert house.ordersync("sync").status == 0
    assert house.dump() == before


def test_an_order_proven_gone_that_turns_up_again_is_true_again(house: House, stub: Stub) -> None:
    house.place(status="OPEN")
    row, order = house.place(
        status="FILLED", filled="10", fee="0.1", created=ago(days=3), last_fill=LAST_FILL
    )
    hidden = stub.orders.pop(order["order_id"])
    house.ready(unknown="lost")
    house.ordersync("sync")
    assert house.trade(row).status == "lost"

    stub.orders[order["order_id"]] = hidden
    house.settle("sync", 'verify_recent = "30d"')
    said = house.ordersync("cleanup", "--older-than", "1h", "--yes")

    assert house.trade(row).status == "completed", said


def test_with_the_defaults_a_long_gone_order_is_proven_after_ten_seconds(house: House) -> None:
    house.place(status="OPEN")
    house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    house.ready()
    house.settle("sync", 'interval = "30s"')
    house.config.write_text(house.config.read_text().replace('absence = { spread = "1s" }', ""))

    said = house.ordersync("sync")

    assert "1 not found on exchange, 0 failed" in said.out, said
    assert said.status == 0
    moments = [when for (when,) in house.sql("SELECT at FROM ordersync_events ORDER BY at")]
    assert moments, "the absence case left an event"


def test_three_hundred_stuck_orders_are_asked_for_in_bulk(house: House, stub: Stub) -> None:
    placed = [
        house.place(
            status="FILLED", filled="1", fee="0.01", created=ago(days=2), last_fill=LAST_FILL
        )[0]
        for _ in range(301)
    ]
    stub.page = 40
    house.ready()

    said = house.ordersync("sync")

    assert "Sync complete: 301 updated, 0 not found on exchange, 0 failed" in said.out, said
    assert {house.trade(placed[0]).status, house.trade(placed[-1]).status} == {"completed"}
    assert len(stub.asked) < 60, "by id one at a time would be 301"


def test_one_malformed_order_id_does_not_spoil_the_answer_about_the_others(house: House) -> None:
    good = [
        house.place(status="FILLED", filled="10", fee="0.1", last_fill=LAST_FILL)[0]
        for _ in range(4)
    ]
    odd = [
        house.bot_writes(order_id=text, created_at=ago(days=3))
        for text in ("", "tmp-1", "0x12 ' \"%")
    ]
    house.ready(unknown="lost")

    said = house.ordersync("sync")

    assert {house.trade(row).status for row in good} == {"completed"}, said
    assert {house.trade(row).status for row in odd} == {"pending"}, "400 is silence, never absence"


def test_the_old_spelling_of_not_found_is_an_absence_too(house: House, stub: Stub) -> None:
    stub.not_found_word = "unknown"
    house.place(status="OPEN")
    gone = house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    house.ready(unknown="lost")

    said = house.ordersync("sync")

    assert house.trade(gone).status == "lost", said


def test_a_list_that_forgets_an_order_does_not_make_it_gone(house: House, stub: Stub) -> None:
    house.place(status="OPEN")
    row, order = house.place(
        status="FILLED", filled="10", fee="0.1", created=ago(days=3), last_fill=LAST_FILL
    )
    stub.forgotten.add(order["order_id"])
    house.ready(unknown="lost")

    said = house.ordersync("sync")

    assert house.trade(row).status == "completed", said


def test_more_than_a_thousand_open_orders_are_not_cut_off_at_the_cap_of_the_list(
    house: House,
    stub: Stub,
) -> None:
    made = [stub.add(created=ago(hours=1, seconds=n), status="OPEN") for n in range(1030)]
    with house.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO trades (bot_id, product_id, side, size, price, fee, order_id,"
            " status, created_at)"
            " VALUES (1, 'AVNT-USD', 'buy', 10, 2, 0, ?, 'open', ?)",
            [(order["order_id"], naive(ago(days=3)).isoformat(" ")) for order in made],
        )
    stub.page = 1000
    house.ready(unknown="lost")
    before = house.dump("trades")

    said = house.ordersync("sync")

    assert said.status == 0, said
    assert house.dump("trades") == before
    assert "0 not found on exchange, 0 failed" in said.out


def test_the_bot_may_write_while_sync_repairs(house: House) -> None:
    for _ in range(30):
        house.place(status="FILLED", filled="10", fee="0.1", last_fill=LAST_FILL)
    house.ready()

    with house.running("sync") as syncing:
        written = []
        while syncing.child.poll() is None:
            written.append(
                house.bot_writes(order_id=str(uuid4()), status="completed", created_at=ago(days=90))
            )
        said = syncing.stop()

    assert said.status == 0, said
    assert {house.trade(row).status for row in written} == {"completed"}


def test_what_was_written_can_be_read_in_history(house: House) -> None:
    row, order = house.place(
        status="FILLED",
        filled="10",
        average="2.5",
        fee="0.15",
        last_fill=LAST_FILL,
    )
    house.ready()
    house.ordersync("sync")

    for name in (str(row), order["order_id"], order["client_order_id"]):
        said = house.ordersync("history", name)
        assert said.status == 0, said
        assert "pending -> completed" in said.out
        assert order["order_id"] in said.out

    said = house.ordersync("history", str(row), "--json")
    events = [json.loads(line) for line in said.out.splitlines()]
    changed = [event for event in events if event["kind"] == "changed"][-1]
    assert re.fullmatch(r"[\w.-]+-\d+", changed["id"])
    assert changed["account"] == "main"
    assert changed["order"] == {
        "row_id": str(row),
        "venue_order_id": order["order_id"],
        "client_order_id": order["client_order_id"],
        "owner": "1",
        "symbol": "AVNT-USD",
    }
    assert changed["source"] == "poll"
    assert changed["before"]["word"] == "pending"
    assert changed["after"] == {
        "word": "completed",
        "status": "filled",
        "filled_qty": "10",
        "avg_price": "2.5",
        "fee": "0.15",
    }
    assert changed["evidence"]["answer"] == "sighting"
    assert json.loads(changed["evidence"]["raw"])["order_id"] == order["order_id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", changed["at"])
    assert isinstance(changed["latency_ms"], int)


def test_dry_run_says_what_it_would_write_and_writes_nothing(house: House) -> None:
    _, order = house.place(status="FILLED", filled="10", fee="0.1", last_fill=LAST_FILL)
    house.ready()
    before = house.database.read_bytes()

    said = house.ordersync("sync", "--dry-run")

    assert house.database.read_bytes() == before
    assert order["order_id"] in said.text, said
    assert "completed" in said.text
    assert said.status in {0, 1}, said


def test_a_venue_whose_clock_is_ahead_or_behind_is_understood(house: House, stub: Stub) -> None:
    row, _ = house.place(status="FILLED", filled="10", fee="0.1", last_fill=LAST_FILL)
    house.ready()

    for skew in (timedelta(seconds=45), timedelta(seconds=-45)):
        stub.skew = skew
        said = house.ordersync("doctor")
        assert re.search(r"clock.*4[45]", said.text), said

    assert house.ordersync("sync").status == 0
    assert house.trade(row).status == "completed"


def test_a_slow_answer_about_the_time_does_not_put_tokens_into_the_future(
    house: House, stub: Stub
) -> None:
    house.place(status="FILLED", filled="10", fee="0.1", last_fill=LAST_FILL)
    stub.slow_time, stub.leeway = 1.9, 0
    house.ready()

    said = house.ordersync("sync")

    assert stub.complaints == []
    assert said.status == 0, said


def test_no_token_is_dated_ahead_of_the_machines_own_clock(house: House, stub: Stub) -> None:
    house.place(status="FILLED", filled="10", fee="0.1", last_fill=LAST_FILL)
    stub.leeway = 0
    house.ready()

    for _ in range(4):
        assert house.ordersync("audit").status == 1

    assert stub.complaints == []
