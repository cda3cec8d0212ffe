"""The store on PostgreSQL under roles: what each may do, and what is said where it may not."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ordersync.errors import StoreBusy, StoreRefused
from ordersync.ports import Result, Severity
from ordersync.store import owner
from ordersync.store.makes.postgres import PostgresServer
from ordersync.store.makes.postgres_session import COPIED_FROM
from ordersync.store.mapping import bind
from ordersync.truth.model import Status
from tests.contracts.bench import ACCOUNT, again, ingest, mapped, open_rows, said
from tests.store.postgres_house import House, filled, made, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ordersync.settings import Orders
    from ordersync.store.table_store import TableStore
    from tests.servers.place import Server

ROWS = (
    "INSERT INTO {} (id, order_id, status)"
    " SELECT n, 'v' || n, 'pending' FROM generate_series(1, 5) AS n"
)
ALL = "GRANT ALL ON ALL TABLES IN SCHEMA public TO {}"


@pytest.fixture(params=["postgres18", "postgres15"])
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """A table of five open orders, on the oldest and the newest."""
    it = House(request.getfixturevalue(request.param))
    it.run(made())
    it.run(ROWS.format("trades"))
    yield it
    await it.aclose()


def made_by_a_dba(house: House, orders: Orders | None = None, *, notify: bool = False) -> str:
    """Our tables as `schema --sql` prints them for a role; the role's URL."""
    url = house.role()
    role = url.partition("//")[2].partition("@")[0]
    database = PostgresServer(house.url)
    mapping = bind(database, orders or mapped(), where="x")
    for text in owner.statements_for_owner(database.spelling, mapping, role, notify=notify):
        house.run(text)
    return url


async def works(store: TableStore) -> None:
    """Everything that the service asks of a store."""
    assert len(await open_rows(store)) == 5
    assert len(await store.list_witnesses(ACCOUNT, 3)) == 3
    assert await store.list_unmapped(ACCOUNT, 10) == []
    outcomes = await ingest(
        store, filled("v1"), said("v2", Status.CANCELED, "0.1"), filled("no row")
    )
    assert {o.result for o in outcomes} == {Result.WON}
    assert sum(o.rows_written for o in outcomes) == 2
    await again(store, filled("v1"))
    await store.keep_account(await store.get_account(ACCOUNT))


def errors(findings: list) -> list[str]:  # type: ignore[type-arg]
    return [f.what for f in findings if f.severity is Severity.ERROR]


async def test_with_what_schema_sql_prints_a_role_needs_no_other_right(house: House) -> None:
    store = await house.open(url=made_by_a_dba(house))
    await works(store)
    assert errors(await store.findings()) == []


async def test_the_same_in_a_schema_of_ones_own_with_a_name_of_ones_own(house: House) -> None:
    table = '"Trading 50% {x}"."My Orders"'
    house.run('CREATE SCHEMA "Trading 50% {x}"')
    house.run(made(table))
    house.run("INSERT INTO " + table + ROWS.partition("{}")[2])
    orders = mapped(table="Trading 50% {x}.My Orders")
    store = await house.open(orders, made_by_a_dba(house, orders))
    await works(store)
    assert errors(await store.findings()) == []


OURS = ("schema", "orders", "events", "absences", "due", "notes", "accounts")


@pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE", "DELETE"])
async def test_a_right_that_is_lacking_on_our_own_tables_is_found(house: House, right: str) -> None:
    url = made_by_a_dba(house)
    role = url.partition("//")[2].partition("@")[0]
    house.run(f"REVOKE {right} ON ordersync_notes FROM {role}")
    store = await house.open(url=url, create=False)
    (what,) = errors(await store.findings())
    assert "our own tables" in what


