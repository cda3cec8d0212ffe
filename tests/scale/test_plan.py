"""`ordersync plan`: from the user's own rows to figures, on every make of database."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync import settings as configuration
from ordersync.errors import ConfigError
from ordersync.service import plan as reckon
from ordersync.store.counts import count_rows
from ordersync.store.makes import database_at
from tests.contracts.bench import TRADES, HandClock, mapped
from tests.contracts.mariadb_bench import MariadbBench
from tests.contracts.postgres_bench import PostgresBench
from tests.contracts.sqlite_bench import SqliteBench
from tests.scale.yard import Yard

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BY_COLUMN = {"column": "exchange", "values": {"cb": "main", "cb2": "main", "alp": "paper"}}


@pytest.mark.parametrize("make", ["sqlite", "postgres18", "mariadb"])
def test_rows_are_counted_by_account_and_by_the_day(
    make: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if make == "sqlite":
        bench = SqliteBench(tmp_path / "bot.db")
        url = "sqlite:///bot.db"
    else:
        server = request.getfixturevalue(make)
        bench = PostgresBench(server) if make == "postgres18" else MariadbBench(server)  # type: ignore[assignment]
        url = bench.url  # type: ignore[attr-defined]
    bench.create(TRADES)
    rows = [
        ("cb", "pending", timedelta(hours=1)),
        ("cb", "active", timedelta(hours=30)),
        ("cb2", "pending", timedelta(days=9)),
        ("cb", "completed", timedelta(hours=2)),
        ("cb", "completed", timedelta(days=9)),
        ("alp", "unknown", timedelta(hours=3)),
        ("nobody", "pending", timedelta(hours=1)),
    ]
    bench.insert(
        *(
            {"id": n, "order_id": f"o{n}", "exchange": account, "status": word}
            | {"created_at": NOON - age}
            for n, (account, word, age) in enumerate(rows, start=1)
        )
    )
    orders, clock = mapped(account=BY_COLUMN), HandClock(NOON)
    database = database_at(url, tmp_path)
    counts = count_rows(database, orders, ["main", "paper"], clock, where="ordersync.toml")
    # Since the midnight before yesterday's noon: a day and a half.
    assert counts["main"].open_rows == 3
    assert counts["main"].new_a_day == pytest.approx(3 / 1.5)
    assert counts["paper"].open_rows == 1
    whole = count_rows(database, mapped(), ["main"], clock, where="ordersync.toml")
    assert whole["main"].open_rows == 5
    untimed = mapped(created_at=None)
    assert count_rows(database, untimed, ["main"], clock, where="x")["main"].new_a_day is None
    bench.close()


def plan(yard: Yard, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ordersync", "plan", *options]
    return subprocess.run(command, cwd=yard.folder, capture_output=True, text=True, check=False)


def test_the_plan_tells_what_is_there_and_what_may_be_and_asks_no_exchange(tmp_path: Path) -> None:
    with Yard(tmp_path, "redis://127.0.0.1:1/0", accounts=2) as yard:
        yard.fill_up(3)
        its_own = 'key_file = "key-1.json"\nshare = 0.25'
        text = yard.config.read_text().replace('key_file = "key-1.json"', its_own)
        yard.config.write_text(text)
        with yard.exchange.held():
            said = plan(yard, "--accounts", "1000", "--open-orders", "1000000")
            assert said.returncode == 0, said.stderr
            told = plan(yard, "--json", "--accounts", "1000", "--open-orders", "1000000")
            assert not yard.exchange.waiting.is_set()
    for words in (
        "a0 (coinbase): 3 open orders",
        "What is there: 2 accounts, 6 open orders",
        "What if: 1,000 accounts, 1,000,000 open orders",
        "our 450 (venue: 1,800)",
        "Limits of ordersync run, the nearest first:",
        "docs/reference/benchmarks.md",
    ):
        assert words in said.stdout, said.stdout
    answer = json.loads(told.stdout)
    assert [load["open_orders"] for load in answer["accounts"]] == [3, 3]
    assert [load["share"] for load in answer["accounts"]] == [0.5, 0.25]
    run, celery = answer["what_if"]
    assert (run["way"], celery["way"]) == ("run", "celery")
    assert run["venues"][0]["calls_all"] == 20_000
    assert all(figure["source"] for figure in answer["figures"].values())
    assert yard.sql("SELECT name FROM sqlite_master WHERE name LIKE 'ordersync%'") == []


def test_numbers_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with Yard(tmp_path, "redis://127.0.0.1:1/0") as yard:
        said = plan(yard, "--accounts", "0")
        settings = configuration.load(yard.config)
    assert said.returncode == 3
    assert "--accounts: 0 are too few" in said.stderr
    assert "Write 1 or more" in said.stderr
    with pytest.raises(ConfigError, match="-1 are too few") as refused:
        reckon(settings, [], open_orders=-1)
    assert refused.value.where == "--open-orders"


def test_an_empty_table_is_counted(tmp_path: Path) -> None:
    with Yard(tmp_path, "redis://127.0.0.1:1/0") as yard:
        said = plan(yard, "--json")
        assert json.loads(said.stdout)["now"][0]["open_orders"] == 0
