"""`ordersync resolve` and `ordersync correct`: what a person sees, is asked, and gets."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from ordersync.cli.app import run
from tests.acceptance.house import ago
from tests.acceptance.test_doors import LAST_FILL, on_a_terminal
from tests.contracts.bench import TRADES, WORDS
from tests.contracts.sqlite_bench import SqliteBench

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.house import House


def filled(house: House) -> tuple[int, str]:
    """A row that a pass has made true, and its order."""
    row, order = house.place(status="FILLED", filled="10", fee="0.1", last_fill=LAST_FILL)
    house.ready()
    house.ordersync("sync")
    assert house.trade(row).status == "completed"
    return row, order["order_id"]


def suspect(house: House) -> tuple[int, str]:
    """A row about an order that the exchange does not know."""
    house.place(status="OPEN", created=ago(hours=3))
    order = str(uuid4())
    row = house.bot_writes(order_id=order, created_at=ago(hours=3))
    house.ready()
    house.ordersync("sync")
    return row, order


def test_correct_shows_before_and_after_and_writes_only_when_told_to(house: House) -> None:
    row, order = filled(house)
    before = house.dump()
    command = ("correct", order, "--fee", "4", "--reason", "ticket 4711", "--by", "anna")

    shown = house.ordersync(*command)
    assert shown.status == 0, shown
    assert "--yes" in shown.text
    dry = house.ordersync(*command, "--dry-run", "--yes")
    assert "Nothing was written (dry run)." in dry.text
    assert house.dump() == before

    said = house.ordersync(*command, "--yes")
    assert said.status == 0, said
    assert house.trade(row).fee == 4
    past = house.ordersync("history", order)
    assert "corrected" in past.text
    assert "the table says completed, a person filled" in past.text
    assert "operator:anna" in past.text
    assert "ticket 4711" in past.text

    after = house.dump("trades")
    house.ordersync("sync")
    assert house.dump("trades") == after


def test_resolve_writes_what_a_person_knows_and_takes_it_back(house: House) -> None:
    row, order = suspect(house)

    said = house.ordersync("resolve", str(row), "--as", "canceled", "--reason", "phoned", "--yes")
    assert said.status == 0, said
    assert house.trade(row).status == "cancelled"
    assert getpass.getuser() in house.ordersync("history", order).text

    said = house.ordersync(
        "resolve", order, "--as", "filled", "--fee", "2", "--reason", "found it", "--yes"
    )
    assert said.status == 0, said
    assert (house.trade(row).status, house.trade(row).fee) == ("completed", 2)


@pytest.mark.parametrize(("answer", "fee"), [("n\n", 0.1), ("y\n", 4)])
def test_on_a_terminal_it_asks_once(house: House, answer: str, fee: float) -> None:
    row, order = filled(house)
    status, seen = on_a_terminal(
        house, "correct", order, "--fee", "4", "--reason", "bust", types=answer
    )
    assert status == 0, seen
    assert "before" in seen
    assert house.trade(row).fee == fee, seen


def test_as_json_it_is_one_object_with_both_sides(house: House) -> None:
    _, order = filled(house)
    for more in (("--dry-run",), (), ("--yes",)):
        said = house.ordersync("correct", order, "--fee", "9", "--reason", "x", "--json", *more)
        assert said.status == 0, said
        assert said.json["written"] is (more == ("--yes",))
        assert (said.json["before"]["fee"], said.json["after"]["fee"]) == ("0.1", "9")
        assert said.json["order"]["venue_order_id"] == order


def test_what_does_not_apply_exits_3_and_names_the_way_out(house: House) -> None:
    _, order = filled(house)
    nameless = house.bot_writes(order_id=None, created_at=ago(hours=1))
    before = house.dump()
    for arguments, says in (
        (("resolve", order, "--as", "filled", "--reason", "x"), "nothing to resolve"),
        (("correct", order, "--as", "filled", "--reason", "x"), "known already"),
        (("correct", order, "--reason", "x"), "--filled-qty"),
        (("correct", order, "--filled-qty", "much", "--reason", "x"), "not a number"),
        (("correct", order, "--as", "done", "--reason", "x"), "not how an order can stand"),
        (("correct", order, "--as", "unknown", "--reason", "x"), "not how an order can stand"),
        (("correct", order, "--fee", "1", "--reason", " "), "empty"),
        (("correct", order, "--fee", "1"), "--reason"),
        (("resolve", str(nameless), "--as", "filled", "--reason", "x"), "names no order"),
    ):
        said = house.ordersync(*arguments, "--yes")
        assert said.status == 3, said
        assert says in said.err, said
    said = house.ordersync("resolve", "4711", "--as", "filled", "--reason", "x", "--yes")
    assert said.status == 1, said
    assert house.dump() == before


def test_of_several_orders_that_are_meant_each_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = SqliteBench(tmp_path / "bot.db")
    bench.create(TRADES)
    bench.insert(*({"id": n, "client_id": "twin", "status": "pending"} for n in (1, 2)))
    bench.close()
    words = "\n".join(f"{word} = {json.dumps(tokens)}" for word, tokens in WORDS.items())
    config = tmp_path / "ordersync.toml"
    config.write_text(
        f"""
        [database]
        url = "sqlite:///bot.db"
        [orders]
        table = "trades"
        id = "id"
        venue_order_id = "order_id"
        client_order_id = "client_id"
        status = "status"
        account = "main"
        [orders.status_words]
        {words}
        [accounts.main]
        venue = "coinbase"
        key_file = "key.json"
        """
    )
    status = run(["-c", str(config), "resolve", "twin", "--as", "filled", "--reason", "x", "--yes"])
    told = capsys.readouterr().err
    assert status == 3
    for part in ("2 orders", "row 1, client id twin (main)", "row 2, client id twin (main)"):
        assert part in told.replace("\n", " ")
