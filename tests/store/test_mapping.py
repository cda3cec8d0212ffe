"""The mapping bound to a table: what is refused at the start, and with which mend."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.errors import ConfigError
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.mapping import Mapping, bind
from tests.contracts.bench import TRADES, WORDS, Kind, Table, mapped
from tests.contracts.sqlite_bench import SqliteBench

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> SqliteBench:
    return SqliteBench(tmp_path / "bot.db")


def bound(file: SqliteBench, **mapping: Any) -> Mapping:  # noqa: ANN401 - any key of [orders]
    return bind(SqliteFile(file.path), mapped(**mapping), where="ordersync.toml")


def refused(file: SqliteBench, **mapping: Any) -> ConfigError:  # noqa: ANN401
    """The error with which this mapping is refused."""
    with pytest.raises(ConfigError) as caught:
        bound(file, **mapping)
    assert caught.value.mend
    return caught.value


def test_a_table_that_is_not_there_is_named_with_those_that_are(file: SqliteBench) -> None:
    file.create(TRADES)
    file.create(Table(name="other", columns={"id": Kind.KEY}))
    error = refused(file, table="trade")
    assert error.where == "ordersync.toml: orders.table"
    assert "'trade'" in error.what
    assert error.mend == "Did you mean 'trades'? Its tables: other, trades."


@pytest.mark.parametrize(
    ("field", "name", "near"),
    [
        ("status", "state", ""),
        ("status", "Status", "status"),
        ("filled_qty", "filledsize", "filled_size"),
        ("owner", "bots", "bot"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_what_was_probably_meant(
    file: SqliteBench, field: str, name: str, near: str
) -> None:
    file.create(TRADES)
    error = refused(file, **{field: name})
    assert error.where == f"ordersync.toml: orders.{field}"
    assert f"no column {name!r}" in error.what
    assert f"Did you mean {near!r}?" in error.mend or not near
    assert "client_id" in error.mend


def test_an_account_column_that_is_not_there_is_named(file: SqliteBench) -> None:
    file.create(TRADES)
    error = refused(file, account={"column": "exchang", "values": {"cb": "main"}})
    assert error.where == "ordersync.toml: orders.account.column"
    assert "'exchange'" in error.mend


def test_a_view_is_refused(file: SqliteBench) -> None:
    file.create(TRADES)
    file.run("CREATE VIEW lately AS SELECT * FROM trades")
    error = refused(file, table="lately")
    assert "view" in error.what
    assert error.where == "ordersync.toml: orders.table"


@pytest.mark.parametrize(
    ("key", "ok"),
    [
        ("id INTEGER PRIMARY KEY", True),
        ("id TEXT PRIMARY KEY", True),
        ("id TEXT UNIQUE", True),
        ("id INTEGER", False),
        ("id INTEGER, n INTEGER, PRIMARY KEY (id, n)", False),
    ],
)
def test_the_key_must_name_one_row(file: SqliteBench, key: str, *, ok: bool) -> None:
    extra = key.split(", PRIMARY", 1)
    columns = [extra[0], "order_id TEXT", "status TEXT"]
    columns += [f"PRIMARY{extra[1]}"] if len(extra) > 1 else []
    file.run(f"CREATE TABLE trades ({', '.join(columns)})")
    bare: dict[str, Any] = dict.fromkeys(
        (
            *("client_order_id", "symbol", "created_at", "filled_at", "filled_qty"),
            *("avg_price", "fee", "reason", "owner"),
        )
    )
    if ok:
        assert bound(file, **bare).columns["id"] == "id"
    else:
        error = refused(file, **bare)
        assert error.where == "ordersync.toml: orders.id"
        assert "UNIQUE" in error.mend


def test_a_generated_column_is_not_written_and_may_be_read(file: SqliteBench) -> None:
    file.create(TRADES)
    file.run("ALTER TABLE trades ADD COLUMN label TEXT AS (note || '!')")
    assert "generated" in refused(file, reason="label").what
    assert bound(file, symbol="label").columns["symbol"] == "label"


@pytest.mark.parametrize(
    ("mapping", "ok"),
    [
        ({"filled_qty": "fee"}, False),
        ({"reason": "status"}, False),
        ({"symbol": "status"}, False),
        ({"created_at": "updated_at", "updated_at": "updated_at"}, False),
        ({"client_order_id": "order_id"}, False),
        ({"symbol": "bot", "owner": "bot"}, True),
        ({"owner": "id"}, True),
    ],
)
def test_a_column_that_is_written_is_mapped_once(
    file: SqliteBench, mapping: dict[str, str], *, ok: bool
) -> None:
    file.create(TRADES)
    if ok:
        bound(file, **mapping)
    else:
        assert "is mapped as" in refused(file, **mapping).what


@pytest.mark.parametrize(
    ("check", "kind", "word", "holds"),
    [
        ((), Kind.TEXT, "unknown", True),
        (("status IN ('unknown', 'pending')",), Kind.TEXT, "unknown", True),
        (("status IN ('pending', 'completed')",), Kind.TEXT, "unknown", False),
        ((), Kind.SHORT_TEXT, "ten letter", True),
        ((), Kind.SHORT_TEXT, "ten letters", False),
    ],
)
def test_whether_the_row_can_say_unknown_is_known_from_the_schema(
    file: SqliteBench, check: tuple[str, ...], kind: Kind, word: str, *, holds: bool
) -> None:
    columns = TRADES.but(status=kind).columns
    file.create(Table(columns=columns, checks=check))
    words = {k: v for k, v in WORDS.items() if k != "unknown"}
    assert bound(file, status_words={**words, word: ["unknown"]}).writes_unknown is holds
    assert not bound(file, status_words=words).writes_unknown


def test_binding_reads_the_schema_and_writes_nothing(file: SqliteBench) -> None:
    file.create(TRADES)
    watch = file.watch()
    bound(file)
    assert not watch.was_written()
    file.close()
    with closing(sqlite3.connect(file.path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)
