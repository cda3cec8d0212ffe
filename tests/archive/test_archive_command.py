"""`ordersync archive` and `ordersync history`, on a table whose orders ended years ago."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.cli.app import run
from ordersync.simulator import World
from ordersync.truth.model import Status
from tests.contracts.bench import (
    ACCOUNT,
    PAUSE,
    TRADES,
    WORDS,
    HandClock,
    ingest,
    mapped,
    said,
)
from tests.contracts.sqlite_bench import SqliteBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG_AGO = datetime(2020, 5, 1, 12, tzinfo=UTC)


class Past:
    """A folder with a configuration, a key, and a table of orders that ended long ago."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.bench = SqliteBench(folder / "bot.db")
        self.bench.create(TRADES)
        clock = HandClock(LONG_AGO)
        World(clock.now, seed=1).open_account("ed25519").key.write(folder / "key.json")
        self.config = folder / "ordersync.toml"
        self.configure()
        asyncio.run(self._ended(clock))

    def configure(self, retention: str = "") -> None:
        words = "\n".join(f"{word} = {json.dumps(tokens)}" for word, tokens in WORDS.items())
        self.config.write_text(
            f"""
            [database]
            url = "sqlite:///bot.db"
            [orders]
            table = "trades"
            id = "id"
            venue_order_id = "order_id"
            status = "status"
            account = "{ACCOUNT}"
            [orders.status_words]
            {words}
            [accounts.{ACCOUNT}]
            venue = "coinbase"
            key_file = "key.json"
            rest_url = "http://127.0.0.1:1"
            {retention}
            """
        )

    async def _ended(self, clock: HandClock) -> None:
        self.bench.insert(*({"id": n, "order_id": f"v{n}", "status": "pending"} for n in (1, 2)))
        store = self.bench.store(mapped(), clock, pause=PAUSE)
        await store.open(create=True)
        for status in (Status.NEW, Status.FILLED):
            await ingest(store, said("v1", status, "1"), said("v2", status, "1"))
            clock.forward(timedelta(minutes=5))
        await ingest(store, said("v3", Status.NEW))
        await store.close()

    def ask(self, *arguments: str) -> tuple[int, str]:
        """A command's exit status, and what it said on stdout."""
        self.capsys.readouterr()
        status = run(["-c", str(self.config), *arguments])
        return status, self.capsys.readouterr().out

    def ask_json(self, *arguments: str) -> tuple[int, list[Any]]:
        status, out = self.ask("--json", *arguments)
        return status, [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def past(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Past]:
    past = Past(tmp_path, capsys)
    yield past
    past.bench.close()


def test_a_dry_run_tells_what_would_move_and_writes_nothing(past: Past) -> None:
    watch = past.bench.watch()
    status, out = past.ask("archive", "--dry-run")
    assert (status, out.strip()) == (
        0,
        "2 orders and 4 events would move. Nothing was written (dry run).",
    )
    assert not watch.was_written()
    assert not (past.folder / "ordersync-archive").exists()


def test_it_moves_and_a_second_time_finds_nothing(past: Past) -> None:
    assert past.ask("archive") == (
        0,
        "Archive complete: 2 orders and 4 events moved, 0 left\n",
    )
    names = sorted(path.name for path in (past.folder / "ordersync-archive").iterdir())
    assert names == ["events-2020-05.jsonl.gz", "orders-2020-05.jsonl.gz"]
    status, (answer,) = past.ask_json("archive")
    assert status == 0
    assert answer == {
        "moved": {"orders": 0, "events": 0, "left": 0},
        "folder": str(past.folder / "ordersync-archive"),
        "dry_run": False,
    }


def test_history_reads_what_moved_from_its_file_and_else_says_where_it_is(past: Past) -> None:
    _, before = past.ask_json("history", "1")
    past.ask("archive")

    status, (notice, *events) = past.ask_json("history", "1")

    assert (status, events) == (0, before)
    assert notice["archived"]["order_key"] == "v:v1"
    assert notice["archived"]["events_read"] is True
    file = past.folder / "ordersync-archive" / "events-2020-05.jsonl.gz"
    assert notice["archived"]["events"] == str(file)
    assert f"2 of these events are in {file}" in past.ask("history", "v1")[1]
    file.rename(past.folder / "elsewhere")
    status, (notice, *events) = past.ask_json("history", "1")
    assert (status, notice["archived"]["events_read"], events) == (0, False, [])
    assert f"moved to {file}: the file is not there" in past.ask("history", "v1")[1]
    file.write_text("no archive at all")
    assert f"moved to {file}: it cannot be read" in past.ask("history", "v1")[1]


@pytest.mark.parametrize("age", ["1d", "yesterday", "0s"])
def test_an_age_that_is_none_or_too_short_is_refused(past: Past, age: str) -> None:
    status, (answer,) = past.ask_json("archive", "--older-than", age)
    assert (status, answer["error"]["where"]) == (3, "--older-than")
    assert answer["error"]["mend"]


def test_a_folder_that_cannot_be_written_is_refused_before_anything_moves(past: Past) -> None:
    past.configure('[retention]\nfolder = "key.json"')
    watch = past.bench.watch()
    status, (answer,) = past.ask_json("archive")
    assert (status, answer["error"]["where"]) == (3, f"{past.config}: retention.folder")
    assert not watch.was_written()


def test_the_age_of_the_section_is_the_default(past: Past) -> None:
    past.configure('[retention]\nafter = "900000h"\nfolder = "old"')
    assert past.ask("archive")[1].startswith("Archive complete: 0 orders")
    assert past.ask("archive", "--older-than", "90d")[1].startswith("Archive complete: 2 orders")
    assert len(list((past.folder / "old").iterdir())) == 2
