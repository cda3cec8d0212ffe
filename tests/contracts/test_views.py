"""The contract of OrderViews: what was recorded about an order, by whatever name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordersync.errors import OrdersyncError
from ordersync.ports import OrderName
from ordersync.settings import AccountColumn
from ordersync.truth.merge import merge
from ordersync.truth.model import Status
from tests.contracts.bench import (
    ACCOUNT,
    TRADES,
    Kind,
    Table,
    ingest,
    ingest_one,
    mapped,
    read,
    said,
    step,
)
from tests.contracts.sqlite_bench import SqliteBench

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.truth.model import Event
    from tests.contracts.bench import Bench, Row
    from tests.contracts.conftest import Open

PENDING: Row = {"id": 1, "order_id": "v1", "client_id": "c1", "status": "pending"}


@pytest.mark.parametrize(
    ("text", "matched"), [("1", "id"), ("v1", "venue_order_id"), ("c1", "client_order_id")]
)
async def test_an_order_is_found_by_each_of_its_names(
    opened: Open, text: str, matched: str
) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.FILLED, client_order_id="c1"))
    (match,) = await it.bench.views(it.orders).find(text)
    assert (match.matched, match.account, match.key) == (matched, ACCOUNT, "v:v1")
    assert (match.row_id, match.venue_order_id, match.client_order_id) == ("1", "v1", "c1")
    assert (match.word, match.status) == ("completed", "filled")


async def test_a_row_id_comes_before_a_venue_id_and_that_before_a_client_id(opened: Open) -> None:
    it = await opened(
        {"id": 7, "order_id": "8", "client_id": "9", "status": "pending"},
        {"id": 8, "order_id": "9", "client_id": "7", "status": "pending"},
    )
    views = it.bench.views(it.orders)
    assert [m.row_id for m in await views.find("7")] == ["7"]
    assert [m.row_id for m in await views.find("8")] == ["8"]
    assert [m.row_id for m in await views.find("9")] == ["8"]


async def test_several_orders_of_one_name_are_all_listed(opened: Open) -> None:
    it = await opened(PENDING, {**PENDING, "id": 2}, table=Table(columns=TRADES.columns))
    matches = await it.bench.views(it.orders).find("v1")
    assert [m.row_id for m in matches] == ["1", "2"]


async def test_an_order_whose_row_is_gone_is_found_by_what_was_kept(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.FILLED, client_order_id="c1"))
    it.bench.delete(1)
    for text in ("1", "v1", "c1"):
        (match,) = await it.bench.views(it.orders).find(text)
        assert (match.key, match.status, match.word) == ("v:v1", "filled", None)


@pytest.mark.parametrize("text", ["", "v", "V1", "01", "1.0", " 1", "%", "v1' OR '1'='1"])
async def test_what_no_order_is_named_finds_nothing(opened: Open, text: str) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1"))
    assert await it.bench.views(it.orders).find(text) == []


async def test_the_history_of_an_order_is_its_events_oldest_first(opened: Open) -> None:
    it = await opened(PENDING, {"id": 2, "order_id": "v2", "status": "pending"})
    returned: list[Event] = []
    for status, filled in ((Status.NEW, "0"), (Status.NEW, "1"), (Status.FILLED, "2")):
        it.clock.forward(1)
        outcomes = await ingest(it.store, said("v1", status, filled), said("v2", status, filled))
        returned += outcomes[0].events
    views = it.bench.views(it.orders)
    (match,) = await views.find("v1")
    history = await views.history(match)
    assert history == returned
    assert [e.after.status for e in history] == ["new", "partially_filled", "filled"]
    assert [e.at for e in history] == sorted(e.at for e in history)
    assert len({e.id for e in history}) == 3


async def test_ten_commits_come_in_the_order_of_their_numbers(opened: Open) -> None:
    it = await opened(PENDING)
    for qty in range(1, 13):
        await ingest_one(it.store, said("v1", Status.NEW, str(qty)))
    views = it.bench.views(it.orders)
    (match,) = await views.find("1")
    assert [e.id for e in await views.history(match)] == [f"{n}-0" for n in range(1, 13)]


async def test_a_row_that_was_never_sighted_has_no_history(opened: Open) -> None:
    it = await opened({"id": 1, "status": "pending"})
    (match,) = await it.bench.views(it.orders).find("1")
    assert (match.key, match.status) == ("r:1", None)
    assert await it.bench.views(it.orders).history(match) == []


async def test_a_row_that_is_only_known_by_its_client_id_shows_the_history_of_its_order(
    opened: Open,
) -> None:
    """As in a shadow, where the venue id is known and not written into the row."""
    it = await opened({**PENDING, "order_id": None}, writes_rows=False)
    await ingest_one(it.store, said("v1", Status.NEW, client_order_id="c1"))
    (known,) = await it.store.read(ACCOUNT, [OrderName("v1", "c1")])
    report = said("v1", Status.FILLED, client_order_id="c1")
    await it.store.advance(ACCOUNT, [step(known, merge(known.truth, report))])
    views = it.bench.views(it.orders)
    (match,) = await views.find("1")
    assert len(await views.history(match)) == 2


async def test_before_anything_was_made_rows_are_found_and_nothing_is_written(
    bench: Bench,
) -> None:
    bench.create(TRADES)
    bench.insert(PENDING, {"id": 2, "status": None})
    watch = bench.watch()
    views = bench.views(mapped())
    (match,) = await views.find("v1")
    assert (match.row_id, match.status) == ("1", None)
    assert await views.history(match) == []
    assert await views.count_words() == {"pending": 1, None: 1}
    assert not watch.was_written()


async def test_words_are_counted_where_the_condition_holds(opened: Open) -> None:
    rows = [{"id": n, "status": "pending", "is_paper": n % 2} for n in range(5)]
    it = await opened(*rows, orders=mapped(where="is_paper = 0"))
    assert await it.bench.views(it.orders).count_words() == {"pending": 3}


async def test_an_order_is_of_the_account_that_its_row_names(opened: Open) -> None:
    orders = mapped(account=AccountColumn(column="exchange", values={"cb": "main", "alp": "p"}))
    rows = [
        {"id": n, "order_id": "v1", "status": "pending", "exchange": exchange}
        for n, exchange in ((1, "cb"), (2, "alp"), (3, None))
    ]
    it = await opened(*rows, table=Table(columns=TRADES.columns), orders=orders)
    await ingest(it.store, said("v1", Status.NEW), account="main")
    await ingest(it.store, said("v1", Status.FILLED), account="p")
    views = it.bench.views(orders)
    found = {m.row_id: (m.account, m.status) for m in await views.find("v1")}
    assert found == {"1": ("main", "new"), "2": ("p", "filled"), "3": ("", None)}


async def test_keys_of_text_are_found_letter_by_letter(opened: Open) -> None:
    it = await opened(
        *({"id": key, "order_id": f"v{key}", "status": "pending"} for key in ("a", "A", "001")),
        table=TRADES.but(id=Kind.TEXT_KEY),
    )
    (known,) = await read(it.store, said("va"))
    assert known.claims
    views = it.bench.views(it.orders)
    assert [m.row_id for m in await views.find("A")] == ["A"]
    assert [m.row_id for m in await views.find("1")] == []


async def test_a_missing_database_is_told(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path / "bot.db")
    bench.create(TRADES)
    views = bench.views(mapped())
    bench.path.unlink()
    with pytest.raises(OrdersyncError) as caught:
        await views.find("1")
    assert caught.value.where == str(bench.path)
