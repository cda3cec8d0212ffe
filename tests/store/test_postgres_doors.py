"""The ways into a PostgreSQL database: wrong addresses, listeners, and what is given back."""

from __future__ import annotations

import gc
import traceback
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from ordersync.errors import ConfigError, OrdersyncError, StoreBusy, StoreRefused
from ordersync.store.makes import database_at
from ordersync.store.makes.postgres import PostgresServer
from ordersync.store.views import TableViews
from tests.contracts.bench import mapped, open_rows
from tests.servers.daemon import Missing
from tests.servers.fixtures import without
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres
from tests.store.postgres_house import House, filled, made, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from ordersync.settings import Orders
    from tests.servers.fixtures import OwnServer
    from tests.servers.place import Server

SECRET = "p@ss/w:rd%?#é"  # noqa: S105 - of a server of ours, hard on every encoder
HIDDEN = "p%40ss%2Fw%3Ard%25%3F%23%C3%A9"


@pytest.fixture
async def house(postgres18: Server) -> AsyncIterator[House]:
    it = House(postgres18)
    it.run(made())
    it.run("INSERT INTO trades (id, order_id, status) VALUES (1, 'v1', 'pending')")
    yield it
    await it.aclose()


# --- addresses --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded() -> Iterator[dict[str, str]]:
    """A server with a password, and a pooler before it: their URLs, by what is wrong in them."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(closing(Postgres(18, password=SECRET, swift=True)))
            pooler = stack.enter_context(closing(PgBouncer(server)))
        except Missing as reason:
            without(reason)
        yield {"direct": server.place.url, "pooled": pooler.place.url}


WRONG = {
    "password": (StoreRefused, "PGPASSWORD"),
    "no password": (StoreRefused, "PGPASSWORD"),
    "user": (StoreRefused, "user"),
    "database": (StoreRefused, "names in database.url"),
    "port": (StoreBusy, "host and port"),
    "host": (StoreBusy, "host and port"),
    "option": (StoreRefused, "options"),
}


def spoiled(url: str, what: str) -> str:
    parts = urlsplit(url)
    place = f"127.0.0.1:{parts.port}"
    login = f"postgres:{HIDDEN}"
    if what == "password":
        login = f"postgres:{HIDDEN}x"
    elif what == "no password":
        login = "postgres"
    elif what == "user":
        login = f"nobody:{HIDDEN}"
    elif what == "port":
        place = "127.0.0.1:1"
    elif what == "host":
        place = f"no.such.host.invalid:{parts.port}"
    path = "/none" if what == "database" else parts.path
    query = "?options=-cno_such_setting%3D1" if what == "option" else ""
    return f"postgresql://{login}@{place}{path}{query}"


@pytest.mark.parametrize("door", ["direct", "pooled"])
@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_address_is_explained_with_place_and_mend_and_without_its_password(
    guarded: dict[str, str], monkeypatch: pytest.MonkeyPatch, door: str, what: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    monkeypatch.delenv("PGPASSWORD", raising=False)
    if (what, door) == ("database", "pooled"):
        pytest.skip("this pooler lets us wait for ten seconds before it says so")
    url = spoiled(guarded[door], what)
    kind, mend = WRONG[what]
    if (what, door) == ("option", "direct"):
        kind, mend = ConfigError, "database.url"
    database = database_at(url, tmp_path)
    with pytest.raises(OrdersyncError) as caught:
        TableViews(database, mapped(), where="ordersync.toml")
    error = caught.value
    told_of = "".join(traceback.format_exception(error)) + repr(error) + repr(database)
    told_of += repr(vars(error)) + error.where + error.mend
    for secret in (SECRET, HIDDEN, "p@ss", "p%40ss"):
        assert secret not in told_of
    assert type(error) is kind, error
    assert mend in error.mend, error
    assert error.where.startswith("postgresql://")
    with pytest.raises(database.errors):
        database.connect(writes=True)
    gc.collect()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://postgres:{SECRET}@127.0.0.1/x",
        "postgresql://postgres:s3cret%zz@127.0.0.1/x",
        "postgresql://postgres:s3cret@[::1/x",
        "postgresql://postgres:s3cret@127.0.0.1/x?no_such=1",
        "postgresql://postgres:s3cret@127.0.0.1/x?sslmode",
        "postgresql://postgres:s3cret@127.0.0.1:port/x",
        "postgresql://postgres:s3cret@127.0.0.1:99999/x",
        "postgresql://postgres:s3cret@127.0.0.1/x?sslmode=none",
        "postgresql://postgres:s3cret@127.0.0.1/x?connect_timeout=soon",
        "postgres+other://postgres:s3cret@127.0.0.1:99999/x",
        "postgresql://postgres:a@s3cret@127.0.0.1/x",
        "postgresql://postgres:a@b/s3cret@127.0.0.1/x",
        "postgresql://postgres:a/s3cret@127.0.0.1/x",
        "postgresql://postgres:a?s3cret@127.0.0.1/x",
        "postgresql://postgres:a#s3cret@127.0.0.1/x",
        "postgres:s3cret@127.0.0.1/x",
        "oracle://postgres:a/s3cret@127.0.0.1/x",
        "oracle://127.0.0.1/x?password=s3cret",
    ],
)
async def test_an_address_that_is_none_is_the_configurations_mistake(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(OrdersyncError) as caught:
        TableViews(database_at(url, tmp_path), mapped(), where="ordersync.toml")
    told_of = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "s3cret" not in told_of
    assert SECRET not in told_of
    assert isinstance(caught.value, ConfigError), caught.value
    assert caught.value.mend


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///x?host=/tmp",
        "postgresql://%2Ftmp/x",
        "postgresql://postgres:a%40b@[::1]:5432/x",
        "postgresql://postgres@one:5432,two:5433/x?target_session_attrs=read-write",
        "postgresql://h/x?user=a@b",
    ],
)
def test_an_address_with_unusual_parts_is_one(url: str, tmp_path: Path) -> None:
    assert "postgresql://" in repr(database_at(url, tmp_path))


async def test_what_other_clients_write_into_an_address_does_not_matter(house: House) -> None:
    url = house.url.replace("postgresql://", "postgresql+asyncpg://")
    store = await house.open(
        url=f"{url}?pgbouncer=true&connection_limit=1&sslmode=disable&pool_timeout=0"
    )
    assert (await told(store, filled())).rows_written == 1


# --- listening --------------------------------------------------------------------------------


def notify(house: House, table: str = "trades") -> None:
    house.run(
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_notify('ordersync_rows', ''); RETURN NULL; END $$"
    )
    house.run(
        f"CREATE TRIGGER ordersync_notify AFTER INSERT OR UPDATE OR DELETE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION tell()"
    )


def backends(house: House) -> int:
    return int(
        house.ask(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )


def soon(house: House, count: int) -> None:
    while backends(house) != count:
        pass


async def test_somebody_elses_new_row_moves_the_revision(house: House) -> None:
    notify(house)
    store = await house.open()
    first = await store.revision()
    assert first is not None
    assert await store.revision() == first
    house.run("INSERT INTO trades (id, order_id, status) VALUES (2, 'v2', 'pending')")
    while (second := await store.revision()) == first:
        pass
    assert second is not None
    await store.close()
    soon(house, 0)


async def test_a_listener_that_is_ended_is_none_and_the_next_connection_listens_again(
    house: House,
) -> None:
    notify(house)
    store = await house.open()
    first = await store.revision()
    house.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    while await store.revision() is not None:
        pass
    assert (await told(store, filled())).rows_written == 1
    house.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(StoreBusy):
        await open_rows(store)
    assert await open_rows(store) == []
    # Another number than before: what came in between was not heard.
    assert await store.revision() not in {None, first}
    await store.close()
    soon(house, 0)


@pytest.mark.parametrize("how", ["no trigger", "disabled", "reader"])
async def test_where_nobody_notifies_there_is_no_second_connection(house: House, how: str) -> None:
    if how != "no trigger":
        notify(house)
    if how == "disabled":
        house.run("ALTER TABLE trades DISABLE TRIGGER ordersync_notify")
    await house.open(create=True)
    store = await house.open(create=how != "reader")
    assert await store.revision() is None
    assert backends(house) == (3 if how == "reader" else 2)


async def test_who_only_looks_finds_that_run_will_hear_of_new_rows(house: House) -> None:
    notify(house)
    store = await house.open(create=False)
    assert any("heard of at once" in f.what for f in await store.findings())
    house.run("ALTER TABLE trades DISABLE TRIGGER ordersync_notify")
    assert any("notifications do not reach us" in f.what for f in await store.findings())
    await store.close()
    soon(house, 0)


async def test_a_trigger_on_another_table_does_not_tell_of_this_one(house: House) -> None:
    house.run("CREATE TABLE other (id int)")
    notify(house, "other")
    store = await house.open()
    assert await store.revision() is None


async def test_through_a_pooler_nothing_is_heard_and_nothing_is_left_open(
    postgres18: Server, own_server: OwnServer
) -> None:
    pooler = own_server(lambda: PgBouncer(postgres18))
    house = House(postgres18, pooler)
    try:
        house.run(made())
        notify(house)
        store = await house.open()
        assert await store.revision() is None
        found = await store.findings()
        assert any("notifications do not reach us" in f.what for f in found)
        gc.collect()
    finally:
        await house.aclose()


# --- what is given back -----------------------------------------------------------------------


async def test_a_store_that_could_not_be_opened_leaves_no_connection(house: House) -> None:
    notify(house)
    bad: list[Orders] = [
        mapped(table="none"),
        mapped(status="none"),
        mapped(where="no_such_column = 1"),
        mapped(where=") OR (1 = 1"),
    ]
    for orders in bad:
        store = house.new_store(orders)
        with pytest.raises(ConfigError):
            await store.open(create=True)
        await store.close()
    house.run("CREATE TABLE ordersync_schema (version bigint, at text)")
    house.run("INSERT INTO ordersync_schema VALUES (99, '')")
    store = house.new_store()
    with pytest.raises(StoreRefused, match="newer"):
        await store.open(create=True)
    await store.close()
    soon(house, 0)
    gc.collect()


async def test_where_no_second_connection_can_be_had_the_first_works_alone(house: House) -> None:
    notify(house)
    url = house.role(
        "ALTER ROLE {} CONNECTION LIMIT 1",
        "GRANT ALL ON trades TO {}",
        "GRANT ALL ON SCHEMA public TO {}",
    )
    store = await house.open(url=url)
    assert await store.revision() is None
    assert (await told(store, filled())).rows_written == 1
    await store.close()
    soon(house, 0)
    gc.collect()


async def test_where_listening_is_refused_the_connection_for_it_is_given_back(house: House) -> None:
    notify(house)
    await house.open()
    house.run(f'ALTER DATABASE "{house.name}" SET statement_timeout = 1')
    try:
        for _ in range(20):
            with psycopg.connect(house.url):
                pass
            session = PostgresServer(house.url)
            try:
                session.connect(writes=True).close()
            except psycopg.Error:
                continue
    finally:
        house.run(
            f'SET statement_timeout = 0; ALTER DATABASE "{house.name}" RESET statement_timeout'
        )
    soon(house, 2)
    gc.collect()