async def test_a_right_that_is_lacking_on_the_sequence_is_found(house: House) -> None:
    url = made_by_a_dba(house)
    role = url.partition("//")[2].partition("@")[0]
    house.run(f"REVOKE ALL ON SEQUENCE ordersync_log_ids FROM {role}")
    store = await house.open(url=url)
    (what,) = errors(await store.findings())
    assert "ordersync_log_ids" in what
    with pytest.raises(StoreRefused, match="lacks a right"):
        await told(store, filled("v1"))
    assert house.ours().truths == []


async def test_our_tables_without_their_policies_are_no_tables_to_another_role(
    house: House,
) -> None:
    """They are closed by row-level security: that is said, and nothing is half made."""
    url = made_by_a_dba(house)
    for name in OURS:
        house.run(f"DROP POLICY ordersync ON ordersync_{name}")
    with pytest.raises(StoreRefused) as refused:
        await house.open(url=url)
    assert "schema --sql" in str(refused.value)


async def test_a_role_that_may_not_make_tables_is_told_what_to_do(house: House) -> None:
    house.run("REVOKE CREATE ON SCHEMA public FROM public")
    url = house.role("GRANT SELECT, UPDATE ON trades TO {}")
    with pytest.raises(StoreRefused, match="lacks a right") as refused:
        await house.open(url=url)
    assert "schema --sql" in refused.value.mend
    store = await house.open(url=url, create=False)
    assert any("cannot make tables" in what for what in errors(await store.findings()))


async def test_a_role_that_may_only_read_can_look_at_everything_and_is_told_its_lack(
    house: House,
) -> None:
    url = house.role("GRANT SELECT ON trades TO {}")
    store = await house.open(url=url, create=False)
    assert len(await open_rows(store)) == 5
    found = await store.findings()
    assert any("cannot write" in what and "status" in what for what in errors(found))
    (mend,) = [f.mend for f in found if "cannot write" in f.what]
    house.run(mend)
    assert not any("cannot write" in what for what in errors(await store.findings()))


async def test_a_table_that_may_not_be_written_is_refused_and_its_truth_waits(
    house: House,
) -> None:
    url = made_by_a_dba(house)
    role = url.partition("//")[2].partition("@")[0]
    house.run(f"REVOKE ALL ON trades FROM {role}; REVOKE UPDATE (status) ON trades FROM {role}")
    house.run(f"GRANT SELECT ON trades TO {role}")
    store = await house.open(url=url)
    with pytest.raises(StoreRefused, match="lacks a right"):
        await ingest(store, filled("v1"), filled("v2"))
    assert house.ours().truths == []
    house.run(f"GRANT UPDATE ON trades TO {role}")
    await works(store)


# --- row-level security -----------------------------------------------------------------------


async def test_many_orders_at_once_pass_the_policies_on_our_own_tables(house: House) -> None:
    """COPY does not pass them: the server refuses it wherever row-level security is on."""
    store = await house.open(url=made_by_a_dba(house))
    outcomes = await ingest(store, *(filled(f"o{n}") for n in range(2 * COPIED_FROM)))
    assert {one.result for one in outcomes} == {Result.WON}
    assert len(house.ours().truths) == 2 * COPIED_FROM


async def test_a_table_without_a_policy_for_the_role_is_an_error_with_its_mend(
    house: House,
) -> None:
    """Every row is hidden and none refused: a pass would find nothing to do, and say so gladly."""
    store = await house.open(url=made_by_a_dba(house))
    house.run("ALTER TABLE trades ENABLE ROW LEVEL SECURITY")
    house.run("CREATE ROLE somebody_else_of_this_test")
    house.run("CREATE POLICY theirs ON trades TO somebody_else_of_this_test USING (true)")
    try:
        (finding,) = [f for f in await store.findings() if f.severity is Severity.ERROR]
        assert "row-level security" in finding.what
        for text in finding.mend.split("; "):
            house.run(text)
        assert errors(await store.findings()) == []
        await works(store)
    finally:
        house.run("DROP POLICY theirs ON trades; DROP ROLE somebody_else_of_this_test")


