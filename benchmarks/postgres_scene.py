"""What is measured with on PostgreSQL: a private server, and databases of known orders.

The server is started with the first topic that asks for it and ends with the process. It is
PostgreSQL 18 with the server's own defaults, fsync among them; only `max_connections`, the kind
of shared memory and the place of the socket are the tests'. A database of known orders is made
once and copied for whoever writes to it.
"""

from __future__ import annotations

import atexit
import itertools
import tempfile
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg

from benchmarks import scene
from ordersync.clock import SystemClock
from ordersync.store.makes.postgres import PostgresServer
from ordersync.store.mapping import bind
from ordersync.store.sql import RowStatements
from ordersync.store.table_store import TableStore
from tests.servers.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.measure import Options

ROOT = Path(__file__).parents[1]
MAJOR = 18

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

# As SQLAlchemy makes it of the models that `scene.TABLE` was made of.
TABLE = """
CREATE TABLE trades (
  id INTEGER PRIMARY KEY, bot_id INTEGER, product_id VARCHAR(20), side VARCHAR(4),
  size DOUBLE PRECISION, price DOUBLE PRECISION, fee DOUBLE PRECISION,
  order_id VARCHAR(64) UNIQUE, status VARCHAR(20) NOT NULL, created_at TIMESTAMP,
  filled_at TIMESTAMP)"""
PENDING = """
INSERT INTO trades
SELECT n, 7, 'BTC-USD', 'buy', 0.01, 63000.0, 0.0, name, 'pending', %s, NULL FROM ids"""

# The first order's truth and event, once more for each of the others.
CLONED = (
    """
INSERT INTO ordersync_orders
SELECT o.account, replace(o.order_key, %(one)s, t.order_id), t.order_id,
  replace(o.client_order_id, %(one)s, t.order_id), t.id::text, o.version, o.epoch, o.status,
  o.final, o.first_seen_at, o.final_since, replace(o.state, %(one)s, t.order_id)
FROM ordersync_orders AS o, trades AS t
WHERE t.status = 'pending' AND t.order_id <> %(one)s ORDER BY t.order_id""",
    """
INSERT INTO ordersync_events
SELECT e.log_id, t.id, e.at, e.account, replace(e.order_key, %(one)s, t.order_id), e.kind,
  replace(e.body, %(one)s, t.order_id)
FROM ordersync_events AS e, trades AS t
WHERE t.status = 'pending' AND t.order_id <> %(one)s ORDER BY t.id""",
)


@cache
def server() -> Postgres:
    """The one server of this run. Raises Missing where none can be had."""
    stack = ExitStack()
    atexit.register(stack.close)
    # On the project's disk, as all that is measured; the server's user has to come there.
    folder = tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT)
    place = Path(stack.enter_context(folder))
    place.chmod(0o755)
    with _temporary_files_in(place):
        # By TCP only: the path of a socket may not be as long as that of a project.
        return stack.enter_context(
            closing(Postgres(MAJOR, swift=False, settings={"unix_socket_directories": ""}))
        )


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def told() -> str:
    """Which server this was, for the line about the machine; "" where none was asked for."""
    if not server.cache_info().currsize:
        return ""
    one = server()
    data, project = Path(one.place.folder or ROOT), ROOT
    elsewhere = "" if data.stat().st_dev == project.stat().st_dev else ", on another disk"
    return f"; PostgreSQL {one.version}, its own defaults, fsync on{elsewhere}"


def connect(url: str, *, prepares: bool = True) -> Connection:
    """A bare connection; without `prepares` each statement is planned anew, as ours are."""
    return psycopg.connect(url, autocommit=True, prepare_threshold=0 if prepares else None)


def number(connection: Connection, text: str, *arguments: object) -> int:
    """The one number that a statement answers."""
    row = connection.execute(text.encode(), arguments or None).fetchone()
    assert row is not None
    return int(row[0])


def open_store(url: str) -> TableStore:
    """A store that is not open yet."""
    return TableStore(
        PostgresServer(url), scene.ORDERS, SystemClock(), where="bench", contested_pause=scene.HOUR
    )


def make_table(url: str, ids: Sequence[tuple[int, str]]) -> None:
    """Add rows that wait for their orders, to a table that is made where it is not there."""
    created_at = scene.START.replace(tzinfo=None)
    with connect(url) as connection:
        if not number(connection, "SELECT count(*) FROM pg_class WHERE relname = 'trades'"):
            connection.execute(TABLE)
            make_proposed_indexes(connection, url)
        connection.execute("CREATE TEMPORARY TABLE ids (n INTEGER, name VARCHAR(64))")
        with connection.cursor().copy("COPY ids FROM STDIN") as copy:
            for one in ids:
                copy.write_row(one)
        connection.execute(PENDING, (created_at,))


def make_proposed_indexes(connection: Connection, url: str) -> None:
    """The indexes that `doctor` proposes for the table as it is."""
    database = PostgresServer(url)
    mapping = bind(database, scene.ORDERS, where="bench")
    proposals = RowStatements(database.spelling, mapping, scene.ACCOUNT).index_proposals()
    for _, _, ddl in proposals:
        # Nobody else is there: CONCURRENTLY would only read the table twice.
        connection.execute(ddl.replace(" CONCURRENTLY", "").encode())


async def learn_orders(url: str, count: int, answers: scene.Answers) -> None:
    """Let all rows that wait have been sighted once, open: rows and truths agree.

    ordersync writes the first; the others are made after it where they are to be.
    """
    store = open_store(url)
    await store.open(create=True)
    first = answers.sighting(1, filled=False, as_of=scene.START + scene.HOUR / 4)
    (known,) = await store.read(scene.ACCOUNT, scene.names(1))
    await store.advance(scene.ACCOUNT, scene.steps([known], [first]))
    with connect(url) as connection:
        for text in CLONED:
            connection.execute(text.replace("%(one)s", f"'{scene.order_id(1)}'").encode())
        connection.execute("VACUUM (ANALYZE)")
        assert number(connection, "SELECT count(*) FROM ordersync_orders") == count
    (last,) = await store.read(scene.ACCOUNT, scene.names(count)[-1:])
    assert last.truth is not None
    assert [last.version, last.row_id, len(last.claims)] == [1, str(count), 1]
    await store.close()


def many(options: Options) -> int:
    """How many orders the largest of these databases knows; most topics share it."""
    return options.of(100_000, 8_000)


_made: dict[int, str] = {}


async def known_orders(count: int, answers: scene.Answers) -> str:
    """The database of so many known orders, to be copied; made when it is first asked for."""
    if count not in _made:
        url = server().new_database()
        make_table(url, [(n, scene.order_id(n)) for n in range(1, count + 1)])
        await learn_orders(url, count, answers)
        _made[count] = url
    return _made[count]


@contextmanager
def copied(url: str) -> Iterator[str]:
    """An identical copy of a database, while the block runs; nothing is left to be written."""
    name, source = f"copy_{next(_numbers)}", url.rpartition("/")[2]
    one = server()
    with connect(one.place.url) as admin:
        admin.execute(f'CREATE DATABASE {name} TEMPLATE "{source}" STRATEGY FILE_COPY'.encode())
        admin.execute("CHECKPOINT")
        try:
            yield one.url(name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


_numbers = itertools.count()


def number_of_untrue(url: str) -> int:
    """How many rows still say that their order is open."""
    with connect(url) as connection:
        return number(connection, "SELECT count(*) FROM trades WHERE status IN ('pending', 'open')")
