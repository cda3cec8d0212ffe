"""How statements travel: what is prepared, where, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from ordersync.store.makes.postgres_settings import leads_to_one_server
from ordersync.store.makes.postgres_wire import Wire
from ordersync.sync.ingest import Ingest
from ordersync.truth.evidence import AbsencePolicy
from tests.contracts.test_group_commit import parcel
from tests.store.postgres_house import House, filled, made
from tests.store.test_postgres_plans import touched

if TYPE_CHECKING:
    from tests.servers.place import Server

GROUPS, EACH = 40, 15


@pytest.mark.parametrize("door", ["postgres18", "postgres15", "pgbouncer"])
def test_a_pooler_is_told_from_a_server(request: pytest.FixtureRequest, door: str) -> None:
    house = House(request.getfixturevalue("postgres18" if door == "pgbouncer" else door))
    try:
        url = request.getfixturevalue(door).url(house.name)
        with psycopg.connect(url, autocommit=True) as connection:
            assert leads_to_one_server(connection) is (door != "pgbouncer")
            # What was set stays where the connection is ours alone, and nowhere else.
            row = connection.execute("SHOW statement_timeout").fetchone()
            assert row == ("0" if door == "pgbouncer" else "1min",)
    finally:
        house.close()


async def test_a_plan_for_empty_tables_is_not_kept_while_they_fill(postgres18: Server) -> None:
    house = House(postgres18)
    try:
        house.run(made())
        house.run(
            "INSERT INTO trades (id, order_id, status)"  # noqa: S608 - two numbers
            f" SELECT n, 'v' || n, 'pending' FROM generate_series(1, {GROUPS * EACH}) AS n"
        )
        store = await house.open()
        policy, told_after = AbsencePolicy(), timedelta(minutes=5)
        ingest = Ingest(store, house.clock, policy=policy, told_after=told_after)
        house.run("VACUUM (ANALYZE) ordersync_due")
        for group in range(GROUPS):
            numbers = range(1 + group * EACH, 1 + (group + 1) * EACH)
            taken = await ingest.take(parcel(*(filled(f"v{n}") for n in numbers)))
            assert {o.rows_written for o in taken.outcomes} == {1}
        await store.close()
        touched(house)
        due = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'ordersync_due'"
        rows = GROUPS * EACH
        assert house.ask("SELECT count(*) FROM ordersync_due") == rows
        # Once for each question at most, not once for each key: EACH times as many.
        assert house.ask(due) <= GROUPS * rows
    finally:
        await house.aclose()


def test_a_failed_statement_is_raised_and_leaves_the_line_as_it_was(postgres18: Server) -> None:
    house = House(postgres18)
    try:
        with psycopg.connect(house.url, autocommit=True) as connection:
            wire = Wire(connection, prepares=True)
            ask = ("SELECT 10 / %(n)s::int", {"n": 5})
            for _ in range(9):
                (answer,) = wire.round_trip([ask])
                assert answer.rows() == [(2,)]
            with pytest.raises(psycopg.errors.DivisionByZero):
                wire.round_trip([ask, (ask[0], {"n": 0}), ("SELECT %(late)s::text", {"late": "x"})])
            with pytest.raises(UnicodeEncodeError):
                wire.round_trip([("SELECT %(bad)s::text", {"bad": "\ud800"})])
            # Somebody between us and the server gave us another connection after all.
            connection.execute("DEALLOCATE ALL")
            with pytest.raises(psycopg.errors.InvalidSqlStatementName):
                wire.round_trip([ask])
            for _ in range(5):
                answers = wire.round_trip([ask, ("SELECT %(late)s::text", {"late": "x"})])
                assert [answer.rows() for answer in answers] == [[(2,)], [("x",)]]
    finally:
        house.close()
