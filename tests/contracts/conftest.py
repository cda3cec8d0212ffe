from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.contracts.bench import PAUSE, TRADES, HandClock, Opened, mapped
from tests.contracts.mariadb_bench import MariadbBench
from tests.contracts.postgres_bench import PostgresBench
from tests.contracts.sqlite_bench import SqliteBench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import timedelta
    from pathlib import Path

    from ordersync.ports import OrderStore
    from ordersync.settings import Orders
    from tests.contracts.bench import Bench, Row, Table


MAKES: tuple[str, ...] = ("sqlite", "postgres18", "mariadb")
MORE_MAKES = ("postgres16", "postgres15", "pgbouncer")
"""Asked for by ORDERSYNC_MAKES=all: they differ in little, and take as long as all the others."""

if os.environ.get("ORDERSYNC_MAKES") == "all":
    MAKES += MORE_MAKES


@pytest.fixture(params=MAKES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A fresh database of each make that a store exists for."""
    name = request.param
    made: Bench
    if name == "sqlite":
        made = SqliteBench(tmp_path / "bot.db")
    elif name == "pgbouncer":
        server = request.getfixturevalue("postgres18")
        made = PostgresBench(server, request.getfixturevalue("pgbouncer"))
    elif name == "mariadb":
        made = MariadbBench(request.getfixturevalue(name))
    else:
        made = PostgresBench(request.getfixturevalue(name))
    yield made
    made.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a make of database cannot have: `@pytest.mark.only_on("sqlite")`."""
    unfit = [item for item in items if _is_unfit(item)]
    config.hook.pytest_deselected(items=unfit)
    items[:] = [item for item in items if item not in set(unfit)]


def _is_unfit(item: pytest.Item) -> bool:
    marker, call = item.get_closest_marker("only_on"), getattr(item, "callspec", None)
    make = call.params.get("bench") if call is not None else None
    return marker is not None and make is not None and make not in marker.args


class Open(Protocol):
    """Makes the table with these rows, and opens a store on it."""

    async def __call__(
        self,
        *rows: Row,
        table: Table | None = TRADES,
        orders: Orders | None = None,
        writes_rows: bool = True,
        pause: timedelta = PAUSE,
    ) -> Opened: ...


@pytest.fixture
async def opened(bench: Bench) -> AsyncIterator[Open]:
    """Open stores, and close them after the test. `table` None: it is there already."""
    stores: list[OrderStore] = []
    clock = HandClock()

    async def open_store(
        *rows: Row,
        table: Table | None = TRADES,
        orders: Orders | None = None,
        writes_rows: bool = True,
        pause: timedelta = PAUSE,
    ) -> Opened:
        if table is not None:
            bench.create(table)
            bench.insert(*rows, table=table.name)
        chosen = orders or mapped()
        store = bench.store(chosen, clock, writes_rows=writes_rows, pause=pause)
        stores.append(store)
        await store.open(create=True)
        return Opened(bench, store, clock, chosen)

    yield open_store
    for store in stores:
        await store.close()
