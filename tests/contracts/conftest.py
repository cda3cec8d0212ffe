from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from tests.contracts.bench import PAUSE, TRADES, HandClock, Opened, SqliteBench, mapped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import timedelta
    from pathlib import Path

    from ordersync.ports import OrderStore
    from ordersync.settings import Orders
    from tests.contracts.bench import Bench, Row, Table


@pytest.fixture(params=["sqlite"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A fresh database of each make that a store exists for."""
    makes = {"sqlite": SqliteBench}
    made = makes[request.param](tmp_path / "bot.db")
    yield made
    made.close()


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
