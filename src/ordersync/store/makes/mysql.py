"""MariaDB and MySQL: an address, a connection's settings, and the look at its tables."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import CLIENT, FIELD_TYPE
from pymysql.converters import encoders
from sqlalchemy import NullPool, create_engine, text

from ordersync.errors import ConfigError, OrdersyncError
from ordersync.store.makes.mysql_address import address_of
from ordersync.store.makes.mysql_errors import explain
from ordersync.store.makes.mysql_literals import literal
from ordersync.store.makes.mysql_rights import look_at_rights
from ordersync.store.makes.mysql_session import MysqlSession
from ordersync.store.makes.mysql_spelling import MysqlSpelling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymysql.cursors import Cursor
    from sqlalchemy.engine import Connection

    from ordersync.ports import Finding
    from ordersync.store.database import Session
    from ordersync.store.shape import TableShape
    from ordersync.store.spelling import Spelling

LEAST_MARIADB = (10, 6)
LEAST_MYSQL = (8, 0, 21)
"""Older ones know no SKIP LOCKED, no JSON_TABLE or no JSON_VALUE."""

CONNECT_SECONDS = 10
READ_SECONDS = 60

# What changes the meaning of a condition is left as the server has it: the user has tried it
# there. But no backslash may escape a quote.
_KEPT_MODES = frozenset({"ANSI_QUOTES", "PIPES_AS_CONCAT", "HIGH_NOT_PRECEDENCE", "IGNORE_SPACE"})
_OUR_MODES = ("STRICT_ALL_TABLES", "NO_BACKSLASH_ESCAPES")

_WHOLE = ("TINY", "SHORT", "INT24", "LONG", "LONGLONG", "YEAR")
# All else comes as text, as the server spells it: zero dates, and numbers with all their digits.
_CONVERSIONS: dict[Any, Any] = {
    **encoders,
    **{getattr(FIELD_TYPE, name): int for name in _WHOLE},
    FIELD_TYPE.FLOAT: float,
    FIELD_TYPE.DOUBLE: float,
}


class MysqlServer:
    """Implements `database.Database`."""

    errors: tuple[type[Exception], ...] = (pymysql.MySQLError,)
    # Beyond the driver's own time-out, which is that of one statement.
    deadline: float | None = 65.0
    has_one_writer = False

    def __init__(self, url: str, password: str | None = None) -> None:
        self._address = address_of(url, password)
        self._spelling = MysqlSpelling()
        self._account = "this user"
        self._looked_at: tuple[str, str] | None = None
        self.where = self._address.where
        self.spelling: Spelling = self._spelling

    def __repr__(self) -> str:
        return f"MysqlServer({self.where!r})"

    def connect(self, *, writes: bool, table: TableShape | None = None) -> Session:
        """A connection, with the settings that all that we write rests on."""
        del table
        if writes:
            self._check_engine()
        connection = self._connect(conv=_CONVERSIONS, client_flag=CLIENT.FOUND_ROWS)
        try:
            most_bytes = self._settle(connection, writes=writes)
        except BaseException:
            # Nobody else has it yet, so nobody else could close it.
            connection.close()
            raise
        return MysqlSession(connection, self._spelling, most_bytes=most_bytes)

    def _connect(self, **more: Any) -> pymysql.Connection[Cursor]:  # noqa: ANN401 - as the driver takes it
        address = self._address
        return pymysql.connect(
            host=address.host,
            port=address.port,
            unix_socket=address.unix_socket,
            user=address.user,
            password=address.password.encode(),  # a text would be sent in latin1
            database=address.database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            write_timeout=READ_SECONDS,
            ssl=address.tls,
            program_name="ordersync",
            **more,
        )

    def _settle(self, connection: pymysql.Connection[Cursor], *, writes: bool) -> int:
        """Settings of the session; how many bytes the server takes at once."""
        cursor = connection.cursor()
        cursor.execute("SELECT @@version, @@sql_mode, @@max_allowed_packet, CURRENT_USER()")
        version, modes, most_bytes, account = cursor.fetchone() or ("", "", 1 << 20, "")
        self._check_version(version)
        user, _, host = account.rpartition("@")
        self._account = f"{literal(user)}@{literal(host)}"
        kept = [mode for mode in modes.split(",") if mode in _KEPT_MODES]
        cursor.execute(
            f"SET SESSION sql_mode = {literal(','.join([*kept, *_OUR_MODES]))},"
            " time_zone = '+00:00', innodb_lock_wait_timeout = 5, lock_wait_timeout = 10,"
            " wait_timeout = 28800, default_storage_engine = 'InnoDB'"
        )
        level = "ISOLATION LEVEL READ COMMITTED"
        access = "READ WRITE" if writes else "READ ONLY"
        cursor.execute(f"SET SESSION TRANSACTION {level}, {access}")
        return int(most_bytes)

    def _check_version(self, version: str) -> None:
        least = LEAST_MARIADB if "mariadb" in version.lower() else LEAST_MYSQL
        found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
        if found and tuple(int(part or 0) for part in found.groups()) < least:
            wanted = ".".join(map(str, least))
            raise ConfigError(
                f"the server is {version}; {wanted} or newer is needed.",
                where=self.where,
                mend="Upgrade the server: MariaDB 10.6, MySQL 8.0.21 or newer.",
            )

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A SQLAlchemy connection that can only read."""
        engine = create_engine(
            "mysql+pymysql://",
            poolclass=NullPool,
            creator=lambda: self._connect(init_command="SET SESSION TRANSACTION READ ONLY"),
        )
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def declared_types(self, connection: Connection, table: TableShape) -> dict[str, str]:
        """SQLAlchemy's words will do. The table's engine is noted, and who the server is."""
        is_mariadb = getattr(connection.dialect, "is_mariadb", False)
        self._spelling.compare_by("utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin")
        statement = text(
            "SELECT ENGINE FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = coalesce(:place, DATABASE()) AND TABLE_NAME = :name"
        )
        rows = connection.execute(statement, {"place": table.schema, "name": table.name})
        self._looked_at = next(((table.name, str(engine)) for (engine,) in rows if engine), None)
        return {}

    def _check_engine(self) -> None:
        """Row, truth and event are one transaction; of the table that was looked at last."""
        table, engine = self._looked_at or ("", "InnoDB")
        if engine.lower() != "innodb":
            raise ConfigError(
                f"the table {table!r} is kept by {engine}, which knows no transactions.",
                where="orders.table",
                mend=f"ALTER TABLE {self._spelling.quote(table) % ()} ENGINE = InnoDB;",
            )

    def explain(self, error: BaseException) -> OrdersyncError:
        """What a driver's error means to a person."""
        return explain(error, self.where, self._account)

    def findings(
        self, session: Session, table: TableShape, read: Sequence[str], written: Sequence[str]
    ) -> list[Finding]:
        """Rights, the table's engine, zero dates, and what the server is set to."""
        return look_at_rights(session, self._spelling, self._account, table, read, written)
