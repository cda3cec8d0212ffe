"""The contract of OrderStore: opening, our tables' versions, and databases that cannot be used."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ordersync.errors import ConfigError, GiveUp, OrdersyncError, StoreBusy, StoreRefused
from ordersync.ports import AccountRecord, Result
from ordersync.store import schema
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.table_store import TableStore
from tests.contracts.bench import (
    ACCOUNT,
    PAUSE,
    TRADES,
    HandClock,
    ingest_one,
    mapped,
    open_rows,
    read,
    said,
)
from tests.contracts.sqlite_bench import SqliteBench

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contracts.bench import Bench, Row
    from tests.contracts.conftest import Open

PENDING: Row = {"id": 1, "order_id": "v1", "status": "pending"}


# --- every make of database -------------------------------------------------------------------


async def test_opening_twice_finds_what_was_written(opened: Open) -> None:
    one = await opened(PENDING)
    await ingest_one(one.store, said("v1"))
    await one.store.close()
    two = await opened(table=None)
    (known,) = await read(two.store, said("v1"))
    assert known.version == 1
    assert known.truth is not None
    assert known.truth.is_final


async def test_without_create_nothing_is_made_and_all_can_be_read(bench: Bench) -> None:
    bench.create(TRADES)
    bench.insert(PENDING)
    watch = bench.watch()
    store = bench.store(mapped(), HandClock())
    await store.open(create=False)
    try:
        assert len(await open_rows(store)) == 1
        (known,) = await read(store, said("v1"))
        assert (known.version, known.truth) == (0, None)
        assert await store.list_due(ACCOUNT, HandClock().now()) == []
        assert await store.list_finished(ACCOUNT, HandClock().now()) == []
        assert await store.get_account(ACCOUNT) == AccountRecord(account=ACCOUNT)
        assert await store.findings()
        with pytest.raises(StoreRefused):
            await ingest_one(store, said("v1"))
        with pytest.raises(StoreRefused):
            await store.keep_account(AccountRecord(account=ACCOUNT))
    finally:
        await store.close()
    assert not watch.was_written()


@pytest.mark.parametrize("create", [True, False])
async def test_tables_of_a_newer_ordersync_are_refused_and_left(
    opened: Open, *, create: bool
) -> None:
    it = await opened(PENDING)
    bench = it.bench
    bench.run("UPDATE ordersync_schema SET version = version + 1")
    store = bench.store(mapped(), it.clock)
    with pytest.raises(StoreRefused) as caught:
        await store.open(create=create)
    await store.close()
    assert str(schema.VERSION + 1) in caught.value.what
    assert "Upgrade" in caught.value.mend
    assert bench.run("SELECT version FROM ordersync_schema") == [(schema.VERSION + 1,)]


async def test_many_stores_that_open_at_once_make_the_tables_once(bench: Bench) -> None:
    bench.create(TRADES)
    bench.insert(PENDING)
    for _ in range(3):
        stores = [bench.store(mapped(), HandClock()) for _ in range(4)]
        await asyncio.gather(*(store.open(create=True) for store in stores))
        for store in stores:
            assert len(await open_rows(store)) == 1
            await store.close()
    assert bench.ours().truths == []


# --- what only SQLite has ---------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> SqliteBench:
    return SqliteBench(tmp_path / "bot.db")


def store_on(path: Path, **mapping: object) -> TableStore:
    return TableStore(
        SqliteFile(path),
        mapped(**mapping),
        HandClock(),
        where="ordersync.toml",
        contested_pause=PAUSE,
    )


async def refusal(store: TableStore, *, create: bool = True) -> OrdersyncError:
    """The error with which this store will not open; the store is closed."""
    with pytest.raises(OrdersyncError) as caught:
        await store.open(create=create)
    await store.close()
    return caught.value


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
async def test_the_journal_mode_is_the_users(file: SqliteBench, mode: str) -> None:
    assert file.run(f"PRAGMA journal_mode = {mode}") == [(mode,)]
    file.create(TRADES)
    file.insert(PENDING)
    store = store_on(file.path)
    await store.open(create=True)
    await ingest_one(store, said("v1"))
    assert file.run("PRAGMA journal_mode") == [(mode if mode == "wal" else "delete",)]
    await store.close()
    assert file.rows()[0]["status"] == "completed"
    header = file.path.read_bytes()[18:20]
    assert header == (b"\2\2" if mode == "wal" else b"\1\1")
    assert file.run("PRAGMA user_version") == [(7,)]


async def test_a_missing_file_is_named_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    error = await refusal(store_on(path))
    assert isinstance(error, ConfigError)
    assert error.where == str(path)
    assert "database.url" in error.mend
    assert not path.exists()


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert isinstance(await refusal(store_on(tmp_path)), GiveUp)


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    path.write_bytes(b"id,status\n1,pending\n" * 100)
    error = await refusal(store_on(path))
    assert isinstance(error, StoreRefused)
    assert error.where == str(path)
    assert error.mend == "Check the path in database.url."


def is_open(connection: sqlite3.Connection) -> bool:
    try:
        return connection.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False


def open_connections() -> set[sqlite3.Connection]:
    """Those of this process that nobody closed, to whatever file."""
    connections = [one for one in gc.get_objects() if type(one) is sqlite3.Connection]
    return {one for one in connections if is_open(one)}


def test_a_connection_that_is_refused_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    path.write_bytes(b"id,status\n1,pending\n" * 100)
    before = open_connections()
    # The error is kept: what it holds alive is not closed by going away.
    with pytest.raises(sqlite3.DatabaseError) as caught:
        SqliteFile(path).connect(writes=True)
    assert open_connections() <= before, caught.value


async def test_what_a_canceled_opening_connects_later_is_closed(file: SqliteBench) -> None:
    """As where a signal ends the command while the bot still holds the database."""
    file.create(TRADES)
    before = open_connections()
    store = store_on(file.path)
    with closing(file.connect()) as bot:
        bot.execute("BEGIN EXCLUSIVE")
        opening = asyncio.ensure_future(store.open(create=True))  # noqa: TID251 - awaited below
        await asyncio.wait([opening], timeout=0.03)
        opening.cancel()
        await asyncio.wait([opening])
        bot.execute("ROLLBACK")
    await store.close()
    assert opening.cancelled()
    assert open_connections() <= before


async def test_a_damaged_database_is_refused(file: SqliteBench) -> None:
    file.create(TRADES)
    file.insert(*({"id": n, "status": "pending", "note": "x" * 900} for n in range(200)))
    content = bytearray(file.path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    file.path.write_bytes(bytes(content))
    error = await refusal(store_on(file.path))
    assert isinstance(error, StoreRefused)
    assert "damaged" in error.what


async def test_a_file_that_may_not_be_written_is_read_and_its_mend_named(file: SqliteBench) -> None:
    """A version of the file format that SQLite only reads; rights do not bind root."""
    file.create(TRADES)
    file.insert(PENDING)
    store = store_on(file.path)
    await store.open(create=True)
    await store.close()
    content = bytearray(file.path.read_bytes())
    content[18] = 3
    file.path.write_bytes(bytes(content))
    store = store_on(file.path)
    await store.open(create=True)
    try:
        assert len(await open_rows(store)) == 1
        with pytest.raises(StoreRefused) as caught:
            await ingest_one(store, said("v1"))
    finally:
        await store.close()
    assert caught.value.where == str(file.path)
    assert "right to write" in caught.value.mend


async def test_a_locked_database_is_busy_and_works_when_it_is_free(file: SqliteBench) -> None:
    file.create(TRADES)
    file.insert(PENDING)
    stores = [store_on(file.path) for _ in range(3)]
    for store in stores[:2]:
        await store.open(create=True)
    (known,) = await read(stores[0], said("v1"))
    assert known.version == 0
    with closing(file.connect()) as bot:
        bot.execute("BEGIN EXCLUSIVE")
        answers = await asyncio.gather(
            stores[0].keep_account(AccountRecord(account=ACCOUNT)),
            open_rows(stores[1]),
            stores[2].open(create=True),
            return_exceptions=True,
        )
        bot.execute("ROLLBACK")
    for answer in answers:
        assert isinstance(answer, StoreBusy), answer
        assert answer.where == str(file.path)
        assert answer.mend
    assert (await ingest_one(stores[0], said("v1"))).result is Result.WON
    for store in stores:
        await store.close()


@pytest.mark.parametrize(
    "folder", ["with space", "hash#1", "what?", "100%41", "ünï", "a@b", "a:b", "a&mode=memory"]
)
async def test_a_path_may_have_any_letters(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    file = SqliteBench(tmp_path / folder / "bot #1.db")
    file.create(TRADES)
    file.insert(PENDING)
    store = store_on(file.path)
    await store.open(create=True)
    await ingest_one(store, said("v1"))
    await store.close()
    assert file.rows()[0]["status"] == "completed"
    assert len(await file.views(mapped()).find("v1")) == 1


async def test_the_users_table_may_be_dropped_while_we_run(file: SqliteBench) -> None:
    file.create(TRADES)
    store = store_on(file.path)
    await store.open(create=True)
    file.run("DROP TABLE trades")
    with pytest.raises(StoreRefused) as caught:
        await open_rows(store)
    assert "trades" in caught.value.what
    await store.close()


async def test_a_half_made_migration_leaves_nothing(file: SqliteBench) -> None:
    file.create(TRADES)
    file.run("CREATE TABLE ordersync_accounts (x)")  # in the way of ours
    error = await refusal(store_on(file.path))
    assert isinstance(error, StoreRefused)
    names = file.run("SELECT name FROM sqlite_master WHERE name LIKE 'ordersync%'")
    assert names == [("ordersync_accounts",)]


def test_this_python_brings_what_the_store_rests_on() -> None:
    assert sqlite3.sqlite_version_info >= (3, 35)
