"""Every line of "Bad input": exit 3; file, key and mend are named; nothing is written."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.acceptance.house import PATIENCE, House, Said, ago, pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.stub import Stub

    Spoil = Callable[[House], object]


def edit(old: str, new: str) -> Spoil:
    def spoil(house: House) -> None:
        text = house.config.read_text()
        assert old in text, text
        house.config.write_text(text.replace(old, new, 1))

    return spoil


def settle(section: str, line: str) -> Spoil:
    return lambda house: house.settle(section, line)


def append(text: str) -> Spoil:
    return lambda house: house.config.write_text(house.config.read_text() + text)


def key(content: str | bytes) -> Spoil:
    def spoil(house: House) -> None:
        house.key_file.write_bytes(content.encode() if isinstance(content, str) else content)

    return spoil


def truncated_key(house: House) -> None:
    pem = house.stub.key.pem
    house.key_file.write_text(json.dumps({"name": house.stub.key.name, "privateKey": pem[:120]}))


def unparsable_key(house: House) -> None:
    house.key_file.write_text(house.stub.key.as_file()[:-3])


def rsa_key(house: House) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    house.key_file.write_text(json.dumps({"name": "organizations/a/apiKeys/b", "privateKey": pem}))


def directory_for_a_key(house: House) -> None:
    house.key_file.unlink()
    house.key_file.mkdir()


def no_primary_key(house: House) -> None:
    house.sql("ALTER TABLE trades RENAME TO kept")
    house.sql("CREATE TABLE trades AS SELECT * FROM kept")


def no_database(house: House) -> None:
    house.engine.dispose()
    house.database.unlink()


def not_a_database(house: House) -> None:
    house.engine.dispose()
    house.database.write_text("Dear diary,\n" * 400)


def directory_for_a_database(house: House) -> None:
    no_database(house)
    house.database.mkdir()


# what it is: (how it is spoiled, what the message has to name)
CASES: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "an unknown table": (
        edit('table = "trades"', 'table = "trdes"'),
        ("ordersync.toml", "orders.table", "trdes"),
    ),
    "an unknown column": (
        edit('venue_order_id = "order_id"', 'venue_order_id = "ordre_id"'),
        ("ordersync.toml", "orders.venue_order_id", "ordre_id"),
    ),
    "an unknown optional column": (
        edit('filled_at = "filled_at"', 'filled_at = "filed_at"'),
        ("ordersync.toml", "orders.filled_at", "filed_at"),
    ),
    "a status without a word": (
        edit('cancelled = ["canceled", "expired", "replaced"]', 'cancelled = ["canceled"]'),
        ("ordersync.toml", "orders.status_words", "expired"),
    ),
    "a word that names no known status": (
        edit('pending = ["open"]', 'pending = ["opened"]'),
        ("ordersync.toml", "orders.status_words", "pending", "opened"),
    ),
    "a word for open and final at once": (
        edit('pending = ["open"]', 'pending = ["open", "filled"]'),
        ("ordersync.toml", "orders.status_words", "pending"),
    ),
    "a word that is no list": (
        edit('pending = ["open"]', "pending = 5"),
        ("ordersync.toml", "orders.status_words", "pending"),
    ),
    "an unknown key": (settle("sync", 'intervall = "5s"'), ("ordersync.toml", "sync.intervall")),
    "an unknown key in orders": (
        edit('table = "trades"', 'table = "trades"\nvenu_order_id = "x"'),
        ("ordersync.toml", "orders", "venu_order_id"),
    ),
    "an unknown section": (append("\n[snyc]\nx = 1\n"), ("ordersync.toml", "snyc")),
    "a missing section": (
        lambda house: house.config.write_text(house.config.read_text().split("[accounts.main]")[0]),
        ("ordersync.toml", "accounts"),
    ),
    "an account that is not there": (
        edit('account = "main"', 'account = "mian"'),
        ("ordersync.toml", "orders.account", "mian"),
    ),
    "a TOML error": (append("\n[sync\n"), ("ordersync.toml", "line")),
    "two accounts with one name": (
        append('\n[accounts.main]\nvenue = "coinbase"\n'),
        ("ordersync.toml", "accounts", "main"),
    ),
    "an unknown venue": (
        edit('venue = "coinbase"', 'venue = "coinbse"'),
        ("ordersync.toml", "accounts.main.venue", "coinbse"),
    ),
    "http to a host that is not loopback": (
        lambda house: edit(house.stub.url, "http://api.coinbase.com")(house),
        ("ordersync.toml", "accounts.main.rest_url", "api.coinbase.com"),
    ),
    "http to a host that only sounds like loopback": (
        lambda house: edit(house.stub.url, "http://127.0.0.1.example.com")(house),
        ("ordersync.toml", "accounts.main.rest_url"),
    ),
    "http to a host behind a loopback user": (
        lambda house: edit(house.stub.url, "http://127.0.0.1@example.com")(house),
        ("ordersync.toml", "accounts.main.rest_url"),
    ),
    "ws to a host that is not loopback": (
        edit('venue = "coinbase"', 'venue = "coinbase"\nws_url = "ws://example.com"'),
        ("ordersync.toml", "accounts.main.ws_url"),
    ),
    "a url of no known kind": (
        lambda house: edit(house.stub.url, "ftp://127.0.0.1")(house),
        ("ordersync.toml", "accounts.main.rest_url"),
    ),
    "a text where a list is due": (
        edit('pending = ["open"]', 'pending = "open"'),
        ("ordersync.toml", "orders.status_words.pending", '["open"]'),
    ),
    "an account without a name": (
        edit("[accounts.main]", "[accounts]"),
        ("ordersync.toml", "accounts.venue", "[accounts.main]"),
    ),
    "a flag that is none": (
        settle("web", 'enabled = "please"'),
        ("ordersync.toml", "web.enabled", "true or false"),
    ),
    "a duration that is none": (
        settle("sync", 'stale_after = "five minutes"'),
        ("ordersync.toml", "sync.stale_after"),
    ),
    "a negative duration": (
        settle("sync", 'unknown_after = "-1h"'),
        ("ordersync.toml", "sync.unknown_after"),
    ),
    "a duration without its unit": (
        settle("sync", "interval = 30"),
        ("ordersync.toml", "sync.interval"),
    ),
    "a bad duration deep inside": (
        settle("sync", 'absence = { spread = "soon" }'),
        ("ordersync.toml", "sync.absence.spread"),
    ),
    "an absence of nought": (
        settle("sync", "absence = { count = 0 }"),
        ("ordersync.toml", "sync.absence.count"),
    ),
    "a where that is no expression": (
        edit('table = "trades"', 'table = "trades"\nwhere = "is_paper = "'),
        ("ordersync.toml", "orders.where"),
    ),
    "a where that is more than an expression": (
        edit('table = "trades"', 'table = "trades"\nwhere = "1; DELETE FROM trades"'),
        ("ordersync.toml", "orders.where"),
    ),
    "a where that would close its bracket": (
        edit('table = "trades"', 'table = "trades"\nwhere = "1) OR (1"'),
        ("ordersync.toml", "orders.where"),
    ),
    "a missing key file": (
        lambda house: house.key_file.unlink(),
        ("accounts.main.key_file", "coinbase.json"),
    ),
    "a directory for a key file": (
        directory_for_a_key,
        ("accounts.main.key_file", "coinbase.json", "it is a folder"),
    ),
    "a key file that the world can read": (
        lambda house: house.key_file.chmod(0o644),
        ("accounts.main.key_file", "coinbase.json", "chmod 600"),
    ),
    "a key file that the group can read": (
        lambda house: house.key_file.chmod(0o640),
        ("accounts.main.key_file", "coinbase.json", "chmod 600"),
    ),
    "a key file that is no JSON": (unparsable_key, ("accounts.main.key_file", "coinbase.json")),
    "a key file that is binary": (
        key(b"\xff\xfe\x00"),
        ("accounts.main.key_file", "coinbase.json"),
    ),
    "a key file without a key": (key('{"name": "x"}'), ("coinbase.json", "privateKey")),
    "a key file that is a list": (key("[1]"), ("coinbase.json",)),
    "a key cut short": (truncated_key, ("coinbase.json", "privateKey")),
    "a key of a kind that Coinbase does not give": (rsa_key, ("coinbase.json", "privateKey")),
    "a table without a key": (no_primary_key, ("ordersync.toml", "orders.id")),
    "a missing database": (no_database, ("database.url", "bot.db")),
    "a file that is not a database": (not_a_database, ("database.url", "bot.db")),
    "a directory for a database": (directory_for_a_database, ("database.url", "bot.db")),
    "a database of an unknown kind": (
        edit('url = "sqlite:', 'url = "sqlight:'),
        ("ordersync.toml", "database.url"),
    ),
}


def everything(house: House) -> dict[str, bytes]:
    return {
        str(path.relative_to(house.folder)): path.read_bytes()
        for path in sorted(house.folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_named_with_file_key_and_mend_and_nothing_is_written(
    house: House, stub: Stub, name: str
) -> None:
    spoil, named = CASES[name]
    house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    spoil(house)
    before = everything(house)
    stub.asked.clear()

    said = house.ordersync("sync", "--json")

    assert said.status == 3, said
    error = said.json["error"]
    assert set(error) == {"what", "where", "mend"}
    assert error["mend"], error
    text = " ".join(str(value) for value in error.values())
    assert [word for word in named if word not in text] == [], error
    assert everything(house) == before
    assert [asked.path for asked in stub.asked if "historical" in asked.path] == []


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("an unknown column", "run"),
        ("an unknown venue", "audit"),
        ("a key file that the world can read", "doctor"),
        ("a key cut short", "run"),
        ("a status without a word", "cleanup"),
        ("a TOML error", "history 1"),
        ("a missing database", "audit"),
    ],
)
def test_every_door_gives_the_same_clear_sentence(house: House, name: str, command: str) -> None:
    spoil, named = CASES[name]
    house.ready()
    spoil(house)
    before = everything(house)

    said = house.ordersync(*command.split())

    assert said.status == 3, said
    flat = said.text.replace("\n", " ")
    assert [word for word in named if word not in flat] == [], said
    assert everything(house) == before


def test_without_a_configuration_the_first_step_is_named(house: House) -> None:
    for command in ("doctor", "audit", "sync", "run", "cleanup"):
        said = house.ordersync(command)
        assert said.status == 3, said
        assert "ordersync.toml" in said.text
        assert "init" in said.text


def test_a_locked_database_is_said_to_be_locked(house: House) -> None:
    house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    with contextlib.closing(sqlite3.connect(house.database, isolation_level=None)) as bot:
        bot.execute("BEGIN EXCLUSIVE")
        said = house.ordersync("sync", "--json")
        bot.execute("ROLLBACK")

    assert said.status == 3, said
    error = said.json["error"]
    assert "locked" in error["what"]
    assert "bot.db" in " ".join(error.values())
    assert error["mend"]
    assert house.tables() == {"trades"}


def test_a_database_locked_only_for_a_moment_is_waited_for(house: House) -> None:
    row, _ = house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    with contextlib.closing(sqlite3.connect(house.database, isolation_level=None)) as bot:
        bot.execute("BEGIN EXCLUSIVE")
        with house.running("sync") as syncing:
            pause(2.5)
            bot.execute("ROLLBACK")
            syncing.child.wait(PATIENCE)
            said = syncing.stop()

    assert said.status == 0, said
    assert house.trade(row).status == "completed"


def test_init_refuses_bad_input_too(house: House) -> None:
    for arguments, named in (
        (("--table", "trdes"), "trdes"),
        (("--venue", "coinbse"), "coinbse"),
        (("--rest-url", "http://example.com"), "example.com"),
        (("--database", "sqlite:///nowhere.db"), "nowhere.db"),
    ):
        said = house.init(*arguments)
        assert said.status == 3, (arguments, said)
        assert named in said.text
        assert not house.config.exists()
    assert sorted(path.name for path in house.folder.iterdir()) == ["bot.db", "coinbase.json"]


def test_a_rest_url_may_be_any_name_of_this_machine(house: House) -> None:
    port = house.stub.url.rpartition(":")[2]
    house.ready()
    edit(house.stub.url, f"http://localhost:{port}")(house)

    assert house.ordersync("sync").status == 0


def humbly(house: House, *arguments: str) -> Said:
    """Run it so that permission bits bite, also where root runs the tests."""
    humble: list[str] = []
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root runs the tests, and there is no setpriv to take its powers away")
        humble = [
            setpriv,
            "--bounding-set=-dac_override,-dac_read_search",
            "--inh-caps=-dac_override,-dac_read_search",
        ]
    ended = subprocess.run(
        [*humble, sys.executable, "-m", "ordersync", *arguments],
        cwd=house.folder,
        env=house.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = Said(ended.returncode, ended.stdout, ended.stderr)
    house.check(said)
    return said


@pytest.fixture
def locked_up(house: House) -> Iterator[House]:
    """A house ready to have its permissions taken away."""
    house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    house.engine.dispose()
    yield house
    house.folder.chmod(0o755)


def test_a_read_only_database_is_said_to_be_read_only(locked_up: House) -> None:
    locked_up.database.chmod(0o444)
    before = locked_up.database.read_bytes()

    said = humbly(locked_up, "sync", "--json")

    assert said.status == 3, said
    error = said.json["error"]
    assert "read-only" in error["what"] or "cannot be written" in error["what"], error
    assert "bot.db" in " ".join(error.values())
    assert error["mend"]
    assert locked_up.database.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_named(locked_up: House) -> None:
    before = locked_up.database.read_bytes()
    locked_up.folder.chmod(0o555)

    said = humbly(locked_up, "sync", "--json")

    assert said.status == 3, said
    assert "bot.db" in " ".join(said.json["error"].values())
    assert locked_up.database.read_bytes() == before


def test_audit_needs_no_right_to_write(locked_up: House) -> None:
    locked_up.database.chmod(0o444)

    said = humbly(locked_up, "audit")

    assert said.status == 1, said


def test_an_unreadable_key_file_is_named(locked_up: House) -> None:
    locked_up.key_file.chmod(0o000)

    said = humbly(locked_up, "sync", "--json")

    assert said.status == 3, said
    text = " ".join(said.json["error"].values())
    assert "coinbase.json" in text
    assert said.json["error"]["mend"]


def test_an_unreadable_configuration_is_named(locked_up: House) -> None:
    locked_up.config.chmod(0o000)

    said = humbly(locked_up, "sync", "--json")

    assert said.status == 3, said
    assert "ordersync.toml" in " ".join(said.json["error"].values())
