"""How statements travel: what is prepared, where, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from ordersync.store.makes.postgres_settings import leads_to_one_server
from ordersync.store.makes.postgres_wire import Wire
from tests.store.postgres_house import House

if TYPE_CHECKING:
    from tests.servers.place import Server


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


def test_a_plan_is_made_anew_while_tables_may_fill(postgres18: Server) -> None:
    house = House(postgres18)
    names = "SELECT name FROM pg_prepared_statements"
    first: dict[str, int] = {}
    try:
        with psycopg.connect(house.url, autocommit=True, prepare_threshold=None) as connection:
            wire = Wire(connection, prepares=True)
            for turn in range(1, 41):
                wire.round_trip([("SELECT %(n)s::int", {"n": 5})])
                there = connection.execute(names).fetchall()
                assert len(there) <= 1
                first |= {name: first.get(name, turn) for (name,) in there}
    finally:
        house.close()
    assert list(first.values()) == [4, 8, 16, 32]


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
