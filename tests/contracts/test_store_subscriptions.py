"""The contract of SubscriptionStore: what is owed is written down with the marks, or not at all."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.logged import Place
from ordersync.subscribed import Delivery, DeliveryState, Interest, Subscription
from tests.contracts.bench import ACCOUNT, NOON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ordersync.subscribed import SubscriptionStore
    from tests.contracts.bench import Opened
    from tests.contracts.conftest import Open

ONE = Subscription(
    subscription_id="sub_1",
    url="https://bot.example/hooks?token=%s&x=%(id)s",
    interest=Interest(owners=("bot-7", "bøt"), kinds=("changed",)),
    created_at=NOON,
    key_mark="abcdef",
    marks='{"newest":7}',
)
TWO = msgspec.structs.replace(ONE, subscription_id="sub_2", created_at=NOON + timedelta(seconds=1))
START = Place(0, -1)
NEXT = '{"newest":8}'


def owed(log_id: int, n: int = 0, order: str = "v:v1") -> Delivery:
    body = f'{{"id":"{log_id}-{n}","text":"ø %s \\u0000"}}'
    return Delivery(
        place=Place(log_id, n),
        account=ACCOUNT,
        order_key=order,
        body=body,
        put_at=NOON,
        due_at=NOON,
    )


@contextlib.asynccontextmanager
async def kept(it: Opened, *subscriptions: Subscription) -> AsyncIterator[SubscriptionStore]:
    store = it.bench.subscriptions(it.orders)
    for one in subscriptions:
        await store.add(one)
    yield store
    await store.close()


def places(deliveries: list[Delivery]) -> list[str]:
    return [str(one.place) for one in deliveries]


async def due(store: SubscriptionStore, after: float = 0, limit: int = 100) -> list[str]:
    return places(await store.list_due("sub_1", NOON + timedelta(seconds=after), limit))


async def failed(store: SubscriptionStore, one: Delivery, wait: float) -> Delivery:
    after = msgspec.structs.replace(
        one,
        attempts=one.attempts + 1,
        tried_at=NOON,
        due_at=NOON + timedelta(seconds=wait),
        failure="it answers 500.",
    )
    await store.keep_failure("sub_1", after)
    return after


async def test_subscriptions_are_kept_as_they_are(opened: Open) -> None:
    it = await opened()
    async with kept(it, TWO, ONE) as store:
        assert await store.list_all() == [ONE, TWO]
        assert await store.count("sub_1") == {DeliveryState.WAITING: 0, DeliveryState.DEAD: 0}
        await store.stop("sub_1", NOON, "it answers 410.")
        stopped = (await store.list_all())[0]
        assert (stopped.stopped_at, stopped.stopped_why) == (NOON, "it answers 410.")
        await store.stop("sub_1", None, None)
        assert (await store.list_all())[0] == ONE


async def test_what_is_owed_is_kept_as_it_is_and_comes_in_the_order_of_the_log(
    opened: Open,
) -> None:
    it = await opened()
    async with kept(it, ONE, TWO) as store:
        deliveries = [owed(10, 1), owed(9), owed(10), owed(100, order="v:v2")]
        assert await store.owe(ONE, NEXT, deliveries)
        assert await due(store) == ["9-0", "10-0", "10-1", "100-0"]
        assert await due(store, limit=2) == ["9-0", "10-0"]
        assert (await store.list_due("sub_1", NOON, 1))[0] == owed(9)
        assert await store.list_due("sub_2", NOON, 10) == []
        assert [one.marks for one in await store.list_all()] == [NEXT, ONE.marks]


async def test_nothing_is_owed_where_another_has_moved_the_marks(opened: Open) -> None:
    it = await opened()
    async with kept(it, ONE) as store:
        assert await store.owe(ONE, NEXT, [owed(8)])
        assert not await store.owe(ONE, '{"newest":9}', [owed(8), owed(9)])
        assert await due(store) == ["8-0"]
        later = msgspec.structs.replace(ONE, marks=NEXT)
        assert await store.owe(later, '{"newest":9}', [owed(8), owed(9)])
        assert await due(store) == ["8-0", "9-0"]


async def test_what_was_taken_is_struck_off_and_counted(opened: Open) -> None:
    it = await opened()
    async with kept(it, ONE) as store:
        await store.owe(ONE, NEXT, [owed(8), owed(9), owed(10)])
        at = NOON + timedelta(seconds=5)
        await store.strike_off("sub_1", [Place(9, 0), Place(8, 0), Place(77, 0)], at)
        assert await due(store) == ["10-0"]
        (one,) = await store.list_all()
        assert (one.delivered, one.delivered_at) == (2, at)


async def test_one_that_failed_holds_back_what_comes_after_it_of_its_order(opened: Open) -> None:
    it = await opened()
    async with kept(it, ONE) as store:
        first, second, other = owed(8), owed(8, 1), owed(9, order="v:v2")
        await store.owe(ONE, NEXT, [first, second, other, owed(10)])
        kept_as = await failed(store, first, 30)
        assert await due(store) == ["9-0"]
        assert await due(store, 30) == ["8-0", "8-1", "9-0", "10-0"]
        waiting = await store.list_deliveries("sub_1", DeliveryState.WAITING, START, 10)
        assert waiting[0] == kept_as
        (shown,) = await store.list_all()
        assert (shown.failed_at, shown.failure) == (NOON, "it answers 500.")
        # A dead one holds back nobody.
        await store.keep_failure(
            "sub_1", msgspec.structs.replace(kept_as, state=DeliveryState.DEAD)
        )
        assert await due(store) == ["8-1", "9-0", "10-0"]


async def test_what_has_waited_too_long_is_dead_and_can_be_revived(opened: Open) -> None:
    it = await opened()
    async with kept(it, ONE, TWO) as store:
        await store.owe(ONE, NEXT, [owed(n) for n in range(8, 12)])
        await store.owe(TWO, NEXT, [owed(8)])
        assert await store.bury("sub_1", NOON) == 0
        assert await store.bury("sub_1", NOON + timedelta(seconds=1)) == 4
        assert await due(store) == []
        assert await store.count("sub_1") == {DeliveryState.WAITING: 0, DeliveryState.DEAD: 4}
        dead = await store.list_deliveries("sub_1", DeliveryState.DEAD, START, 2)
        assert places(dead) == ["8-0", "9-0"]
        rest = await store.list_deliveries("sub_1", DeliveryState.DEAD, dead[-1].place, 9)
        assert places(rest) == ["10-0", "11-0"]
        later = NOON + timedelta(days=4)
        assert await store.revive("sub_1", [Place(9, 0), Place(9, 0), Place(70, 0)], later) == 1
        assert await store.revive("sub_1", [], later) == 3
        assert await due(store) == []
        assert await due(store, 4 * 86_400) == ["8-0", "9-0", "10-0", "11-0"]
        assert await store.bury("sub_1", NOON + timedelta(days=1)) == 0


async def test_what_died_long_ago_is_forgotten(opened: Open) -> None:
    it = await opened()
    async with kept(it, ONE) as store:
        await store.owe(ONE, NEXT, [owed(8), owed(9)])
        await store.bury("sub_1", NOON + timedelta(seconds=1))
        await store.revive("sub_1", [Place(9, 0)], NOON)
        assert await store.drop_dead(NOON) == 0
        assert await store.drop_dead(NOON + timedelta(seconds=1)) == 1
        assert await due(store) == ["9-0"]


async def test_of_one_that_was_removed_nothing_stays(opened: Open) -> None:
    it = await opened()
    async with kept(it, ONE, TWO) as store:
        await store.owe(ONE, NEXT, [owed(8)])
        await store.owe(TWO, NEXT, [owed(8)])
        assert await store.remove("sub_1")
        assert not await store.remove("sub_1")
        assert await store.list_all() == [msgspec.structs.replace(TWO, marks=NEXT)]
        assert it.bench.run("SELECT subscription_id FROM ordersync_deliveries") == [("sub_2",)]
