"""A look at a database that exists: its tables, columns, keys, indexes. Reads the schema only."""

from __future__ import annotations

import re
import sqlite3
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import msgspec
from sqlalchemy import NullPool, create_engine, event, inspect
from sqlalchemy.exc import DatabaseError, NoSuchTableError, SAWarning

from ordersync.errors import ConfigError, OrdersyncError, StoreBusy, StoreRefused

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.engine.reflection import Inspector


class ColumnShape(msgspec.Struct, frozen=True, kw_only=True):
    """A column as it is declared. `words` are what an enum or a CHECK lets it hold."""

    name: str
    declared: str
    nullable: bool
    length: int | None = None
    generated: bool = False
    words: tuple[str, ...] = ()


class IndexShape(msgspec.Struct, frozen=True, kw_only=True):
    """An index: its columns in order, whether unique, and its condition if it is partial."""

    columns: tuple[str, ...]
    unique: bool
    where: str | None = None


class TableShape(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view as it is declared."""

    name: str
    columns: dict[str, ColumnShape]
    primary_key: tuple[str, ...]
    indexes: tuple[IndexShape, ...]
    is_view: bool = False

    def is_unique(self, column: str) -> bool:
        """Whether one value of this column names at most one row."""
        if self.primary_key == (column,):
            return True
        return any(i.unique and i.columns == (column,) and i.where is None for i in self.indexes)

    def leads_an_index(self, column: str) -> bool:
        """Whether rows can be found by this column without reading the whole table."""
        if self.primary_key[:1] == (column,):
            return True
        return any(i.columns[:1] == (column,) for i in self.indexes)


def sqlite_path(url: str, base: Path) -> Path:
    """The file of a `sqlite:///` URL; relative ones start at `base`. Raises ConfigError."""
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///(.+?)(?:\?.*)?", url)
    if match is None:
        raise ConfigError(
            f"{_without_password(url)!r} is no database that ordersync can open.",
            where="database.url",
            mend="Write it as sqlite:///bot.db (three slashes and a path).",
        )
    return (base / Path(unquote(match[1])).expanduser()).absolute()


def look_at_tables(path: Path) -> dict[str, TableShape]:
    """Every table and view of a SQLite file, but ours. Raises OrdersyncError."""
    engine = _engine(path)
    try:
        with engine.connect() as connection:
            inspector = inspect(connection)
            names = [*inspector.get_table_names(), *inspector.get_view_names()]
            return {
                name: _shape(inspector, name) for name in names if not name.startswith("ordersync_")
            }
    except DatabaseError as error:
        raise explain(error.orig or error, path) from error
    finally:
        engine.dispose()


def look_at_table(path: Path, table: str) -> TableShape | None:
    """One table or view, None where there is none of that name. Raises OrdersyncError."""
    engine = _engine(path)
    try:
        with engine.connect() as connection:
            return _shape(inspect(connection), table)
    except NoSuchTableError:
        return None
    except DatabaseError as error:
        raise explain(error.orig or error, path) from error
    finally:
        engine.dispose()


def list_table_names(path: Path) -> list[str]:
    """The names of the user's tables."""
    engine = _engine(path)
    try:
        with engine.connect() as connection:
            names = inspect(connection).get_table_names()
    except DatabaseError as error:
        raise explain(error.orig or error, path) from error
    finally:
        engine.dispose()
    return [name for name in names if not name.startswith("ordersync_")]


def explain(error: BaseException, path: Path) -> OrdersyncError:
    """What a driver's error means to a person: ask again, or give up, and the mend."""
    text = str(error)
    where = str(path)
    if "locked" in text or "busy" in text:
        return StoreBusy(
            "the database is locked by another program.",
            where=where,
            mend="Wait until it has finished writing, or end it, and try again.",
        )
    if "readonly" in text or "read-only" in text:
        return StoreRefused(
            "the database cannot be written.",
            where=where,
            mend="Give this user the right to write the file and its folder.",
        )
    if "not a database" in text or "malformed" in text:
        return StoreRefused(
            f"it is not a SQLite database, or is damaged ({text}).",
            where=where,
            mend="Check the path in database.url.",
        )
    if "unable to open" in text:
        return StoreRefused(
            "the database cannot be opened.",
            where=where,
            mend="Check that the file exists and that this user may read and write it.",
        )
    return StoreRefused(f"the database refuses: {text}.", where=where, mend="")


def _engine(path: Path) -> Engine:
    if not path.is_file():
        raise ConfigError(
            "there is no such database.",
            where=str(path),
            mend="Check the path in database.url; relative paths start at ordersync.toml.",
        )
    # Not by SQLAlchemy's URL: a '#', '?' or '%' in the path would end or change it.
    uri = f"file:{quote(str(path))}?mode=ro"
    engine = create_engine(
        "sqlite://", poolclass=NullPool, creator=lambda: sqlite3.connect(uri, uri=True, timeout=5.0)
    )

    @event.listens_for(engine, "connect")
    def _only_reads(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
        connection.execute("PRAGMA query_only = ON")

    return engine


def _shape(inspector: Inspector, table: str) -> TableShape:
    with warnings.catch_warnings():
        # An index on an expression is none that we could use.
        warnings.simplefilter("ignore", SAWarning)
        listed = inspector.get_indexes(table)
        uniques = inspector.get_unique_constraints(table)
    indexes = [
        IndexShape(
            columns=tuple(name for name in index["column_names"] if name),
            unique=bool(index["unique"]),
            where=_condition(index.get("dialect_options", {}).get("sqlite_where")),
        )
        for index in listed
    ]
    indexes += [
        IndexShape(columns=tuple(unique["column_names"]), unique=True) for unique in uniques
    ]
    checks = [check["sqltext"] for check in inspector.get_check_constraints(table)]
    columns = {}
    for column in inspector.get_columns(table):
        kind = column["type"]
        length = getattr(kind, "length", None)
        columns[column["name"]] = ColumnShape(
            name=column["name"],
            declared=_declared(kind, inspector),
            nullable=bool(column["nullable"]),
            length=length if isinstance(length, int) else None,
            generated="computed" in column,
            words=_allowed_words(column["name"], checks),
        )
    return TableShape(
        name=table,
        columns=columns,
        primary_key=tuple(inspector.get_pk_constraint(table)["constrained_columns"]),
        indexes=tuple(indexes),
        is_view=table in inspector.get_view_names(),
    )


def _condition(where: object) -> str | None:
    # No `or`: SQLAlchemy's clauses refuse to be true or false.
    return None if where is None else str(where)


def _declared(kind: Any, inspector: Inspector) -> str:  # noqa: ANN401 - a TypeEngine of any kind
    text: str = kind.__class__.__name__
    return text if text == "NullType" else str(kind.compile(dialect=inspector.dialect))


def _allowed_words(column: str, checks: list[str]) -> tuple[str, ...]:
    """The words that a CHECK (column IN ('a', 'b')) allows, empty where none limits it."""
    word = r"'(?:[^']|'')*'"
    name = rf"""(?:["`\[]{re.escape(column)}["`\]]|\b{re.escape(column)}\b)"""
    one_of = rf"(?:IS\s+NULL|=\s*{word}|IN\s*\(\s*{word}(?:\s*,\s*{word})*\s*\))"
    part = rf"\(*\s*{name}\s*{one_of}\s*\)*"
    limit = re.compile(rf"{part}(?:\s*\bOR\b\s*{part})*", re.IGNORECASE)
    for check in checks:
        if limit.fullmatch(check.strip()) and (words := re.findall(word, check)):
            return tuple(found[1:-1].replace("''", "'") for found in words)
    return ()


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)
