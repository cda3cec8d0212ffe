"""SQLite: one file, one connection, plain statements.

The journal mode of the user's file is never changed; `synchronous` is FULL, so what is reported
as written is on the disk. Rows and truths are written one by one: as fast as in one statement,
exact in every type, and no planner can take it for a walk over the table.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from sqlalchemy import NullPool, create_engine, event

from ordersync.errors import ConfigError, OrdersyncError, StoreBusy, StoreRefused
from ordersync.ports import Finding, Severity
from ordersync.store.makes.at_once import AtOnce
from ordersync.store.spelling import Spelling
from ordersync.store.statement import Ask, Written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import Connection

    from ordersync.store.database import Session
    from ordersync.store.shape import ColumnShape, TableShape
    from ordersync.store.statement import RowKey, RowUpdate, Upsert

LEAST_SQLITE = (3, 35)
"""Older ones know no DROP COLUMN and no RETURNING, on which migrations may rest."""


def sqlite_path(url: str, base: Path) -> Path | None:
    """The file of a `sqlite:///` URL, None where it is none; relative ones start at `base`."""
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///(.+?)(?:\?.*)?", url)
    if match is None:
        return None
    return (base / Path(unquote(match[1])).expanduser()).absolute()


class SqliteSpelling(Spelling):
    """What SQLite spells otherwise."""

    whole_type = "INTEGER"
    compact = " WITHOUT ROWID"
    # CROSS JOIN keeps SQLite from walking all of an account's truths once for each key.
    joined = "CROSS JOIN"
    commits_in_order = True

    def each_key(self, name: str) -> str:
        """The JSON list in an argument as a table."""
        return f"json_each({self.param(name)}) AS j"

    def among(self, column: ColumnShape, name: str) -> str:
        """Whether a column is in the JSON list in an argument."""
        return f"t.{self.quote(column.name)} IN (SELECT value FROM json_each({self.param(name)}))"

    def json_text(self, expression: str, *path: str) -> str:
        """A text inside a JSON text."""
        return f"json_extract({expression}, '$.{'.'.join(path)}')"

    def rare(self, condition: str) -> str:
        """Few rows, whatever ANALYZE has learned of the others."""
        return f"likelihood({condition}, 0.0001)"

    def common(self, condition: str) -> str:
        """Most rows, whatever an index on it might promise: the other conditions are narrower."""
        return f"likelihood({condition}, 0.9)"

    def no_index_for(self, condition: str) -> str:
        """The plus hides a condition from the planner."""
        return f"+{condition}"

    def by_index(self, name: str) -> str:
        """What holds the planner to an index."""
        return f" INDEXED BY {name}"


class SqliteFile:
    """Implements `database.Database`."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error, sqlite3.Warning)
    deadline: float | None = None
    has_one_writer = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self.spelling: Spelling = SqliteSpelling()

    def connect(self, *, writes: bool, table: TableShape | None = None) -> Session:
        """A connection; where it only reads, the file is opened for reading only."""
        del table
        if sqlite3.sqlite_version_info < LEAST_SQLITE:
            raise ConfigError(
                f"this Python brings SQLite {sqlite3.sqlite_version}; 3.35 or newer is needed.",
                mend="Use a newer Python.",
            )
        self._check_file()
        connection = sqlite3.connect(
            f"file:{quote(self.where)}?mode={'rw' if writes else 'ro'}",
            uri=True,
            timeout=5.0,
            isolation_level=None,
            # Opened and closed on the store's thread, but a store that failed to open is
            # closed by whoever made it.
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            # At most 64 MiB, taken as they are needed: a large group must not spill half
            # written pages.
            connection.execute("PRAGMA cache_size = -65536")
        except BaseException:
            # Nobody else has it yet, so nobody else could close it.
            connection.close()
            raise
        return SqliteSession(connection)

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A SQLAlchemy connection that can only read."""
        self._check_file()
        # Not by SQLAlchemy's URL: a '#', '?' or '%' in the path would end or change it.
        uri = f"file:{quote(self.where)}?mode=ro"
        engine = create_engine(
            "sqlite://",
            poolclass=NullPool,
            creator=lambda: sqlite3.connect(uri, uri=True, timeout=5.0),
        )

        @event.listens_for(engine, "connect")
        def _only_reads(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
            connection.execute("PRAGMA query_only = ON")

        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def declared_types(self, connection: Connection, table: TableShape) -> dict[str, str]:
        """SQLAlchemy's words are good enough: columns hold anything."""
        del connection, table
        return {}

    def explain(self, error: BaseException) -> OrdersyncError:
        """What a driver's error means to a person."""
        text = str(error)
        for signs, make, what, mend in _EXPLAINED:
            if any(sign in text for sign in signs):
                return make(what.format(text=text), where=self.where, mend=mend)
        return StoreRefused(f"the database refuses: {text}.", where=self.where, mend="")

    def findings(
        self, session: Session, table: TableShape, read: Sequence[str], written: Sequence[str]
    ) -> list[Finding]:
        """Whether the file can be written, and how its journal lets others read meanwhile."""
        del table, read, written
        found: list[Finding] = []
        if not os.access(self.path, os.W_OK) or not os.access(self.path.parent, os.W_OK):
            found.append(
                Finding(
                    severity=Severity.ERROR,
                    about="rights",
                    what=f"{self.path} or its folder cannot be written.",
                    mend="Give this user the right to write both.",
                )
            )
        else:
            what = "the database can be written."
            found.append(Finding(severity=Severity.OK, about="rights", what=what))
        ((journal,),) = session.fetch(Ask("PRAGMA journal_mode"))
        if journal != "wal":
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    about="journal",
                    what=f"the journal mode is {journal}: the bot waits while ordersync writes.",
                    mend="PRAGMA journal_mode = WAL; (once, by you; ordersync never changes it)",
                )
            )
        return found

    def _check_file(self) -> None:
        if not self.path.is_file():
            raise ConfigError(
                "there is no such database.",
                where=self.where,
                mend="Check the path in database.url; relative paths start at ordersync.toml.",
            )


