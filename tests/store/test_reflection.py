"""A look at a database that exists: what its columns may hold, its keys and indexes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from ordersync.errors import ConfigError, StoreRefused
from ordersync.store.makes import database_at
from ordersync.store.makes.sqlite import SqliteFile, sqlite_path
from ordersync.store.reflection import list_table_names, look_at_table, look_at_tables

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.store.shape import TableShape


def shape_of(path: Path, *statements: str) -> TableShape:
    """The shape of `t` after these statements."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    shape = look_at_table(SqliteFile(path), "t")
    assert shape is not None
    return shape


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.db"


# --- what a column may hold -------------------------------------------------------------------

CHECKS = [
    "status TEXT CHECK (status IN ('open', 'done'))",
    "status TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open','done')), qty REAL",
    "status TEXT, CHECK (status IN ('open', 'done'))",
    "status TEXT, CONSTRAINT words CHECK (status IN ('open', 'done'))",
    "status TEXT CHECK(status in ('open','done'))",
    "status TEXT CHECK (\"status\" IN ('open', 'done'))",
    "status TEXT CHECK (\n    status IN (\n  'open',\n  'done'\n)\n)",
    "status TEXT CHECK (((status IN ('open', 'done'))))",
    "status TEXT CHECK (status IN ('open', 'done')), qty REAL CHECK (qty > 0)",
    "qty REAL CHECK (qty > 0), status TEXT CHECK (status IN ('open', 'done'))",
    "status TEXT CHECK (status IS NULL OR status IN ('open', 'done'))",
    "status TEXT CHECK (status IN ('open', 'done') OR status IS NULL)",
    "status TEXT CHECK (status = 'open' OR status = 'done')",
]


@pytest.mark.parametrize("columns", CHECKS)
def test_the_words_that_a_check_allows_are_found(path: Path, columns: str) -> None:
    shape = shape_of(path, f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})")
    assert shape.columns["status"].words == ("open", "done")


@pytest.mark.parametrize(
    "columns",
    [
        "status TEXT",
        "status TEXT CHECK (length(status) < 9)",
        "status TEXT CHECK (status <> '')",
        "status TEXT CHECK (status NOT IN ('gone'))",
        "status TEXT, other TEXT CHECK (other IN ('a', 'b'))",
        "status TEXT, old_status TEXT CHECK (old_status IN ('a', 'b'))",
        "status TEXT CHECK (status IN ('a', 'b') OR id > 5)",
        "status TEXT CHECK (id < 5 AND status = 'a' OR status = 'b' AND id > 5 OR id = 5)",
    ],
)
def test_other_checks_limit_no_words(path: Path, columns: str) -> None:
    shape = shape_of(path, f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})")
    assert shape.columns["status"].words == ()


def test_words_with_quotes_and_commas_are_whole(path: Path) -> None:
    shape = shape_of(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, status TEXT"
        " CHECK (status IN ('it''s open', 'a, b', 'c)', '')))",
    )
    assert shape.columns["status"].words == ("it's open", "a, b", "c)", "")


def test_an_enum_of_sqlalchemys_is_known_by_its_check(path: Path) -> None:
    metadata = sa.MetaData()
    sa.Table(
        "t",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("status", sa.Enum("open", "done", name="word", create_constraint=True)),
        sa.Column("kind", sa.Enum("a", "b", native_enum=False)),
    )
    engine = sa.create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    shape = look_at_table(SqliteFile(path), "t")
    assert shape is not None
    assert shape.columns["status"].words == ("open", "done")
    assert shape.columns["status"].length == 4
    assert shape.columns["kind"].words == ()


def test_the_length_of_a_column_is_known(path: Path) -> None:
    shape = shape_of(
        path, "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(12), b TEXT, c CHAR(3), d)"
    )
    assert {name: column.length for name, column in shape.columns.items()} == {
        "id": None,
        "a": 12,
        "b": None,
        "c": 3,
        "d": None,
    }


def test_generated_columns_are_known(path: Path) -> None:
    shape = shape_of(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a REAL, b REAL AS (a * 2),"
        " c REAL GENERATED ALWAYS AS (a * 3) STORED)",
    )
    assert {name for name, column in shape.columns.items() if column.generated} == {"b", "c"}


# --- keys and indexes -------------------------------------------------------------------------


def test_what_names_one_row_is_known(path: Path) -> None:
    shape = shape_of(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT, c TEXT, d TEXT, e TEXT,"
        " UNIQUE (c, d))",
        "CREATE UNIQUE INDEX b_once ON t (b)",
        "CREATE UNIQUE INDEX d_partly ON t (d) WHERE d IS NOT NULL",
        "CREATE INDEX e_often ON t (e)",
    )
    assert {name for name in shape.columns if shape.is_unique(name)} == {"id", "a", "b"}
    assert {name for name in shape.columns if shape.leads_an_index(name)} == set("abcde") | {"id"}


def test_a_key_of_two_columns_names_no_row_by_one(path: Path) -> None:
    shape = shape_of(path, "CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID")
    assert not shape.is_unique("a")
    assert shape.leads_an_index("a")
    assert not shape.leads_an_index("b")


def test_a_partial_index_is_seen_with_its_condition(path: Path) -> None:
    shape = shape_of(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, status TEXT)",
        "CREATE INDEX open ON t (status) WHERE status IN ('open', 'new')",
        "CREATE INDEX shout ON t (upper(status))",
    )
    conditions = {index.columns: index.where for index in shape.indexes}
    assert conditions[("status",)] == "status IN ('open', 'new')"
    assert shape.columns["status"].words == ()


def test_views_are_seen_as_views_and_our_tables_not_at_all(path: Path) -> None:
    shape_of(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE TABLE ordersync_orders (x)",
    )
    tables = look_at_tables(SqliteFile(path))
    assert {name: shape.is_view for name, shape in tables.items()} == {"t": False, "v": True}
    assert list_table_names(SqliteFile(path)) == ["t"]
    assert look_at_table(SqliteFile(path), "nobody") is None


def test_looking_writes_nothing(path: Path) -> None:
    shape_of(path, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    before = path.read_bytes()
    look_at_tables(SqliteFile(path))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["bot.db"]


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.write_text("hello" * 1000)
    for look in (look_at_tables, list_table_names):
        with pytest.raises(StoreRefused):
            look(SqliteFile(path))


# --- paths ------------------------------------------------------------------------------------


def test_a_url_names_a_file(tmp_path: Path) -> None:
    assert sqlite_path("sqlite:///bot.db", tmp_path) == tmp_path / "bot.db"
    assert str(sqlite_path("sqlite:////var/lib/bot.db", tmp_path)) == "/var/lib/bot.db"
    assert sqlite_path("sqlite+aiosqlite:///my%20bot.db?x=1", tmp_path) == tmp_path / "my bot.db"


@pytest.mark.parametrize(
    "url", ["", "bot.db", "sqlite://", "sqlite:///", "mssql://u:secret@h/d", "sqlite:/x"]
)
def test_what_names_no_file_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        database_at(url, tmp_path)
    assert caught.value.where == "database.url"
    assert "secret" not in str(caught.value)
