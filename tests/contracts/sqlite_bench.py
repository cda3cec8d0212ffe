"""A SQLite file as a Bench: see `bench`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ordersync.store.makes.sqlite import SqliteFile
from tests.contracts.bench import Bench, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.store.database import Database
    from tests.contracts.bench import Row

_TYPES = {
    Kind.KEY: "INTEGER PRIMARY KEY",
    Kind.TEXT_KEY: "TEXT NOT NULL PRIMARY KEY",
    Kind.TEXT: "TEXT",
    Kind.SHORT_TEXT: "VARCHAR(10)",
    Kind.FLOAT: "REAL",
    Kind.DECIMAL: "NUMERIC(18, 8)",
    Kind.WHOLE: "INTEGER",
    Kind.TIME: "TIMESTAMP",
}


def _as_text(cell: object) -> object:
    """A time as sqlite3 writes it by itself, which Python 3.12 and later warn about."""
    return cell.isoformat(" ") if isinstance(cell, datetime) else cell


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class SqliteBench(Bench):
    """A SQLite file; `path` is for what only SQLite has."""

    types = _TYPES
    mark = "?"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.held: list[sqlite3.Connection] = []
        if not path.exists():
            # A file that holds nothing yet is no database to those that look at it.
            self.run("PRAGMA user_version = 7")

    def quoted(self, name: str) -> str:
        return quoted(name)

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, timeout=20.0)

    def close(self) -> None:
        for connection in self.held:
            connection.close()

    def run(self, text: str, *arguments: object) -> list[Any]:
        with closing(self.connect()) as connection:
            return connection.execute(text, arguments).fetchall()

    def insert(self, *rows: Row, table: str = "trades") -> None:
        with closing(self.connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for row in rows:
                names = ", ".join(quoted(name) for name in row)
                marks = ", ".join("?" for _ in row)
                connection.execute(
                    f"INSERT INTO {quoted(table)} ({names}) VALUES ({marks})",  # noqa: S608
                    tuple(map(_as_text, row.values())),
                )
            connection.execute("COMMIT")

    def rows(self, table: str = "trades") -> list[Row]:
        with closing(self.connect()) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(self.all_of(table))]

    def drop_all(self) -> None:
        for (name,) in self.run("SELECT name FROM sqlite_master WHERE type = 'table'"):
            self.run(f"DROP TABLE {quoted(name)}")

    def refuse(self, word: str, *, key: int, loudly: bool, rolls_back: bool = False) -> None:
        deed = "RAISE(IGNORE)"
        if loudly:
            deed = f"RAISE({'ROLLBACK' if rolls_back else 'ABORT'}, 'not while I live')"
        self.run(
            f"CREATE TRIGGER refuse_{word}_{key} BEFORE UPDATE ON trades"
            f" WHEN new.status = '{word}' AND new.id = {key} BEGIN SELECT {deed}; END"
        )

    def allow(self, word: str, *, key: int) -> None:
        self.run(f"DROP TRIGGER refuse_{word}_{key}")

    @property
    def database(self) -> Database:
        return SqliteFile(self.path)

    def watch(self) -> SqliteWatch:
        return SqliteWatch(self)


class SqliteWatch:
    """Looks at the version that SQLite shows to other connections, and at the bytes."""

    def __init__(self, bench: SqliteBench) -> None:
        self._path = bench.path
        self._connection = bench.connect()
        bench.held.append(self._connection)
        self._seen = self._look()

    def _look(self) -> tuple[object, ...]:
        version = self._connection.execute("PRAGMA data_version").fetchone()
        log = self._path.with_name(self._path.name + "-wal")
        return (version, self._path.read_bytes(), log.read_bytes() if log.exists() else b"")

    def was_written(self) -> bool:
        before, self._seen = self._seen, self._look()
        return before != self._seen
