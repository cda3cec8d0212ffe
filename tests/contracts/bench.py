"""What the contract of the order store is tested with: a database, a bot, a venue's words.

A Bench is one database of one make. It makes the user's table from a neutral description and
plays the bot: it inserts, reads and changes rows through connections of its own. A new make of
database brings its own Bench; the tests stay as they are.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from ordersync.ports import Advance, OrderName, Result
from ordersync.settings import Orders
from ordersync.store.log import TableLog
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.subscriptions import TableSubscriptions
from ordersync.store.table_store import TableStore
from ordersync.store.views import TableViews
from ordersync.truth.merge import merge
from ordersync.truth.model import EventEvidence, Report, Source, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ordersync.logged import EventLog
    from ordersync.ports import Absent, Clock, Known, Note, OrderStore, OrderViews, Outcome
    from ordersync.store.database import Database
    from ordersync.subscribed import SubscriptionStore
    from ordersync.truth.model import Order

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = "main"
PAUSE = timedelta(minutes=5)

Row = dict[str, Any]


def _as_text(cell: object) -> object:
    """A time as sqlite3 writes it by itself, which Python 3.12 and later warn about."""
    return cell.isoformat(" ") if isinstance(cell, datetime) else cell


class HandClock:
    """Time that passes when the test says so. Implements `ports.Clock`."""

    def __init__(self, at: datetime = NOON) -> None:
        self._at = at
        self._start = at

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return (self._at - self._start).total_seconds()

    async def sleep(self, pause: timedelta) -> None:
        self.forward(pause)

    def forward(self, pause: timedelta | float) -> datetime:
        self._at += pause if isinstance(pause, timedelta) else timedelta(seconds=pause)
        return self._at


# --- the user's table, in neutral words -------------------------------------------------------


class Kind(Enum):
    """What a column is for; each make of database has its own type for it."""

    KEY = "key"
    TEXT_KEY = "text key"
    TEXT = "text"
    SHORT_TEXT = "short text"  # ten letters
    FLOAT = "float"
    DECIMAL = "decimal"  # eighteen digits, eight of them behind the point
    WHOLE = "whole"
    TIME = "time"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; its first column is the key. `checks` are conditions in standard SQL."""

    name: str = "trades"
    columns: Mapping[str, Kind]
    unique: Sequence[str] = ()
    checks: Sequence[str] = ()

    @property
    def key(self) -> str:
        return next(iter(self.columns))

    def but(self, **columns: Kind) -> Table:
        """The same table with other kinds of columns."""
        return replace(self, columns={**self.columns, **columns})


TRADES = Table(
    columns={
        "id": Kind.KEY,
        "order_id": Kind.TEXT,
        "client_id": Kind.TEXT,
        "product_id": Kind.TEXT,
        "status": Kind.TEXT,
        "created_at": Kind.TIME,
        "filled_at": Kind.TIME,
        "updated_at": Kind.TIME,
        "filled_size": Kind.FLOAT,
        "avg_price": Kind.FLOAT,
        "fee": Kind.FLOAT,
        "reason": Kind.TEXT,
        "bot": Kind.TEXT,
        "exchange": Kind.TEXT,
        "is_paper": Kind.WHOLE,
        "note": Kind.TEXT,
    },
    unique=("order_id",),
)

WORDS: dict[str, list[str]] = {
    "pending": ["open"],
    "completed": ["filled", "canceled+fills"],
    "failed": ["rejected", "expired", "canceled", "replaced"],
    "unknown": ["unknown"],
    "active": ["open"],
    "cancelled": ["canceled"],
}


def mapped(**other: Any) -> Orders:  # noqa: ANN401 - any key of [orders]; None takes it out
    """The mapping of TRADES, with what this test wants otherwise."""
    keys: Row = {
        "table": "trades",
        "id": "id",
        "venue_order_id": "order_id",
        "client_order_id": "client_id",
        "status": "status",
        "symbol": "product_id",
        "created_at": "created_at",
        "filled_at": "filled_at",
        "filled_qty": "filled_size",
        "avg_price": "avg_price",
        "fee": "fee",
        "reason": "reason",
        "owner": "bot",
        "account": ACCOUNT,
        "status_words": WORDS,
    }
    return Orders(**{k: v for k, v in {**keys, **other}.items() if v is not None})


