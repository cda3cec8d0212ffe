"""Subscriptions: signed webhooks, at least once, each order's events in their order."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Life
from tests.system.caller import Caller, calling, with_api
from tests.system.receiver import PORT, URL, Receiver, receiving
from tests.system.test_events import COPY, bodies, filled, logged
from tests.virtual import virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from pathlib import Path

    from tests.system.house import House

PATH = "/api/v1/subscriptions"
INSIDE = {"subscriptions": {"allow": ["127.0.0.1"]}}


def told_house(folder: Path, **more: Any) -> contextlib.AbstractAsyncContextManager[House]:  # noqa: ANN401 - as `built`
    return with_api(folder, more=INSIDE, **more)


async def subscribe(caller: Caller, receiver: Receiver, **body: Any) -> str:  # noqa: ANN401
    """A subscription of this receiver; its id."""
    answer = await caller.ask(PATH, method="POST", json={"url": URL, **body})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    receiver.secret = made["secret"]
    return str(made["subscription"]["id"])


@contextlib.asynccontextmanager
async def told(folder: Path, **more: Any) -> AsyncIterator[tuple[House, Caller, Receiver, str]]:  # noqa: ANN401
    """A house at work, and a receiver who has subscribed."""
    receiver = Receiver()
    async with told_house(folder, **more) as house, receiving(receiver), calling(house) as caller:
        subscription = await subscribe(caller, receiver)
        yield house, caller, receiver, subscription


# --- Being told ---------------------------------------------------------------------------------


@virtually
async def test_every_event_from_now_on_is_sent_as_it_stands_in_the_log(tmp_path: Path) -> None:
    async with told(tmp_path) as (house, caller, receiver, subscription):
        filled(house, 3)
        await house.wait(seconds=10)
        assert sorted(receiver.ids) == sorted(logged(house))
        assert dict(receiver.taken) == dict(zip(logged(house), bodies(house), strict=True))
        shown = await caller.get(f"{PATH}/{subscription}")
        assert (shown["delivered"], shown["waiting"], shown["dead"]) == (len(receiver.ids), 0, 0)


@virtually
async def test_what_was_before_is_not_sent(tmp_path: Path) -> None:
    receiver = Receiver()
    async with told_house(tmp_path) as house, receiving(receiver), calling(house) as caller:
        filled(house, 2)
        await house.wait(seconds=10)
        before = logged(house)
        assert before
        await subscribe(caller, receiver)
        filled(house)
        await house.wait(seconds=10)
        assert receiver.ids == logged(house)[len(before) :]


@virtually
async def test_an_event_is_sent_as_soon_as_it_is_committed(tmp_path: Path) -> None:
    async with told(tmp_path, pushes=True) as (house, _, receiver, _):
        order = house.place(Life.open())
        await house.wait(seconds=20)
        before = len(receiver.times)
        house.world.cancel(order.order_id)
        cancelled = house.clock.monotonic()
        await house.wait(seconds=3)
        assert len(receiver.times) > before
        assert receiver.times[before] - cancelled < 0.5


@virtually
async def test_of_several_subscriptions_each_gets_what_it_wants(tmp_path: Path) -> None:
    receiver = Receiver()
    async with (
        told_house(tmp_path, orders={"owner": "bot_id"}) as house,
        receiving(receiver),
        calling(house) as caller,
    ):
        await subscribe(caller, receiver, owners=["71"], kinds=["changed"], accounts=["main"])
        one = filled(house, bot_id=71)[0]
        filled(house, bot_id=72)
        await house.wait(seconds=10)
        rows = {event["order"]["row_id"] for _, event in receiver.taken}
        assert rows == {str(one.row_id)}
        other = Receiver()
        for body in ({"symbols": ["ETH-USD"]}, {"accounts": ["other"]}, {"kinds": ["conflict"]}):
            await subscribe(caller, other, **body)
        filled(house, bot_id=72)
        await house.wait(seconds=10)
        assert len({event["order"]["row_id"] for _, event in receiver.taken}) == 1


# --- When it does not get through ---------------------------------------------------------------


@virtually
async def test_while_nobody_answers_it_is_tried_again_and_every_order_keeps_its_order(
    tmp_path: Path,
) -> None:
    async with told(tmp_path, pushes=True) as (house, caller, receiver, subscription):
        receiver.answers = lambda _: 503
        orders = [house.place(Life.open()) for _ in range(3)]
        await house.wait(seconds=20)
        for order in orders:
            house.world.cancel(order.order_id)
        await house.wait(minutes=20)
        assert receiver.taken == []
        assert 5 < len(receiver.came) < 60
        shown = await caller.get(f"{PATH}/{subscription}")
        assert shown["waiting"] == len(logged(house))
        assert "503" in shown["failure"]
        (first, *_) = (await caller.get(f"{PATH}/{subscription}/deliveries", state="waiting"))[
            "deliveries"
        ]
        assert first["attempts"] >= 1
        receiver.answers = lambda _: 200
        await house.wait(minutes=40)
        ids = logged(house)
        assert sorted(receiver.ids) == sorted(ids)
        for order in orders:
            own = receiver.of_order(order.order_id)
            assert own == sorted(own, key=ids.index)
            assert len(own) >= 2


@virtually
async def test_an_event_that_is_never_taken_holds_back_its_own_order_alone(
    tmp_path: Path,
) -> None:
    async with told(tmp_path, pushes=True) as (house, _, receiver, _):
        one, two = house.place(Life.open()), house.place(Life.open())
        receiver.answers = lambda event: (
            400 if event["order"]["venue_order_id"] == one.order_id else 200
        )
        await house.wait(seconds=20)
        house.world.cancel(one.order_id)
        house.world.cancel(two.order_id)
        await house.wait(minutes=5)
        assert len(receiver.of_order(two.order_id)) >= 2
        tried = {
            i for i, event in receiver.came if event["order"]["venue_order_id"] == one.order_id
        }
        assert len(tried) == 1


@virtually
async def test_after_three_days_it_is_dead_and_shown_and_can_be_sent_again(tmp_path: Path) -> None:
    receiver = Receiver()
    async with told_house(tmp_path) as house, receiving(receiver):
        async with calling(house) as caller:
            subscription = await subscribe(caller, receiver)
            receiver.answers = lambda _: 500
            filled(house, 3)
            await house.wait(minutes=5)
        owed = logged(house)
        await house.wait(days=3)
        async with calling(house) as caller:
            await house.wait(minutes=15)
            path = f"{PATH}/{subscription}"
            assert (await caller.get(path))["dead"] == len(owed)
            dead = (await caller.get(f"{path}/deliveries"))["deliveries"]
            assert [one["event_id"] for one in dead] == owed
            assert {one["state"] for one in dead} == {"dead"}
            assert any("500" in (one["failure"] or "") for one in dead)
            assert [one["event"] for one in dead] == bodies(house)[: len(owed)]
            page = await caller.get(f"{path}/deliveries", limit=1)
            rest = await caller.get(f"{path}/deliveries", after=page["next"])
            assert [one["event_id"] for one in page["deliveries"] + rest["deliveries"]] == owed
            receiver.answers = lambda _: 200
            assert await caller.post(f"{path}/send-again", events=owed[:1]) == {"count": 1}
            await house.wait(seconds=5)
            assert receiver.ids == owed[:1]
            assert await caller.post(f"{path}/send-again") == {"count": len(owed) - 1}
            await house.wait(seconds=5)
            assert sorted(receiver.ids) == sorted(owed)
            assert (await caller.get(path))["dead"] == 0


@virtually
async def test_a_crash_between_delivery_and_mark_repeats_and_loses_nothing(tmp_path: Path) -> None:
    receiver = Receiver()
    async with told_house(tmp_path) as house, receiving(receiver):
        async with calling(house) as caller:
            await subscribe(caller, receiver)
        arrived = asyncio.Event()

        async def take_a_while() -> None:
            arrived.set()
            await house.wait(seconds=1)

        receiver.before_answer = take_a_while
        for _ in range(3):
            filled(house, 2)
            async with house.running(), asyncio.timeout(60):
                await arrived.wait()
            # The service has ended: what it sent is being taken, and nobody notes it.
            await house.wait(seconds=5)
            arrived.clear()
        receiver.before_answer = None
        async with calling(house):
            await house.wait(minutes=1)
        assert set(receiver.ids) == set(logged(house))
        assert len(receiver.ids) > len(set(receiver.ids))


@virtually
async def test_who_answers_gone_is_sent_nothing_more_until_told_otherwise(tmp_path: Path) -> None:
    async with told(tmp_path) as (house, caller, receiver, subscription):
        receiver.answers = lambda _: 410
        filled(house)
        await house.wait(seconds=20)
        came = len(receiver.came)
        assert came
        filled(house)
        await house.wait(minutes=10)
        assert len(receiver.came) == came
        shown = await caller.get(f"{PATH}/{subscription}")
        assert shown["stopped_at"] is not None
        assert "410" in shown["stopped_why"]
        receiver.answers = lambda _: 200
        await caller.post(f"{PATH}/{subscription}/send-again")
        await house.wait(minutes=10)
        assert set(receiver.ids) == set(logged(house))


@virtually
async def test_a_redirect_is_no_delivery(tmp_path: Path) -> None:
    async with told(tmp_path) as (house, caller, receiver, subscription):
        receiver.answers = lambda _: 302
        filled(house)
        await house.wait(seconds=20)
        shown = await caller.get(f"{PATH}/{subscription}")
        assert shown["waiting"] > 0
        assert "redirects are not followed" in shown["failure"]


@virtually
async def test_one_address_that_hangs_does_not_hold_back_another(tmp_path: Path) -> None:
    async with told(tmp_path) as (house, caller, receiver, _):
        answer = await caller.ask(
            PATH, method="POST", json={"url": URL.replace(str(PORT), str(PORT + 1))}
        )
        assert answer.status_code == 201
        house.network.hold(PORT + 1)
        filled(house, 3)
        await house.wait(seconds=10)
        assert set(receiver.ids) == set(logged(house))
        house.network.heal(PORT + 1)


# --- What is refused, and what is shown to nobody -----------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:9000/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://[::ffff:192.168.0.1]/",
        "https://inside.example/",
        "http://outside.example/",
        "https://user:word@outside.example/",
        "ftp://outside.example/",
        "nonsense",
        "",
    ],
)
def test_an_address_that_nothing_may_be_sent_to_is_refused(url: str, tmp_path: Path) -> None:
    @virtually
    async def story() -> None:
        async with with_api(tmp_path) as house, calling(house) as caller:
            house.network.names["inside.example"] = ["192.168.7.7"]
            house.network.names["outside.example"] = ["8.8.8.8"]
            problem = await caller.problem(PATH, 422, method="POST", json={"url": url})
            assert problem["type"].endswith("address-refused")
            assert problem["errors"][0]["where"] == "body.url"
            assert (await caller.get(PATH))["subscriptions"] == []

    story()


@virtually
async def test_a_name_that_leads_inside_later_is_not_followed(tmp_path: Path) -> None:
    receiver = Receiver()
    async with told_house(tmp_path) as house, receiving(receiver), calling(house) as caller:
        house.network.names["hooks.example"] = ["127.0.0.1"]
        url = f"http://hooks.example:{PORT}/hooks"
        subscription = await subscribe(caller, receiver, url=url)
        filled(house)
        await house.wait(seconds=10)
        came = len(receiver.came)
        assert came
        house.network.names["hooks.example"] = ["10.0.0.1"]
        filled(house)
        await house.wait(seconds=60)
        assert len(receiver.came) == came
        shown = await caller.get(f"{PATH}/{subscription}")
        assert shown["waiting"] > 0
        assert "plain http" in shown["failure"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": 7},
        {"url": URL, "kinds": ["nonsense"]},
        {"url": URL, "colour": "red"},
        {"url": URL, "owners": [""]},
        {"url": URL, "owners": ["x"] * 101},
        {"url": URL, "accounts": "main"},
    ],
)
def test_what_is_no_subscription_is_a_problem_with_its_place(
    body: dict[str, Any], tmp_path: Path
) -> None:
    @virtually
    async def story() -> None:
        async with told_house(tmp_path) as house, calling(house) as caller:
            await caller.problem(PATH, 422, method="POST", json=body)

    story()


@virtually
async def test_one_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    async with told_house(tmp_path) as house, calling(house) as caller:
        await caller.problem(f"{PATH}/sub_x", 404)
        await caller.problem(f"{PATH}/sub_x", 404, method="DELETE")
        await caller.problem(f"{PATH}/sub_x/deliveries", 404)
        await caller.problem(f"{PATH}/sub_x/send-again", 404, method="POST", json={})


@virtually
async def test_one_that_was_ended_is_sent_nothing_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    async with told(tmp_path) as (house, caller, receiver, subscription):
        receiver.answers = lambda _: 500
        filled(house)
        await house.wait(seconds=10)
        answer = await caller.ask(f"{PATH}/{subscription}", method="DELETE")
        assert answer.json() == {"removed": True}
        came = len(receiver.came)
        filled(house)
        await house.wait(minutes=5)
        assert len(receiver.came) == came
        for table in ("subscriptions", "deliveries"):
            assert house.sql(f"SELECT count(*) FROM ordersync_{table}") == [(0,)]  # noqa: S608


def test_the_secret_is_shown_once_and_is_neither_in_the_database_nor_in_the_log(
    tmp_path: Path, logs: list[MutableMapping[str, Any]]
) -> None:
    @virtually
    async def story() -> None:
        async with told(tmp_path) as (house, caller, receiver, subscription):
            receiver.answers = lambda _: 500
            filled(house)
            await house.wait(minutes=1)
            secret = receiver.secret.removeprefix("whsec_")
            shown = [
                (await caller.ask(path)).text
                for path in (PATH, f"{PATH}/{subscription}", f"{PATH}/{subscription}/deliveries")
            ]
            key = (tmp_path / "subscriptions.key").read_text().strip()
            kept = house.database.read_bytes().decode(errors="replace")
            for text in (*shown, kept, json.dumps(logs, default=str)):
                assert secret not in text
                assert key not in text
            assert (tmp_path / "subscriptions.key").stat().st_mode & 0o777 == 0o600

    story()


@virtually
async def test_a_query_in_an_address_is_not_shown(tmp_path: Path) -> None:
    async with told_house(tmp_path) as house, calling(house) as caller:
        url = f"{URL}?token=abcdef"
        answer = await caller.ask(PATH, method="POST", json={"url": url})
        assert "abcdef" not in answer.text
        listed = await caller.ask(PATH)
        assert "abcdef" not in listed.text
        assert f"{URL}?…" in listed.text


@virtually
async def test_with_another_key_nothing_is_signed_and_a_person_learns_why(tmp_path: Path) -> None:
    receiver = Receiver()
    async with told_house(tmp_path) as house, receiving(receiver):
        async with calling(house) as caller:
            subscription = await subscribe(caller, receiver)
        (tmp_path / "subscriptions.key").unlink()
        async with calling(house) as caller:
            await subscribe(caller, Receiver(), kinds=["conflict"])
            filled(house)
            await house.wait(seconds=30)
            assert receiver.came == []
            shown = await caller.get(f"{PATH}/{subscription}")
            assert "another key" in shown["failure"]


@virtually
async def test_after_the_log_was_put_back_from_a_copy_it_is_told_on(tmp_path: Path) -> None:
    async with told(tmp_path) as (house, _, receiver, _):
        filled(house)
        await house.wait(seconds=10)
        newest = house.sql("SELECT max(log_id) FROM ordersync_events")[0][0]
        for n in range(5):
            house.sql(COPY, newest + 1 + n, newest)
        await house.wait(seconds=5)
        house.sql("DELETE FROM ordersync_events WHERE log_id > ?", newest)
        await house.wait(seconds=5)
        before = len(receiver.ids)
        house.sql(COPY, newest + 1, newest)
        await house.wait(seconds=5)
        assert receiver.ids[before:] == [f"{newest + 1}-0"]


@virtually
async def test_a_long_backlog_is_sent_to_its_end(tmp_path: Path) -> None:
    async with told(tmp_path) as (house, _, receiver, _):
        filled(house)
        await house.wait(seconds=10)
        newest = house.sql("SELECT max(log_id) FROM ordersync_events")[0][0]
        for n in range(600):
            house.sql(COPY, newest + 1 + n, newest)
        await house.wait(seconds=60)
        assert set(receiver.ids) == set(logged(house))


@virtually
async def test_of_two_instances_one_sends_and_the_other_takes_over(tmp_path: Path) -> None:
    receiver = Receiver()
    async with told_house(tmp_path) as house, receiving(receiver):
        async with house.running(), calling(house) as caller:
            await subscribe(caller, receiver)
            await house.wait(seconds=30)
            filled(house, 3)
            await house.wait(seconds=20)
            assert sorted(receiver.ids) == sorted(logged(house))
        async with house.running(), house.running():
            filled(house, 3)
            await house.wait(seconds=60)
            assert sorted(receiver.ids) == sorted(logged(house))
        async with contextlib.AsyncExitStack() as stack:
            one = await stack.enter_async_context(house.running())
            await house.wait(seconds=20)
            async with house.running() as two:
                await house.wait(seconds=20)
                assert one.sending.lease is not None
                assert two.sending.lease is None
                await stack.aclose()
                filled(house, 2)
                await house.wait(seconds=20)
                assert two.sending.lease is not None
                assert sorted(receiver.ids) == sorted(logged(house))
