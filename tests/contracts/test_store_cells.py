"""The contract of OrderStore: numbers, times and texts, each through its column's own type."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ordersync.ports import Result
from ordersync.truth.model import Status
from tests.contracts.bench import (
    ACCOUNT,
    NOON,
    PAUSE,
    TRADES,
    HandClock,
    Kind,
    again,
    ingest,
    ingest_one,
    mapped,
    open_rows,
    said,
)

if TYPE_CHECKING:
    from tests.contracts.bench import Bench, Row
    from tests.contracts.conftest import Open

PENDING: Row = {"id": 1, "order_id": "v1", "client_id": "c1", "status": "pending"}
NUMBERS = ("filled_size", "avg_price", "fee")


# --- numbers ----------------------------------------------------------------------------------

_amounts = st.decimals(
    min_value=0, max_value=10**15, allow_nan=False, allow_infinity=False, places=None
) | st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(min_value=0, max_value=10**20),
    st.integers(min_value=-18, max_value=4),
)
_triples = st.tuples(_amounts.filter(lambda d: d > 0), _amounts, _amounts)

ANY_CELL = pytest.mark.only_on("sqlite")
"""Columns of servers hold what their type says, and nothing else."""

_HYPOTHESIS = settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def second_pass_writes_nothing(bench: Bench, kind: Kind, many: list[Any]) -> None:
    """Fill a fresh table from these truths, and again, and look whether the second wrote."""
    bench.drop_all()
    table = TRADES.but(**dict.fromkeys(NUMBERS, kind))
    bench.create(table)
    bench.insert(*({"id": n, "order_id": f"v{n}", "status": "pending"} for n in range(len(many))))
    store = bench.store(mapped(), HandClock(), pause=PAUSE)
    await store.open(create=True)
    try:
        reports = [
            said(f"v{n}", Status.FILLED, str(qty), avg_price=price, fee=fee)
            for n, (qty, price, fee) in enumerate(many)
        ]
        first = await ingest(store, *reports)
        assert {o.result for o in first} == {Result.WON}
        watch = bench.watch()
        later = await ingest(store, *reports)
        assert {o.result for o in later} == {Result.UNCHANGED}
        assert not watch.was_written()
    finally:
        await store.close()


HARD = (
    "0.1",
    "1e-18",
    "12345678901234567890.123456789",
    "0.30000000000000004",
    "2.675",
    "9007199254740993",
    "1e29",
    "179769313486231570000",
    "4.35",
    "0.000000015",
    "1E+15",
    "5E-324",
)


@pytest.mark.parametrize(
    "kind", [Kind.FLOAT, Kind.DECIMAL, Kind.TEXT, pytest.param(Kind.WHOLE, marks=ANY_CELL)]
)
@_HYPOTHESIS
@given(many=st.lists(_triples, min_size=1, max_size=60))
@example(many=[(Decimal(t), Decimal(t), Decimal(t)) for t in HARD])
async def test_a_number_once_written_is_not_written_again(
    bench: Bench, kind: Kind, many: list[Any]
) -> None:
    await second_pass_writes_nothing(bench, kind, many)


async def test_a_float_column_holds_the_nearest_float(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.FILLED, "0.3", avg_price="64123.45", fee="1E-8"))
    row = it.row()
    assert (row["filled_size"], row["avg_price"], row["fee"]) == (0.3, 64123.45, 1e-08)


async def test_a_text_column_holds_every_digit_and_no_exponent(opened: Open) -> None:
    it = await opened(PENDING, table=TRADES.but(**dict.fromkeys(NUMBERS, Kind.TEXT)))
    qty = "12345678901234567890.000000000000000001"
    await ingest_one(it.store, said("v1", Status.FILLED, qty, avg_price="1E-10", fee="2E+3"))
    row = it.row()
    assert [row[n] for n in NUMBERS] == [qty, "0.0000000001", "2000"]


async def test_a_text_number_that_is_equal_is_left_as_the_bot_spelled_it(opened: Open) -> None:
    cells = {"filled_size": "2.50", "avg_price": " 1e1 ", "fee": "0.10", "status": "completed"}
    table = TRADES.but(**dict.fromkeys(NUMBERS, Kind.TEXT))
    it = await opened({**PENDING, **cells}, table=table)
    await ingest_one(it.store, said("v1", Status.FILLED, "2.5", avg_price="10", fee="0.1"))
    assert {name: it.row()[name] for name in cells} == cells


async def test_a_decimal_column_gets_the_digits_that_it_declares(opened: Open) -> None:
    it = await opened(PENDING, table=TRADES.but(**dict.fromkeys(NUMBERS, Kind.DECIMAL)))
    report = said("v1", Status.FILLED, "1", avg_price="0.123456789", fee="100000000000")
    await ingest_one(it.store, report)
    assert it.row()["avg_price"] == 0.12345679
    await again(it.store, report)


@pytest.mark.parametrize("junk", ["abc", "", "NaN", "inf"])
async def test_a_cell_that_is_no_number_is_replaced(opened: Open, junk: str) -> None:
    it = await opened({**PENDING, "filled_size": junk}, table=TRADES.but(filled_size=Kind.TEXT))
    await ingest_one(it.store, said("v1", Status.FILLED, "1"))
    assert it.row()["filled_size"] == "1"


async def test_an_empty_cell_says_nothing_filled_already(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.CANCELED, "0", fee="0", avg_price="0"))
    row = it.row()
    assert [row[n] for n in NUMBERS] == [None, None, None]


async def test_what_the_venue_did_not_say_never_replaces_what_is_there(opened: Open) -> None:
    cells = {"filled_size": 3.0, "avg_price": 4.0, "fee": 5.0, "reason": "mine"}
    it = await opened({**PENDING, **cells, "filled_at": "2026-01-01 00:00:00"})
    await ingest_one(it.store, said("v1", Status.CANCELED))
    assert {name: it.row()[name] for name in cells} == cells
    assert it.row()["filled_at"].startswith("2026-01-01 00:00:00")


async def test_a_price_of_fewer_fills_than_are_known_is_not_written(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.NEW, "1", avg_price="10", fee="0.1"))
    await ingest_one(it.store, said("v1", Status.FILLED, "2"))
    row = it.row()
    assert (row["filled_size"], row["avg_price"], row["fee"]) == (2.0, 10.0, 0.1)
    it.bench.write(1, avg_price=None, fee=None)
    await ingest_one(it.store, said("v1", Status.FILLED, "2"))
    assert it.row()["avg_price"] is None


# --- times ------------------------------------------------------------------------------------

FILLED_AT = datetime(2026, 3, 1, 11, 30, 15, 123456, tzinfo=UTC)
FILL = said("v1", Status.FILLED, "1", last_fill_at=FILLED_AT)

SPELLINGS: list[tuple[str, Kind, object, object]] = [
    ("naive", Kind.TIME, "2026-03-01 09:00:00.000001", "2026-03-01 11:30:15.123456"),
    ("naive without fraction", Kind.TEXT, "2026-03-01 09:00:00", "2026-03-01 11:30:15"),
    ("driver's own", Kind.TIME, "2026-03-01 09:00:00", "2026-03-01 11:30:15.123456"),
    ("with T", Kind.TEXT, "2026-03-01T09:00:00", "2026-03-01T11:30:15"),
    ("with Z and ms", Kind.TEXT, "2026-03-01T09:00:00.123Z", "2026-03-01T11:30:15.123Z"),
    ("with an offset", Kind.TEXT, "2026-03-01T09:00:00+02:00", "2026-03-01T11:30:15+00:00"),
    ("nanoseconds", Kind.TEXT, "2026-03-01T09:00:00.123456789Z", "2026-03-01T11:30:15.123456Z"),
    ("seconds", Kind.WHOLE, 1772355600, 1772364615),
    ("milliseconds", Kind.WHOLE, 1772355600000, 1772364615123),
    ("microseconds", Kind.WHOLE, 1772355600000000, 1772364615123456),
    ("float seconds", Kind.FLOAT, 1772355600.5, 1772364615.123456),
]


@pytest.mark.parametrize(
    ("kind", "created", "expected"), [s[1:] for s in SPELLINGS], ids=[s[0] for s in SPELLINGS]
)
async def test_a_time_is_written_as_its_siblings_are_spelled(
    opened: Open, kind: Kind, created: object, expected: object
) -> None:
    table = TRADES.but(created_at=kind, filled_at=kind)
    it = await opened({**PENDING, "created_at": created}, table=table)
    await ingest_one(it.store, FILL)
    assert it.row()["filled_at"] == expected
    await again(it.store, FILL)


@pytest.mark.parametrize(
    ("kind", "created", "expected"), [s[1:] for s in SPELLINGS], ids=[s[0] for s in SPELLINGS]
)
async def test_a_table_that_was_empty_at_the_start_is_written_as_its_first_rows_are(
    opened: Open, kind: Kind, created: object, expected: object
) -> None:
    it = await opened(table=TRADES.but(created_at=kind, filled_at=kind))
    it.bench.insert({**PENDING, "created_at": created})
    await ingest_one(it.store, FILL)
    assert it.row()["filled_at"] == expected


@pytest.mark.parametrize(
    ("kind", "created"), [s[1:3] for s in SPELLINGS], ids=[s[0] for s in SPELLINGS]
)
async def test_a_time_once_written_is_not_written_again_while_the_bot_undoes_the_word(
    opened: Open, kind: Kind, created: object
) -> None:
    it = await opened(
        {**PENDING, "created_at": created}, table=TRADES.but(created_at=kind, filled_at=kind)
    )
    await ingest_one(it.store, FILL)
    before = it.row()
    it.bench.write(1, status="pending")
    outcome = await ingest_one(it.store, FILL)
    assert outcome.result is Result.WON
    assert it.row() == before


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", "2026-03-01 11:30:15.123456"),
        ("Europe/Berlin", "2026-03-01 12:30:15.123456"),
        ("Asia/Kolkata", "2026-03-01 17:00:15.123456"),
    ],
)
async def test_a_naive_time_is_written_in_the_mapped_zone(
    opened: Open, zone: str, expected: str
) -> None:
    it = await opened(
        {**PENDING, "created_at": "2026-03-01 09:00:00"}, orders=mapped(timezone=zone)
    )
    await ingest_one(it.store, FILL)
    assert it.row()["filled_at"] == expected
    it.bench.write(1, status="pending")
    await ingest_one(it.store, FILL)
    assert it.row()["filled_at"] == expected


async def test_a_naive_time_is_read_in_the_mapped_zone_and_an_aware_one_as_it_says(
    opened: Open,
) -> None:
    times = ["2026-07-01 12:00:00", "2026-07-01T12:00:00Z", "2026-07-01T12:00:00-04:00"]
    it = await opened(
        *({"id": n, "status": "pending", "created_at": t} for n, t in enumerate(times)),
        table=TRADES.but(created_at=Kind.TEXT),
        orders=mapped(timezone="Europe/Berlin"),
    )
    claims = {c.row_id: c.created_at for c in await open_rows(it.store)}
    day = datetime(2026, 7, 1, tzinfo=UTC)
    assert claims == {
        0: day + timedelta(hours=10),
        1: day + timedelta(hours=12),
        2: day + timedelta(hours=16),
    }


@pytest.mark.parametrize(
    "junk",
    [
        "9999-12-31T23:59:59-05:00",
        "0001-01-01 00:00:00",
        "0001-01-01T00:00:00+14:00",
        "yesterday",
        "",
        "2026-13-45 99:99:99",
        -1,
        0,
        2**62,
        float("inf"),
        1e300,
        b"2026",
    ],
    ids=repr,
)
@ANY_CELL
async def test_a_cell_that_is_no_time_harms_nobody(opened: Open, junk: object) -> None:
    rows = [
        {**PENDING, "created_at": junk, "filled_at": junk},
        {**PENDING, "id": 2, "order_id": "v2", "status": "completed", "updated_at": junk},
    ]
    it = await opened(*rows, orders=mapped(updated_at="updated_at", timezone="Asia/Tokyo"))
    assert len(await open_rows(it.store)) == 1
    await it.store.list_finished(ACCOUNT, NOON - timedelta(days=1))
    outcome = await ingest_one(it.store, FILL)
    assert outcome.result is Result.WON, outcome
    assert it.row()["status"] == "completed"
    await again(it.store, FILL)


# --- filled_at --------------------------------------------------------------------------------


async def test_filled_at_is_the_venues_time_of_the_last_fill_and_only_of_an_ended_order(
    opened: Open,
) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.NEW, "0.5", last_fill_at=NOON))
    assert it.row()["filled_at"] is None
    await ingest_one(it.store, said("v1", Status.CANCELED, "0.5", last_fill_at=NOON))
    assert it.row()["filled_at"] == "2026-03-01 12:00:00.000000"


async def test_an_order_that_ended_without_fills_has_no_time_of_fill(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.CANCELED, "0", last_fill_at=NOON))
    assert it.row()["filled_at"] is None


async def test_the_bots_own_filled_at_is_left_where_its_word_was_true(opened: Open) -> None:
    own = "2026-03-01 11:00:00"
    it = await opened({**PENDING, "status": "completed", "filled_at": own})
    await ingest_one(it.store, FILL)
    assert it.row()["filled_at"].startswith(own)
    await again(it.store, FILL)


async def test_a_missing_filled_at_is_added_where_the_word_was_true(opened: Open) -> None:
    it = await opened({**PENDING, "status": "completed"})
    await ingest_one(it.store, FILL)
    assert it.row()["filled_at"] == "2026-03-01 11:30:15.123456"


@pytest.mark.parametrize(
    ("kind", "guess"),
    [
        (Kind.TIME, "2026-03-01 11:00:00"),
        (Kind.FLOAT, 1772364614.1234567),
        (Kind.FLOAT, 1772364615.7),
        (Kind.WHOLE, 1772364614),
    ],
)
async def test_a_guess_of_the_bots_is_replaced_where_its_word_was_untrue(
    opened: Open, kind: Kind, guess: object
) -> None:
    table = TRADES.but(filled_at=kind)
    it = await opened({**PENDING, "filled_at": guess}, table=table)
    outcome = await ingest_one(it.store, FILL)
    assert outcome.result is Result.WON, outcome.why
    assert it.row()["status"] == "completed"
    assert it.row()["filled_at"] not in {None, guess}
    await again(it.store, FILL)


async def test_float_times_of_every_size_are_no_obstacle(opened: Open) -> None:
    """A float's text in JSON is not always read back as the same float."""
    guesses = [1772364000 + n * 0.0137931 for n in range(400)]
    rows = [
        {"id": n, "order_id": f"v{n}", "status": "pending", "filled_at": guess}
        for n, guess in enumerate(guesses)
    ]
    it = await opened(*rows, table=TRADES.but(filled_at=Kind.FLOAT))
    reports = [
        said(f"v{n}", Status.FILLED, "1", last_fill_at=FILLED_AT) for n in range(len(guesses))
    ]
    outcomes = await ingest(it.store, *reports)
    assert {o.result for o in outcomes} == {Result.WON}