async def test_a_mapped_column_that_may_not_be_read_is_named_with_its_grant(house: House) -> None:
    url = made_by_a_dba(house)
    role = url.partition("//")[2].partition("@")[0]
    house.run(f"REVOKE SELECT (reason, bot) ON trades FROM {role}")  # noqa: S608
    store = await house.open(mapped(reason="reason", owner="bot"), url, create=False)
    (finding,) = [f for f in await store.findings() if f.severity is Severity.ERROR]
    assert "cannot read" in finding.what
    assert '("reason", "bot")' in finding.mend
    house.run(finding.mend)
    assert errors(await store.findings()) == []


async def test_a_role_without_any_right_is_told_what_prints_all_it_needs(house: House) -> None:
    url = house.role()
    role = url.partition("//")[2].partition("@")[0]
    with pytest.raises(StoreRefused, match="permission denied for table trades") as refused:
        await house.open(url=url, create=False)
    assert f"schema --sql --role {role}" in refused.value.mend


async def test_a_schema_that_may_not_be_looked_into_is_named_with_its_grant(house: House) -> None:
    house.run("CREATE SCHEMA desk; ALTER TABLE trades SET SCHEMA desk")
    url = house.role()
    role = url.partition("//")[2].partition("@")[0]
    with pytest.raises(StoreRefused) as refused:
        await house.open(mapped(table="desk.trades"), url, create=False)
    assert f'GRANT USAGE ON SCHEMA "desk" TO "{role}";' in refused.value.mend


async def test_rows_that_no_policy_shows_are_no_rows(house: House) -> None:
    url = made_by_a_dba(house)
    house.run("ALTER TABLE trades ENABLE ROW LEVEL SECURITY")
    house.run("CREATE POLICY shown ON trades USING (id <= 3)")
    store = await house.open(url=url)
    assert [claim.row_id for claim in await open_rows(store)] == [1, 2, 3]
    outcomes = await ingest(store, *(filled(f"v{n}") for n in range(1, 6)))
    assert [o.rows_written for o in outcomes] == [1, 1, 1, 0, 0]
    found = await store.findings()
    assert any("row-level security" in f.what for f in found)


@pytest.mark.parametrize("forced", [False, True])
async def test_a_row_that_may_be_seen_and_not_written_is_unwritable_and_the_cause_is_named(
    house: House, *, forced: bool
) -> None:
    url = made_by_a_dba(house)
    role = url.partition("//")[2].partition("@")[0]
    house.run("ALTER TABLE trades ENABLE ROW LEVEL SECURITY")
    if forced:
        house.run(
            f"ALTER TABLE trades OWNER TO {role}; ALTER TABLE trades FORCE ROW LEVEL SECURITY"
        )
    house.run("CREATE POLICY seen ON trades FOR SELECT USING (true)")
    house.run("CREATE POLICY written ON trades FOR UPDATE USING (id <> 2)")
    store = await house.open(url=url)
    outcomes = await ingest(store, filled("v1"), filled("v2"), filled("v3"))
    assert [o.result for o in outcomes] == [Result.WON, Result.UNWRITABLE, Result.WON]
    assert "policy of row-level security" in outcomes[1].why
    watch = house.watch()
    (outcome,) = await ingest(store, filled("v2"))
    assert outcome.result is Result.UNWRITABLE
    assert not watch.was_written()


async def test_a_row_that_a_policy_would_not_have_so_is_unwritable_and_the_others_are_written(
    house: House,
) -> None:
    url = made_by_a_dba(house)
    house.run("ALTER TABLE trades ENABLE ROW LEVEL SECURITY")
    house.run("CREATE POLICY seen ON trades USING (true) WITH CHECK (id <> 2)")
    store = await house.open(url=url)
    outcomes = await ingest(store, filled("v1"), filled("v2"), filled("v3"))
    assert [o.result for o in outcomes] == [Result.WON, Result.UNWRITABLE, Result.WON]
    assert "row-level security" in outcomes[1].why


