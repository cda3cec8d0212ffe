"""The SQL for whoever owns the database: all of it at first, later what brings it forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordersync.store import schema
from ordersync.store.makes.postgres_spelling import PostgresSpelling
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.mapping import bind
from ordersync.store.owner import statements_for_owner, version_there
from tests.contracts.bench import TRADES, HandClock, mapped
from tests.contracts.sqlite_bench import SqliteBench

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.store.mapping import Mapping


@pytest.fixture
def file(tmp_path: Path) -> SqliteBench:
    made = SqliteBench(tmp_path / "bot.db")
    made.create(TRADES)
    return made


@pytest.fixture
def mapping(file: SqliteBench) -> Mapping:
    return bind(SqliteFile(file.path), mapped(), where="ordersync.toml")


def test_at_first_everything_is_printed(mapping: Mapping) -> None:
    texts = statements_for_owner(PostgresSpelling(), mapping, "bot", notify=False)
    for name in schema.tables_since(0):
        about = [text for text in texts if f"ordersync_{name} " in f"{text} "]
        for sign in ("CREATE TABLE", "ENABLE ROW LEVEL SECURITY", "GRANT SELECT", "CREATE POLICY"):
            assert any(sign in text for text in about), (name, sign)


def test_later_only_what_brings_the_tables_forward(mapping: Mapping) -> None:
    texts = statements_for_owner(PostgresSpelling(), mapping, "bot", notify=False, since=1)
    whole = "\n".join(texts)
    assert "CREATE SEQUENCE" not in whole
    later = schema.tables_since(1)
    assert {"archived", "webhooks"} < {*later} < {*schema.tables_since(0)}
    assert whole.count("CREATE TABLE") == whole.count("CREATE POLICY") == len(later)
    for name in later:
        assert f"ALTER TABLE ordersync_{name} ENABLE ROW LEVEL SECURITY" in whole
    assert "DELETE FROM ordersync_schema" in texts
    assert f"VALUES ({schema.VERSION}, 'by hand')" in whole


def test_where_all_is_there_nothing_is_made(mapping: Mapping) -> None:
    since = schema.VERSION
    assert statements_for_owner(PostgresSpelling(), mapping, None, notify=False, since=since) == []
    texts = statements_for_owner(PostgresSpelling(), mapping, "bot", notify=False, since=since)
    assert sum("CREATE POLICY" in text for text in texts) == len(schema.tables_since(0))
    assert not any("CREATE TABLE" in text for text in texts)


async def test_the_version_is_that_of_the_database(file: SqliteBench, mapping: Mapping) -> None:
    database = SqliteFile(file.path)
    assert version_there(database, mapping) == 0
    store = file.store(mapped(), HandClock())
    await store.open(create=True)
    await store.close()
    assert version_there(database, mapping) == schema.VERSION
    file.run("UPDATE ordersync_schema SET version = 1")
    assert version_there(database, mapping) == 1
