"""Receipts of webhooks: committed with what came of them, known for days, forgotten in batches."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync.hinted import WEBHOOK_ID_LIMIT, Receipt
from ordersync.ports import OrderName, Result
from ordersync.store import schema
from ordersync.sync.parcels import Parcel
from ordersync.truth.evidence import Sighting
from ordersync.truth.merge import merge
from ordersync.truth.model import Source, Status
from tests.contracts.bench import ACCOUNT, NOON, ingest_one, read, said, step
from tests.contracts.test_group_commit import ingest_on, pending

if TYPE_CHECKING:
    from ordersync.ports import OrderStore
    from tests.contracts.bench import Opened
    from tests.contracts.conftest import Open

FILLED = said("v1", Status.FILLED, "1")


def receipt(webhook_id: str, *orders: str) -> Receipt:
    return Receipt(webhook_id=webhook_id, orders=orders)


async def held(store: OrderStore, *webhook_ids: str) -> list[bool]:
    found, _ = await store.read_hinted(ACCOUNT, webhook_ids, [])
    assert found <= {*webhook_ids}
    return [one in found for one in webhook_ids]


def stored(it: Opened) -> int:
    return int(it.bench.run("SELECT count(*) FROM ordersync_webhooks")[0][0])


async def test_a_receipt_commits_with_its_effect(opened: Open) -> None:
    it = await opened(*pending(1))
    (known,) = await read(it.store, FILLED)
    assert await held(it.store, "m1") == [False]
    steps = [step(known, merge(None, FILLED))]
    (outcome,) = await it.store.advance(ACCOUNT, steps, [receipt("m1", "v:v1")])
    assert outcome.result is Result.WON
    assert await held(it.store, "m1", "m2", "M1") == [True, False, False]
    assert await it.store.read_hinted("other", ["m1"], []) == (set(), [])


async def test_a_receipt_commits_alone_where_nothing_had_to_be_written(opened: Open) -> None:
    it = await opened(*pending(1))
    await ingest_one(it.store, FILLED)
    before = it.bench.ours()
    (known,) = await read(it.store, FILLED)
    steps = [step(known, known.truth)]
    (outcome,) = await it.store.advance(ACCOUNT, steps, [receipt("m1", "v:v1")])
    assert outcome.result is Result.UNCHANGED
    assert await it.store.advance(ACCOUNT, [], [receipt("m2")]) == []
    assert await held(it.store, "m1", "m2") == [True, True]
    assert it.bench.ours() == before


async def test_no_receipt_is_kept_of_an_effect_that_was_lost(opened: Open) -> None:
    it = await opened(*pending(2))
    stale, other = await read(it.store, FILLED, said("v2"))
    await ingest_one(it.store, said("v1", Status.NEW, "0.5"))
    outcomes = await it.store.advance(
        ACCOUNT,
        [step(stale, merge(None, FILLED)), step(other, merge(None, said("v2")))],
        [receipt("m1", "v:v1"), receipt("m2", "v:v2"), receipt("m3", "v:v2", "v:v1")],
    )
    assert [one.result for one in outcomes] == [Result.LOST, Result.WON]
    assert await held(it.store, "m1", "m2", "m3") == [False, True, False]


async def test_a_receipt_that_is_there_stays_as_it_is(opened: Open) -> None:
    it = await opened()
    await it.store.advance(ACCOUNT, [], [receipt("m1"), receipt("m1")])
    first = it.bench.run("SELECT at FROM ordersync_webhooks")
    it.clock.forward(60)
    await it.store.advance(ACCOUNT, [], [receipt("m1"), receipt("m2")])
    assert it.bench.run("SELECT at FROM ordersync_webhooks WHERE webhook_id = 'm1'") == first
    assert stored(it) == 2


async def test_two_stores_may_put_one_receipt_at_once(opened: Open) -> None:
    one = await opened()
    two = await opened(table=None)
    ids = [[receipt(f"m{n}") for n in numbers] for numbers in (range(200), range(199, -1, -1))]
    await asyncio.gather(
        one.store.advance(ACCOUNT, [], ids[0]), two.store.advance(ACCOUNT, [], ids[1])
    )
    assert stored(one) == 200


@pytest.mark.parametrize("webhook_id", ["m" * WEBHOOK_ID_LIMIT, "'; --", '{"a": 1}', "%s %(id)s"])
async def test_an_id_is_told_apart_by_all_its_letters(webhook_id: str, opened: Open) -> None:
    it = await opened()
    await it.store.advance(ACCOUNT, [], [receipt(webhook_id)])
    others = [webhook_id[:-1], f"{webhook_id[:-1]}x", webhook_id.upper() + " "]
    assert await held(it.store, webhook_id, *others) == [True, False, False, False]


async def test_receipts_are_forgotten_the_oldest_first_and_some_at_a_time(opened: Open) -> None:
    it = await opened()
    for n in range(5):
        await it.store.advance(ACCOUNT, [], [receipt(f"m{n}")])
        it.clock.forward(60)
    before = NOON + timedelta(seconds=150)
    assert await it.store.drop_receipts(ACCOUNT, before=before, limit=2) == 2
    assert await held(it.store, "m0", "m1", "m2") == [False, False, True]
    assert await it.store.drop_receipts("other", before=before, limit=2) == 0
    assert await it.store.drop_receipts(ACCOUNT, before=before, limit=2) == 1
    assert await it.store.drop_receipts(ACCOUNT, before=before, limit=2) == 0
    assert stored(it) == 2


async def test_ingest_puts_a_receipt_once_its_lost_step_is_merged_again(opened: Open) -> None:
    it = await opened(*pending(1))
    (stale,) = await read(it.store, FILLED)
    await ingest_one(it.store, said("v1", Status.NEW, "0.5"))
    taken = await ingest_on(it).take(
        Parcel(
            account=ACCOUNT,
            source=Source.WEBHOOK,
            asked_at=NOON,
            venue_now=NOON + timedelta(days=1),
            sightings=[Sighting(report=FILLED, endpoint="batch")],
            known={"v:v1": stale},
            receipts=[receipt("m1", "v:v1")],
        )
    )
    assert [one.result for one in taken.outcomes] == [Result.WON]
    assert await held(it.store, "m1") == [True]
    assert it.bench.rows()[0]["status"] == "completed"


async def test_a_receipt_goes_through_ingest_without_any_order(opened: Open) -> None:
    it = await opened()
    parcel = Parcel(
        account=ACCOUNT,
        source=Source.WEBHOOK,
        asked_at=NOON,
        venue_now=NOON,
        receipts=[receipt("m1")],
    )
    assert (await ingest_on(it).take(parcel)).outcomes == ()
    assert await held(it.store, "m1") == [True]


async def test_a_receipts_order_is_found_by_the_clients_id(opened: Open) -> None:
    it = await opened(
        {"order_id": "v1", "client_id": "c1", "status": "pending"},
        {"order_id": None, "client_id": "c2", "status": "pending"},
    )
    assert await it.store.find_venue_ids(ACCOUNT, ["c1", "c2", "c3"]) == {"c1": "v1"}
    (known,) = await it.store.read(ACCOUNT, [OrderName("v1", "c1")])
    assert len(known.claims) == 1


async def test_an_order_that_was_seen_before_its_row_is_found_by_the_clients_id(
    opened: Open,
) -> None:
    it = await opened({"order_id": "v1", "client_id": "c1", "status": "pending"})
    for report in (
        said("v1", client_order_id="other"),  # what a row says of itself comes first
        said("v2", client_order_id="c2"),
        said("v3", client_order_id="twice"),
        said("v4", client_order_id="twice"),
        said("v5"),
    ):
        await ingest_one(it.store, report)
    clients = ["c1", "c2", "C2", "twice", "other", "c9"]
    assert await it.store.find_venue_ids(ACCOUNT, clients) == {"c1": "v1", "c2": "v2"}
    assert await it.store.find_venue_ids("another", ["c2"]) == {}


async def test_what_a_webhook_names_is_read_name_by_name(opened: Open) -> None:
    it = await opened(
        {"order_id": "v1", "client_id": "c1", "status": "pending"},
        {"order_id": None, "client_id": "c2", "status": "pending"},
        {"order_id": "v3", "client_id": "c3", "status": "pending"},
    )
    await ingest_one(it.store, FILLED)
    clients = [OrderName(None, f"c{n}") for n in (1, 2, 4)]
    names = [OrderName("v1"), *clients, OrderName("v3"), OrderName("v4")]
    taken, found = await it.store.read_hinted(ACCOUNT, ["m1"], names)
    assert taken == set()
    assert [one.key for one in found] == ["v:v1", "v:v1", "c:c2", "c:c4", "v:v3", "v:v4"]
    assert [len(one.claims) for one in found] == [1, 1, 1, 0, 1, 0]
    assert [one.version for one in found] == [1, 1, 0, 0, 0, 0]


async def test_tables_of_the_second_version_are_brought_forward_for_receipts(
    opened: Open,
) -> None:
    it = await opened(*pending(1))
    await ingest_one(it.store, FILLED)
    await it.store.close()
    for name in schema.tables_since(2):
        it.bench.run(f"DROP TABLE ordersync_{name}")
    it.bench.run("UPDATE ordersync_schema SET version = 2")

    reader = it.bench.store(it.orders, it.clock)
    await reader.open(create=False)
    assert [known.version for known in await read(reader, FILLED)] == [1]
    await reader.close()

    stores = [it.bench.store(it.orders, it.clock) for _ in range(2)]
    await asyncio.gather(*(store.open(create=True) for store in stores))
    assert it.bench.run("SELECT version FROM ordersync_schema") == [(schema.VERSION,)]
    await stores[0].advance(ACCOUNT, [], [receipt("m1")])
    assert await held(stores[1], "m1") == [True]
    assert [known.version for known in await read(stores[1], FILLED)] == [1]
    for store in stores:
        await store.close()
