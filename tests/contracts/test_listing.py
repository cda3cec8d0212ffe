"""The contract of OrderLists: rows beside what the exchange says, on every make of database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from ordersync.listed import State, Wanted
from ordersync.ports import Absent, OrderName, Overlay
from ordersync.settings import AccountColumn
from ordersync.store.listing import AT_A_TIME, TableLists
from ordersync.truth.evidence import Case
from ordersync.truth.model import Status
from tests.contracts.bench import (
    ACCOUNT,
    NOON,
    TRADES,
    HandClock,
    Kind,
    Opened,
    Table,
    ingest,
    ingest_one,
    mapped,
    said,
    step,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from ordersync.listed import Listed, Page
    from ordersync.ports import Known
    from tests.contracts.bench import Bench, Row
    from tests.contracts.conftest import Open

HOUR = timedelta(hours=1)
MANY = AT_A_TIME + 20
LISTS: list[TableLists] = []


@pytest.fixture(autouse=True)
def _given_back() -> Iterator[None]:
    yield
    while LISTS:
        LISTS.pop().close()


def lists(
    it: Opened,
    *accounts: str,
    vouched: Callable[[str, Known], datetime | None] = lambda _account, _known: None,
) -> TableLists:
    """The lists of a store, which this process knows nothing more about by itself."""
    made = TableLists(
        it.bench.database,
        it.orders,
        it.clock,
        accounts=accounts or (ACCOUNT,),
        where="ordersync.toml",
        stale_after=timedelta(minutes=5),
        vouched=vouched,
    )
    LISTS.append(made)
    return made


def pending(n: int, **more: object) -> Row:
    return {
        "id": n,
        "order_id": f"v{n}",
        "client_id": f"c{n}",
        "status": "pending",
        "created_at": f"{NOON - HOUR:%Y-%m-%d %H:%M:%S}",
        **more,
    }


def _alone(bench: Bench) -> Opened:
    """A bench on which no store was opened."""
    orders, clock = mapped(), HandClock()
    return Opened(bench, bench.store(orders, clock), clock, orders)


async def pages(made: TableLists, wanted: Wanted, limit: int) -> list[Page]:
    """All pages of a list."""
    found = [await made.list_orders(wanted, after=None, limit=limit)]
    while (place := found[-1].next) is not None:
        assert len(found) < 100
        found.append(await made.list_orders(wanted, after=place, limit=limit))
    return found


def ids(found: list[Page]) -> list[str | None]:
    return [one.row_id for page in found for one in page.orders]


async def test_open_rows_come_by_their_keys_each_on_one_page(opened: Open) -> None:
    it = await opened(*(pending(n) for n in (3, 10, 2, 1, 20)))
    await ingest(it.store, *(said(f"v{n}", Status.NEW) for n in (3, 10, 2)))
    for limit in (1, 2, 5, 100):
        found = await pages(lists(it), Wanted(), limit)
        assert ids(found) == ["1", "2", "3", "10", "20"]
        assert all(len(page.orders) == limit for page in found[:-1])


async def test_open_rows_of_two_accounts_are_one_list(opened: Open) -> None:
    orders = mapped(account=AccountColumn(column="exchange", values={"cb": "main", "alp": "p"}))
    rows = [pending(n, exchange="cb" if n in {1, 2, 3, 7} else "alp") for n in range(1, 9)]
    it = await opened(*rows, orders=orders, table=Table(columns=TRADES.columns))
    made = lists(it, "main", "p")
    for limit in (1, 2, 3, 8):
        assert ids(await pages(made, Wanted(), limit)) == [str(n) for n in range(1, 9)]
        of_one = Wanted(account="p", state=State.OPEN)
        assert ids(await pages(made, of_one, limit)) == ["4", "5", "6", "8"]


async def test_rows_that_end_while_a_page_is_read_do_not_make_it_the_last(opened: Open) -> None:
    it = await opened(*(pending(n) for n in range(1, MANY + 1)))

    def vouched(_account: str, known: Known) -> None:
        if known.key == "v:v1":  # after these were found, and before their part is read
            for n in range(AT_A_TIME + 1, MANY):
                it.bench.write(n, status="completed")

    found = await pages(lists(it, vouched=vouched), Wanted(), MANY - 10)
    assert len(found) == 2
    assert ids(found) == [str(n) for n in (*range(1, AT_A_TIME + 1), MANY)]


async def test_keys_of_text_are_sorted_letter_by_letter(opened: Open) -> None:
    keys = ("b", "B", "a1", "a", "10", "9")
    rows = [{**pending(1), "id": key, "order_id": f"v{key}"} for key in keys]
    it = await opened(*rows, table=TRADES.but(id=Kind.TEXT_KEY))
    assert ids(await pages(lists(it), Wanted(), 2)) == sorted(keys)


async def test_a_row_is_told_beside_what_the_exchange_says(opened: Open) -> None:
    it = await opened(pending(1, product_id="BTC-USD", bot="seven"))
    await ingest_one(
        it.store,
        said("v1", Status.NEW, "0.5", quantity="2", avg_price="100.50", side="BUY", fee="0.1"),
    )
    ((one,),) = [page.orders for page in await pages(lists(it), Wanted(), 10)]
    assert (one.account, one.owner, one.symbol, one.side) == (ACCOUNT, "seven", "BTC-USD", "buy")
    assert (one.quantity, one.filled_qty, one.avg_price, one.fee) == ("2", "0.5", "100.50", "0.1")
    assert (one.row_word, one.exchange_status) == ("pending", "partially_filled")
    assert (one.state, one.stale, one.discrepancy, one.source) == (State.OPEN, False, None, "poll")
    assert one.created_at == NOON - HOUR
    assert (one.age_seconds, one.last_verified_at) == (3600, NOON)
    text = msgspec.json.encode(one)
    assert b'"created_at":"2026-03-01T11:00:00Z"' in text
    assert b'"filled_qty":"0.5"' in text


async def test_a_row_that_says_otherwise_is_untrue_and_one_nobody_vouches_for_unverified(
    opened: Open,
) -> None:
    it = await opened(pending(1), pending(2), pending(3), writes_rows=False)
    await ingest(it.store, said("v1", Status.FILLED, "1"), said("v2", Status.NEW))

    async def now() -> dict[str | None, Listed]:
        (page,) = await pages(lists(it), Wanted(), 10)
        return {one.row_id: one for one in page.orders}

    found = await now()
    assert {n: one.discrepancy for n, one in found.items()} == {
        "1": "status",
        "2": None,
        "3": "unverified",
    }
    assert {n: one.state for n, one in found.items()} == {"1": "stale", "2": "open", "3": "stale"}
    assert {n: one.true_word for n, one in found.items()} == {
        "1": "completed",
        "2": None,
        "3": None,
    }
    assert (found["3"].exchange_status, found["3"].last_verified_at) == (None, None)
    it.clock.forward(timedelta(minutes=6))
    assert (await now())["2"].discrepancy == "unverified"


async def test_final_orders_come_by_their_end_whatever_the_limit(opened: Open) -> None:
    it = await opened(*(pending(n) for n in range(1, 8)))
    for n in (3, 1, 2, 5, 4):
        it.clock.forward(1)
        await ingest_one(it.store, said(f"v{n}", Status.FILLED, "1"), clock=it.clock)
    await ingest(it.store, said("v6", Status.FILLED), said("v7", Status.FILLED), clock=it.clock)
    for limit in (1, 2, 3, 100):
        found = await pages(lists(it), Wanted(state=State.FINAL), limit)
        # Two ended in one moment with the fourth: by their names, backwards.
        assert ids(found) == ["7", "6", "4", "5", "2", "1", "3"]


async def test_final_orders_of_a_time_are_found_by_their_end(opened: Open) -> None:
    it = await opened(*(pending(n) for n in range(1, 5)))
    for n in range(1, 5):
        it.clock.forward(10)
        await ingest_one(it.store, said(f"v{n}", Status.FILLED, "1"), clock=it.clock)
    since, until = NOON + timedelta(seconds=20), NOON + timedelta(seconds=40)
    wanted = Wanted(state=State.FINAL, since=since, until=until)
    for limit in (1, 10):
        assert ids(await pages(lists(it), wanted, limit)) == ["3", "2"]


async def test_final_orders_of_two_accounts_are_one_list(opened: Open) -> None:
    orders = mapped(account=AccountColumn(column="exchange", values={"cb": "main", "alp": "p"}))
    rows = [pending(n, exchange="cb" if n % 2 else "alp") for n in range(1, 7)]
    rows += [pending(7, order_id="v1", exchange="alp")]
    it = await opened(*rows, orders=orders, table=Table(columns=TRADES.columns))
    for n in range(1, 7):
        account = "main" if n % 2 else "p"
        await ingest_one(it.store, said(f"v{n}", Status.FILLED), account=account, clock=it.clock)
        it.clock.forward(n // 3)
    made = lists(it, "main", "p")
    whole = ids(await pages(made, Wanted(state=State.FINAL), 100))
    assert sorted(whole, key=str) == ["1", "2", "3", "4", "5", "6"]
    for limit in (1, 2):
        assert ids(await pages(made, Wanted(state=State.FINAL), limit)) == whole
    of_one = Wanted(state=State.FINAL, account="p")
    assert set(ids(await pages(made, of_one, 2))) == {"2", "4", "6"}
    assert ids(await pages(made, Wanted(account="p"), 2)) == ["7"]


async def test_a_final_order_whose_row_is_gone_is_listed_by_its_record(opened: Open) -> None:
    it = await opened(pending(1))
    await ingest_one(it.store, said("v1", Status.CANCELED, "0"))
    it.bench.delete(1)
    (page,) = await pages(lists(it), Wanted(state=State.FINAL), 10)
    assert [(o.row_id, o.row_word, o.exchange_status) for o in page.orders] == [
        ("1", None, "canceled")
    ]


async def test_filters_keep_what_fits(opened: Open) -> None:
    it = await opened(
        pending(1, bot="a", product_id="X"), pending(2, bot="b", product_id="Y"), pending(3)
    )
    made = lists(it)
    assert ids(await pages(made, Wanted(owner="a"), 1)) == ["1"]
    assert ids(await pages(made, Wanted(symbol="Y"), 1)) == ["2"]
    assert ids(await pages(made, Wanted(until=NOON - HOUR), 1)) == []
    assert ids(await pages(made, Wanted(since=NOON - HOUR), 2)) == ["1", "2", "3"]
    assert ids(await pages(made, Wanted(account="other"), 2)) == []


async def test_totals_count_every_open_row(opened: Open) -> None:
    it = await opened(*(pending(n) for n in range(1, 6)), pending(6, status="completed"))
    await ingest(it.store, *(said(f"v{n}", Status.NEW) for n in (1, 2, 3)))
    status = await lists(it).count_open(Wanted(), after=None, limit=2)
    assert [one.row_id for one in status.page.orders] == ["1", "2"]
    assert (status.totals.open, status.totals.stale) == (5, 2)
    assert status.totals.normal == 3
    assert status.totals.oldest_verified_age_seconds == 0


@pytest.mark.parametrize("text", ["1", "v1", "c1"])
async def test_an_order_is_matched_by_each_of_its_names(opened: Open, text: str) -> None:
    it = await opened(pending(1), pending(2))
    await ingest_one(it.store, said("v1", Status.FILLED, client_order_id="c1"))
    (found,) = await lists(it).match(text)
    assert (found.key, found.order.row_id, found.order.row_word) == ("v:v1", "1", "completed")
    it.bench.delete(1)
    (found,) = await lists(it).match(text)
    assert (found.key, found.order.row_word, found.order.exchange_status) == (
        "v:v1",
        None,
        "filled",
    )


@pytest.mark.parametrize(
    "text", ["v", "V1", "01", "1.0", " 1", "%", "v1' OR '1'='1", "9" * 30, "\u00e9", "v1 "]
)
async def test_what_is_no_name_matches_nothing(opened: Open, text: str) -> None:
    it = await opened(pending(1))
    await ingest_one(it.store, said("v1"))
    assert await lists(it).match(text) == []


async def test_the_past_comes_in_pages(opened: Open) -> None:
    it = await opened(pending(1), pending(2))
    for n in range(5):
        await ingest(it.store, said("v1", Status.NEW, str(n)), said("v2", Status.NEW, str(n)))
    made, seen, place = lists(it), list[str](), None
    while True:
        past = await made.past(ACCOUNT, "v:v1", after=place, limit=2)
        seen += past.events
        place = past.next
        if place is None:
            break
    whole = (await made.past(ACCOUNT, "v:v1", after=None, limit=100)).events
    assert seen == whole
    assert len({msgspec.json.decode(text)["id"] for text in whole}) == len(whole) == 5


async def test_how_long_an_owner_waited_untruly_is_read_from_todays_log(opened: Open) -> None:
    it = await opened(*(pending(n, bot="a") for n in (1, 2)), pending(3, bot="b"))
    await ingest(it.store, *(said(f"v{n}", Status.NEW) for n in (1, 2, 3)))
    made = lists(it)
    assert [(o.owner, o.open_orders) for o in await made.owners()] == [("a", 2), ("b", 1)]
    it.clock.forward(60)
    ended = it.clock.now() - timedelta(seconds=20)
    for n in (1, 2):
        report = said(f"v{n}", Status.FILLED, "1", at=it.clock.now(), changed_at=ended)
        await ingest_one(it.store, report, clock=it.clock)
    first, second = await made.owners()
    assert (first.owner, first.blocked, first.untruly_blocked_seconds_today) == ("a", False, 20)
    assert (second.owner, second.blocked, second.orders) == ("b", True, ["3"])
    assert await made.owners() == [first, second]
    # Another process reads the same from the log.
    assert await lists(it).owners() == [first, second]


async def test_before_anything_was_made_rows_are_listed_and_nothing_is_written(
    bench: Bench,
) -> None:
    bench.create(TRADES)
    bench.insert(pending(1), pending(2, status="completed"))
    watch = bench.watch()
    made = lists(_alone(bench))
    assert ids(await pages(made, Wanted(), 10)) == ["1"]
    assert ids(await pages(made, Wanted(state=State.FINAL), 10)) == []
    (found,) = await made.match("2")
    assert found.order.row_word == "completed"
    assert [o.owner for o in await made.owners()] == [None]
    assert await made.verified_at() == {ACCOUNT: None}
    assert not watch.was_written()


async def test_what_is_remembered_of_a_row_is_looked_at_each_time(opened: Open) -> None:
    """Row, truth, absence: whichever moves, the next list tells it."""
    it = await opened(*(pending(n) for n in (1, 2, 3)), writes_rows=False)
    made = lists(it)

    async def told(n: int) -> Listed:
        page = await made.list_orders(Wanted(), after=None, limit=10)
        return next(one for one in page.orders if one.row_id == str(n))

    await ingest(it.store, *(said(f"v{n}", Status.NEW) for n in (1, 2, 3)))
    for n in (1, 2, 3):
        assert (await told(n)).discrepancy is None
    await ingest_one(it.store, said("v1", Status.NEW, "1"))
    assert ((await told(1)).filled_qty, (await told(1)).discrepancy) == ("1", "fills")
    it.bench.write(2, status="completed")
    assert [o.row_id for o in (await made.list_orders(Wanted(), after=None, limit=9)).orders] == [
        "1",
        "3",
    ]
    it.bench.write(2, status="active")
    assert (await told(2)).row_word == "active"
    (known,) = await it.store.read(ACCOUNT, [OrderName("v3")])
    case = Case(opened_at=NOON, tallies={})
    absent = Absent(case=case, overlay=Overlay.SUSPECT, asked_at=NOON)
    await it.store.advance(ACCOUNT, [step(known, known.truth, absent=absent)])
    assert ((await told(3)).state, (await told(3)).discrepancy) == (State.SUSPECT, "suspect")
    await ingest_one(it.store, said("v3", Status.NEW, at=NOON + HOUR))
    assert ((await told(3)).state, (await told(3)).discrepancy) == (State.OPEN, None)
    it.clock.forward(HOUR)
    assert (await told(2)).age_seconds == 7200
    it.bench.delete(2)
    assert (await made.list_orders(Wanted(), after=None, limit=9)).orders[0].row_id == "1"
