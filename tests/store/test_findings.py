"""What the store finds about itself, for `doctor`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.ports import Finding, Severity
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.table_store import TableStore
from tests.contracts.bench import PAUSE, TRADES, WORDS, HandClock, Kind, Table, mapped
from tests.contracts.sqlite_bench import SqliteBench

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = {"pending": ["open"], "completed": ["filled"], "failed": ["final"]}


@pytest.fixture
def file(tmp_path: Path) -> SqliteBench:
    return SqliteBench(tmp_path / "bot.db")


async def findings(file: SqliteBench, **mapping: Any) -> dict[str, list[Finding]]:  # noqa: ANN401
    """All findings, by what they are about."""
    store = TableStore(
        SqliteFile(file.path),
        mapped(**mapping),
        HandClock(),
        where="ordersync.toml",
        contested_pause=PAUSE,
    )
    await store.open(create=False)
    found = await store.findings()
    await store.close()
    by_part: dict[str, list[Finding]] = {}
    for one in found:
        by_part.setdefault(one.about, []).append(one)
        assert one.mend or one.severity is Severity.OK
        assert one.what.endswith(".")
    return by_part


def warnings(found: list[Finding]) -> list[str]:
    return [one.what for one in found if one.severity is not Severity.OK]


async def test_a_table_in_order_has_only_good_findings(file: SqliteBench) -> None:
    file.run("PRAGMA journal_mode = wal")
    file.create(TRADES)
    file.insert({"id": 1, "order_id": "v1", "status": "pending"})
    for _, statement in await index_mends(file):
        file.run(statement)
    found = await findings(file)
    bad = {part: warnings(some) for part, some in found.items() if warnings(some)}
    assert bad == {}


async def index_mends(file: SqliteBench) -> list[tuple[str, str]]:
    return [
        (one.what, one.mend)
        for one in (await findings(file))["indexes"]
        if one.severity is not Severity.OK
    ]


async def test_each_missing_index_is_proposed_as_sql_that_works(file: SqliteBench) -> None:
    file.create(Table(columns=TRADES.columns))
    mends = await index_mends(file)
    assert len(mends) == 5
    for _, statement in mends:
        assert statement.startswith("CREATE INDEX ")
        file.run(statement)
    assert await index_mends(file) == []


async def test_words_outside_the_mapping_are_counted(file: SqliteBench) -> None:
    file.create(TRADES)
    words = ["pending", "Pending", "Pending", None, "odd'one"]
    file.insert(*({"id": n, "status": word} for n, word in enumerate(words)))
    told = warnings((await findings(file))["words"])
    assert sorted(what.split(",")[0] for what in told) == [
        '1 row says "odd\'one"',
        "1 row says NULL",
        "2 rows say 'Pending'",
    ]


async def test_rows_outside_the_condition_are_not_counted(file: SqliteBench) -> None:
    file.create(TRADES)
    file.insert({"id": 1, "status": "odd", "is_paper": 1})
    assert warnings((await findings(file, where="is_paper = 0"))["words"]) == []


async def test_a_missing_word_for_canceled_with_fills_is_a_warning(file: SqliteBench) -> None:
    file.create(TRADES)
    (told,) = warnings((await findings(file, status_words=PLAIN))["words"])
    assert "canceled order that has fills" in told


async def test_a_word_that_the_column_cannot_hold_is_a_warning(file: SqliteBench) -> None:
    rule = "status IN ('pending', 'completed', 'failed')"
    file.create(Table(columns=TRADES.columns, checks=(rule,)))
    told = warnings((await findings(file))["words"])
    assert [what.split(" (")[0] for what in told] == [
        "the column 'status' cannot hold 'unknown'",
        "the column 'status' cannot hold 'active'",
        "the column 'status' cannot hold 'cancelled'",
    ]


async def test_a_word_longer_than_its_column_is_a_warning(file: SqliteBench) -> None:
    file.create(TRADES.but(status=Kind.SHORT_TEXT))
    told = warnings((await findings(file, status_words={**WORDS, "a long word": ["new"]}))["words"])
    assert told == ["the column 'status' cannot hold 'a long word' (it holds 10 letters)."]


async def test_no_creation_time_is_a_warning(file: SqliteBench) -> None:
    file.create(TRADES)
    assert "created_at" in await findings(file, created_at=None)
    assert "created_at" not in await findings(file)


async def test_a_counter_in_the_place_of_the_exchanges_id_is_a_warning(file: SqliteBench) -> None:
    file.create(TRADES)
    assert "venue_order_id" in await findings(file, venue_order_id="id")
    assert "venue_order_id" not in await findings(file)


@pytest.mark.parametrize(("mode", "warned"), [("delete", True), ("wal", False)])
async def test_a_journal_that_makes_the_bot_wait_is_a_warning_and_is_not_changed(
    file: SqliteBench, mode: str, *, warned: bool
) -> None:
    file.run(f"PRAGMA journal_mode = {mode}")
    file.create(TRADES)
    assert ("journal" in await findings(file)) is warned
    with closing(sqlite3.connect(file.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)