# --- reason, updated_at -----------------------------------------------------------------------


async def test_a_reason_is_cut_to_what_the_column_holds(opened: Open) -> None:
    it = await opened(PENDING, table=TRADES.but(reason=Kind.SHORT_TEXT))
    report = said("v1", Status.REJECTED, reason="Überziehung ✔ of your funds")
    await ingest_one(it.store, report)
    assert it.row()["reason"] == "Überziehun"
    await again(it.store, report)


@pytest.mark.parametrize(
    "reason", ['it\'s "off"', "a\0b", "\U0001f600", "line\nline", "null", "1", "{}", "\\u0041"]
)
async def test_a_reason_in_any_letters_is_written_once(opened: Open, reason: str) -> None:
    it = await opened(PENDING)
    report = said("v1", Status.CANCELED, "0", reason=reason)
    await ingest_one(it.store, report)
    assert it.row()["reason"] == reason.replace("\0", "")
    await again(it.store, report)


async def test_a_reason_is_only_told_of_an_order_that_ended(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.NEW, reason="cancel refused"))
    assert it.row()["reason"] is None


async def test_updated_at_is_written_with_something_else_and_never_alone(opened: Open) -> None:
    it = await opened(
        {**PENDING, "updated_at": "2026-03-01 01:00:00.000000"},
        orders=mapped(updated_at="updated_at"),
    )
    await ingest_one(it.store, said("v1", Status.NEW, "0"))
    assert it.row()["updated_at"] == "2026-03-01 01:00:00.000000"
    it.clock.forward(90)
    await ingest_one(it.store, said("v1", Status.NEW, "1"))
    assert it.row()["updated_at"] == "2026-03-01 12:01:30.000000"
    it.clock.forward(90)
    await again(it.store, said("v1", Status.NEW, "1"))
    assert it.row()["updated_at"] == "2026-03-01 12:01:30.000000"


async def test_only_mapped_columns_are_written(opened: Open) -> None:
    bare = dict.fromkeys(("filled_at", "filled_qty", "avg_price", "fee", "reason"))
    it = await opened(PENDING, orders=mapped(**bare))
    report = said("v1", Status.CANCELED, "1", avg_price="2", fee="3", reason="x", last_fill_at=NOON)
    await ingest_one(it.store, report)
    assert it.row() == {**dict.fromkeys(TRADES.columns), **PENDING, "status": "completed"}
    await again(it.store, report)
