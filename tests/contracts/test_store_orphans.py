"""The contract of OrphanStore: which orders have no row, each once, and how many there are."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ordersync.listed import Wanted
from ordersync.ports import Note
from ordersync.store.listing import TableLists
from ordersync.sync.orphans import TOLD
from ordersync.truth.merge import merge
from ordersync.truth.model import EventKind, Status
from tests.contracts.bench import ACCOUNT, ingest, ingest_one, read, said, step

if TYPE_CHECKING:
    from datetime import datetime

    from ordersync.orphaned import Rowless
    from ordersync.ports import OrderStore
    from tests.contracts.bench import Opened
    from tests.contracts.conftest import Open

ORPHAN = Note(kind=EventKind.ORPHAN, digest="", evidence=TOLD)
MINUTE = timedelta(minutes=1)


async def untold(
    it: Opened, before: datetime | None = None, after: Rowless | None = None
) -> list[str]:
    until = before or it.clock.now()
    listed = await it.store.list_rowless(ACCOUNT, before=until, after=after, limit=10)
    return [one.key for one in listed]


async def tell(store: OrderStore, order: str) -> list[EventKind]:
    (known,) = await read(store, said(order))
    (outcome,) = await store.advance(ACCOUNT, [step(known, known.truth, notes=(ORPHAN,))])
    return [event.kind for event in outcome.events]


async def test_orders_without_a_row_are_listed_from_the_oldest_until_told(opened: Open) -> None:
    it = await opened({"id": 1, "order_id": "v1", "status": "pending"})
    await ingest_one(it.store, said("v1", Status.NEW))
    for order in ("v3", "v2", "v4"):
        it.clock.forward(10)
        await ingest_one(it.store, said(order, Status.NEW), clock=it.clock)
    assert await untold(it) == ["v:v3", "v:v2", "v:v4"]
    assert await untold(it, before=it.clock.now() - timedelta(seconds=5)) == ["v:v3", "v:v2"]
    first, *_ = await it.store.list_rowless(ACCOUNT, before=it.clock.now(), after=None, limit=1)
    assert await untold(it, after=first) == ["v:v2", "v:v4"]
    assert await it.store.list_rowless("other", before=it.clock.now(), after=None, limit=9) == []

    assert await tell(it.store, "v2") == [EventKind.ORPHAN]
    assert await tell(it.store, "v2") == []
    assert await untold(it) == ["v:v3", "v:v4"]
    assert await it.store.list_open_orphans(ACCOUNT, 10) == ["v2"]


async def test_of_one_moment_they_are_listed_by_their_keys(opened: Open) -> None:
    it = await opened()
    await ingest(it.store, *(said(f"v{n}", Status.NEW) for n in range(5)))
    listed: list[str] = []
    after = None
    while page := await it.store.list_rowless(ACCOUNT, before=it.clock.now(), after=after, limit=2):
        listed += [one.key for one in page]
        after = page[-1]
    assert listed == [f"v:v{n}" for n in range(5)]


async def test_an_order_whose_row_appears_is_none_any_more(opened: Open) -> None:
    it = await opened()
    await ingest(it.store, said("v1", Status.NEW), said("v2", Status.NEW))
    await tell(it.store, "v1")
    it.bench.insert(*({"id": n, "order_id": f"v{n}", "status": "pending"} for n in (1, 2)))
    await ingest(it.store, said("v1", Status.NEW), said("v2", Status.NEW))
    assert await untold(it) == []
    assert await it.store.list_open_orphans(ACCOUNT, 10) == []


async def test_those_that_were_told_count_while_they_are_open_and_a_day_longer(
    opened: Open,
) -> None:
    it = await opened()
    await ingest(it.store, *(said(f"v{n}", Status.NEW) for n in (1, 2, 3)))
    for order in ("v1", "v2"):
        await tell(it.store, order)

    async def count(*accounts: str) -> int:
        lists = TableLists(
            it.bench.database,
            it.orders,
            it.clock,
            accounts=accounts or (ACCOUNT, "other"),
            where="ordersync.toml",
            stale_after=MINUTE,
            vouched=lambda _account, _known: None,
        )
        try:
            return (await lists.count_open(Wanted(), after=None, limit=1)).totals.orphans
        finally:
            lists.close()

    assert (await count(), await count("other")) == (2, 0)
    (known,) = await read(it.store, said("v1"))
    ended = merge(known.truth, said("v1", Status.CANCELED))
    await it.store.advance(ACCOUNT, [step(known, ended)])
    assert await it.store.list_open_orphans(ACCOUNT, 10) == ["v2"]
    it.clock.forward(timedelta(hours=23))
    assert await count() == 2
    it.clock.forward(timedelta(hours=2))
    assert await count() == 1
