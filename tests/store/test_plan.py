"""What the statements cost: the open rows, never the history."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.ports import Meaning
from ordersync.settings import AccountColumn
from ordersync.store import sql
from ordersync.store.makes.sqlite import NEXT_LOG_ID, SqliteFile, SqliteSpelling, update_text
from ordersync.store.mapping import Mapping, bind
from ordersync.store.own import OwnStatements
from ordersync.store.table_store import TableStore
from tests.contracts.bench import PAUSE, HandClock, mapped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ordersync.settings import Orders

MILLION = 1_000_000
OPEN = 10

HISTORY = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO trades (id, order_id, client_id, status, created_at, filled_at)
SELECT i, CASE WHEN i % 10 = 0 THEN NULL ELSE 'v' || i END, 'c' || i,
  CASE WHEN i % ? = 0 THEN 'pending' ELSE 'completed' END,
  '2025-01-01 00:00:00', '2025-01-01 00:00:00' FROM n"""


def make(path: Path, rows: int) -> Path:
    """A table of this many rows, of which OPEN are open."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute(
            "CREATE TABLE trades (id INTEGER PRIMARY KEY, order_id TEXT, client_id TEXT,"
            " product_id TEXT, status TEXT, created_at TIMESTAMP, filled_at TIMESTAMP,"
            " filled_size REAL, avg_price REAL, fee REAL, reason TEXT, bot TEXT,"
            " is_paper INTEGER DEFAULT 0)"
        )
        connection.execute(HISTORY, (rows, rows // OPEN))
        connection.execute("CREATE UNIQUE INDEX trades_order ON trades (order_id)")
        connection.commit()
    return path


def bound(path: Path, orders: Orders | None = None) -> Mapping:
    mapping = bind(SqliteFile(path), orders or mapped(), where="x")
    mapping.learn_time_forms({"created_at": ["2025-01-01 00:00:00"]})
    return mapping


def index_as_proposed(path: Path) -> None:
    proposals = sql.RowStatements(SqliteSpelling(), bound(path), None).index_proposals()
    with closing(sqlite3.connect(path)) as connection:
        for _, _, ddl in proposals:
            connection.execute(ddl)
        connection.commit()


Question = tuple[str, Any]


def questions(mapping: Mapping) -> dict[str, Question]:
    """Each statement of a pass, with its arguments."""
    statements = sql.RowStatements(SqliteSpelling(), mapping, "main")
    final = mapping.words.words_meaning(Meaning.FINAL)
    update, _ = statements.update(("filled_qty", "status"))
    write = update_text(SqliteSpelling(), update)
    return {
        "open rows": (statements.by_words(sql.open_words(mapping)), ()),
        "a page of them": (
            statements.next_by_words(sql.open_words(mapping), is_first=True),
            {"limit": 10},
        ),
        "the next page": (
            statements.next_by_words(sql.open_words(mapping), is_first=False),
            {"after": 7, "limit": 10},
        ),
        "finished rows": (statements.finished_since(final), {"day": "2026-02-28", "at_1": 0}),
        "rows by venue ids": (statements.by_venue_ids, {"keys": '["v1","v2","nobody"]'}),
        "rows by client ids": (statements.by_client_ids, {"keys": '["c10","c11","nobody"]'}),
        "rows by keys": (statements.by_row_ids, {"keys": '["1","2","-1"]'}),
        "witnesses": (statements.newest_ids, {"limit": 5}),
        "samples": (statements.samples("created_at"), ()),
        "write": (write, (1, "x", "v1", "c1", 1.0, "y")),
    }


def cost(path: Path, question: Question) -> int:
    """How many thousand steps SQLite's machine takes to answer."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    with closing(sqlite3.connect(path)) as connection:
        connection.set_progress_handler(count, 1000)
        connection.execute(*question).fetchall()
    return steps


def plan(path: Path, question: Question) -> str:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {question[0]}", question[1])
        return "; ".join(row[3] for row in rows)


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = make(tmp_path_factory.mktemp("million") / "bot.db", MILLION)
    yield path
    path.unlink()


@pytest.mark.parametrize("analyzed", [False, True], ids=["", "analyzed"])
@pytest.mark.parametrize("status_index", ["proposed", "plain"])
def test_a_million_closed_rows_cost_nothing(
    million: Path, status_index: str, *, analyzed: bool
) -> None:
    index_as_proposed(million)
    with closing(sqlite3.connect(million)) as connection:
        connection.execute("DROP INDEX IF EXISTS plain")
        if status_index == "plain":
            connection.execute("DROP INDEX IF EXISTS trades_open")
            connection.execute("CREATE INDEX plain ON trades (status)")
        connection.execute("ANALYZE")
        if not analyzed:
            connection.execute("DELETE FROM sqlite_stat1")
        connection.commit()
    for name, question in questions(bound(million)).items():
        thousands = cost(million, question)
        assert thousands <= 5, (name, plan(million, question))
    statement = questions(bound(million))["open rows"]
    index = "trades_open" if status_index == "proposed" else "plain"
    assert f"USING INDEX {index} (status=?)" in plan(million, statement)


