"""The store on PostgreSQL beside a long history: what it touches, and what an update costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordersync.ports import Result
from ordersync.truth.model import Status
from tests.contracts.bench import ACCOUNT, NOON, again, ingest, mapped, open_rows, read, said
from tests.store.postgres_house import House, filled, made

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from ordersync.settings import Orders
    from ordersync.store.table_store import TableStore
    from tests.servers.place import Server

CLOSED = 200_000
OPEN = 20
FEW = 3000
"""Rows and entries of indexes that one question may touch: the open ones, and the newest."""

KEYS = {
    "uuid": ("uuid PRIMARY KEY", "uuid", "md5('k' || n)::uuid", "md5('v' || n)::uuid"),
    "varchar": ("varchar(40) PRIMARY KEY", "varchar(40)", "'k' || n", "'v' || n"),
    "bigint": ("bigint PRIMARY KEY", "text", "n", "'v' || n"),
}


@pytest.fixture
async def house(postgres18: Server) -> AsyncIterator[House]:
    it = House(postgres18)
    yield it
    await it.aclose()


def touched(house: House) -> int:
    """Rows read in order, and entries of indexes read, of all that there is, by all so far."""
    while house.ask(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ):
        pass  # what a connection has read is known when it is gone
    return int(
        house.ask(
            "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)"
            " + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)"
        )
    )


def fill(house: House, key: str, time: str) -> None:
    kind, venue, key_of, venue_of = KEYS[key]
    house.run(
        made(
            id=kind,
            order_id=venue,
            **dict.fromkeys(("created_at", "filled_at", "updated_at"), time),
            after=" WITH (autovacuum_enabled = off)",
        )
    )
    moment = "timestamptz '2025-03-01' + n * interval '1 minute'"
    if time == "bigint":
        moment = f"(extract(epoch FROM {moment}) * 1000)::bigint"
    every = CLOSED // OPEN
    house.run(
        "INSERT INTO trades"  # noqa: S608
        " (id, order_id, client_id, status, created_at, filled_at, updated_at)"
        f" SELECT {key_of}, {venue_of}, 'c' || n,"
        f" CASE WHEN n % {every} = 0 THEN 'pending' ELSE 'completed' END,"
        f" {moment}, {moment}, {moment} FROM generate_series(1, {CLOSED}) AS n"
    )


async def each(
    house: House,
    orders: Orders,
    works: Mapping[str, Callable[[TableStore], Awaitable[object]]],
) -> dict[str, int]:
    """What each of these touches, on a connection of its own."""
    found = {}
    for name, work in works.items():
        before = touched(house)
        store = await house.open(orders)
        await work(store)
        await store.close()
        found[name] = touched(house) - before
    return found


@pytest.mark.parametrize(
    ("key", "time"),
    [
        ("uuid", "timestamptz"),
        ("varchar", "timestamptz"),
        ("bigint", "bigint"),
    ],
)
async def test_with_the_indexes_that_doctor_proposes_nothing_reads_the_history(
    house: House, key: str, time: str
) -> None:
    fill(house, key, time)
    orders = mapped(updated_at="updated_at")
    store = await house.open(orders)
    proposals = [f.mend for f in await store.findings() if f.about == "indexes"]
    assert any(" WHERE " in ddl for ddl in proposals)
    for ddl in proposals:
        house.run(ddl)
    await store.close()
    store = await house.open(orders)
    assert [f.mend for f in await store.findings() if f.about == "indexes"] == [""]
    numbers = range(CLOSED // OPEN, CLOSED + 1, CLOSED // OPEN)
    names = [str(house.ask(f"SELECT {KEYS[key][3]} FROM (SELECT {n} AS n)")) for n in numbers]  # noqa: S608
    news = [said(name, Status.NEW, "0", at=NOON) for name in names]
    ends = [filled(name, filled="0.5") for name in names]
    await ingest(store, *news)
    await store.close()
    house.run(
        "INSERT INTO ordersync_orders (account, order_key, venue_order_id, row_id, version,"  # noqa: S608
        " epoch, status, final, first_seen_at, final_since, state)"
        " SELECT 'main', 'v:old' || n, 'old' || n, 'r' || n, 1, 0, 'filled', 1, '', '', '{}'"
        f" FROM generate_series(1, {CLOSED}) AS n"
    )
    house.run(
        "INSERT INTO ordersync_events (log_id, n, at, account, order_key, kind, body)"  # noqa: S608
        " SELECT n + 1000, 0, '', 'main', 'v:old' || n, 'changed', '{}'"
        f" FROM generate_series(1, {CLOSED}) AS n"
    )
    house.run("ALTER TABLE ordersync_orders SET (autovacuum_enabled = off)")

    async def write(store: TableStore) -> None:
        outcomes = await ingest(store, *ends)
        assert {o.rows_written for o in outcomes} == {1}

    async def repair(store: TableStore) -> None:
        assert {o.result for o in await ingest(store, *ends)} == {Result.UNCHANGED}

    works = {
        "opening": lambda store: store.revision(),
        "scan_open": open_rows,
        "list_finished": lambda store: store.list_finished(ACCOUNT, NOON),
        "list_due": lambda store: store.list_due(ACCOUNT, NOON),
        "list_witnesses": lambda store: store.list_witnesses(ACCOUNT, 10),
        "read": lambda store: read(store, *news),
        "read by client": lambda store: read(store, filled("x", client_order_id="c5")),
        "write": write,
        "again": repair,
    }
    found = await each(house, orders, works)
    house.run("ANALYZE")
    open_again = ", ".join(f"'{name}'" for name in names)
    house.run(f"UPDATE trades SET status = 'pending' WHERE order_id IN ({open_again})")  # noqa: S608
    analyzed = await each(house, orders, works)
    # Without statistics a third of a table is expected behind any time.
    found.pop("list_finished")
    assert {name: n for name, n in found.items() if n > FEW} == {}
    assert {name: n for name, n in analyzed.items() if n > FEW} == {}


# --- what an update costs ---------------------------------------------------------------------


def updates(house: House, table: str) -> tuple[int, int]:
    touched(house)
    ((all_, hot),) = house.run(
        f"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = '{table}'"  # noqa: S608
    )
    return int(all_), int(hot)


async def test_an_update_of_no_indexed_column_is_hot_and_a_second_pass_updates_nothing(
    house: House,
) -> None:
    house.run(made())
    house.run("CREATE INDEX ON trades (status) WHERE status = 'pending'")
    house.run(
        "INSERT INTO trades (id, order_id, status)"
        " SELECT n, 'v' || n, 'pending' FROM generate_series(1, 10) AS n"
    )
    for turn in range(1, 4):
        store = await house.open()
        reports = [said(f"v{n}", Status.NEW, str(turn), at=NOON) for n in range(1, 11)]
        assert {o.rows_written for o in await ingest(store, *reports)} == {1}
        for report in reports:
            await again(store, report)
        await store.close()
    assert updates(house, "trades") == (30, 30)
    all_, hot = updates(house, "ordersync_orders")
    assert all_ == 20
    assert hot >= 18  # where a page is full, another is begun
