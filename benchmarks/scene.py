"""What is measured with: a bot's table, the answers of the venue, and a store on them.

The table is the one of a bot with SQLAlchemy models and the index that `doctor` proposes. The
venue's answers are the simulated exchange's own JSON, with one id put in place of another.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from ordersync.clock import SystemClock
from ordersync.ports import Advance, Known, OrderName
from ordersync.settings import Orders
from ordersync.simulator import Life, World, limit_gtc
from ordersync.simulator.coinbase_json import order_json
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.table_store import TableStore
from ordersync.sync.ingest import Ingest
from ordersync.truth.evidence import AbsencePolicy, Sighting
from ordersync.truth.merge import merge
from ordersync.truth.model import EventEvidence, Source
from ordersync.venues.coinbase.parse import parse_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ACCOUNT = "main"
HOUR = timedelta(hours=1)
START = datetime.now(UTC) - HOUR

WORDS = {
    "pending": ["open"],
    "open": ["open"],
    "completed": ["filled", "canceled+fills"],
    "failed": ["rejected", "expired", "replaced"],
    "cancelled": ["canceled"],
}
ORDERS = Orders(
    table="trades",
    id="id",
    venue_order_id="order_id",
    status="status",
    symbol="product_id",
    side="side",
    created_at="created_at",
    filled_at="filled_at",
    fee="fee",
    owner="bot_id",
    account=ACCOUNT,
    status_words=WORDS,
)
TABLE = """
CREATE TABLE trades (
  id INTEGER PRIMARY KEY, bot_id INTEGER, product_id VARCHAR(20), side VARCHAR(4), size FLOAT,
  price FLOAT, fee FLOAT, order_id VARCHAR(64) UNIQUE, status VARCHAR(20) NOT NULL,
  created_at DATETIME, filled_at DATETIME)"""
OPEN_INDEX = "CREATE INDEX trades_open ON trades (status) WHERE status IN ('pending', 'open')"
INSERT = "INSERT INTO trades VALUES (?, 7, 'BTC-USD', 'buy', 0.01, 63000.0, 0.0, ?, ?, ?, NULL)"

_TEMPLATE = "00000000-0000-4000-8000-000000000000"


def order_id(n: int) -> str:
    """The venue's id of the nth order; in no order, as the venue's ids are."""
    return str(UUID(int=(n * 0x9E3779B97F4A7C15F39CC0605CEDC834) % 2**128, version=4))


def make_table(path: Path, count: int, *, journal: str = "delete") -> None:
    """A bot's database with so many rows that wait for their orders."""
    created_at = START.replace(tzinfo=None).isoformat(" ")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
        connection.execute("BEGIN")
        connection.execute(TABLE)
        connection.execute(OPEN_INDEX)
        rows = ((n, order_id(n), "pending", created_at) for n in range(1, count + 1))
        connection.executemany(INSERT, rows)
        connection.execute("COMMIT")


class Answers:
    """What the venue says of the nth order, as raw JSON: open, or filled."""

    def __init__(self) -> None:
        world = World(lambda: START + HOUR)
        portfolio = world.open_account().portfolio
        configuration = limit_gtc("0.01", "63000")
        self.open, self.filled = (
            self._template(world, portfolio, configuration, life)
            for life in (Life.open(), Life.filled(timedelta(minutes=30)))
        )

    @staticmethod
    def _template(
        world: World, portfolio: str, configuration: dict[str, object], life: Life
    ) -> bytes:
        order = world.place(portfolio, "BTC-USD", "BUY", configuration, life=life, created_at=START)
        raw = msgspec.json.encode(order_json(order, world.condition(order)))
        for name in (order.order_id, order.client_order_id):
            raw = raw.replace(name.encode(), _TEMPLATE.encode())
        return raw

    def of(self, n: int, *, filled: bool) -> bytes:
        """The order object of a list."""
        raw = self.filled if filled else self.open
        return raw.replace(_TEMPLATE.encode(), order_id(n).encode())

    def sighting(self, n: int, *, filled: bool, as_of: datetime) -> Sighting:
        """The same, read."""
        return read(self.of(n, filled=filled), as_of=as_of)


def read(raw: bytes, *, as_of: datetime) -> Sighting:
    """The object of an order as the venue's adapter reads it."""
    found = parse_order(raw, "batch", as_of, None)
    assert isinstance(found, Sighting)
    return found


def open_store(path: Path) -> TableStore:
    """A store that is not open yet."""
    return TableStore(SqliteFile(path), ORDERS, SystemClock(), where="bench", contested_pause=HOUR)


def ingest_on(store: TableStore) -> Ingest:
    """The write path into it, with the defaults of a configuration."""
    return Ingest(store, SystemClock(), policy=AbsencePolicy(), told_after=timedelta(minutes=5))


def names(count: int) -> list[OrderName]:
    """By what the orders are known."""
    return [OrderName(order_id(n)) for n in range(1, count + 1)]


def steps(known: Sequence[Known], sightings: Sequence[Sighting]) -> list[Advance]:
    """From what is known to what is said now, one step an order."""
    now = datetime.now(UTC)
    return [
        Advance(
            known=k,
            truth=merge(k.truth, sighting.report),
            source=Source.POLL,
            evidence=EventEvidence(
                answer="sighting",
                endpoint=sighting.endpoint,
                venue_time=sighting.report.as_of,
                raw=sighting.raw,
            ),
            asked_at=now,
        )
        for k, sighting in zip(known, sightings, strict=True)
    ]


async def make_known(path: Path, count: int, answers: Answers, *, journal: str = "delete") -> None:
    """A database whose orders were all sighted once, open: rows and truths agree."""
    make_table(path, count, journal=journal)
    store = open_store(path)
    await store.open(create=True)
    known = await store.read(ACCOUNT, names(count))
    sightings = [
        answers.sighting(n, filled=False, as_of=START + HOUR / 4) for n in range(1, count + 1)
    ]
    await store.advance(ACCOUNT, steps(known, sightings))
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM ordersync_orders").fetchone()
    assert kept == count


def number_of_untrue(path: Path) -> int:
    """How many rows still say that their order is open."""
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM trades WHERE status IN ('pending', 'open')"
        ).fetchone()
    return int(count)
