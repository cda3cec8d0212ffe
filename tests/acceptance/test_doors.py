"""The commands themselves: what they print and where, how they exit, what they leave untouched."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.acceptance.house import PATIENCE, House, Said, ago, naive, pause

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.stub import Stub

LAST_FILL = ago(minutes=50)
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-7]|9[0-7]|4[0-7]|38|48)[0-9;]*m")


def on_a_terminal(house: House, *arguments: str, types: str = "", **env: str) -> tuple[int, str]:
    """Run a command on a pseudo-terminal, typing into it once it asks."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "ordersync", *arguments],
        cwd=house.folder,
        env=house.environment(TERM="xterm-256color", **env),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ) as child:
        os.close(slave)
        seen = b""
        typed = not types
        while True:
            ready, _, _ = select.select([master], [], [], PATIENCE)
            if not ready:
                child.kill()
                break
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
            if not typed and re.search(rb"[?:\]] ?$", seen.rstrip(b"\r\n")):
                pause(0.2)
                os.write(master, types.encode())
                typed = True
        child.wait(PATIENCE)
    os.close(master)
    house.check(Said(child.returncode, seen.decode(), ""))
    return child.returncode, seen.decode()


def one_of_each(house: House) -> None:
    house.place(status="FILLED", filled="10", fee="0.1", created=ago(days=2), last_fill=LAST_FILL)
    house.place(status="OPEN")
    house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    house.bot_writes(order_id=None, created_at=ago(days=3))


def test_init_and_doctor_and_history_create_nothing(house: House) -> None:
    one_of_each(house)
    before = house.database.read_bytes()
    house.ready()

    for command in (
        ("doctor",),
        ("doctor", "--json"),
        ("history", "4"),
        ("history", "4", "--json"),
    ):
        said = house.ordersync(*command)
        assert said.status in {0, 1}, said

    assert house.database.read_bytes() == before
    assert sorted(path.name for path in house.folder.iterdir()) == [
        "bot.db",
        "coinbase.json",
        "ordersync.toml",
    ]


def test_schema_says_that_nothing_is_left_and_leaves_stdout_to_sql(house: House) -> None:
    house.place(status="OPEN")
    house.ready()
    assert "CREATE TABLE" in house.ordersync("schema", "--sql").out
    house.ordersync("sync")

    said = house.ordersync("schema", "--sql", "--notify")

    assert said.status == 0, said
    assert said.out == ""
    assert "Nothing is left to run" in said.text
    assert "Only PostgreSQL" in said.text


def test_init_says_why_for_each_guess_and_what_comes_next(house: House) -> None:
    one_of_each(house)

    said = house.init()

    assert said.status == 0
    for column in ("id", "order_id", "status", "created_at", "filled_at", "fee", "product_id"):
        assert re.search(rf"= {column} +\w+", said.out), column
    assert "ordersync sync" in said.out
    mapped = {column for column in house.mapping()["orders"].values() if isinstance(column, str)}
    assert {"price", "size"}.isdisjoint(mapped), "the bot's own wishes"


def test_init_says_where_the_key_is_to_be_saved_while_it_is_not_there(house: House) -> None:
    house.place(status="OPEN")
    house.key_file.unlink()

    said = house.init()

    assert said.status == 0, said
    assert f"save the API key as {house.key_file}" in said.text


def test_init_never_overwrites_a_configuration(house: House) -> None:
    house.config.write_text("# mine\n")

    said = house.init()

    assert said.status == 3, said
    assert house.config.read_text() == "# mine\n"
    assert "ordersync.toml" in said.text


def test_init_does_not_guess_whether_an_alpaca_account_is_paper_or_live(house: House) -> None:
    one_of_each(house)

    said = house.init("--venue", "alpaca")

    assert said.status == 3, said
    assert "--paper" in said.text
    assert "--live" in said.text
    assert not house.config.exists()
    for option, line in (("--paper", "paper = true"), ("--live", "paper = false")):
        assert house.init("--venue", "alpaca", option).status == 0
        assert line in house.config.read_text()
        house.config.unlink()
    assert house.init("--paper").status == 3