_EXPLAINED: tuple[tuple[tuple[str, ...], type[OrdersyncError], str, str], ...] = (
    (
        ("locked", "busy"),
        StoreBusy,
        "the database is locked by another program.",
        "Wait until it has finished writing, or end it, and try again.",
    ),
    (
        ("readonly", "read-only"),
        StoreRefused,
        "the database cannot be written.",
        "Give this user the right to write the file and its folder.",
    ),
    (
        ("not a database", "malformed"),
        StoreRefused,
        "it is not a SQLite database, or is damaged ({text}).",
        "Check the path in database.url.",
    ),
    (
        ("unable to open",),
        StoreRefused,
        "the database cannot be opened.",
        "Check that the file exists and that this user may read and write it.",
    ),
)


class SqliteSession(AtOnce):
    """Implements `database.Session`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._spelling = SqliteSpelling()
        self._upserts: dict[str, str] = {}
        self._updates: dict[RowUpdate, str] = {}

    def fetch(self, ask: Ask) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        execute = self._connection.execute
        try:
            return execute(ask.text, ask.arguments).fetchall()
        except sqlite3.OperationalError as error:
            if "Could not decode" not in str(error):
                raise
            # One cell that is no UTF-8 must not hide all the others. Slower, so not at first.
            self._connection.text_factory = lambda text: text.decode(errors="replace")
            return execute(ask.text, ask.arguments).fetchall()

    def fetch_each(self, asks: Sequence[Ask]) -> list[list[tuple[Any, ...]]]:
        """The rows of several statements."""
        return [self.fetch(ask) for ask in asks]

    def run(self, ask: Ask) -> int:
        """Run a statement that writes."""
        return self._connection.execute(ask.text, ask.arguments).rowcount

    def begin(self, how: str | None = None) -> None:
        """Take the right to write at once: an upgrade in the middle could only fail."""
        self._connection.execute(how or "BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End the transaction."""
        self.check_held()
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """End it; some errors (a full disk, a trigger) have rolled it back already."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    def savepoint(self) -> None:
        """Mark where to go back to."""
        self._connection.execute("SAVEPOINT ordersync_rows")

    def rollback_to_savepoint(self) -> None:
        """Go back there."""
        self._connection.execute("ROLLBACK TO ordersync_rows")
        self.release_savepoint()

    def release_savepoint(self) -> None:
        """Forget the mark."""
        self._connection.execute("RELEASE ordersync_rows")

    def alone(self, name: str) -> None:
        """Who holds the right to write is alone already."""
        del name

    def has_table(self, schema: str | None, name: str) -> bool:
        """Whether there is such a table."""
        del schema
        text = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return self._connection.execute(text, (name,)).fetchone() is not None

    def next_log_id(self, log_ids: str) -> int:
        """One more than the last: who holds the right to write is alone."""
        del log_ids
        (found,) = self._connection.execute(NEXT_LOG_ID).fetchone()
        return int(found)

    def upsert(self, upsert: Upsert, rows: Sequence[tuple[object, ...]]) -> Sequence[bool]:
        """One by one."""
        text = self._upserts.get(upsert.table)
        if text is None:
            marks = ", ".join("?" for _ in upsert.columns)
            text = self._spelling.upsert(upsert, f"VALUES ({marks})")
            self._upserts[upsert.table] = text
        if upsert.always:
            self._connection.executemany(text, rows)
            return [True] * len(rows)
        put = self._connection.cursor().execute
        return [put(text, row).rowcount > 0 for row in rows]

    def write_rows(self, update: RowUpdate, rows: Sequence[Sequence[object]]) -> Written:
        """One by one; nobody else holds a row while we hold the right to write."""
        text = self._updates.get(update)
        if text is None:
            text = self._updates[update] = update_text(self._spelling, update)
        execute = self._connection.cursor().execute
        return Written([row[0] for row in rows if execute(text, row).rowcount])

    def is_held(self, update: RowUpdate, key: RowKey) -> bool:
        """Never, while we hold the right to write."""
        del update, key
        return False

    def refusal(self, error: BaseException) -> str:
        """A CHECK, a NOT NULL, a UNIQUE or a trigger."""
        refused = isinstance(error, sqlite3.IntegrityError | sqlite3.DataError)
        return str(error) if refused else ""

    def revision(self) -> int | None:
        """SQLite counts the commits of others; nearly free."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def interrupt(self) -> None:
        """End the statement under way."""
        self._connection.interrupt()

    @property
    def is_alive(self) -> bool:
        """A file does not go away under its connection."""
        return True

    def close(self) -> None:
        """Give back the connection."""
        self._connection.close()


NEXT_LOG_ID = "SELECT coalesce(max(log_id), 0) + 1 FROM ordersync_events"


def update_text(spelling: Spelling, update: RowUpdate) -> str:
    """Compare-and-set of one row."""
    values = ", ".join(
        f"{spelling.quote(column.name)} = ?{n}"
        for n, column in enumerate(update.written, start=2 + len(update.compared))
    )
    same = "".join(
        f" AND t.{spelling.quote(column.name)} IS ?{n}"
        for n, column in enumerate(update.compared, start=2)
    )
    key = spelling.quote(update.key.name)
    return f"UPDATE {update.table} AS t SET {values} WHERE t.{key} = ?1{same}{update.scope}"