def test_ten_times_the_history_takes_the_same_steps(tmp_path: Path, million: Path) -> None:
    small = make(tmp_path / "small.db", MILLION // 100)
    for path in (small, million):
        index_as_proposed(path)
    for name, question in questions(bound(small)).items():
        difference = cost(million, questions(bound(million))[name]) - cost(small, question)
        assert difference <= 1, name


def test_the_lookup_by_venue_ids_uses_the_unique_index(tmp_path: Path) -> None:
    path = make(tmp_path / "bot.db", 1000)
    asked = questions(bound(path))["rows by venue ids"]
    assert "SEARCH t USING INDEX trades_order (order_id=?)" in plan(path, asked)


@pytest.mark.parametrize(
    "condition", ["is_paper = 0", "status IN ('pending', 'completed')", "order_id IS NOT NULL"]
)
def test_an_index_on_the_users_condition_leads_nobody_astray(
    tmp_path: Path, condition: str
) -> None:
    path = make(tmp_path / "bot.db", 100_000)
    index_as_proposed(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX paper ON trades (is_paper)")
        connection.commit()
    for name, question in questions(bound(path, mapped(where=condition))).items():
        assert cost(path, question) <= 3, (name, plan(path, question))


def test_an_index_on_the_account_leads_nobody_astray(tmp_path: Path) -> None:
    path = make(tmp_path / "bot.db", 100_000)
    index_as_proposed(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE trades SET bot = 'cb'")
        connection.execute("CREATE INDEX account ON trades (bot)")
        connection.commit()
    account = AccountColumn(column="bot", values={"cb": "main"})
    for name, question in questions(bound(path, mapped(account=account))).items():
        assert cost(path, question) <= 3, (name, plan(path, question))


def test_an_index_on_part_of_the_rows_is_used_where_the_condition_is_its_own(
    tmp_path: Path,
) -> None:
    path = make(tmp_path / "bot.db", 100_000)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX trades_order")
        connection.execute("CREATE UNIQUE INDEX part ON trades (order_id) WHERE is_paper = 0")
        connection.commit()
    asked = questions(bound(path, mapped(where="is_paper = 0")))["rows by venue ids"]
    assert "USING INDEX part (order_id=?)" in plan(path, asked)


@pytest.mark.parametrize(
    ("key", "by"),
    [
        ("INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY (rowid=?)"),
        ("TEXT PRIMARY KEY", "INDEX sqlite_autoindex_trades_1 (id=?)"),
        ("TEXT UNIQUE", "INDEX sqlite_autoindex_trades_1 (id=?)"),
    ],
)
@pytest.mark.parametrize("analyzed", [False, True], ids=["", "analyzed while empty"])
def test_the_write_finds_its_rows_by_their_key(
    tmp_path: Path, key: str, by: str, *, analyzed: bool
) -> None:
    path = tmp_path / "bot.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            f"CREATE TABLE trades (id {key}, order_id TEXT, client_id TEXT, product_id TEXT,"
            " status TEXT, created_at TEXT, filled_at TEXT, filled_size REAL, avg_price REAL,"
            " fee REAL, reason TEXT, bot TEXT)"
        )
        connection.execute("CREATE INDEX status ON trades (status)")
        connection.execute("INSERT INTO trades (id, status) VALUES (1, 'pending')")
        if analyzed:
            connection.execute("ANALYZE")
        connection.commit()
    assert f"SEARCH t USING {by}" in plan(path, questions(bound(path))["write"])


OURS = {
    "truths": "(account=? AND order_key=?)",
    "versions": "(account=? AND order_key=?)",
    "absences": "(account=? AND order_key=?)",
    "due_times": "(account=? AND order_key=?)",
    "drop_absences": "(account=? AND order_key=?)",
    "drop_due": "(account=? AND order_key=?)",
    "link_row": "(account=? AND order_key=?)",
    "due_orders": "USING INDEX ordersync_orders_open (account=?",
    "repairs": "USING INDEX ordersync_events_order (account=? AND order_key=?)",
    "noted_at": "USING PRIMARY KEY (account=? AND order_key=? AND kind=? AND digest=?)",
}


async def test_our_own_tables_are_never_walked(tmp_path: Path) -> None:
    path = make(tmp_path / "bot.db", 1000)
    store = TableStore(SqliteFile(path), mapped(), HandClock(), where="x", contested_pause=PAUSE)
    await store.open(create=True)
    await store.close()
    own = OwnStatements(SqliteSpelling(), None)
    texts = {name: getattr(own, name) for name in OURS} | {"next log id": NEXT_LOG_ID}
    with closing(sqlite3.connect(path)) as connection:
        for name, text in texts.items():
            arguments = dict.fromkeys(re.findall(r":(\w+)", text), "[]")
            rows = connection.execute(f"EXPLAIN QUERY PLAN {text}", arguments)
            found = "; ".join(row[3] for row in rows)
            expected = OURS.get(name, "SEARCH ordersync_events")
            assert expected in found, (name, found)