def test_init_as_json_is_one_object(house: House) -> None:
    one_of_each(house)

    said = house.init("--json")

    assert said.status == 0, said
    assert said.json


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        pytest.param(["DROP TABLE trades"], "has no table", id="no table"),
        pytest.param(
            ["DROP TABLE trades", "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)"],
            "None has a column named like a status",
            id="no orders",
        ),
        pytest.param(
            ["DROP TABLE trades", "CREATE TABLE trades (order_id TEXT, status TEXT)"],
            "UNIQUE index",
            id="no key",
        ),
        pytest.param(
            [
                (
                    "CREATE TABLE orders (id INTEGER PRIMARY KEY, order_id TEXT, status TEXT,"
                    " created_at TEXT)"
                ),
                "INSERT INTO orders VALUES (1, 'x', 'open', '2026-01-01')",
            ],
            "--table",
            id="two tables alike",
        ),
        pytest.param(
            ["UPDATE trades SET status = 'zzz' || id"],
            "Which word does your bot use",
            id="words that sound like nothing",
        ),
    ],
)
def test_init_that_cannot_guess_says_what_it_needs(
    house: House, statements: list[str], says: str
) -> None:
    for statement in statements:
        house.sql(statement)
    before = house.database.read_bytes()

    said = house.init()

    assert said.status == 3, said
    assert not house.config.exists()
    assert house.database.read_bytes() == before
    assert says in said.text, said


def test_audit_writes_nothing_and_tells_each_kind_of_difference(house: House, stub: Stub) -> None:
    one_of_each(house)
    priced, _ = house.place(
        row={"status": "completed", "filled_at": naive(LAST_FILL), "fee": 0.1},
        status="FILLED",
        filled="10",
        fee="0.25",
        last_fill=LAST_FILL,
    )
    orphan = stub.add(created=ago(hours=3), status="FILLED", filled="3", last_fill=LAST_FILL)
    simple = stub.add(created=ago(hours=3), status="OPEN", source="RETAIL_SIMPLE")
    house.ready()
    before = house.database.read_bytes()

    said = house.ordersync("audit", "--json")

    assert house.database.read_bytes() == before
    assert said.status == 1, said
    found = {
        (row["row_id"] or row["venue_order_id"], row["difference"])
        for account in said.json["accounts"]
        for row in account["rows"]
    }
    assert ("4", "wrong status") in found
    assert (str(priced), "wrong price or fee") in found
    assert ("6", "missing order") in found
    assert ("7", "unidentified") in found
    assert (orphan["order_id"], "missing row") in found
    assert (simple["order_id"], "missing row") in found
    assert not any(name == "5" for name, _ in found)

    told = house.ordersync("audit")
    assert told.status == 1
    for order_id in (orphan["order_id"], simple["order_id"]):
        assert order_id in told.out, "an id broken over lines cannot be searched for or copied"
    assert house.database.read_bytes() == before


def test_audit_of_a_true_table_exits_0_and_of_a_silent_venue_2(house: House, stub: Stub) -> None:
    house.place(status="OPEN")
    house.place(
        row={"status": "completed", "filled_at": naive(LAST_FILL), "fee": 0.1},
        status="FILLED",
        filled="10",
        fee="0.1",
        last_fill=LAST_FILL,
    )
    house.ready()
    before = house.database.read_bytes()
    assert house.ordersync("audit").status == 0

    stub.turn("401")
    said = house.ordersync("audit")
    assert said.status == 2, said
    assert house.ordersync("audit", "--json").status == 2
    assert house.database.read_bytes() == before


