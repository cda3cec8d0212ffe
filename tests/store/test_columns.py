"""How cells are read and written: the forms of times and numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersync.store.columns import (
    NumberForm,
    TimeForm,
    number_form,
    read_number,
    read_time,
    same_number,
    time_form,
    write_number,
    write_time,
)
from ordersync.store.shape import ColumnShape
from tests.contracts.bench import NOON

UTC_ZONE = ZoneInfo("UTC")
LAWS = settings(max_examples=300, deadline=None, database=None, derandomize=True)


def column(declared: str) -> ColumnShape:
    """A column of SQLite, where any column holds anything."""
    return ColumnShape(name="c", declared=declared, nullable=True)


FORMS = [
    TimeForm(),
    TimeForm("T", 6, "Z"),
    TimeForm("T", 3, "Z"),
    TimeForm(" ", 0, "+00:00"),
    TimeForm("T", 0, ""),
    TimeForm("", 0, "", 1.0, whole=True),
    TimeForm("", 0, "", 1e3, whole=True),
    TimeForm("", 0, "", 1e6, whole=True),
    TimeForm("", 0, "", 1e9, whole=True),
    TimeForm("", 0, "", 1.0),
]


# --- times ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "2026-03-01 12:00:00",
        "2026-03-01T12:00:00Z",
        "2026-03-01T13:00:00+01:00",
        " 2026-03-01T12:00:00.000 ",
        "2026-03-01T12:00:00.000000000Z",
        "2026-03-01 12:00",
        "20260301T120000Z",
        1772366400,
        1772366400.0,
        1772366400000,
        1772366400000000,
        1772366400000000000,
    ],
)
def test_a_time_is_read_in_every_spelling(cell: object) -> None:
    assert read_time(cell, UTC_ZONE) == NOON


EDGES = ["0001-01-01 00:00:00", "0001-12-31T23:00:00Z", "9999-12-31 23:59:59", -62135596800]


@pytest.mark.parametrize(
    "cell", [None, True, "", "soon", b"2026-03-01", [], 10**30, float("nan"), float("-inf"), *EDGES]
)
def test_what_is_no_time_reads_as_none(cell: object) -> None:
    assert read_time(cell, UTC_ZONE) is None


def test_a_naive_time_is_in_its_zone_also_in_summer() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert read_time("2026-03-01 13:00:00", berlin) == NOON
    assert read_time("2026-07-01 14:00:00", berlin) == NOON.replace(month=7)


@pytest.mark.parametrize("form", FORMS, ids=repr)
@LAWS
@given(
    moment=st.datetimes(
        min_value=datetime(1980, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        max_value=datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    )
)
def test_what_is_written_reads_as_the_same_time_as_far_as_the_form_can_tell(
    form: TimeForm, moment: datetime
) -> None:
    written = write_time(moment, form, UTC_ZONE)
    back = read_time(written, UTC_ZONE)
    assert back is not None
    resolution = timedelta(seconds=1 if form.unit == 1.0 and form.whole else 10**-form.digits)
    if form.unit:
        resolution = timedelta(seconds=1 / form.unit) if form.whole else timedelta()
    assert abs(back - moment) <= max(resolution, timedelta(microseconds=2))
    assert write_time(back, form, UTC_ZONE) == written or form.unit


@pytest.mark.parametrize(
    ("declared", "own", "siblings", "form"),
    [
        ("TEXT", ["2026-03-01T12:00:00.123Z"], [], TimeForm("T", 3, "Z")),
        ("TEXT", ["2026-03-01 12:00:00"], ["2026-03-01T12:00:00Z"], TimeForm(" ", 0, "")),
        ("TEXT", [], ["2026-03-01T12:00:00+02:00"], TimeForm("T", 0, "+00:00")),
        ("TEXT", ["soon", None], [], TimeForm("T", 6, "Z")),
        ("TEXT", [], [], TimeForm("T", 6, "Z")),
        ("DATETIME", [], [], TimeForm()),
        ("TIMESTAMP", ["2026-03-01 12:00:00"], [], TimeForm()),
        ("TIMESTAMP", ["2026-03-01T12:00:00Z"], [], TimeForm("T", 0, "Z")),
        ("TIMESTAMP", [1772366400], [], TimeForm("", 0, "", 1.0, whole=True)),
        ("INTEGER", [1772366400000], [], TimeForm("", 0, "", 1e3, whole=True)),
        ("REAL", [1772366400.5], [], TimeForm("", 0, "", 1.0)),
        (
            "TEXT",
            ["2026-03-01 12:00:00", "2026-03-01 12:00:00.5", "2026-03-01 12:00:00"],
            [],
            TimeForm(" ", 0, ""),
        ),
    ],
)
def test_the_form_of_a_time_is_that_of_its_cells_then_of_its_siblings_then_of_its_type(
    declared: str, own: list[object], siblings: list[object], form: TimeForm
) -> None:
    assert time_form(column(declared), own, siblings) == form


# --- numbers ----------------------------------------------------------------------------------

DECLARED = [
    ("REAL", NumberForm.FLOAT, None),
    ("DOUBLE PRECISION", NumberForm.FLOAT, None),
    ("INTEGER", NumberForm.FLOAT, None),
    ("NUMERIC(18, 8)", NumberForm.FLOAT, 8),
    ("decimal(10,0)", NumberForm.FLOAT, 0),
    ("NUMERIC", NumberForm.FLOAT, None),
    ("VARCHAR(20)", NumberForm.TEXT, None),
    ("TEXT", NumberForm.TEXT, None),
]


@pytest.mark.parametrize(("declared", "form", "scale"), DECLARED)
def test_the_form_of_a_number_follows_its_declared_type(
    declared: str, form: NumberForm, scale: int | None
) -> None:
    assert number_form(column(declared)) == (form, scale)


@pytest.mark.parametrize("cell", [None, True, "", "x", "NaN", "inf", float("inf"), b"1", "1,5"])
def test_what_is_no_number_reads_as_none_and_is_never_the_same(cell: object) -> None:
    assert read_number(cell) is None
    assert not any(same_number(cell, Decimal(1), form, None) for form in NumberForm)


@LAWS
@given(
    number=st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**30),
    form=st.sampled_from(NumberForm),
    scale=st.none() | st.integers(min_value=0, max_value=18),
)
def test_what_was_written_is_the_same_number(
    number: Decimal, form: NumberForm, scale: int | None
) -> None:
    written = write_number(number, form, scale)
    assert same_number(written, number, form, scale)
    if isinstance(written, str):
        assert "E" not in written


def test_a_number_that_differs_in_what_the_column_can_tell_is_not_the_same() -> None:
    assert not same_number(1.0, Decimal("1.0000001"), NumberForm.FLOAT, None)
    assert same_number(1.0, Decimal("1.001"), NumberForm.FLOAT, 2)
    assert not same_number("1.00", Decimal("1.001"), NumberForm.TEXT, None)
    assert same_number("1.00", Decimal(1), NumberForm.TEXT, None)