# --- the bench --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ours:
    """What stands in our own tables: (key, version, row id), and (key, kind) of each event."""

    truths: list[tuple[str, int, str | None]]
    events: list[tuple[str, str]]


class Watch(Protocol):
    """Somebody who looks whether the database was written."""

    def was_written(self) -> bool:
        """Whether anything was written since the last look."""


class Bench(Protocol):
    """One database, and all that a bot does with it."""

    def run(self, text: str, *arguments: object) -> list[Any]:
        """Run a statement in the make's own SQL; its rows."""

    def create(self, table: Table) -> None:
        """Make the user's table."""

    def insert(self, *rows: Row, table: str = "trades") -> None:
        """Insert rows as a bot does, and commit."""

    def rows(self, table: str = "trades") -> list[Row]:
        """Every row, by key."""

    def write(self, key: int | str, *, table: str = "trades", **cells: Any) -> None:  # noqa: ANN401
        """Change a row as a bot does, from another connection, and commit."""

    def delete(self, key: int | str, *, table: str = "trades") -> None:
        """Delete a row."""

    def drop_all(self) -> None:
        """Leave the database as it was at first: nobody's tables in it."""

    def refuse(self, word: str, *, key: int, loudly: bool, rolls_back: bool = False) -> None:
        """Let a trigger refuse a status to a row: with an error, or by doing nothing."""

    def allow(self, word: str, *, key: int) -> None:
        """Take that trigger away."""

    @property
    def database(self) -> Database:
        """The database, as a store takes it."""

    def store(
        self, orders: Orders, clock: Clock, *, writes_rows: bool = True, pause: timedelta = PAUSE
    ) -> OrderStore:
        """A store that is not open yet."""

    def views(self, orders: Orders) -> OrderViews:
        """The read side."""

    def log(self, orders: Orders) -> EventLog:
        """The event log, as listeners read it."""

    def subscriptions(self, orders: Orders) -> SubscriptionStore:
        """Who is told by requests, and what is owed."""

    def ours(self) -> Ours:
        """What stands in our tables."""

    def watch(self) -> Watch:
        """Begin to look whether anything is written."""

    def close(self) -> None:
        """Give back what is held."""