def test_audit_since_reaches_as_far_back_as_it_is_told(house: House, stub: Stub) -> None:
    house.place(status="OPEN")
    orphan = stub.add(created=ago(days=5), status="FILLED", filled="3", last_fill=ago(days=5))
    house.ready()

    assert orphan["order_id"] not in house.ordersync("audit", "--json").out
    assert orphan["order_id"] in house.ordersync("audit", "--json", "--since", "7d").out


def test_an_orphan_is_looked_for_in_the_whole_table(house: House, stub: Stub) -> None:
    made = stub.add(created=ago(hours=3), status="CANCELLED")
    house.bot_writes(order_id=made["order_id"], status="cancelled", created_at=ago(days=400))
    house.place(status="OPEN")
    house.ready()

    assert "missing row" not in house.ordersync("audit", "--json").out


def test_doctor_gives_each_finding_its_mend(house: House) -> None:
    one_of_each(house)
    house.ready()

    said = house.ordersync("doctor", "--json")

    assert said.status == 0, said
    findings = next(value for value in said.json.values() if isinstance(value, list))
    assert findings
    for finding in findings:
        if "ok" not in finding.values():
            assert finding.get("mend"), finding
    text = house.ordersync("doctor").out
    assert re.search(r"CREATE INDEX .* ON .*trades", text), "the partial index is proposed"
    assert "WAL" in text
    assert "trade" in text, "a key that can trade gets a warning"


@pytest.mark.parametrize(
    ("late", "mend"),
    [
        pytest.param(timedelta(hours=3), "Set orders.timezone", id="a zone"),
        pytest.param(timedelta(minutes=20), "That is no time zone", id="no zone"),
    ],
)
def test_doctor_calls_only_that_a_time_zone_which_can_be_one(
    house: House, late: timedelta, mend: str
) -> None:
    house.place(status="OPEN", row={"created_at": ago(hours=2) + late})
    house.ready()

    assert mend in house.ordersync("doctor").text


def test_doctor_on_a_silent_venue_exits_3(house: House, stub: Stub) -> None:
    house.ready()
    stub.turn("401")

    said = house.ordersync("doctor")

    assert said.status == 3, said
    assert "401" in said.text or "refuse" in said.text


def test_history_of_what_nobody_knows_exits_1(house: House) -> None:
    house.place(status="FILLED", filled="10", last_fill=LAST_FILL)
    house.ready()
    assert house.ordersync("history", "4711").status == 1
    house.ordersync("sync")
    assert house.ordersync("history", "4711").status == 1
    said = house.ordersync("history", "4711", "--json")
    assert said.status == 1, said


def test_cleanup_off_a_terminal_only_shows_and_with_yes_it_writes(house: House) -> None:
    old, order = house.place(
        status="FILLED",
        filled="10",
        fee="0.1",
        created=ago(days=2),
        last_fill=ago(days=1),
    )
    young, _ = house.place(
        status="FILLED", filled="10", fee="0.1", created=ago(hours=2), last_fill=LAST_FILL
    )
    house.place(status="OPEN", created=ago(days=2))
    gone = house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    house.ready(unknown="lost")
    before = house.dump()

    shown = house.ordersync("cleanup")

    assert house.dump() == before, shown
    assert order["order_id"] in shown.text
    assert "--yes" in shown.text
    dry = house.ordersync("cleanup", "--dry-run", "--yes")
    assert house.dump() == before, dry

    said = house.ordersync("cleanup", "--yes")

    assert said.status == 0, said
    assert house.trade(old).status == "completed"
    assert house.trade(gone).status == "lost"
    done = house.dump("trades")
    assert house.ordersync("cleanup", "--yes").status == 0
    assert house.dump("trades") == done
    assert house.ordersync("cleanup", "--yes", "--older-than", "1h").status == 0
    assert house.trade(young).status == "completed"


