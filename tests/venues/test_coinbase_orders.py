"""One order on Coinbase's wire becomes a Sighting that says what it says, or a Silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ordersync.truth.evidence import LONGEST_NAME, Sighting, Silence
from ordersync.truth.merge import merge, objection
from ordersync.truth.model import Report, Status
from ordersync.venues.coinbase import parse
from tests.venues.payloads import FOLDER, but, text

ASKED = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOME = "8e1a3b3c-95c2-4b42-9d40-3a9b5b7d7a10"
ELSEWHERE = "11111111-95c2-4b42-9d40-3a9b5b7d7a10"


def read(raw: bytes, portfolio: str | None = HOME) -> Sighting | Silence:
    return parse.parse_order(raw, "batch", ASKED, portfolio)


def sighted(raw: bytes) -> Report:
    found = read(raw)
    assert isinstance(found, Sighting), found
    assert found.endpoint == "batch"
    assert found.report.as_of == ASKED
    return found.report


def silent(raw: bytes, portfolio: str | None = HOME) -> Silence:
    found = read(raw, portfolio)
    assert isinstance(found, Silence), found
    assert found.endpoint == "batch"
    return found


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("pending", Status.PENDING_NEW, "PENDING"),
        ("queued", Status.ACCEPTED, "QUEUED"),
        ("open", Status.NEW, "OPEN"),
        ("open_partly_filled", Status.NEW, "OPEN"),
        ("edit_queued", Status.PENDING_REPLACE, "EDIT_QUEUED"),
        ("cancel_queued", Status.PENDING_CANCEL, "CANCEL_QUEUED"),
        ("filled", Status.FILLED, "FILLED"),
        ("filled_quote_sized", Status.FILLED, "FILLED"),
        ("canceled", Status.CANCELED, "CANCELLED"),
        ("canceled_with_fills", Status.CANCELED, "CANCELLED"),
        ("expired", Status.EXPIRED, "EXPIRED"),
        ("failed", Status.REJECTED, "FAILED"),
        ("retail_simple", Status.FILLED, "FILLED"),
    ],
)
def test_every_documented_status_has_its_meaning(name: str, status: Status, word: str) -> None:
    report = sighted(text(name))
    assert (report.status, report.venue_status) == (status, word)


def test_a_filled_order_says_everything_exactly() -> None:
    assert sighted(text("filled")) == Report(
        as_of=ASKED,
        venue_order_id="5b2a9c1e-0f3d-4a57-8a5e-1c7a0e6b9d08",
        client_order_id="bot-7-000123",
        symbol="BTC-USD",
        side="buy",
        status=Status.FILLED,
        venue_status="FILLED",
        filled_qty=Decimal("0.01"),
        avg_price=Decimal("62999.87654321"),
        fee=Decimal("2.5199950617"),
        settled=True,
        quantity=Decimal("0.01"),
        created_at=datetime(2026, 11, 20, 9, 15, 2, 123456, UTC),
        changed_at=datetime(2026, 11, 20, 9, 20, 1, tzinfo=UTC),
        last_fill_at=datetime(2026, 11, 20, 9, 20, 0, 500000, UTC),
    )


def test_a_partial_fill_is_an_open_order_with_fills() -> None:
    order = merge(None, sighted(text("open_partly_filled")))
    assert order.status is Status.PARTIALLY_FILLED
    assert (order.filled_qty, order.leaves_qty) == (Decimal("0.004"), Decimal("0.006"))


def test_the_raw_text_is_kept_as_evidence() -> None:
    found = read(text("filled"))
    assert isinstance(found, Sighting)
    assert msgspec.json.decode(found.raw)["filled_value"] == "629.9987654321"


def test_empty_numbers_are_absent_and_not_zero() -> None:
    report = sighted(text("failed"))
    assert (report.filled_qty, report.avg_price, report.fee) == (None, None, None)


def test_a_price_of_zero_without_fills_is_no_price() -> None:
    report = sighted(text("open"))
    assert (report.filled_qty, report.avg_price) == (Decimal(0), None)


def test_an_average_price_of_zero_with_fills_is_no_price_either() -> None:
    assert sighted(but("filled", average_filled_price="0")).avg_price is None


def test_a_fee_not_said_yet_is_absent() -> None:
    report = sighted(text("filled_unsettled"))
    assert (report.fee, report.settled) == (None, False)


@pytest.mark.parametrize("name", ["open", "open_partly_filled", "cancel_queued"])
def test_an_open_order_says_nothing_of_settlement(name: str) -> None:
    assert sighted(text(name)).settled is None


@pytest.mark.parametrize("name", ["canceled", "expired", "failed"])
def test_an_end_without_fills_has_nothing_to_settle(name: str) -> None:
    assert sighted(text(name)).settled is None


@pytest.mark.parametrize("name", ["filled_quote_sized", "retail_simple"])
def test_an_order_sized_in_quote_has_no_quantity(name: str) -> None:
    report = sighted(text(name))
    assert report.quantity is None
    assert objection(None, report, ASKED) is None


def test_a_base_size_in_an_order_sized_in_quote_is_not_believed() -> None:
    terms = {"market_market_ioc": {"quote_size": "250", "base_size": "0.001"}}
    assert sighted(but("filled_quote_sized", order_configuration=terms)).quantity is None


@pytest.mark.parametrize(
    "terms",
    [
        None,
        {},
        {"a_kind_of_tomorrow": {}},
        {"limit_limit_gtc": {"base_size": ""}},
        {"market_market_ioc": {"quote_size": "250", "base_size": "0"}},
        {"x": None},
    ],
    ids=str,
)
def test_an_order_without_a_readable_size_has_no_quantity(terms: object) -> None:
    assert sighted(but("open", order_configuration=terms)).quantity is None


@pytest.mark.parametrize("name", ["market_market_fok", "stop_limit_stop_limit_gtd", "of_tomorrow"])
def test_the_size_is_found_in_any_kind_of_configuration(name: str) -> None:
    raw = but("open", order_configuration={name: {"base_size": "7.5", "limit_price": "1"}})
    assert sighted(raw).quantity == Decimal("7.5")


@pytest.mark.parametrize("nothing", [None, "", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00"])
@pytest.mark.parametrize("field", ["created_time", "last_update_time", "last_fill_time"])
def test_a_time_that_does_not_apply_is_absent(field: str, nothing: str | None) -> None:
    report = sighted(but("filled", **{field: nothing}))
    times = {
        "created_time": report.created_at,
        "last_update_time": report.changed_at,
        "last_fill_time": report.last_fill_at,
    }
    assert times[field] is None


def test_nanoseconds_are_cut_to_what_can_be_held() -> None:
    report = sighted(text("open_partly_filled"))
    assert report.last_fill_at == datetime(2026, 11, 20, 9, 17, 44, 123456, UTC)


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    report = sighted(but("filled", last_fill_time="2026-11-20T14:50:00.5+05:30"))
    assert report.last_fill_at == datetime(2026, 11, 20, 9, 20, 0, 500000, UTC)
    assert str(report.last_fill_at).endswith("+00:00")


def test_a_time_of_the_last_fill_without_fills_is_not_taken() -> None:
    assert sighted(but("open", last_fill_time="2026-11-20T09:20:00Z")).last_fill_at is None


def test_a_pending_cancel_is_said_by_a_flag_too() -> None:
    assert sighted(but("open", pending_cancel=True)).status is Status.PENDING_CANCEL
    assert sighted(but("filled", pending_cancel=True)).status is Status.FILLED


def test_reasons_are_the_venues_words_where_it_has_any() -> None:
    assert sighted(text("failed")).reason == "Insufficient balance in source account"
    assert sighted(but("failed", reject_message="")).reason == "INSUFFICIENT_FUND"
    assert sighted(text("failed_without_message")).reason is None
    assert sighted(text("canceled")).reason == "User requested cancel"
    assert sighted(text("expired")).reason is None
    assert sighted(but("filled", cancel_message="late")).reason is None
    assert sighted(but("cancel_queued", cancel_message="soon")).reason is None


def test_an_empty_client_id_is_none() -> None:
    assert sighted(text("failed")).client_order_id is None


def test_unknown_fields_are_for_tomorrow() -> None:
    assert sighted(but("open", a_field_of_tomorrow={"nobody": ["knows"]})).status is Status.NEW


def test_numbers_may_come_as_numbers() -> None:
    assert sighted(but("open", filled_size=0, total_fees=0.5)).fee == Decimal("0.5")


# --- what cannot be read or believed is Silence, with the raw text -------------------------------

SPOILED: list[tuple[str, bytes]] = [
    ("unknown status word", but("open", status="SETTLING")),
    ("status in another case", but("open", status="open")),
    ("empty status", but("open", status="")),
    ("no status", but("open", "status")),
    ("null status", but("open", status=None)),
    ("status of a wrong type", but("open", status=7)),
    ("no filled_size", but("open", "filled_size")),
    ("NaN", but("filled", filled_size="NaN")),
    ("infinity", but("filled", filled_size="Infinity")),
    ("a signalling NaN", but("filled", total_fees="sNaN")),
    ("a word for a number", but("filled", average_filled_price="none")),
    ("a number of a wrong type", but("filled", filled_size={"value": [1, None]})),
    ("true for a number", but("filled", filled_size=True)),
    ("filled without a size", but("filled", filled_size="")),
    ("filled with nothing", but("filled", filled_size="0")),
    ("no time", but("filled", last_fill_time="yesterday")),
    ("a time without a zone", but("filled", last_fill_time="2026-11-20T09:20:00")),
    ("a time at the calendar's end", but("filled", created_time="9999-12-31T23:59:59Z")),
    ("a time beyond the calendar", but("filled", last_fill_time="9999-12-31T23:59:59-05:00")),
    ("a time in month 13", but("filled", created_time="2026-13-20T09:20:00Z")),
    ("a flag of a wrong type", but("filled", settled="yes")),
    ("another portfolio", but("filled", retail_portfolio_id=ELSEWHERE)),
]


@pytest.mark.parametrize("raw", [raw for _, raw in SPOILED], ids=[name for name, _ in SPOILED])
def test_an_order_that_cannot_be_believed_is_silence_about_that_order(raw: bytes) -> None:
    silence = silent(raw)
    assert silence.garbled
    assert silence.raw == raw.decode()
    assert silence.orders == (msgspec.json.decode(raw)["order_id"],)


@pytest.mark.parametrize("order_id", ["", None, 7, {"a": 1}])
def test_an_order_without_a_name_is_silence_about_nobody(order_id: Any) -> None:  # noqa: ANN401
    silence = silent(but("open", order_id=order_id))
    assert silence.garbled
    assert not any(silence.orders)


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"7", b"[]", b'"order"', b"{", b'{"order_id": "\xff"}', b"{}", b"[" * 100_000],
    ids=lambda raw: repr(raw[:20]),
)
def test_what_is_no_order_is_silence(raw: bytes) -> None:
    assert silent(raw).orders == ()


def test_an_order_nested_beyond_reason_is_silence() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    raw = text("open").replace(b'"edit_history": []', b'"edit_history": ' + deep)
    assert silent(raw).garbled


@pytest.mark.parametrize("field", ["order_id", "client_order_id", "product_id"])
def test_a_name_that_no_key_could_hold_is_silence(field: str) -> None:
    sighted(but("open", **{field: "x" * LONGEST_NAME}))
    silence = silent(but("open", **{field: "x" * (LONGEST_NAME + 1)}))
    assert silence.garbled
    assert len(silence.orders) == (field != "order_id")


def test_no_information_is_silence_but_not_garbled() -> None:
    silence = silent(text("no_information"))
    assert not silence.garbled
    assert silence.orders == ("5b2a9c1e-0f3d-4a57-8a5e-1c7a0e6b9d17",)


def test_a_portfolio_is_only_compared_where_both_are_known() -> None:
    stranger = but("filled", retail_portfolio_id=ELSEWHERE)
    assert isinstance(read(stranger, None), Sighting)
    for nobody in ("", None):
        assert isinstance(read(but("filled", retail_portfolio_id=nobody)), Sighting)


@pytest.mark.parametrize("field", ["filled_size", "total_fees", "average_filled_price"])
def test_a_number_beyond_reason_is_read_but_never_merged(field: str) -> None:
    for huge in ("1" + "0" * 400, "1e999999", "1e31"):
        report = sighted(but("filled", **{field: huge}))
        assert objection(None, report, ASKED)


@pytest.mark.parametrize("field", ["created_time", "last_update_time", "last_fill_time"])
def test_a_time_in_the_future_is_read_but_never_merged(field: str) -> None:
    just = (ASKED + timedelta(minutes=6)).isoformat()
    for future in ("2999-12-31T23:59:59.999999Z", just):
        assert objection(None, sighted(but("filled", **{field: future})), ASKED)
    soon = (ASKED + timedelta(minutes=4)).isoformat()
    assert objection(None, sighted(but("filled", **{field: soon})), ASKED) is None


def test_more_filled_than_the_order_is_large_is_read_but_never_merged() -> None:
    assert objection(None, sighted(but("filled", filled_size="0.02")), ASKED)


def test_every_payload_of_an_order_is_read_one_way_or_the_other() -> None:
    orders = [
        path
        for path in FOLDER.glob("*.json")
        if "order_id" in msgspec.json.decode(path.read_bytes())
    ]
    assert len(orders) == 16
    for path in orders:
        assert read(path.read_bytes()).endpoint == "batch"


# --- pages, permissions, the time ----------------------------------------------------------------


def test_a_page_keeps_each_order_apart() -> None:
    page = parse.PAGE.decode(text("page"))
    assert [sighted(bytes(raw)).status for raw in page.orders] == [Status.NEW, Status.NEW]
    assert page.next_cursor == "MXwyMDI2"


def test_a_page_that_is_the_last_has_no_next_cursor() -> None:
    assert parse.PAGE.decode(but("page", has_next=False)).next_cursor is None
    assert parse.PAGE.decode(but("page", cursor="")).next_cursor is None
    assert parse.PAGE.decode(but("page", cursor=None)).next_cursor is None


@pytest.mark.parametrize("without", ["has_next", "orders"])
def test_a_page_that_does_not_say_whether_it_is_the_last_is_none(without: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        parse.PAGE.decode(but("page", without))


@pytest.mark.parametrize("field", ["can_view", "can_trade", "can_transfer", "portfolio_uuid"])
def test_permissions_that_lack_a_field_are_none(field: str) -> None:
    said: dict[str, Any] = {
        "can_view": True,
        "can_trade": False,
        "can_transfer": False,
        "portfolio_uuid": HOME,
    }
    assert parse.PERMISSIONS.decode(msgspec.json.encode(said)).portfolio_uuid == HOME
    del said[field]
    with pytest.raises(msgspec.ValidationError):
        parse.PERMISSIONS.decode(msgspec.json.encode(said))


# --- not found -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["not_found", "not_found_older"])
def test_both_spellings_of_not_found_are_the_venues_own_word(name: str) -> None:
    assert parse.says_not_found(text(name))


@pytest.mark.parametrize(
    "body",
    [
        text("proxy_404"),
        text("no_such_method"),
        b"",
        b"null",
        b"[]",
        b"404 page not found",
        b"{}",
        b'{"message": "no Route matched with those values"}',
        b'{"message": "order with this orderID was not found"}',
        b'{"error": "unknown", "message": "account was not found"}',
        b'{"error": "unknown", "message": "try another order of parameters"}',
        b'{"error": null}',
        b'{"error": {"code": "NOT_FOUND"}}',
        b'"NOT_FOUND"',
        b"\xff\xfe",
        b'{"error": "unknown", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_any_other_404_is_not(body: bytes) -> None:
    assert not parse.says_not_found(body)


# --- fills ---------------------------------------------------------------------------------------


def fills(raw: bytes) -> list[parse.Fill]:
    return parse.FILLS.decode(raw).fills


def fills_but(**other: str | bool) -> list[parse.Fill]:
    """Two fills, with other values in the second."""
    listed = msgspec.json.decode(text("fills"))
    listed["fills"][1].update(other)
    return fills(msgspec.json.encode(listed))


def test_fills_are_a_report_without_a_standing() -> None:
    listed = parse.parse_fills(fills(text("fills")), "fills", ASKED)
    assert isinstance(listed, list)
    (found,) = listed
    report = found.report
    assert (report.status, report.venue_status, report.settled) == (None, "", None)
    assert report.filled_qty == Decimal("0.004")
    assert report.fee == Decimal("1.008002")
    assert report.avg_price == Decimal("63000.125")
    assert report.last_fill_at == datetime(2026, 11, 20, 9, 17, 44, 123456, UTC)
    assert report.as_of == ASKED


def test_a_fill_sized_in_quote_counts_in_base_and_never_too_much() -> None:
    listed = parse.parse_fills(fills(text("fills_in_quote")), "fills", ASKED)
    assert isinstance(listed, list)
    report = listed[0].report
    assert report.filled_qty == Decimal("0.002")
    # A quantity that does not divide is rounded down: a listing is a lower bound.
    cut = parse.parse_fills(fills_but(size="100", price="3", size_in_quote=True), "fills", ASKED)
    assert isinstance(cut, list)
    qty = cut[0].report.filled_qty
    assert qty == Decimal("33.3333333333") + Decimal("0.003")


def test_fills_of_several_orders_are_kept_apart() -> None:
    both = parse.parse_fills(fills_but(order_id="another"), "fills", ASKED)
    assert isinstance(both, list)
    said = {s.report.venue_order_id: s.report.filled_qty for s in both}
    assert said == {
        "5b2a9c1e-0f3d-4a57-8a5e-1c7a0e6b9d03": Decimal("0.003"),
        "another": Decimal("0.001"),
    }


def test_a_fill_that_is_listed_twice_counts_once() -> None:
    """Pages shift while they are turned; then one fill is on two of them."""
    twice = fills(text("fills")) + fills(text("fills"))[:1]
    listed = parse.parse_fills(twice, "fills", ASKED)
    assert isinstance(listed, list)
    assert listed[0].report.filled_qty == Decimal("0.004")


@pytest.mark.parametrize(
    "other",
    [
        {"trade_type": "REVERSAL"},
        {"trade_type": "CORRECTION"},
        {"trade_type": "SYNTHETIC"},
        {"price": ""},
        {"size": ""},
        {"price": "NaN"},
        {"size": "x"},
        {"commission": "NaN"},
        {"price": "0", "size_in_quote": True},
        {"trade_time": "noon"},
        {"price": "1e999999", "size": "1e999999"},
        {"price": "1e-999999", "size": "1e999999", "size_in_quote": True},
    ],
    ids=str,
)
def test_fills_that_cannot_be_added_up_are_unusable(other: dict[str, str]) -> None:
    found = parse.parse_fills(fills_but(**other), "fills", ASKED)
    assert not isinstance(found, list), found
    assert found.why


def test_a_recorded_reversal_makes_the_listing_unusable() -> None:
    found = parse.parse_fills(fills(text("fills_with_a_reversal")), "fills", ASKED)
    assert not isinstance(found, list)
    assert "REVERSAL" in found.why


def test_no_fills_are_no_reports() -> None:
    assert parse.parse_fills([], "fills", ASKED) == []