_SQLITE_TYPES = {
    Kind.KEY: "INTEGER PRIMARY KEY",
    Kind.TEXT_KEY: "TEXT NOT NULL PRIMARY KEY",
    Kind.TEXT: "TEXT",
    Kind.SHORT_TEXT: "VARCHAR(10)",
    Kind.FLOAT: "REAL",
    Kind.DECIMAL: "NUMERIC(18, 8)",
    Kind.WHOLE: "INTEGER",
    Kind.TIME: "TIMESTAMP",
}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class SqliteBench:
    """A SQLite file. Implements `Bench`; `run` and `path` are for what only SQLite has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held: list[sqlite3.Connection] = []
        self._keys: dict[str, str] = {"trades": "id"}
        if not path.exists():
            # A file that holds nothing yet is no database to those that look at it.
            self.run("PRAGMA user_version = 7")

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, timeout=20.0)

    def close(self) -> None:
        for connection in self.held:
            connection.close()

    def run(self, text: str, *arguments: object) -> list[Any]:
        with closing(self.connect()) as connection:
            return connection.execute(text, arguments).fetchall()

    def create(self, table: Table) -> None:
        parts = [f"{quoted(name)} {_SQLITE_TYPES[kind]}" for name, kind in table.columns.items()]
        parts += [f"UNIQUE ({quoted(name)})" for name in table.unique]
        parts += [f"CHECK ({check})" for check in table.checks]
        self._keys[table.name] = table.key
        self.run(f"CREATE TABLE {quoted(table.name)} ({', '.join(parts)})")

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
            text = f"SELECT * FROM {quoted(table)} ORDER BY {quoted(self._keys[table])}"  # noqa: S608
            return [dict(row) for row in connection.execute(text)]

    def write(self, key: int | str, *, table: str = "trades", **cells: Any) -> None:  # noqa: ANN401
        changes = ", ".join(f"{quoted(name)} = ?" for name in cells)
        self.run(
            f"UPDATE {quoted(table)} SET {changes} WHERE {quoted(self._keys[table])} = ?",  # noqa: S608
            *cells.values(),
            key,
        )

    def delete(self, key: int | str, *, table: str = "trades") -> None:
        where = f"{quoted(self._keys[table])} = ?"
        self.run(f"DELETE FROM {quoted(table)} WHERE {where}", key)  # noqa: S608

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

    def store(
        self, orders: Orders, clock: Clock, *, writes_rows: bool = True, pause: timedelta = PAUSE
    ) -> OrderStore:
        return TableStore(
            self.database,
            orders,
            clock,
            where="ordersync.toml",
            contested_pause=pause,
            writes_rows=writes_rows,
        )

    def views(self, orders: Orders) -> OrderViews:
        return TableViews(self.database, orders, where="ordersync.toml")

    def log(self, orders: Orders) -> EventLog:
        return TableLog(SqliteFile(self.path), orders, where="ordersync.toml")

    def subscriptions(self, orders: Orders) -> SubscriptionStore:
        return TableSubscriptions(SqliteFile(self.path), orders, where="ordersync.toml")

    def ours(self) -> Ours:
        return Ours(
            self.run("SELECT order_key, version, row_id FROM ordersync_orders ORDER BY order_key"),
            self.run("SELECT order_key, kind FROM ordersync_events ORDER BY log_id, n"),
        )

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


# --- what venues say, and what is done with it ------------------------------------------------


def said(
    venue_order_id: str | None = "v1",
    status: Status | None = Status.FILLED,
    filled: str | None = None,
    at: datetime = NOON,
    **more: Any,  # noqa: ANN401 - the other fields of a report; numbers may be text
) -> Report:
    """What a venue says about one order."""
    for name in ("avg_price", "fee", "quantity"):
        if isinstance(more.get(name), str):
            more[name] = Decimal(more[name])
    return Report(
        venue_order_id=venue_order_id,
        status=status,
        filled_qty=None if filled is None else Decimal(filled),
        as_of=at,
        **more,
    )


EVIDENCE = EventEvidence(answer="sighting", endpoint="batch", venue_time=NOON, raw="{}")


def step(
    known: Known,
    truth: Order | None,
    *,
    asked_at: datetime = NOON,
    absent: Absent | None = None,
    due_at: datetime | None = None,
    notes: tuple[Note, ...] = (),
) -> Advance:
    """One order's way from what was known to this truth."""
    return Advance(
        known=known,
        truth=truth,
        source=Source.POLL,
        evidence=EVIDENCE,
        asked_at=asked_at,
        absent=absent,
        due_at=due_at,
        notes=notes,
    )


async def read(store: OrderStore, *reports: Report, account: str = ACCOUNT) -> list[Known]:
    """What is known about the orders of these reports."""
    names = [OrderName(r.venue_order_id, r.client_order_id) for r in reports]
    return await store.read(account, names)


async def ingest(
    store: OrderStore,
    *reports: Report,
    asked_at: datetime | None = None,
    account: str = ACCOUNT,
    clock: Clock | None = None,
) -> list[Outcome]:
    """Read, merge, advance: what is done with reports about different orders."""
    known = await read(store, *reports, account=account)
    now = asked_at or (clock.now() if clock else NOON)
    steps = [
        step(k, merge(k.truth, report), asked_at=now)
        for k, report in zip(known, reports, strict=True)
    ]
    return await store.advance(account, steps)


async def ingest_one(store: OrderStore, report: Report, **more: Any) -> Outcome:  # noqa: ANN401
    """The same for one report."""
    (outcome,) = await ingest(store, report, **more)
    return outcome


async def again(store: OrderStore, report: Report, **more: Any) -> Outcome:  # noqa: ANN401
    """Ingest what must change nothing: the venue says the same once more, a second later."""
    later = report.as_of + timedelta(seconds=1)
    fields = {f: getattr(report, f) for f in report.__struct_fields__}
    outcome = await ingest_one(store, Report(**{**fields, "as_of": later}), **more)
    assert outcome.result is Result.UNCHANGED, outcome
    return outcome


@dataclass
class Opened:
    """A store on a bench, and what a test needs beside it."""

    bench: Bench
    store: OrderStore
    clock: HandClock
    orders: Orders
    stores: list[OrderStore] = field(default_factory=list)

    def row(self, key: int | str = 1) -> Row:
        """One row of the table, as the bot reads it."""
        name = self.orders.id
        return next(row for row in self.bench.rows(self.orders.table) if row[name] == key)

    def kinds(self, key: str = "v:v1") -> list[str]:
        """The kinds of events of one order, in order."""
        return [kind for order, kind in self.bench.ours().events if order == key]
