"""The contract of OrderStore: which rows and orders are found, and by what names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync.errors import ConfigError
from ordersync.ports import Meaning, OrderName, Result
from ordersync.settings import AccountColumn
from ordersync.truth.evidence import LONGEST_NAME
from ordersync.truth.merge import merge
from ordersync.truth.model import Status
from tests.contracts.bench import (
    ACCOUNT,
    NOON,
    TRADES,
    Kind,
    Table,
    again,
    ingest,
    ingest_one,
    mapped,
    open_rows,
    read,
    said,
    step,
)

if TYPE_CHECKING:
    from tests.contracts.bench import Row
    from tests.contracts.conftest import Open


NOT_MARIADB = pytest.mark.only_on("sqlite", "postgres18", "postgres16", "postgres15", "pgbouncer")


def rows_of(*words: str | None) -> list[Row]:
    return [{"id": n, "order_id": f"v{n}", "status": w} for n, w in enumerate(words, start=1)]


# --- open rows --------------------------------------------------------------------------------


async def test_open_rows_are_those_that_do_not_say_that_they_are_final(opened: Open) -> None:
    it = await opened(
        *rows_of("pending", "active", "unknown", "completed", "failed", "cancelled", "what", None)
    )
    found = {c.row_id: c.meaning for c in await open_rows(it.store)}
    assert found == {1: Meaning.OPEN, 2: Meaning.OPEN, 3: Meaning.UNKNOWN}


async def test_a_claim_carries_what_the_row_says(opened: Open) -> None:
    row: Row = {
        "id": 1,
        "order_id": " v1 ",
        "client_id": "",
        "product_id": "BTC-USD",
        "bot": "grid",
        "status": "active",
        "created_at": "2026-03-01 10:00:00",
    }
    it = await opened(row)
    it.clock.forward(5)
    (claim,) = await open_rows(it.store)
    assert (claim.row_id, claim.venue_order_id, claim.client_order_id) == (1, "v1", None)
    assert (claim.word, claim.symbol, claim.owner) == ("active", "BTC-USD", "grid")
    assert claim.created_at == NOON - timedelta(hours=2)
    assert claim.read_at == it.clock.now()


async def test_an_id_as_long_as_any_is_kept_and_a_longer_one_names_no_order(opened: Open) -> None:
    """All that is said of it would be refused, and of all others in the same commit."""
    longest = "x" * LONGEST_NAME
    it = await opened(
        {"id": 1, "order_id": longest, "status": "pending"},
        {"id": 2, "order_id": f"{longest}x", "status": "pending"},
    )
    claims = {c.row_id: c.venue_order_id for c in await open_rows(it.store)}
    assert claims == {1: longest, 2: None}
    name = OrderName(longest, longest)
    (known,) = await it.store.read(ACCOUNT, [name])
    truth = merge(None, said(longest, Status.FILLED, "1", client_order_id=longest))
    (outcome,) = await it.store.advance(ACCOUNT, [step(known, truth)])
    assert outcome.result is Result.WON
    assert [row["status"] for row in it.bench.rows()] == ["completed", "pending"]


# --- finished rows ----------------------------------------------------------------------------

RECENT = {
    "naive": (Kind.TIME, "2026-03-01 11:00:00", "2026-02-28 11:00:00"),
    "zulu": (Kind.TEXT, "2026-03-01T11:00:00Z", "2026-02-28T11:00:00Z"),
    "far west": (Kind.TEXT, "2026-02-28T23:30:00-11:00", "2026-02-28T01:30:00-11:00"),
    "far east": (Kind.TEXT, "2026-03-02T00:30:00+14:00", "2026-03-01T00:30:00+14:00"),
    "seconds": (Kind.WHOLE, 1772362800, 1772276400),
    "milliseconds": (Kind.WHOLE, 1772362800000, 1772276400000),
    "float": (Kind.FLOAT, 1772362800.25, 1772276400.25),
}


@pytest.mark.parametrize(("kind", "recent", "old"), RECENT.values(), ids=RECENT)
async def test_finished_rows_are_those_created_or_finished_since(
    opened: Open, kind: Kind, recent: object, old: object
) -> None:
    """Since six hours before noon; whatever zone the text carries."""
    rows: list[Row] = [
        {"status": "completed", "created_at": recent},
        {"status": "failed", "created_at": old, "filled_at": recent},
        {"status": "completed", "created_at": old},
        {"status": "pending", "created_at": recent},
        {"status": "what", "created_at": recent},
        {"status": "completed"},
    ]
    it = await opened(
        *({"id": n, "order_id": f"v{n}", **row} for n, row in enumerate(rows, start=1)),
        table=TRADES.but(created_at=kind, filled_at=kind),
    )
    found = await it.store.list_finished(ACCOUNT, NOON - timedelta(hours=6))
    assert sorted(c.row_id for c in found) == [1, 2]


async def test_times_of_two_units_are_each_read_in_their_own(opened: Open) -> None:
    it = await opened(
        {
            "id": 1,
            "order_id": "v1",
            "status": "completed",
            "created_at": 1772000000000,
            "filled_at": 1772362800,
        },
        table=TRADES.but(created_at=Kind.WHOLE, filled_at=Kind.WHOLE),
    )
    assert len(await it.store.list_finished(ACCOUNT, NOON - timedelta(hours=6))) == 1


async def test_finished_rows_are_listed_even_where_their_end_is_known(opened: Open) -> None:
    rows = [{**row, "created_at": "2026-03-01 11:00:00"} for row in rows_of(*["completed"] * 3)]
    it = await opened(*rows)
    await ingest_one(it.store, said("v1", Status.FILLED))
    await ingest_one(it.store, said("v2", Status.NEW), asked_at=NOON - timedelta(hours=1))
    it.clock.forward(1)
    found = await it.store.list_finished(ACCOUNT, NOON - timedelta(hours=6))
    assert [c.row_id for c in found] == [1, 2, 3]


async def test_witnesses_are_the_newest_venue_ids_whatever_the_rows_say(opened: Open) -> None:
    rows = [*rows_of("completed", "what", "failed", "pending"), {"id": 5, "status": "pending"}]
    it = await opened(*rows)
    assert await it.store.list_witnesses(ACCOUNT, 3) == ["v4", "v3", "v2"]


# --- rows that have not moved -----------------------------------------------------------------


async def test_a_row_that_has_not_moved_is_told_from_one_that_has(opened: Open) -> None:
    it = await opened(*rows_of("pending", "pending", "completed"))
    first = await it.store.scan_open(ACCOUNT, {})
    assert [c.row_id for c in first.moved] == [1, 2]
    assert list(first.unmoved) == []
    seen = {claim.mark: claim.venue_order_id or "" for claim in first.moved}
    it.bench.write(2, product_id="ETH-USD")
    second = await it.store.scan_open(ACCOUNT, seen)
    assert [c.row_id for c in second.moved] == [2]
    assert list(second.unmoved) == ["v1"]
    assert second.unmoved["v1"] == first.moved[0].row_id


async def test_of_very_many_rows_only_the_plain_ones_are_left_unread(opened: Open) -> None:
    it = await opened(
        *rows_of("pending", "pending", "unknown", "pending"),
        {"id": 5, "client_id": "c5", "status": "pending"},
    )
    scan = await it.store.scan_open(ACCOUNT, {}, 1)
    assert [c.row_id for c in scan.moved] == [1, 3, 5]
    assert scan.unread == {"v2": 2, "v4": 4}
    assert scan.unmoved == {}


async def test_a_row_that_has_ended_or_gone_is_in_no_scan(opened: Open) -> None:
    it = await opened(*rows_of("pending", "pending", "pending"))
    moved = (await it.store.scan_open(ACCOUNT, {})).moved
    seen = {claim.mark: claim.venue_order_id or "" for claim in moved}
    it.bench.delete(1)
    it.bench.write(2, status="failed")
    again = await it.store.scan_open(ACCOUNT, seen)
    assert (again.moved, list(again.unmoved)) == ([], ["v3"])


# --- due orders -------------------------------------------------------------------------------


async def test_an_open_order_whose_row_says_final_is_due(opened: Open) -> None:
    it = await opened(*rows_of("failed"))
    await ingest_one(it.store, said("v1", Status.NEW), asked_at=NOON - timedelta(hours=1))
    assert it.row()["status"] == "failed"
    assert await open_rows(it.store) == []
    assert await it.store.list_due(ACCOUNT, NOON) == [OrderName("v1", None)]


async def test_open_truths_are_not_looked_through_where_the_caller_knows_them_all(
    opened: Open,
) -> None:
    it = await opened(*rows_of("pending", "failed"))
    for order in ("v1", "v2"):
        await ingest_one(it.store, said(order, Status.NEW), asked_at=NOON - timedelta(hours=1))
    due = [OrderName("v1", None), OrderName("v2", None)]
    assert await it.store.list_due(ACCOUNT, NOON) == due
    assert await it.store.list_due(ACCOUNT, NOON, open_truths=1) == due
    assert await it.store.list_due(ACCOUNT, NOON, open_truths=2) == []


async def test_an_order_of_nobodys_table_is_not_due(opened: Open) -> None:
    it = await opened()
    await ingest_one(it.store, said("v1", Status.NEW))
    assert await it.store.list_due(ACCOUNT, NOON) == []


async def test_an_ended_order_is_not_due(opened: Open) -> None:
    it = await opened(*rows_of("pending"))
    await ingest_one(it.store, said("v1", Status.FILLED))
    assert await it.store.list_due(ACCOUNT, NOON) == []


# --- reading by names -------------------------------------------------------------------------


async def test_orders_are_read_in_the_order_in_which_they_are_asked(opened: Open) -> None:
    it = await opened(*rows_of(*["pending"] * 4))
    names = [OrderName(f"v{n}", None) for n in (3, 9, 1)]
    known = await it.store.read(ACCOUNT, names)
    assert [k.key for k in known] == ["v:v3", "v:v9", "v:v1"]
    assert [[c.row_id for c in k.claims] for k in known] == [[3], [], [1]]


async def test_a_row_is_read_by_its_client_id_only_while_it_has_no_venue_id(opened: Open) -> None:
    rows: list[Row] = [
        {"id": 1, "client_id": "c1", "status": "pending"},
        {"id": 2, "client_id": "c2", "order_id": "", "status": "pending"},
        {"id": 3, "client_id": "c3", "order_id": "v3", "status": "pending"},
    ]
    it = await opened(*rows)
    known = await it.store.read(ACCOUNT, [OrderName(None, f"c{n}") for n in (1, 2, 3)])
    assert [[c.row_id for c in k.claims] for k in known] == [[1], [2], []]


async def test_the_venue_id_comes_before_the_client_id(opened: Open) -> None:
    rows: list[Row] = [
        {"id": 1, "order_id": "v1", "client_id": "c1", "status": "pending"},
        {"id": 2, "client_id": "c1", "status": "pending"},
    ]
    it = await opened(*rows)
    (known,) = await it.store.read(ACCOUNT, [OrderName("v1", "c1")])
    assert [c.row_id for c in known.claims] == [1]


async def test_rows_with_neither_id_are_listed_and_never_judged(opened: Open) -> None:
    it = await opened({"id": 1, "status": "pending"})
    claims = await open_rows(it.store)
    assert len(claims) == 1
    assert await it.store.read_claims(ACCOUNT, claims) == []


async def test_claims_of_one_order_come_together(opened: Open) -> None:
    rows: list[Row] = [{"id": n, "order_id": "v1", "status": "pending"} for n in (1, 2)]
    it = await opened(*rows, table=Table(columns=TRADES.columns))
    (known,) = await it.store.read_claims(ACCOUNT, await open_rows(it.store))
    assert [c.row_id for c in known.claims] == [1, 2]


@pytest.mark.parametrize(
    "name",
    [
        "ABC",
        "00123",
        "é",
        "e\u0301",
        "a'b\"c",
        "x" * LONGEST_NAME,
        "[1]",
        "%",
    ],
)
async def test_an_id_is_compared_letter_by_letter(opened: Open, name: str) -> None:
    others = [name.lower() + "x", name.swapcase() + " ", name.lstrip("0") + "."]
    rows = [{"id": 1, "order_id": name, "status": "pending"}]
    rows += [{"id": n, "order_id": other, "status": "pending"} for n, other in enumerate(others, 2)]
    it = await opened(*rows)
    await ingest_one(it.store, said(name))
    assert [row["status"] for row in it.bench.rows()] == ["completed", *["pending"] * 3]
    await again(it.store, said(name))


# --- where ------------------------------------------------------------------------------------

CLASHING = (
    "value",
    pytest.param("key", marks=NOT_MARIADB),  # where it is a word that needs quotes
    *("type", "id", "atom", "fullkey", "path", "json", "root", "parent"),
)


@pytest.mark.parametrize("column", CLASHING)
async def test_the_condition_may_name_any_column_of_the_users(opened: Open, column: str) -> None:
    table = Table(
        columns={
            ("row_id" if column == "id" else "id"): Kind.KEY,
            "order_id": Kind.TEXT,
            "client_id": Kind.TEXT,
            "status": Kind.TEXT,
            "created_at": Kind.TIME,
            column: Kind.TEXT,
        }
    )
    bare = dict.fromkeys(
        ("filled_at", "filled_qty", "avg_price", "fee", "reason", "owner", "symbol")
    )
    orders = mapped(**{**bare, "id": table.key, "where": f"{column} = 'mine' OR {column} IS NULL"})
    rows: list[Row] = [
        {"order_id": "v1", "status": "pending", "created_at": "2026-03-01 11:00:00", column: cell}
        for cell in ("mine", "theirs", None)
    ]
    it = await opened(
        *({table.key: n, **row} for n, row in enumerate(rows, 1)), table=table, orders=orders
    )
    assert [c.row_id for c in await open_rows(it.store)] == [1, 3]
    await ingest_one(it.store, said("v1", Status.CANCELED))
    assert [row["status"] for row in it.bench.rows()] == ["failed", "pending", "failed"]
    found = await it.store.list_finished(ACCOUNT, NOON - timedelta(hours=6))
    assert [c.row_id for c in found] == [1, 3]
    assert len(await it.store.list_witnesses(ACCOUNT, 9)) == 2
    await it.store.findings()


@pytest.mark.parametrize(
    "condition",
    [
        "note IN (SELECT note FROM trades WHERE note = 'mine')",
        pytest.param(
            "note = 'mi' || 'ne' AND EXISTS (SELECT 1)",
            marks=NOT_MARIADB,  # to which || is OR, unless it is set otherwise
        ),
        "note LIKE '%in%' AND note <> '?;:x --'",
        "t.note = 'mine'",
        pytest.param(
            "CASE WHEN note = 'mine' THEN 1 ELSE 0 END",
            marks=pytest.mark.only_on("sqlite", "mariadb"),  # PostgreSQL wants a boolean
        ),
        "id + 0 < 2",
    ],
)
async def test_the_condition_is_any_expression(opened: Open, condition: str) -> None:
    rows = [
        {**row, "note": note}
        for row, note in zip(rows_of("pending", "pending"), ("mine", "x"), strict=True)
    ]
    it = await opened(*rows, orders=mapped(where=condition))
    assert [c.row_id for c in await open_rows(it.store)] == [1]
    await ingest(it.store, said("v1"), said("v2"))
    assert [row["status"] for row in it.bench.rows()] == ["completed", "pending"]


@pytest.mark.parametrize(
    "condition",
    [
        "no_such = 1",
        "note = ?",
        "note = ?1",
        "note = :day",
        "1; DROP TABLE trades",
        "1; --",
        "1) --",
        "note =",
        "",
        "count(*) > 0",
        "1) OR (1",
    ],
)
async def test_what_is_no_condition_is_refused_at_the_start(opened: Open, condition: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await opened(orders=mapped(where=condition or " "))
    assert caught.value.where == "ordersync.toml: orders.where"
    assert caught.value.mend


# --- accounts ---------------------------------------------------------------------------------


async def test_a_column_tells_which_account_a_row_belongs_to(opened: Open) -> None:
    orders = mapped(
        account=AccountColumn(column="exchange", values={"cb": "main", "c'b": "main", "alp": "p"})
    )
    rows = [
        {**row, "exchange": exchange, "created_at": "2026-03-01 11:00:00"}
        for row, exchange in zip(
            rows_of(*["pending"] * 5), ("cb", "alp", "c'b", None, "other"), strict=True
        )
    ]
    it = await opened(*rows, orders=orders)
    assert [c.row_id for c in await open_rows(it.store, "main")] == [1, 3]
    assert [c.row_id for c in await open_rows(it.store, "p")] == [2]
    assert await open_rows(it.store, "nobody") == []
    await ingest(it.store, *(said(f"v{n}") for n in range(1, 6)))
    words = [row["status"] for row in it.bench.rows()]
    assert words == ["completed", "pending", "completed", "pending", "pending"]
    assert await it.store.list_witnesses("p", 5) == ["v2"]


async def test_two_accounts_may_know_one_id(opened: Open) -> None:
    orders = mapped(account=AccountColumn(column="exchange", values={"cb": "main", "alp": "p"}))
    rows: list[Row] = [
        {"id": n, "order_id": "v1", "status": "pending", "exchange": exchange}
        for n, exchange in ((1, "cb"), (2, "alp"))
    ]
    it = await opened(*rows, table=Table(columns=TRADES.columns), orders=orders)
    await ingest(it.store, said("v1", Status.FILLED), account="main")
    await ingest(it.store, said("v1", Status.CANCELED), account="p")
    assert [row["status"] for row in it.bench.rows()] == ["completed", "failed"]


async def test_a_row_that_moved_to_another_account_is_lost(opened: Open) -> None:
    orders = mapped(account=AccountColumn(column="exchange", values={"cb": "main", "alp": "p"}))
    it = await opened({**rows_of("pending")[0], "exchange": "cb"}, orders=orders)
    (known,) = await read(it.store, said("v1"))
    it.bench.write(1, exchange="alp")
    (outcome,) = await it.store.advance(ACCOUNT, [step(known, merge(None, said("v1")))])
    assert (outcome.result, outcome.claims) == (Result.LOST, ())
    assert it.row()["status"] == "pending"


# --- keys and names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["a", "00123", "123", "9" * 30, "it's", 'a"b', "ключ", "\U0001f600", "null", "1.0", ""]
)
async def test_a_key_may_be_any_text(opened: Open, key: str) -> None:
    it = await opened(
        {"id": key, "order_id": "v1", "status": "pending"},
        {"id": "other", "order_id": "v2", "status": "pending"},
        table=TRADES.but(id=Kind.TEXT_KEY),
    )
    outcome = await ingest_one(it.store, said("v1"))
    assert outcome.result is Result.WON
    assert (it.row(key)["status"], it.row("other")["status"]) == ("completed", "pending")
    assert it.bench.ours().truths == [("v:v1", 1, key)]
    await again(it.store, said("v1"))


@pytest.mark.parametrize("key", [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)])
async def test_a_key_may_be_any_whole_number(opened: Open, key: int) -> None:
    it = await opened({"id": key, "order_id": "v1", "status": "pending"})
    assert (await ingest_one(it.store, said("v1"))).result is Result.WON
    assert it.row(key)["status"] == "completed"
    await again(it.store, said("v1"))


@pytest.mark.parametrize(
    "table", ["my trades", 'tr"ades', "Order", "select", "trades.2026", "Träde", "t", "j", "x'y"]
)
async def test_tables_and_columns_may_have_any_name(opened: Open, table: str) -> None:
    names = {
        "id": f"key of {table}",
        "venue_order_id": "Order ID",
        "client_order_id": 'client"id',
        "status": "status",
        "symbol": "group",
        "created_at": "Created At",
        "filled_at": "filled'at",
        "filled_qty": "order",
        "avg_price": "avg.price",
        "fee": "Gebühr",
        "reason": "[why]",
        "owner": "select",
    }
    kinds = [
        Kind.KEY,
        *[Kind.TEXT] * 4,
        Kind.TIME,
        Kind.TIME,
        *[Kind.FLOAT] * 3,
        Kind.TEXT,
        Kind.TEXT,
    ]
    made = Table(name=table, columns=dict(zip(names.values(), kinds, strict=True)))
    row = {names["id"]: 1, "Order ID": None, 'client"id': "c1", "status": "pending"}
    it = await opened(row, table=made, orders=mapped(table=table, **names))
    assert len(await open_rows(it.store)) == 1
    await it.store.list_finished(ACCOUNT, NOON)
    report = said(
        "v1",
        Status.CANCELED,
        "1",
        client_order_id="c1",
        avg_price="2",
        fee="3",
        reason="off",
        last_fill_at=NOON,
    )
    await ingest_one(it.store, report)
    found = it.row()
    assert (found["status"], found["Order ID"], found["order"]) == ("completed", "v1", 1.0)
    assert (found["avg.price"], found["Gebühr"], found["[why]"]) == (2.0, 3.0, "off")
    await again(it.store, report)
    assert await it.store.findings()
    views = it.bench.views(it.orders)
    (match,) = await views.find("v1")
    assert [e.kind.value for e in await views.history(match)] == ["changed"]
    assert await views.count_words() == {"completed": 1}
