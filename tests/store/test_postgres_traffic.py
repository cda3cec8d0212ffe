"""The store on PostgreSQL among others: bots that hold rows, peers, and ends in the middle."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import ExitStack, suppress
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from ordersync.errors import StoreBusy
from ordersync.ports import Result
from ordersync.truth.merge import merge
from ordersync.truth.model import Status
from tests.contracts.bench import ACCOUNT, NOON, again, ingest, open_rows, read, said, step
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres
from tests.store.postgres_house import House, filled, in_thread, made, told
from tests.store.postgres_proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ordersync.store.table_store import TableStore
    from tests.servers.fixtures import OwnServer
    from tests.servers.place import Server

ROWS = (
    "INSERT INTO trades (id, order_id, status)"
    " SELECT n, 'v' || n, 'pending' FROM generate_series(1, {}) AS n"
)
AT_ONCE = 4.0
"""Seconds: below the time-out of a lock, 5 s, and far above what a busy machine needs."""

PATIENCE = 60.0
"""Seconds: what is judged is that it comes."""


@pytest.fixture(params=["postgres18", "postgres15", "pgbouncer"])
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """A table of nine open orders, and a table of fills that refers to it."""
    if request.param == "pgbouncer":
        server = request.getfixturevalue("postgres18")
        it = House(server, request.getfixturevalue("pgbouncer"))
    else:
        it = House(request.getfixturevalue(request.param))
    it.run(made())
    it.run(ROWS.format(9))
    it.run("CREATE TABLE fills (id int, trade bigint REFERENCES trades (id))")
    yield it
    await it.aclose()


HOLDS = {
    "locked": "SELECT 1 FROM trades WHERE id = 4 FOR UPDATE",
    "shared": "SELECT 1 FROM trades WHERE id = 4 FOR SHARE",
    "updated": "UPDATE trades SET bot = 'mine' WHERE id = 4",
    "deleted": "DELETE FROM trades WHERE id = 4",
}


@pytest.mark.parametrize("how", HOLDS)
async def test_a_row_that_a_bot_holds_is_lost_at_once_and_repaired_by_the_next_pass(
    house: House, how: str
) -> None:
    store = await house.open()
    with psycopg.connect(house.url) as bot:
        bot.execute(HOLDS[how].encode())
        start = perf_counter()
        outcomes = await ingest(store, *(filled(f"v{n}") for n in range(1, 10)))
        assert perf_counter() - start < AT_ONCE
        assert [o.rows_written for o in outcomes] == [1, 1, 1, 0, 1, 1, 1, 1, 1]
        assert outcomes[3].result is Result.LOST
        assert outcomes[3].why == "another transaction holds the row"
        assert len(house.ours().truths) == len(house.ours().events) == 9
        again_held = await told(store, filled("v4"))
        assert again_held.result is Result.LOST
        bot.rollback()
    assert (await told(store, filled("v4"))).rows_written == 1
    await again(store, filled("v4"))


async def test_a_fill_that_a_bot_books_meanwhile_keeps_nobody_from_the_order(house: House) -> None:
    """A foreign key locks the row that it refers to, against nothing but the loss of its key."""
    store = await house.open()
    with psycopg.connect(house.url) as bot:
        bot.execute("INSERT INTO fills VALUES (1, 4)")
        assert (await told(store, filled("v4"))).rows_written == 1


async def test_what_a_bot_commits_in_between_is_respected(house: House) -> None:
    store = await house.open()
    (known,) = await read(store, filled("v4"))
    house.write(4, status="failed", bot="mine")
    (outcome,) = await store.advance(ACCOUNT, [step(known, merge(None, filled("v4")))])
    assert (outcome.result, outcome.why) == (Result.LOST, "the row was written by another")
    assert [claim.word for claim in outcome.claims] == ["failed"]
    assert house.ask("SELECT status FROM trades WHERE id = 4") == "failed"
    assert (await told(store, filled("v4"))).rows_written == 1


async def test_a_bot_that_waits_for_our_row_while_we_wait_for_it_goes_on(house: House) -> None:
    """It has taken the venue id that we are about to write, and waits for the row of ours."""
    house.run("INSERT INTO trades (id, client_id, status) VALUES (20, 'c20', 'pending')")
    store = await house.open()
    (known,) = await read(store, filled("new", client_order_id="c20"))
    report = filled("new", client_order_id="c20")
    with psycopg.connect(house.url) as bot:
        # Who waits first looks for a deadlock first, a second later, and is ended: we are. On a
        # busy machine the bot may come later than that; then our lock runs out of time.
        bot.execute("SET deadlock_timeout = '1min'")
        bot.execute("UPDATE trades SET order_id = 'new' WHERE id = 9")
        writing = asyncio.ensure_future(  # noqa: TID251 - nothing but this test owns it
            store.advance(ACCOUNT, [step(known, merge(None, report))])
        )
        while not await in_thread(lambda: waiting(house)):
            pass
        await in_thread(lambda: bot.execute("UPDATE trades SET bot = 'x' WHERE id = 20"))
        bot.commit()
    with pytest.raises(StoreBusy):
        await writing


def undo(house: House, over: threading.Event, seed: int) -> list[str]:
    """A bot that changes its rows in its own order, in long transactions; what went wrong."""
    chance, errors = random.Random(seed), []  # noqa: S311 - the same every time
    with psycopg.connect(house.url) as bot:
        while not over.is_set():
            try:
                for n in chance.sample(range(1, MANY + 1), 12):
                    bot.execute(
                        "UPDATE trades SET status = 'pending', bot = %s WHERE id = %s",
                        (f"{seed}", 2 * n + seed),
                    )
                bot.commit()
            except psycopg.Error as error:
                errors.append(str(error))
                bot.rollback()
    return errors


MANY = 200
ROUNDS = 50


@pytest.mark.parametrize("place", ["postgres18", "icu", "pgbouncer"])
async def test_peers_and_bots_over_the_same_rows_neither_deadlock_nor_lose_a_truth(
    request: pytest.FixtureRequest, place: str
) -> None:
    """Two of us go through 200 orders from both ends, two bots through their own halves."""
    server = request.getfixturevalue("postgres15" if place == "icu" else "postgres18")
    house = House(server, request.getfixturevalue("pgbouncer") if place == "pgbouncer" else None)
    if place == "icu":
        in_letters_of(house, server)
    try:
        house.run(made())
        house.run(
            ROWS.format(2 * MANY + 1)
            .replace("'v' || n", "name")
            .replace(" FROM", ", name FROM")
            .replace(
                "SELECT n, name, 'pending', name",
                "SELECT n, (CASE WHEN n % 3 = 0 THEN 'V' ELSE 'v' END) || n, 'pending'",
            )
        )
        names = [
            row[0] for row in house.run("SELECT order_id FROM trades WHERE id <= 200 ORDER BY id")
        ]
        stores = [await house.open() for _ in range(2)]

        async def carry(store: TableStore, mine: int) -> int:
            lost = 0
            for turn in range(ROUNDS):
                at = NOON + timedelta(seconds=2 * turn + mine)
                reports = [
                    said(name, Status.NEW, str(2 * turn + mine), at=at)
                    for n, name in enumerate(names)
                    if n % 4 != (turn + mine) % 4 or turn == ROUNDS - 1
                ]
                outcomes = await ingest(store, *(reports if mine else reports[::-1]))
                lost += sum(o.result is Result.LOST for o in outcomes)
            return lost

        over = threading.Event()
        bots = [in_thread(lambda seed=seed: undo(house, over, seed)) for seed in (0, 1)]  # type: ignore[misc]
        try:
            await asyncio.gather(*(carry(store, n) for n, store in enumerate(stores)))
        finally:
            over.set()
            complaints = await asyncio.gather(*bots)
        assert complaints == [[], []]
        finals = [filled(name, filled="1000", at=NOON + timedelta(hours=1)) for name in names]
        outcomes = await ingest(stores[0], *finals)
        assert {o.result for o in outcomes} == {Result.WON}
        assert house.ask("SELECT count(*) FROM trades WHERE status = 'completed'") == MANY
        ours = house.ours()
        told_of = [key for key, kind in ours.events if kind == "changed"]
        assert {key: version for key, version, _ in ours.truths} == {
            f"v:{name}": told_of.count(f"v:{name}") for name in names
        }
    finally:
        await house.aclose()


def in_letters_of(house: House, server: Server) -> None:
    """Make the database anew: here the order of texts is not that of their letters' numbers."""
    with psycopg.connect(server.place.url, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{house.name}"'.encode())
        admin.execute(
            f'CREATE DATABASE "{house.name}" TEMPLATE template0 ENCODING UTF8'
            " LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'".encode()
        )


async def test_truths_are_locked_in_one_order_wherever_texts_are_sorted_otherwise(
    postgres15: Server,
) -> None:
    """One of us repairs rows of truths that stand, the other advances the same truths."""
    house = House(postgres15)
    in_letters_of(house, postgres15)
    try:
        house.run(made())
        house.run("INSERT INTO trades (id, order_id, status) VALUES (1, 'V2', 'x'), (2, 'v1', 'x')")
        house.run("UPDATE trades SET status = 'pending'")
        names = ["V2", "v1"]
        repairing, advancing = await house.open(), await house.open()
        await ingest(repairing, *map(filled, names))
        house.run("UPDATE trades SET status = 'pending'")
        old = await read(repairing, *map(filled, names))
        repairs = [step(k, k.truth) for k in old]
        later = [filled(name, filled="0.7", at=NOON + timedelta(1)) for name in names]
        advances = [step(k, merge(k.truth, r)) for k, r in zip(old, later, strict=True)]
        with psycopg.connect(house.url) as holder:
            holder.execute("SELECT 1 FROM ordersync_orders WHERE order_key = 'v:V2' FOR UPDATE")
            both = []
            for n, (store, steps) in enumerate(((advancing, advances), (repairing, repairs)), 1):
                both.append(
                    asyncio.ensure_future(  # noqa: TID251 - nothing but this test owns it
                        store.advance(ACCOUNT, steps)
                    )
                )
                while await in_thread(lambda: waiting(house)) != n:
                    pass
            holder.rollback()
        won, lost = await asyncio.gather(*both)
        assert {o.result for o in won} == {Result.WON}
        assert {o.result for o in lost} == {Result.LOST}
    finally:
        await house.aclose()


# --- ends in the middle -----------------------------------------------------------------------

OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def waiting(house: House) -> int:
    """How many wait for a lock."""
    return int(
        house.ask(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    )


async def test_a_connection_that_is_ended_in_the_middle_is_busy_once_and_leaves_nothing_half_done(
    house: House,
) -> None:
    store = await house.open()
    await told(store, filled("v1"))
    before = house.ours()
    with psycopg.connect(house.url) as holder:
        holder.execute("SELECT 1 FROM ordersync_orders FOR UPDATE")
        report = filled("v1", filled="0.6", at=NOON + timedelta(1))
        writing = asyncio.ensure_future(  # noqa: TID251 - nothing but this test owns it
            ingest(store, filled("v0 first"), report, filled("v2"))
        )
        while not await in_thread(lambda: waiting(house)):
            pass
        holder.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        with pytest.raises(StoreBusy):
            await writing
    assert house.ours() == before
    outcomes = await ingest(store, report, filled("v2"))
    assert [o.rows_written for o in outcomes] == [1, 1]


async def test_a_connection_that_was_ended_while_nobody_used_it_is_busy_once_at_most(
    house: House,
) -> None:
    store = await house.open()
    house.run(OTHERS)
    with suppress(StoreBusy):  # a pooler may have seen it first
        await open_rows(store)
    assert len(await open_rows(store)) == 9
    assert await store.revision() is None


async def test_a_truth_that_somebody_holds_for_long_is_busy_and_not_waited_for_without_end(
    postgres18: Server,
) -> None:
    house = House(postgres18)
    try:
        house.run(made())
        house.run(ROWS.format(2))
        store = await house.open()
        await told(store, filled("v1"))
        with psycopg.connect(house.url) as holder:
            holder.execute("SELECT 1 FROM ordersync_orders FOR UPDATE")
            report = filled("v1", filled="0.6", at=NOON + timedelta(1))
            with pytest.raises(StoreBusy, match="another transaction was in the way"):
                await ingest(store, report)
        assert (await told(store, report)).rows_written == 1
    finally:
        await house.aclose()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("door", ["postgres18", "pgbouncer"])
async def test_a_commit_whose_answer_never_came_is_settled_by_the_next_pass(
    request: pytest.FixtureRequest, postgres18: Server, moment: str, door: str
) -> None:
    house = House(postgres18)
    parts = urlsplit(request.getfixturevalue(door).url(house.name))
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(parts.hostname or "", parts.port or 0))
        house.store_url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{proxy.port}").geturl()
        try:
            house.run(made())
            house.run(ROWS.format(9))
            store = await house.open()
            reports = [filled(f"v{n}") for n in range(1, 6)]
            known = await read(store, *reports)
            steps = [step(k, merge(None, r)) for k, r in zip(known, reports, strict=True)]
            proxy.cut = moment
            with pytest.raises(StoreBusy):
                await store.advance(ACCOUNT, steps)
            assert proxy.was_cut.is_set()
            wrote = 5 if moment == "after" else 0
            ours = house.ours()
            assert len(ours.truths) == len(ours.events) == wrote
            assert house.ask("SELECT count(*) FROM trades WHERE status = 'completed'") == wrote
            # Who does not know what became of it asks for the same again, and harms nothing.
            outcomes = await store.advance(ACCOUNT, steps)
            assert {o.result for o in outcomes} == {Result.LOST if wrote else Result.WON}
            outcomes = await ingest(store, *reports)
            assert {o.result for o in outcomes} == {Result.UNCHANGED}
            assert house.ask("SELECT count(*) FROM trades WHERE status = 'completed'") == 5
            assert len(house.ours().events) == 5
        finally:
            await house.aclose()


async def test_a_server_that_is_away_is_busy_and_works_again_when_it_is_back(
    own_server: OwnServer,
) -> None:
    server = own_server(lambda: Postgres(18, swift=True))
    house = House(server)
    house.run(made())
    house.run(ROWS.format(9))
    store = await house.open()
    try:
        for end, n in ((server.stop, 1), (server.kill, 2)):
            await told(store, filled(f"v{n}"))
            end()
            for _ in range(2):
                with pytest.raises(StoreBusy):
                    await open_rows(store)
            server.start()
            await comes_back(store)
            await again(store, filled(f"v{n}"))
    finally:
        await store.close()


async def test_a_pooler_that_is_killed_is_busy_and_works_again_when_it_is_back(
    postgres18: Server, own_server: OwnServer
) -> None:
    pooler = own_server(lambda: PgBouncer(postgres18))
    house = House(postgres18, pooler)
    try:
        house.run(made())
        house.run(ROWS.format(9))
        store = await house.open()
        await told(store, filled("v1"))
        pooler.kill()
        for _ in range(2):
            with pytest.raises(StoreBusy):
                await told(store, filled("v2"))
        pooler.start()
        await comes_back(store)
        await again(store, filled("v1"))
        assert (await told(store, filled("v2"))).rows_written == 1
    finally:
        await house.aclose()


async def comes_back(*stores: TableStore) -> None:
    """It is asked again and again, as the service asks."""
    for store in stores:
        start = perf_counter()
        while True:
            try:
                await open_rows(store)
                break
            except StoreBusy:
                assert perf_counter() - start < PATIENCE
