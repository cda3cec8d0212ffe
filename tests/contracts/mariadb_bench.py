"""A MariaDB database as a Bench: see `bench`."""

from __future__ import annotations

from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pymysql

from ordersync.store.makes.mysql import MysqlServer
from tests.contracts.bench import Bench, Kind
from tests.servers import mariadb

if TYPE_CHECKING:
    from pymysql.cursors import Cursor

    from ordersync.store.database import Database
    from tests.contracts.bench import Row, Table, Watch
    from tests.servers.place import Server

# By their letters, as the contract has it; what another collation does has tests of its own.
LETTERS = "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"

_TYPES = {
    Kind.KEY: "BIGINT AUTO_INCREMENT PRIMARY KEY",
    Kind.TEXT_KEY: f"VARCHAR(190) {LETTERS} PRIMARY KEY",
    Kind.TEXT: f"VARCHAR(500) {LETTERS}",
    Kind.SHORT_TEXT: f"VARCHAR(10) {LETTERS}",
    Kind.FLOAT: "DOUBLE",
    Kind.DECIMAL: "DECIMAL(40, 8)",  # an overflow has a test of its own
    Kind.WHOLE: "BIGINT",
    Kind.TIME: "DATETIME(6)",
}


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def plain(cell: object) -> object:
    """A cell as SQLite would have given it to a bot."""
    if isinstance(cell, datetime):
        return cell.isoformat(" ", "microseconds")
    if isinstance(cell, Decimal):
        return float(cell)
    return str(cell) if isinstance(cell, date) else cell


class MariadbBench(Bench):
    """One database of a server."""

    types = _TYPES
    mark = "%s"

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self.url = server.new_database()

    def quoted(self, name: str) -> str:
        return quoted(name)

    def connect(self, **more: Any) -> pymysql.Connection[Cursor]:  # noqa: ANN401 - as the driver takes it
        # A bot may have a row with the key 0.
        modes = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO"
        return mariadb.connect(self.url, charset="utf8mb4", autocommit=True, sql_mode=modes, **more)

    def close(self) -> None:
        self._server.drop_database(self.url)

    def run(self, text: str, *arguments: object) -> list[Any]:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(text, arguments or None)
            return list(cursor.fetchall())

    def parts_of(self, table: Table) -> list[str]:
        key, *others = super().parts_of(table)
        if table.checks:  # which may not be about a column that counts
            key = key.replace(" AUTO_INCREMENT", "")
        return [key, *others]

    def insert(self, *rows: Row, table: str = "trades") -> None:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            connection.begin()
            for columns, alike in groupby(rows, tuple):
                names = ", ".join(quoted(name) for name in columns).replace("%", "%%")
                marks = ", ".join("%s" for _ in columns)
                cursor.executemany(
                    f"INSERT INTO {quoted(table)} ({names}) VALUES ({marks})",  # noqa: S608
                    [tuple(row.values()) for row in alike],
                )
            connection.commit()

    def rows(self, table: str = "trades") -> list[Row]:
        with (
            closing(self.connect(cursorclass=pymysql.cursors.DictCursor)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(self.all_of(table))
            found: list[Any] = list(cursor.fetchall())
            return [{name: plain(cell) for name, cell in row.items()} for row in found]

    def tables(self) -> list[tuple[str, object]]:
        return self.run(
            "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1"
        )

    def drop_all(self) -> None:
        for name, _ in self.tables():
            self.run(f"DROP TABLE {quoted(name)}")

    def refuse(self, word: str, *, key: int, loudly: bool, rolls_back: bool = False) -> None:
        del rolls_back  # no trigger can end a transaction here: its error is all it can do
        deed = "SET NEW.status = OLD.status"
        if loudly:
            deed = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not while I live'"
        self.run(
            f"CREATE TRIGGER refuse_{word}_{key} BEFORE UPDATE ON trades FOR EACH ROW"
            f" IF NEW.status = '{word}' AND NEW.id = {key} THEN {deed}; END IF"
        )

    def allow(self, word: str, *, key: int) -> None:
        self.run(f"DROP TRIGGER refuse_{word}_{key}")

    @property
    def database(self) -> Database:
        return MysqlServer(self.url)

    def watch(self) -> Watch:
        return MariadbWatch(self)


class MariadbWatch:
    """Compares sums of what all tables hold, and how far they have counted."""

    def __init__(self, bench: MariadbBench) -> None:
        self._bench = bench
        self._seen = self._look()

    def _look(self) -> list[object]:
        return [
            (name, count, self._bench.run(f"CHECKSUM TABLE {quoted(name)} EXTENDED"))
            for name, count in self._bench.tables()
        ]

    def was_written(self) -> bool:
        before, self._seen = self._seen, self._look()
        return before != self._seen
