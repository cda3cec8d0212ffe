"""What SQLite lets a user do that no other database would: types that are only advice."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.ports import OrderName, Result
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.table_store import TableStore
from ordersync.truth.model import Status
from tests.contracts.bench import (
    ACCOUNT,
    NOON,
    PAUSE,
    WORDS,
    HandClock,
    again,
    ingest,
    ingest_one,
    mapped,
    open_rows,
    said,
)
from tests.contracts.sqlite_bench import SqliteBench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BARE = dict.fromkeys(
    ("client_order_id", "filled_at", "filled_qty", "avg_price", "fee", "reason", "owner", "symbol")
)


@pytest.fixture
def file(tmp_path: Path) -> SqliteBench:
    return SqliteBench(tmp_path / "bot.db")


@asynccontextmanager
async def store_of(
    file: SqliteBench,
    columns: str,
    *rows: tuple[object, ...],
    ending: str = "",
    **mapping: Any,  # noqa: ANN401 - any key of [orders]
) -> AsyncIterator[TableStore]:
    """A store on a table with these columns and rows."""
    file.run(f"CREATE TABLE trades ({columns}) {ending}")
    for row in rows:
        file.run(f"INSERT INTO trades VALUES ({', '.join('?' * len(row))})", *row)  # noqa: S608
    orders = mapped(**{**BARE, "created_at": None, **mapping})
    store = TableStore(
        SqliteFile(file.path), orders, HandClock(), where="ordersync.toml", contested_pause=PAUSE
    )
    await store.open(create=True)
    try:
        yield store
    finally:
        await store.close()


def words(file: SqliteBench) -> list[Any]:
    return [word for (word,) in file.run("SELECT status FROM trades ORDER BY rowid")]


PLAIN = "id INTEGER PRIMARY KEY, order_id, status TEXT"


async def test_whole_numbers_as_venue_ids(file: SqliteBench) -> None:
    columns = "id INTEGER PRIMARY KEY, order_id INTEGER, status TEXT"
    async with store_of(file, columns, (1, 2**63 - 1, "pending"), (2, 7, "pending")) as store:
        assert [c.venue_order_id for c in await open_rows(store)] == [str(2**63 - 1), "7"]
        outcomes = await ingest(store, said(str(2**63 - 1)), said("7"))
        assert [o.result for o in outcomes] == [Result.WON, Result.WON]
        assert words(file) == ["completed", "completed"]
        await again(store, said("7"))


async def test_an_id_that_lost_its_zeros_is_not_taken_for_another_order(file: SqliteBench) -> None:
    columns = "id INTEGER PRIMARY KEY, order_id INTEGER, status TEXT"
    async with store_of(file, columns, (1, "00123", "pending")) as store:
        outcome = await ingest_one(store, said("00123"))
        assert outcome.rows_written == 0
        assert words(file) == ["pending"]


@pytest.mark.parametrize("cell", [1.8446744073709552e19, b"\x01\xff", b"v1"], ids=repr)
async def test_an_id_that_is_no_text_is_no_id_and_is_never_overwritten(
    file: SqliteBench, cell: object
) -> None:
    """A long number in a whole-number column is a float that has lost its digits."""
    columns = "id INTEGER PRIMARY KEY, order_id, client_id TEXT, status TEXT"
    row = (1, cell, "c1", "pending")
    async with store_of(file, columns, row, client_order_id="client_id") as store:
        (claim,) = await open_rows(store)
        assert claim.venue_order_id is None
        (known,) = await store.read_claims(ACCOUNT, [claim])
        assert known.key == "c:c1"
        await store.read(ACCOUNT, [OrderName("v1", "c1")])
        await ingest_one(store, said("v1", client_order_id="c1"))
    assert file.run("SELECT order_id FROM trades") == [(cell,)]


@pytest.mark.parametrize(
    "row",
    [(b"\x00\x01", "v1", "pending"), (b"abc", "v1", "pending"), (None, "v1", "pending")],
    ids=["bytes", "letters", "null"],
)
async def test_a_row_whose_key_cannot_be_named_is_unwritable_and_told_once(
    file: SqliteBench, row: tuple[object, ...]
) -> None:
    columns = "id BLOB UNIQUE, order_id TEXT, status TEXT"
    async with store_of(file, columns, row, ("k2", "v2", "pending")) as store:
        outcomes = await ingest(store, said("v1"), said("v2"))
        assert [o.result for o in outcomes] == [Result.UNWRITABLE, Result.WON]
        assert words(file) == ["pending", "completed"]
        await ingest(store, said("v1"))
        kinds = [kind for key, kind in file.ours().events if key == "v:v1"]
        assert kinds == ["changed", "unwritable"]


async def test_a_status_in_bytes_is_outside_the_mapping(file: SqliteBench) -> None:
    async with store_of(file, PLAIN.replace("TEXT", "BLOB"), (1, "v1", b"pending")) as store:
        assert (await ingest_one(store, said("v1"))).rows_written == 0
    assert words(file) == [b"pending"]


@pytest.mark.parametrize("kind", ["INTEGER", "NUMERIC", "TEXT", ""])
async def test_status_codes_may_be_numbers(file: SqliteBench, kind: str) -> None:
    codes = {"0": ["open"], "1": ["filled"], "-1": ["final"]}
    columns = f"id INTEGER PRIMARY KEY, order_id TEXT, status {kind}"
    cell: object = "0" if kind == "" else 0
    rows = [(n, f"v{n}", cell) for n in (1, 2)]
    async with store_of(file, columns, *rows, status_words=codes) as store:
        assert len(await open_rows(store)) == 2
        await ingest(store, said("v1"), said("v2", Status.CANCELED))
        assert [str(word) for word in words(file)] == ["1", "-1"]
        await again(store, said("v1"))


async def test_letters_that_a_column_holds_for_equal_are_not_equal(file: SqliteBench) -> None:
    columns = (
        "id TEXT COLLATE NOCASE PRIMARY KEY, order_id TEXT COLLATE NOCASE,"
        " status TEXT COLLATE NOCASE"
    )
    rows = [("a", "ABC", "pending"), ("b", "x", "PENDING")]
    async with store_of(file, columns, *rows) as store:
        assert {c.row_id: c.meaning.value for c in await open_rows(store)} == {
            "a": "open",
            "b": "unmapped",
        }
        assert (await ingest_one(store, said("abc"))).rows_written == 0
        assert (await ingest_one(store, said("ABC"))).rows_written == 1
        assert (await ingest_one(store, said("x"))).rows_written == 0
    assert words(file) == ["completed", "PENDING"]


@pytest.mark.parametrize("ending", ["WITHOUT ROWID", "STRICT", "STRICT, WITHOUT ROWID"])
async def test_tables_without_rowid_and_strict_tables(file: SqliteBench, ending: str) -> None:
    columns = (
        "id TEXT NOT NULL PRIMARY KEY, order_id TEXT UNIQUE, status TEXT,"
        " filled_size REAL, fee TEXT, filled_at INTEGER, created_at INTEGER"
    )
    extra = {name: name for name in ("fee", "filled_at", "created_at")}
    row = ("a", "v1", "pending", None, None, None, 1772355600000)
    async with store_of(
        file, columns, row, ending=ending, filled_qty="filled_size", **extra
    ) as store:
        report = said("v1", Status.FILLED, "2", fee="0.5", last_fill_at=NOON)
        assert (await ingest_one(store, report)).result is Result.WON
        await again(store, report)
    assert file.run("SELECT status, filled_size, fee, filled_at FROM trades") == [
        ("completed", 2.0, "0.5", 1772366400000)
    ]


async def test_a_strict_column_of_the_wrong_type_is_unwritable(file: SqliteBench) -> None:
    columns = "id INTEGER PRIMARY KEY, order_id TEXT, status TEXT, filled_size INTEGER"
    rows = [(1, "v1", "pending", None), (2, "v2", "pending", None)]
    async with store_of(file, columns, *rows, ending="STRICT", filled_qty="filled_size") as store:
        outcomes = await ingest(
            store, said("v1", Status.FILLED, "0.5"), said("v2", Status.FILLED, "2")
        )
        assert [o.result for o in outcomes] == [Result.UNWRITABLE, Result.WON]


async def test_text_that_is_no_text_harms_only_its_own_row(file: SqliteBench) -> None:
    """Bytes of another encoding in a text cell, as a bot in another language leaves them."""
    columns = f"{PLAIN}, reason TEXT"
    rows = [(n, f"v{n}", "pending", "x") for n in (1, 2)]
    async with store_of(file, columns, *rows, reason="reason") as store:
        file.run("UPDATE trades SET reason = CAST(x'4bfc6e64' AS TEXT) WHERE id = 1")
        assert len(await open_rows(store)) == 2
        reports = [said(f"v{n}", Status.CANCELED, "0", reason="off") for n in (1, 2)]
        outcomes = await ingest(store, *reports)
        assert outcomes[1].result is Result.WON
        assert words(file)[1] == "failed"
        assert (await ingest(store, reports[1]))[0].result is Result.UNCHANGED


async def test_a_trigger_of_the_users_that_keeps_a_log_goes_on_as_it_was(file: SqliteBench) -> None:
    file.run("CREATE TABLE log (id INTEGER PRIMARY KEY, word TEXT UNIQUE)")
    async with store_of(file, PLAIN, *((n, f"v{n}", "pending") for n in range(1, 4))) as store:
        file.run(
            "CREATE TRIGGER keep AFTER UPDATE ON trades BEGIN"
            " INSERT OR IGNORE INTO log (word) VALUES (new.status); END"
        )
        outcomes = await ingest(store, *(said(f"v{n}") for n in range(1, 4)))
        assert {o.result for o in outcomes} == {Result.WON}
    assert file.run("SELECT word FROM log") == [("completed",)]


async def test_a_venue_id_that_another_row_holds_is_refused_for_its_own_row_only(
    file: SqliteBench,
) -> None:
    columns = "id INTEGER PRIMARY KEY, order_id TEXT UNIQUE, client_id TEXT, status TEXT"
    rows = [(1, None, "c1", "pending"), (2, None, "c1", "pending"), (3, "v3", "c3", "pending")]
    async with store_of(file, columns, *rows, client_order_id="client_id") as store:
        outcomes = await ingest(store, said("v1", client_order_id="c1"), said("v3"))
        assert [o.result for o in outcomes] == [Result.UNWRITABLE, Result.WON]
    assert words(file) == ["completed", "pending", "completed"]


async def test_a_nullable_unique_column_may_be_the_key(file: SqliteBench) -> None:
    columns = "n INTEGER PRIMARY KEY, id TEXT UNIQUE, order_id TEXT, status TEXT"
    async with store_of(file, columns, (1, "a", "v1", "pending")) as store:
        assert (await ingest_one(store, said("v1"))).rows_written == 1


@pytest.mark.parametrize("word", ["pending", "completed"])
async def test_the_mapping_needs_no_more_than_id_venue_id_and_status(
    file: SqliteBench, word: str
) -> None:
    async with store_of(file, PLAIN, (1, "v1", word), status_words=WORDS) as store:
        await ingest_one(store, said("v1", Status.FILLED, "1", reason="x", last_fill_at=NOON))
        assert await store.list_finished(ACCOUNT, NOON) == []
        assert await store.list_due(ACCOUNT, NOON) == []
    assert words(file) == ["completed"]