def test_cleanup_leaves_rows_alone_that_are_younger_than_it_was_told(house: House) -> None:
    young, _ = house.place(
        status="FILLED", filled="10", fee="0.1", created=ago(hours=2), last_fill=LAST_FILL
    )
    house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    house.ready(unknown="lost")

    said = house.ordersync("cleanup", "--yes")

    assert house.trade(young).status == "pending", said


@pytest.mark.parametrize(("answer", "word"), [("n\n", "pending"), ("y\n", "completed")])
def test_cleanup_on_a_terminal_asks_first(house: House, answer: str, word: str) -> None:
    row, _ = house.place(
        status="FILLED", filled="10", fee="0.1", created=ago(days=2), last_fill=ago(days=1)
    )
    house.ready()

    status, seen = on_a_terminal(house, "cleanup", types=answer)

    assert house.trade(row).status == word, seen
    assert status == 0, seen


def test_no_color_means_no_colour_on_a_terminal(house: House) -> None:
    one_of_each(house)
    house.ready()

    _, plain = on_a_terminal(house, "doctor", NO_COLOR="1")

    assert "trades" in plain
    assert not COLOUR.search(plain), plain


def test_a_pipe_gets_no_escape_sequences(house: House) -> None:
    one_of_each(house)
    house.ready()
    for command in ("doctor", "audit", "sync"):
        said = house.ordersync(command, env={"TERM": "xterm-256color"})
        assert "\x1b" not in said.out + said.err, said


def test_flags_stand_before_or_after_the_command(house: House, tmp_path: Path) -> None:
    house.place(status="OPEN")
    house.ready()
    other = tmp_path / "other.toml"
    house.config.rename(other)

    for arguments in (
        ("-c", str(other), "--json", "audit"),
        ("audit", "-c", str(other), "--json"),
        ("--json", "audit", "--config", str(other)),
        (f"--config={other}", "audit", "--json", "--since", "2h"),
    ):
        said = house.ordersync(*arguments)
        assert said.status == 0, said
        assert said.json


def test_as_json_every_command_answers_with_exactly_one_object(house: House, stub: Stub) -> None:
    one_of_each(house)
    house.ready()
    for command in (
        ("doctor",),
        ("audit",),
        ("sync", "--dry-run"),
        ("cleanup",),
        ("cleanup", "--yes"),
        ("sync",),
    ):
        said = house.anew(*command, "--json")
        assert said.status in {0, 1}, said
        assert said.json, said
        assert len(said.out.splitlines()) == 1, "one object, on one line"
    stub.turn("500")
    said = house.ordersync("sync", "--json")
    assert said.status == 2
    assert said.json["failed"] >= 1


def test_the_environment_outranks_the_file(house: House) -> None:
    row, _ = house.place(status="FILLED", filled="10", fee="0.1", last_fill=LAST_FILL)
    house.ready()
    text = house.config.read_text().replace(house.stub.url, "http://127.0.0.1:9")
    house.config.write_text(text)

    said = house.ordersync("sync", env={"ORDERSYNC_ACCOUNTS__MAIN__REST_URL": house.stub.url})

    assert said.status == 0, said
    assert house.trade(row).status == "completed"


def test_version_and_help_exit_0(house: House) -> None:
    for arguments in (("--version",), ("--help",), ("sync", "--help")):
        said = house.anew(*arguments)
        assert said.status == 0, said
    assert re.search(r"\d+\.\d+", house.anew("--version").out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("synch",),
        ("sync", "--fast"),
        ("history",),
        ("init",),
        ("audit", "--since"),
        ("audit", "--since", "soon"),
        ("cleanup", "--older-than", "-5h"),
        ("sync", "extra"),
        ("-c",),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_3_with_a_sentence(house: House, arguments: tuple[str, ...]) -> None:
    house.ready()

    said = house.ordersync(*arguments)

    assert said.status == 3, said
    assert said.err.strip(), said
    if arguments[0] != "-c":
        error = house.ordersync("--json", *arguments)
        assert error.status == 3
        assert set(error.json["error"]) == {"what", "where", "mend"}, error
