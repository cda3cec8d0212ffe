"""The contract of EventLog: whole commits by their number, late ones in their gaps."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from ordersync.logged import LATE, Place, Recent
from ordersync.sync.outbox import KEPT_PAGES, LISTENERS_LIMIT, Crowded, Outbox
from ordersync.sync.page import Wanted
from ordersync.truth.model import Status
from tests.contracts.bench import ACCOUNT, NOON, ingest, said
from tests.contracts.mariadb_bench import MariadbBench
from tests.contracts.postgres_bench import PostgresBench
from tests.contracts.sqlite_bench import SqliteBench
from tests.contracts.test_group_commit import pending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ordersync.logged import EventLog, Logged
    from ordersync.sync.outbox import Listener
    from tests.contracts.bench import Bench, Opened
    from tests.contracts.conftest import Open


@contextlib.asynccontextmanager
async def log_of(it: Opened) -> AsyncIterator[EventLog]:
    log = it.bench.log(it.orders)
    yield log
    await log.close()


def ids(read: list[Logged]) -> list[str]:
    return [str(one.place) for one in read]


async def filled(it: Opened, *numbers: int) -> list[str]:
    """These orders fill, in one commit; the ids of its events."""
    reports = [said(f"v{n}", Status.FILLED, "1", at=it.clock.now()) for n in numbers]
    outcomes = await ingest(it.store, *reports, asked_at=it.clock.now())
    return sorted(event.id for outcome in outcomes for event in outcome.events)


async def test_what_was_committed_is_read_in_its_order_and_as_it_stands(opened: Open) -> None:
    it = await opened(*pending(5))
    told = [*await filled(it, 1, 2, 3), *await filled(it, 4)]
    async with log_of(it) as log:
        newest = await log.newest()
        assert newest is not None
        assert str(newest) == told[-1]
        read = await log.read_after(0, [], 100)
        assert ids(read) == told
        assert [json.loads(one.body)["id"] for one in read] == told
        assert {(one.account, one.kind) for one in read} == {(ACCOUNT, "changed")}
        assert read[0].order_key == "v:v1"
        assert await log.read_after(newest.log_id, [], 100) == []


async def test_a_commit_is_read_whole_whatever_the_limit(opened: Open) -> None:
    it = await opened(*pending(9))
    one, two = await filled(it, *range(1, 7)), await filled(it, 7, 8)
    async with log_of(it) as log:
        first = await log.read_after(0, [], 2)
        assert ids(first) == one
        assert ids(await log.read_after(first[-1].place.log_id, [], 2)) == two


async def test_a_log_that_is_not_there_yet_is_empty(bench: Bench, opened: Open) -> None:
    it = await opened()
    await it.store.close()
    for (name,) in tables_of(bench):
        bench.run(f"DROP TABLE IF EXISTS {name}")
    async with log_of(it) as log:
        assert await log.newest() is None
        assert await log.read_after(0, [(1, 2)], 10) == []
        assert await log.find_time(Place(1, 0)) is None
        assert await log.find_recent(NOON, 10) == Recent()
        assert not await log.has_moved_out()


def tables_of(bench: Bench) -> list[tuple[str]]:
    names = "SELECT name FROM sqlite_master WHERE type = 'table'"
    if not hasattr(bench, "path"):
        names = "SELECT table_name FROM information_schema.tables"
    return [(name,) for (name,) in bench.run(names) if name.startswith("ordersync_")]


async def test_an_events_time_is_found_by_its_id(opened: Open) -> None:
    it = await opened(*pending(2))
    told = await filled(it, 1)
    log_id, n = map(int, told[0].split("-"))
    async with log_of(it) as log:
        assert await log.find_time(Place(log_id, n)) == NOON
        assert await log.find_time(Place(log_id, n + 1)) is None
        assert await log.find_time(Place(log_id + 1, 0)) is None
        assert not await log.has_moved_out()


async def test_recent_commits_are_found_back_to_the_first_of_them(opened: Open) -> None:
    it = await opened(*pending(6))
    told = []
    for n in range(1, 6):
        told.append((await filled(it, n))[0])
        it.clock.forward(60)
    numbers = [int(one.split("-")[0]) for one in told]
    async with log_of(it) as log:

        async def found(since: timedelta, before: int) -> tuple[int, tuple[int, ...]]:
            recent = await log.find_recent(NOON + since, before)
            return recent.before, recent.numbers

        late = timedelta(seconds=90)
        assert await found(late, numbers[-1] + 1) == (numbers[1], tuple(numbers[2:]))
        assert await found(late, numbers[3]) == (numbers[1], (numbers[2],))
        assert await found(timedelta(hours=1), numbers[-1] + 1) == (numbers[-1], ())
        assert await found(-late, numbers[-1] + 1) == (0, tuple(numbers))


# --- Transactions that end in another order -----------------------------------------------------


class Late:
    """Another ordersync, in the middle of a commit: it has its number, and nobody sees it."""

    def __init__(self, bench: Bench) -> None:
        self.connection: Any
        if isinstance(bench, MariadbBench):
            self.connection = bench.connect()
            self.connection.begin()
            self.cursor = self.connection.cursor()
            self.cursor.execute("INSERT INTO ordersync_log_ids () VALUES ()")
            self.log_id = int(self.cursor.lastrowid)
        else:
            assert isinstance(bench, PostgresBench)
            self.connection = psycopg.connect(bench.url)
            self.cursor = self.connection.cursor()
            self.cursor.execute("SELECT nextval('ordersync_log_ids')")
            self.log_id = int(self.cursor.fetchone()[0])
        body = json.dumps({"id": f"{self.log_id}-0", "order": {"venue_order_id": "late"}})
        self.cursor.execute(
            "INSERT INTO ordersync_events (log_id, n, at, account, order_key, kind, body)"
            " VALUES (%s, 0, %s, %s, 'v:late', 'changed', %s)",
            (self.log_id, "2026-03-01T12:00:00.000000Z", ACCOUNT, body),
        )

    def ends(self, *, well: bool = True) -> None:
        if well:
            self.connection.commit()
        else:
            self.connection.rollback()


@contextlib.contextmanager
def late(bench: Bench) -> Iterator[Late]:
    made = Late(bench)
    yield made
    made.connection.close()


async def heard_by(outbox: Outbox, listener: Listener) -> list[str]:
    """What the next look at the log brings this listener."""
    await outbox.read_on()
    told = []
    while heard := await listener.take(timedelta()):
        messages = heard.page.messages if heard.messages is None else heard.messages
        told += [str(one.logged.place) for one in messages]
    return told


@pytest.mark.only_on("postgres18", "mariadb")
async def test_a_commit_that_appears_after_one_with_a_higher_number_is_heard(
    opened: Open, bench: Bench
) -> None:
    it = await opened(*pending(4))
    async with log_of(it) as log:
        outbox = Outbox(log, it.clock)
        await filled(it, 1)
        async with outbox.listening(Wanted()) as listener:
            assert await heard_by(outbox, listener) == []
            with late(bench) as other:
                second = await filled(it, 2)
                assert int(second[0].split("-")[0]) > other.log_id
                assert await heard_by(outbox, listener) == second
                assert await heard_by(outbox, listener) == []
                other.ends()
                third = await filled(it, 3)
                assert await heard_by(outbox, listener) == [f"{other.log_id}-0", *third]
                assert await heard_by(outbox, listener) == []


@pytest.mark.only_on("postgres18", "mariadb")
async def test_who_begins_to_listen_while_a_commit_is_under_way_hears_it(
    opened: Open, bench: Bench
) -> None:
    it = await opened(*pending(4))
    async with log_of(it) as log:
        await filled(it, 1)
        # Then nothing for long: between the two below there is no commit to see.
        it.clock.forward(LATE * 3)
        with late(bench) as other:
            await filled(it, 2)
            outbox = Outbox(log, it.clock)
            async with outbox.listening(Wanted()) as listener:
                other.ends()
                assert await heard_by(outbox, listener) == [f"{other.log_id}-0"]


@pytest.mark.only_on("postgres18", "mariadb")
async def test_who_resumes_after_a_higher_number_hears_what_came_late(
    opened: Open, bench: Bench
) -> None:
    it = await opened(*pending(4))
    async with log_of(it) as log:
        await filled(it, 1)
        it.clock.forward(LATE * 3)
        with late(bench) as other:
            second = await filled(it, 2)
            other.cursor.execute(
                "UPDATE ordersync_events SET at = %s WHERE log_id = %s",
                (f"{it.clock.now():%Y-%m-%dT%H:%M:%S}.000000Z", other.log_id),
            )
            other.ends()
            third = await filled(it, 3)
        outbox = Outbox(log, it.clock)
        async with outbox.listening(Wanted(), second[0]) as listener:
            told = await heard_by(outbox, listener)
            assert not listener.is_reset
            assert told == [f"{other.log_id}-0", *third]


@pytest.mark.only_on("postgres18", "mariadb")
async def test_a_number_that_was_given_up_is_looked_for_no_longer_than_it_can_appear(
    opened: Open, bench: Bench
) -> None:
    it = await opened(*pending(4))
    async with log_of(it) as log:
        outbox = Outbox(log, it.clock)
        async with outbox.listening(Wanted()) as listener:
            await filled(it, 1)
            with late(bench) as other:
                other.ends(well=False)
            second = await filled(it, 2)
            assert (await heard_by(outbox, listener))[1:] == second
            assert outbox.marks.ranges
            it.clock.forward(LATE + timedelta(seconds=1))
            assert await heard_by(outbox, listener) == []
            assert outbox.marks.ranges == []


# --- Those who fall behind ----------------------------------------------------------------------

COPY = (
    "INSERT INTO ordersync_events (log_id, n, at, account, order_key, kind, body)"
    " SELECT ?, n, at, account, order_key, kind, body FROM ordersync_events WHERE log_id = 1"
)


@pytest.mark.only_on("sqlite")
async def test_who_falls_behind_what_is_kept_reads_the_log_and_joins_the_others_again(
    opened: Open, bench: Bench
) -> None:
    it = await opened(*pending(1))
    await filled(it, 1)
    async with log_of(it) as log:
        outbox = Outbox(log, it.clock)
        async with outbox.listening(Wanted()) as quick, outbox.listening(Wanted()) as slow:
            told: list[str] = []
            assert isinstance(bench, SqliteBench)
            with closing(bench.connect()) as connection:
                connection.execute("PRAGMA synchronous = OFF")
                for n in range(KEPT_PAGES + 200):
                    connection.execute(COPY, (n + 2,))
                    told += await heard_by(outbox, quick)
            expected = [f"{n + 2}-0" for n in range(KEPT_PAGES + 200)]
            assert told == expected
            assert outbox.pages_end - outbox.pages_start <= KEPT_PAGES
            late = await all_of(outbox, slow)
            bench.run(COPY, KEPT_PAGES + 500)
            assert await heard_by(outbox, quick) == [f"{KEPT_PAGES + 500}-0"]
            assert late + await all_of(outbox, slow) == [*expected, f"{KEPT_PAGES + 500}-0"]


async def all_of(outbox: Outbox, listener: Listener) -> list[str]:
    """What this listener gets until there is nothing more; the others are given beats."""
    told: list[str] = []
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(outbox.run())
        while heard := await listener.take(timedelta(seconds=0.3)):
            messages = heard.page.messages if heard.messages is None else heard.messages
            told += [str(one.logged.place) for one in messages]
        beating.cancel()
    return told


@pytest.mark.only_on("sqlite")
async def test_where_nobody_listens_nothing_is_read_and_nothing_kept(
    opened: Open, bench: Bench
) -> None:
    it = await opened(*pending(1))
    await filled(it, 1)
    async with log_of(it) as log:
        outbox = Outbox(log, it.clock)
        async with outbox.listening(Wanted()) as listener:
            bench.run(COPY, 2)
            assert await heard_by(outbox, listener) == ["2-0"]
            assert outbox.pages_end - outbox.pages_start == 1
        assert outbox.listeners == 0
        assert outbox.pages_end == outbox.pages_start
        bench.run(COPY, 3)
        async with outbox.listening(Wanted()) as listener:
            assert str(listener.newest) == "3-0"
            assert await heard_by(outbox, listener) == []


@pytest.mark.only_on("sqlite")
async def test_more_than_there_may_be_are_turned_away(opened: Open) -> None:
    it = await opened()
    async with log_of(it) as log, contextlib.AsyncExitStack() as stack:
        outbox = Outbox(log, it.clock)
        for _ in range(LISTENERS_LIMIT):
            await stack.enter_async_context(outbox.listening(Wanted()))
        with pytest.raises(Crowded):
            await stack.enter_async_context(outbox.listening(Wanted()))
        assert outbox.listeners == LISTENERS_LIMIT
