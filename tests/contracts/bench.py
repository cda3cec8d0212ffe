"""What the contract of the order store is tested with: a database, a bot, a venue's words.

A Bench is one database of one make. It makes the user's table from a neutral description and
plays the bot: it inserts, reads and changes rows through connections of its own. A new make of
database brings its own Bench; the tests stay as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ordersync.ports import Advance, OrderName, Result
from ordersync.settings import Orders
from ordersync.store.log import TableLog
from ordersync.store.subscriptions import TableSubscriptions
from ordersync.store.table_store import TableStore
from ordersync.store.views import TableViews
from ordersync.truth.merge import merge
from ordersync.truth.model import EventEvidence, Report, Source, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordersync.logged import EventLog
    from ordersync.ports import Absent, Claim, Clock, Known, Note, OrderStore, OrderViews, Outcome
    from ordersync.store.database import Database
    from ordersync.subscribed import SubscriptionStore
    from ordersync.truth.model import Order

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = "main"
PAUSE = timedelta(minutes=5)

Row = dict[str, Any]


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


class Bench(ABC):
    """One database, and all that a bot does with it. Each make writes SQL in its own way."""

    types: ClassVar[Mapping[Kind, str]]
    mark: ClassVar[str]  # where an argument goes in

    def __init__(self) -> None:
        self._keys: dict[str, str] = {"trades": "id"}

    @abstractmethod
    def quoted(self, name: str) -> str:
        """A name, as this make quotes it."""

    @abstractmethod
    def run(self, text: str, *arguments: object) -> list[Any]:
        """Run a statement in the make's own SQL; its rows."""

    @abstractmethod
    def insert(self, *rows: Row, table: str = "trades") -> None:
        """Insert rows as a bot does, and commit."""

    @abstractmethod
    def rows(self, table: str = "trades") -> list[Row]:
        """Every row, by key."""

    @abstractmethod
    def drop_all(self) -> None:
        """Leave the database as it was at first: nobody's tables in it."""

    @abstractmethod
    def refuse(self, word: str, *, key: int, loudly: bool, rolls_back: bool = False) -> None:
        """Let a trigger refuse a status to a row: with an error, or by doing nothing."""

    @abstractmethod
    def allow(self, word: str, *, key: int) -> None:
        """Take that trigger away."""

    @property
    @abstractmethod
    def database(self) -> Database:
        """The database, as a store takes it."""

    @abstractmethod
    def watch(self) -> Watch:
        """Begin to look whether anything is written."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held."""

    def create(self, table: Table) -> None:
        """Make the user's table."""
        self._keys[table.name] = table.key
        parts = ", ".join(self.parts_of(table))
        self.run(f"CREATE TABLE {self.quoted(table.name)} ({parts})")

    def parts_of(self, table: Table) -> list[str]:
        """Columns and constraints, the key first."""
        columns = [
            f"{self.quoted(name)} {self.types[kind]}" for name, kind in table.columns.items()
        ]
        unique = [f"UNIQUE ({self.quoted(name)})" for name in table.unique]
        return [*columns, *unique, *(f"CHECK ({check})" for check in table.checks)]

    def all_of(self, table: str) -> str:
        """The query of every row, by key."""
        return f"SELECT * FROM {self.quoted(table)} ORDER BY {self.quoted(self._keys[table])}"  # noqa: S608

    def write(self, key: int | str, *, table: str = "trades", **cells: Any) -> None:  # noqa: ANN401
        """Change a row as a bot does, from another connection, and commit."""
        changes = ", ".join(f"{self.quoted(name)} = {self.mark}" for name in cells)
        where = f"{self.quoted(self._keys[table])} = {self.mark}"
        self.run(
            f"UPDATE {self.quoted(table)} SET {changes} WHERE {where}",  # noqa: S608
            *cells.values(),
            key,
        )

    def delete(self, key: int | str, *, table: str = "trades") -> None:
        """Delete a row."""
        where = f"{self.quoted(self._keys[table])} = {self.mark}"
        self.run(f"DELETE FROM {self.quoted(table)} WHERE {where}", key)  # noqa: S608

    def store(
        self, orders: Orders, clock: Clock, *, writes_rows: bool = True, pause: timedelta = PAUSE
    ) -> OrderStore:
        """A store that is not open yet."""
        return TableStore(
            self.database,
            orders,
            clock,
            where="ordersync.toml",
            contested_pause=pause,
            writes_rows=writes_rows,
        )

    def views(self, orders: Orders) -> OrderViews:
        """The read side."""
        return TableViews(self.database, orders, where="ordersync.toml")

    def log(self, orders: Orders) -> EventLog:
        """The event log, as listeners read it."""
        return TableLog(self.database, orders, where="ordersync.toml")

    def subscriptions(self, orders: Orders) -> SubscriptionStore:
        """Who is told by requests, and what is owed."""
        return TableSubscriptions(self.database, orders, where="ordersync.toml")

    def ours(self) -> Ours:
        """What stands in our tables."""
        return Ours(
            sorted(self.run("SELECT order_key, version, row_id FROM ordersync_orders")),
            self.run("SELECT order_key, kind FROM ordersync_events ORDER BY log_id, n"),
        )


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


async def open_rows(store: OrderStore, account: str = ACCOUNT) -> list[Claim]:
    """The rows that do not say that they are final, as a first pass reads them."""
    return (await store.scan_open(account, {})).moved


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
