"""Server-sent events: what was committed is heard at once, in one piece, and never lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from ordersync.service import new_token, revoke_token
from ordersync.simulator import Life
from ordersync.tokened import Scope
from tests.system.caller import PORT, calling, with_api
from tests.system.hearer import hearing
from tests.system.house import House, ago
from tests.virtual import virtually
from tests.virtual.transport import Direction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.system.house import Placed


def logged(house: House) -> list[str]:
    """The ids in the log, in their order."""
    return [
        f"{a}-{b}" for a, b in house.sql("SELECT log_id, n FROM ordersync_events ORDER BY 1, 2")
    ]


def bodies(house: House) -> list[Any]:
    found = house.sql("SELECT body FROM ordersync_events ORDER BY log_id, n")
    return [json.loads(body) for (body,) in found]


def filled(house: House, count: int = 1, **row: Any) -> list[Placed]:  # noqa: ANN401 - cells
    """New rows of orders that have filled: each leads to an event."""
    return [
        house.place(Life.filled(ago(seconds=30)), age=ago(minutes=1), **row) for _ in range(count)
    ]


@contextlib.asynccontextmanager
async def at_work(folder: Path, **more: Any) -> AsyncIterator[House]:  # noqa: ANN401 - as `built`
    """A house at work whose first rows are true already."""
    async with with_api(folder, **more) as house:
        filled(house, 2)
        async with calling(house):
            yield house


# --- Hearing ------------------------------------------------------------------------------------


@virtually
async def test_a_hello_comes_first_and_then_every_event_as_it_stands_in_the_log(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as house:
        before = logged(house)
        async with hearing(house) as hearer:
            assert hearer.kinds == ["hello"]
            assert hearer.told[0].data == {"newest": before[-1]}
            assert hearer.last_id == before[-1]
            filled(house, 3)
            await house.wait(seconds=5)
            new = logged(house)[len(before) :]
            assert len(new) >= 3
            assert hearer.ids == new
            assert [one.data for one in hearer.told[1:]] == bodies(house)[len(before) :]
            assert [one.event for one in hearer.told[1:]] == [
                one["kind"] for one in bodies(house)[len(before) :]
            ]
            assert hearer.last_id == new[-1]


@virtually
async def test_in_an_empty_log_the_hello_names_no_event_and_nothing_is_missed(
    tmp_path: Path,
) -> None:
    async with with_api(tmp_path) as house, calling(house):
        async with hearing(house) as hearer:
            assert hearer.told[0].data == {"newest": None}
        filled(house, 2)
        await house.wait(seconds=10)
        async with hearing(house, hearer.last_id) as again:
            assert again.ids == logged(house)


@virtually
async def test_an_event_is_heard_as_soon_as_it_is_committed(tmp_path: Path) -> None:
    async with at_work(tmp_path, pushes=True) as house:
        placed = house.place(Life.open())
        await house.wait(seconds=20)
        async with hearing(house) as hearer:
            loop = asyncio.get_running_loop()
            before = len(logged(house))
            house.world.cancel(placed.order_id)
            began = loop.time()
            while len(logged(house)) == before:
                await house.wait(seconds=0.001)
            committed = loop.time()
            await house.wait(seconds=1)
            assert committed - began < 0.5
            assert hearer.told[1].at - committed < 0.02


@virtually
async def test_what_another_process_commits_is_heard_within_a_second(tmp_path: Path) -> None:
    async with at_work(tmp_path) as house, hearing(house) as hearer:
        for _ in range(5):
            newest = house.sql("SELECT max(log_id) FROM ordersync_events")[0][0]
            house.sql(COPY, newest + 1, newest)
            await house.wait(seconds=1.1)
            assert hearer.told[-1].id == f"{newest + 1}-0"
            await house.wait(seconds=0.37)


@virtually
async def test_many_commits_in_a_moment_come_in_few_writes(tmp_path: Path) -> None:
    async with at_work(tmp_path) as house, hearing(house) as hearer:
        seen = len(house.network.trace)
        began = asyncio.get_running_loop().time()
        copies = house.sql("SELECT max(log_id) FROM ordersync_events")[0][0]
        for n in range(200):
            house.sql(COPY, copies + 1 + n, copies)
            await house.wait(seconds=0.01)
        await house.wait(seconds=2)
        took = asyncio.get_running_loop().time() - began
        assert len(hearer.ids) == 200
        arrived = [one for one in house.network.trace[seen:] if one.what == "data arrived"]
        assert len([one for one in arrived if one.direction is Direction.TO_CLIENT]) <= 10 * took


COPY = """INSERT INTO ordersync_events (log_id, n, at, account, order_key, kind, body)
SELECT ?, n, at, account, order_key, kind, body FROM ordersync_events WHERE log_id = ? AND n = 0"""


@virtually
async def test_silence_is_kept_alive_by_comments(tmp_path: Path) -> None:
    async with at_work(tmp_path) as house, hearing(house) as hearer:
        await house.wait(seconds=120)
        assert hearer.comments >= 6
        assert hearer.kinds == ["hello"]
        assert not hearer.ended.is_set()


# --- Going on -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["header", "query"])
def test_a_listener_that_slept_for_an_hour_goes_on_without_loss(by: str, tmp_path: Path) -> None:
    @virtually
    async def story() -> None:
        async with at_work(tmp_path, sync={"interval": "10m"}) as house:
            async with hearing(house) as hearer:
                filled(house)
                await house.wait(seconds=5)
            for _ in range(3):
                filled(house, 2)
                await house.wait(minutes=20)
            after = hearer.last_id
            params: dict[str, Any] = {"last_event_id": after} if by == "query" else {}
            async with hearing(house, None if by == "query" else after, **params) as again:
                filled(house)
                await house.wait(seconds=5)
                assert "reset" not in again.kinds
                ids = logged(house)
                assert again.ids == ids[ids.index(after) + 1 :]
                assert len(again.ids) >= 7

    story()


@virtually
async def test_a_listener_that_slept_for_a_day_goes_on_though_ordersync_began_anew(
    tmp_path: Path,
) -> None:
    async with with_api(tmp_path) as house:
        async with calling(house), hearing(house) as hearer:
            filled(house)
            await house.wait(seconds=5)
        for _ in range(4):
            await house.wait(hours=6)
            async with calling(house):
                filled(house, 2)
                await house.wait(seconds=5)
        async with calling(house), hearing(house, hearer.last_id) as again:
            ids = logged(house)
            assert again.ids == ids[ids.index(hearer.last_id) + 1 :]
            assert len(again.ids) >= 8
            assert "reset" not in again.kinds


@virtually
async def test_who_goes_on_in_the_middle_of_a_commit_hears_the_rest_of_it(tmp_path: Path) -> None:
    async with at_work(tmp_path) as house:
        filled(house, 6)
        await house.wait(seconds=30)
        ids = logged(house)
        assert len(ids) >= 6
        for n, one in enumerate(ids):
            async with hearing(house, one) as hearer:
                assert hearer.ids == ids[n + 1 :]


@virtually
async def test_a_hello_does_not_take_who_goes_on_past_what_he_has_missed(tmp_path: Path) -> None:
    async with at_work(tmp_path) as house:
        filled(house, 3)
        await house.wait(seconds=30)
        first = logged(house)[0]
        async with hearing(house, first) as hearer:
            assert hearer.told[0].event == "hello"
            assert hearer.told[0].id == ""


@virtually
async def test_an_id_that_is_not_there_is_answered_by_a_reset_and_the_stream_goes_on(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as house:
        for unknown in ("999999-0", "1-99", "abc", "-1-0", "1", "1-0-0", "9" * 39, "1_0-0"):
            async with hearing(house, unknown) as hearer:
                assert hearer.kinds == ["hello", "reset"]
                assert hearer.told[1].data == {"newest": logged(house)[-1]}
                assert hearer.last_id == logged(house)[-1]
        async with hearing(house, "nonsense") as hearer:
            filled(house)
            await house.wait(seconds=5)
            assert hearer.ids


@virtually
async def test_who_comes_back_after_what_he_missed_has_moved_out_is_told_so(
    tmp_path: Path,
) -> None:
    kept = {"after": "49h", "folder": str(tmp_path / "archive")}
    async with with_api(tmp_path, more={"retention": kept}) as house:
        async with calling(house):
            filled(house, 2)
            await house.wait(seconds=10)
            seen = logged(house)[0]
            filled(house)
            await house.wait(seconds=10)
        await house.wait(days=4)
        async with calling(house):
            filled(house)
            await house.wait(seconds=600)
            assert house.sql("SELECT count(*) FROM ordersync_archived")[0][0]
            for gone in (seen, "0-0"):
                async with hearing(house, gone) as again:
                    assert again.kinds == ["hello", "reset"]


@virtually
async def test_an_event_of_long_ago_is_gone_on_from_while_nothing_has_moved_out(
    tmp_path: Path,
) -> None:
    async with with_api(tmp_path) as house:
        async with calling(house):
            filled(house, 3)
            await house.wait(seconds=10)
        await house.wait(days=6)
        async with calling(house):
            ids = logged(house)
            async with hearing(house, ids[0]) as hearer:
                assert hearer.ids == ids[1:]


@virtually
async def test_a_log_that_was_put_back_from_a_copy_is_heard_from_there(tmp_path: Path) -> None:
    async with at_work(tmp_path) as house:
        newest = house.sql("SELECT max(log_id) FROM ordersync_events")[0][0]
        for n in range(5):
            house.sql(COPY, newest + 1 + n, newest)
        async with hearing(house) as hearer:
            house.sql("DELETE FROM ordersync_events WHERE log_id > ?", newest)
            await house.wait(seconds=3)
            house.sql(COPY, newest + 1, newest)
            await house.wait(seconds=3)
            assert hearer.told[-1].id == f"{newest + 1}-0"


# --- Filters ------------------------------------------------------------------------------------


@virtually
async def test_each_filter_leaves_out_what_is_not_wanted(tmp_path: Path) -> None:
    async with at_work(tmp_path, orders={"owner": "bot_id"}) as house:
        one, two = filled(house, bot_id=71)[0], filled(house, bot_id=72)[0]
        await house.wait(seconds=5)

        async def heard(**params: Any) -> list[str]:  # noqa: ANN401
            async with hearing(house, "0-0", **params) as hearer:
                return [
                    told.data["order"]["row_id"] for told in hearer.told if told.event != "hello"
                ]

        everyone = {str(n) for n in range(1, 5)}
        assert set(await heard()) == everyone
        assert set(await heard(owner="71")) == {str(one.row_id)}
        assert set(await heard(owner=["71", "72"])) == {str(one.row_id), str(two.row_id)}
        assert set(await heard(account="main", kind="changed", symbol="BTC-USD")) == everyone
        assert await heard(account="other") == []
        assert await heard(kind="conflict") == []
        assert await heard(symbol="ETH-USD") == []
        for name in (str(two.row_id), two.order_id, two.client_id):
            assert set(await heard(order=name)) == {str(two.row_id)}
        assert await heard(order=two.order_id, owner="71") == []


@virtually
async def test_an_alive_takes_who_wants_little_past_what_he_did_not_want(tmp_path: Path) -> None:
    async with at_work(tmp_path) as house, hearing(house, kind="conflict") as hearer:
        filled(house, 2)
        await house.wait(seconds=30)
        assert hearer.ids == []
        assert hearer.last_id == logged(house)[-1]


@virtually
async def test_what_passes_by_unwanted_does_not_keep_the_connection_silent(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as house, hearing(house, kind="conflict") as hearer:
        for _ in range(30):
            newest = house.sql("SELECT max(log_id) FROM ordersync_events")[0][0]
            house.sql(COPY, newest + 1, newest)
            await house.wait(seconds=4)
        assert hearer.ids == []
        assert hearer.comments >= 6


@virtually
async def test_what_cannot_be_asked_for_is_a_problem(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        for query in ("kind=nonsense", "colour=red", "owner=", "order=" + "x" * 200):
            await caller.problem(f"/api/v1/events?{query}", 422)


@virtually
async def test_a_listener_whose_token_is_revoked_hears_no_more(tmp_path: Path) -> None:
    async with with_api(tmp_path, web={"require_token": True}) as house:
        settings = house.settings()
        token = await new_token(settings, "screen", Scope.READ, None, house.clock)
        assert token is not None
        async with house.running():
            await house.wait(seconds=5)
            async with hearing(house) as nobody:
                assert nobody.status == 401
            async with hearing(house, token=token) as hearer:
                await house.wait(minutes=3)
                assert not hearer.ended.is_set()
                await revoke_token(settings, "screen", house.clock)
                await house.wait(minutes=3)
                assert hearer.ended.is_set()


# --- Those who are slow, and many ---------------------------------------------------------------


@virtually
async def test_a_listener_that_takes_nothing_is_dropped_and_loses_nothing(tmp_path: Path) -> None:
    async with at_work(tmp_path) as house:
        newest = house.sql("SELECT max(log_id) FROM ordersync_events")[0][0]
        async with hearing(house) as other, hearing(house) as slow:
            house.network.hold(PORT, Direction.TO_CLIENT)
            for n in range(1_000):
                house.sql(COPY, newest + 1 + n, newest)
            await house.wait(seconds=120)
            house.network.heal(PORT)
            await house.wait(seconds=5)
            assert slow.ended.is_set()
            assert other.ended.is_set()
        heard = slow.ids
        assert 0 < len(heard) < 1_000
        async with hearing(house, slow.last_id) as again:
            await house.wait(seconds=5)
            assert [one.id for one in slow.told[1:]] + [one.id for one in again.told[1:]] == [
                f"{newest + 1 + n}-0" for n in range(1_000)
            ]


@virtually
async def test_two_hundred_listeners_hear_the_same(tmp_path: Path) -> None:
    async with at_work(tmp_path) as house, contextlib.AsyncExitStack() as stack:
        limits = httpx2.Limits(max_connections=200)
        client = httpx2.AsyncClient(timeout=None, limits=limits)
        await stack.enter_async_context(client)
        hearers = [
            await stack.enter_async_context(hearing(house, client=client)) for _ in range(200)
        ]
        filled(house, 5)
        await house.wait(seconds=10)
        expected = hearers[0].ids
        assert len(expected) >= 5
        assert all(one.ids == expected for one in hearers)


@virtually
async def test_who_falls_behind_reads_the_log_and_joins_the_others_again(tmp_path: Path) -> None:
    async with at_work(tmp_path) as house, hearing(house) as hearer:
        newest = house.sql("SELECT max(log_id) FROM ordersync_events")[0][0]
        house.network.hold(PORT, Direction.TO_CLIENT)
        for n in range(60):
            house.sql(COPY, newest + 1 + n, newest)
        await house.wait(seconds=10)
        house.network.heal(PORT)
        await house.wait(seconds=10)
        assert [one.id for one in hearer.told[1:]] == [f"{newest + 1 + n}-0" for n in range(60)]
        assert not hearer.ended.is_set()


@virtually
async def test_while_the_log_cannot_be_read_listeners_wait_and_lose_nothing(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as house, hearing(house) as hearer:
        house.sql("ALTER TABLE ordersync_events RENAME TO away")
        await house.wait(seconds=20)
        house.sql("ALTER TABLE away RENAME TO ordersync_events")
        filled(house)
        await house.wait(seconds=10)
        assert hearer.ids
        assert not hearer.ended.is_set()