# --- what a role or a database has set --------------------------------------------------------

ODD = {
    "TimeZone": "'Asia/Kathmandu'",
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "'sql_standard'",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "bytea_output": "'escape'",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "search_path": "'nowhere', '$user', public",
    "lock_timeout": "1",
    "statement_timeout": "'20s'",
    "enable_seqscan": "off",
    "xmloption": "'document'",
    "synchronous_commit": "off",
    "row_security": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "backslash_quote": "off",
    "check_function_bodies": "off",
    "jit": "on",
    "plan_cache_mode": "force_generic_plan",
}


async def test_nothing_that_is_read_or_written_depends_on_a_setting(house: House) -> None:
    for name, value in ODD.items():
        house.run(f'ALTER DATABASE "{house.name}" SET {name} = {value}')
    house.run("DROP TABLE trades")
    house.run(
        made(
            filled_size="double precision",
            avg_price="real",
            fee="numeric",
            filled_at="timestamp(3)",
        )
    )
    house.run(ROWS.format("trades"))
    orders = mapped(updated_at="updated_at")
    store = await house.open(orders, made_by_a_dba(house, orders))
    numbers = {"filled": "0.30000000000000004", "avg_price": "64123.123456789", "fee": "1.1E-8"}
    report = filled("v1", **numbers)
    assert (await told(store, report)).rows_written == 1
    watch = house.watch()
    await again(store, report)
    assert not watch.was_written()
    house.run("UPDATE trades SET status = 'pending' WHERE id = 1")
    assert (await told(store, report)).rows_written == 1
    assert house.ask("SELECT filled_size = 0.30000000000000004::float8 FROM trades WHERE id = 1")
    assert house.ask("SELECT filled_at::text FROM trades WHERE id = 1").startswith(
        "01/03/2026 12:00"
    )
    assert errors(await store.findings()) == []


async def test_a_role_that_only_reads_by_default_is_busy_and_told_where_it_may_come_from(
    house: House,
) -> None:
    """Providers set this where the disk is full: to write all the same would be no favour."""
    store = await house.open(url=made_by_a_dba(house))
    house.run(f'ALTER DATABASE "{house.name}" SET default_transaction_read_only = on')
    house.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(StoreBusy):
        await open_rows(store)
    assert len(await open_rows(store)) == 5
    with pytest.raises(StoreBusy, match="default_transaction_read_only"):
        await told(store, filled("v1"))


async def test_a_role_without_any_time_to_answer_is_busy_and_nothing_leaks(house: House) -> None:
    url = house.role(
        ALL, "ALTER ROLE {} SET statement_timeout = 1", "GRANT CREATE ON SCHEMA public TO {}"
    )
    with suppress(StoreBusy):  # a fast machine may do it all the same
        store = await house.open(url=url)
        await told(store, filled("v1"))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_in_another_encoding_is_read_and_written_as_it_is_meant(
    postgres18: Server, encoding: str
) -> None:
    it = House(postgres18)
    try:
        plain = it.url
        name = it.name + "_x"
        it.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING {encoding} LOCALE 'C'")
        try:
            it.url = it.store_url = plain.replace(it.name, name) + "?client_encoding=utf8"
            it.run(made(order_id="text", status="text"))
            it.run("INSERT INTO trades (id, order_id, status) VALUES (1, 'v1', 'läuft')")
            words = {"läuft": ["open"], "erfüllt": ["filled"], "x": ["final"]}
            it.store_url = plain.replace(it.name, name)
            store = await it.open(mapped(status_words=words))
            assert [claim.word for claim in await open_rows(store)] == ["läuft"]
            assert (await told(store, filled("v1"))).rows_written == 1
            assert it.ask("SELECT status FROM trades") == "erfüllt"
            await store.close()
        finally:
            it.url = plain
            it.run(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await it.aclose()
