"""The store on PostgreSQL and other people's triggers: what they change, refuse and swallow."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync.errors import StoreRefused
from ordersync.ports import Result
from tests.contracts.bench import PAUSE, again, ingest, mapped
from tests.store.postgres_house import House, filled, made, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.place import Server

ROWS = (
    "INSERT INTO trades (id, order_id, status)"
    " SELECT n, 'v' || n, 'pending' FROM generate_series(1, 9) AS n"
)


@pytest.fixture
async def house(postgres18: Server) -> AsyncIterator[House]:
    """A table of nine open orders."""
    it = House(postgres18)
    it.run(made())
    it.run(ROWS)
    yield it
    await it.aclose()


def trigger(
    house: House, body: str, when: str = "BEFORE UPDATE", how: str = "FOR EACH ROW", of: str = ""
) -> None:
    house.run(
        f"CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
    )
    constraint = "CONSTRAINT " if "DEFERRABLE" in how else ""
    house.run(
        f"CREATE {constraint}TRIGGER theirs {when} ON trades {how} {of} EXECUTE FUNCTION theirs()"
    )


RAISES = {
    "plain": "RAISE EXCEPTION 'not while I live'",
    "custom": "RAISE EXCEPTION 'not while I live' USING ERRCODE = 'ORD01'",
    "rest": "RAISE EXCEPTION 'not while I live' USING ERRCODE = 'PT409'",
    "assert": "ASSERT false, 'not while I live'",
    "check": "RAISE check_violation USING MESSAGE = 'not while I live'",
    "rights": "RAISE insufficient_privilege USING MESSAGE = 'not while I live'",
    "bug": "INSERT INTO not_while_i_live VALUES (1)",
    "column": "new.not_while_I_live = 1",
    "division": "PERFORM 1 / 0",
}
MOMENTS = {
    "before": ("BEFORE UPDATE", "FOR EACH ROW"),
    "after": ("AFTER UPDATE", "FOR EACH ROW"),
    "deferrable": ("AFTER UPDATE", "DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW"),
    "at commit": ("AFTER UPDATE", "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"),
}


@pytest.mark.parametrize("how", RAISES)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_row_that_a_trigger_refuses_is_named_and_all_others_are_written(
    house: House, how: str, moment: str
) -> None:
    trigger(house, RAISES[how] + "; RETURN new;", *MOMENTS[moment], of="WHEN (new.id = 4)")
    store = await house.open()
    outcomes = await ingest(store, *(filled(f"v{n}") for n in range(1, 10)))
    assert [o.result for o in outcomes].count(Result.WON) == 8
    assert outcomes[3].result is Result.UNWRITABLE
    assert outcomes[3].why
    assert len(house.ours().truths) == 9
    assert house.ask("SELECT count(*) FROM trades WHERE status = 'completed'") == 8
    watch = house.watch()
    assert (await told(store, filled("v4"))).result is Result.UNWRITABLE
    assert not watch.was_written()


async def test_a_trigger_that_swallows_an_update_makes_the_row_unwritable(house: House) -> None:
    trigger(house, "RETURN NULL;", of="WHEN (new.id = 4)")
    store = await house.open()
    outcomes = await ingest(store, *(filled(f"v{n}") for n in range(1, 10)))
    assert outcomes[3].result is Result.UNWRITABLE
    assert "trigger" in outcomes[3].why
    assert [o.rows_written for o in outcomes] == [1, 1, 1, 0, 1, 1, 1, 1, 1]


async def test_a_trigger_that_turns_the_status_back_is_fought_for_a_while_and_then_left_alone(
    house: House,
) -> None:
    trigger(house, "new.status = old.status; RETURN new;", of="WHEN (new.id = 4)")
    store = await house.open()
    for _ in range(6):
        await told(store, filled("v4"))
        house.clock.forward(1)
    kinds = [kind for key, kind in house.ours().events if key == "v:v4"]
    assert kinds == ["changed", "repaired", "repaired", "repaired", "contested"]
    outcome = await told(store, filled("v4"))
    assert outcome.rows_written == 0
    house.run("DROP TRIGGER theirs ON trades")
    house.clock.forward(PAUSE + timedelta(seconds=1))
    assert (await told(store, filled("v4"))).rows_written == 1
    await again(store, filled("v4"))


@pytest.mark.parametrize("is_mapped", [True, False])
async def test_a_trigger_that_keeps_the_time_of_the_last_write_is_no_reason_to_write_again(
    house: House, *, is_mapped: bool
) -> None:
    trigger(house, "new.updated_at = clock_timestamp(); RETURN new;")
    store = await house.open(mapped(updated_at="updated_at" if is_mapped else None))
    assert (await told(store, filled("v4"))).rows_written == 1
    watch = house.watch()
    await again(store, filled("v4"))
    assert not watch.was_written()


@pytest.mark.parametrize("deferred", ["IMMEDIATE", "DEFERRED"])
async def test_a_key_of_the_users_that_is_checked_at_commit_names_its_row(
    house: House, deferred: str
) -> None:
    house.run("CREATE TABLE words (word text PRIMARY KEY); INSERT INTO words VALUES ('pending')")
    house.run(
        "ALTER TABLE trades ADD FOREIGN KEY (status) REFERENCES words"
        f" DEFERRABLE INITIALLY {deferred}"
    )
    store = await house.open()
    outcomes = await ingest(store, filled("v1"), filled("v2"))
    assert {o.result for o in outcomes} == {Result.UNWRITABLE}
    assert "foreign key" in outcomes[0].why
    assert len(house.ours().truths) == 2
    house.run("INSERT INTO words VALUES ('completed')")
    house.run("UPDATE trades SET bot = 'touched' WHERE id = 1")
    outcomes = await ingest(store, filled("v1"), filled("v2"))
    assert outcomes[0].rows_written == 1


async def test_a_venue_id_that_another_row_has_already_is_unwritable(house: House) -> None:
    house.run("INSERT INTO trades (id, client_id, status) VALUES (20, 'c20', 'pending')")
    store = await house.open()
    known = await store.read("main", [])
    assert known == []
    house.run("UPDATE trades SET order_id = 'taken', status = 'elsewhere' WHERE id = 9")
    store2 = await house.open(mapped(where="status <> 'elsewhere'"))
    outcomes = await ingest(store2, filled("taken", client_order_id="c20"), filled("v1"))
    assert [o.result for o in outcomes] == [Result.UNWRITABLE, Result.WON]
    assert "unique" in outcomes[0].why


async def test_a_rule_that_rewrites_updates_is_told_and_nothing_is_half_written(
    house: House,
) -> None:
    house.run("CREATE RULE theirs AS ON UPDATE TO trades DO INSTEAD NOTHING")
    store = await house.open()
    with pytest.raises(StoreRefused, match="RETURNING on relation"):
        await told(store, filled("v1"))
    assert house.ours().truths == []
