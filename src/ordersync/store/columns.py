"""How cells are read and written: the forms of times and numbers. Pure.

Equality is a fixed point: a truth is passed through the column's own type before it is
compared with what the column holds, so that a second pass finds nothing to write.
"""

from __future__ import annotations

import math
import re
import struct
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from ordersync.store.shape import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from ordersync.store.shape import ColumnShape

_EPOCH_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (0.0, 1.0))
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?P<sep>[T ])\d\d:\d\d:\d\d(?:\.(?P<fraction>\d+))?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?"
)


# The default context has 28 digits, which a scale of 18 leaves too few of before the point.
_WIDE = Context(prec=200)


class NumberForm(StrEnum):
    """How a number column holds its values."""

    FLOAT = "float"
    SINGLE = "float of 32 bits"
    TEXT = "text"


class TimeForm(msgspec.Struct, frozen=True):
    """How a time column spells a time: as ISO text, or as a number since 1970.

    `zone` is "" (naive), "Z" or "+00:00"; `unit` is 0 for text, else parts of a second.
    """

    sep: str = " "
    digits: int = 6
    zone: str = ""
    unit: float = 0.0
    whole: bool = False


def _epoch_unit(cell: float) -> float:
    # The default is for what is no number (NaN), which is at least nothing.
    return next((unit for least, unit in _EPOCH_UNITS if abs(cell) >= least), 1.0)


_FIRST_YEAR, _LAST_YEAR = 2, 9998


def read_time(cell: object, zone: tzinfo) -> datetime | None:
    """A cell as an aware UTC time; a naive one is in `zone`. None where it is no time.

    Nor is the first or the last year of the calendar: programs write it where they know no time,
    and what lies a day off it would be in none.
    """
    moment = _moment_in(cell, zone)
    return moment if moment is not None and _FIRST_YEAR <= moment.year <= _LAST_YEAR else None


def _moment_in(cell: object, zone: tzinfo) -> datetime | None:
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, int | float):
        unit = _epoch_unit(cell)
        try:
            return datetime.fromtimestamp(cell / unit, UTC)
        except (ValueError, OverflowError, OSError):
            return None
    if not isinstance(cell, str):
        return None
    try:
        moment = datetime.fromisoformat(cell.strip())
        if moment.tzinfo is None:
            # What replace() gives, at a fifth of its cost: every row that is read has such a cell.
            moment = datetime.combine(moment, moment.time(), zone)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # year 1 or 9999, moved out of the calendar by its zone
        return None


def write_time(moment: datetime, form: TimeForm, zone: tzinfo) -> str | int | float:
    """A time in the column's form; a naive one is spelled in `zone`."""
    if form.unit:
        number = moment.timestamp() * form.unit
        return round(number) if form.whole else number
    local = moment.astimezone(UTC) if form.zone else moment.astimezone(zone)
    text = local.isoformat(form.sep, "microseconds")
    # 19 letters to the second, then a point and six digits; what follows is not our spelling.
    return text[: 20 + form.digits if form.digits else 19] + form.zone


_SPELLED = frozenset({Kind.ANY, Kind.TEXT, Kind.WHOLE, Kind.DOUBLE})


def can_hold_times(column: ColumnShape) -> bool:
    """Whether a time can be written into the column."""
    return column.kind is Kind.TIME or column.kind in _SPELLED


def time_form(column: ColumnShape, own: Sequence[object], siblings: Sequence[object]) -> TimeForm:
    """The form of a time column: of its type, else of its own cells, else of its siblings.

    A column declared as DATETIME or TIMESTAMP in SQLite whose cells are naive with a space is
    written with microseconds, as every driver that reads such a type does.
    """
    if column.kind is Kind.TIME:
        return TimeForm(" ", column.digits, "+00:00" if column.zoned else "")
    native = any(name in column.declared.upper() for name in ("DATETIME", "TIMESTAMP"))
    for cells in (own, siblings):
        forms = [form for cell in cells if (form := _form_of(cell)) is not None]
        if column.kind is Kind.WHOLE:
            forms = [form for form in forms if form.unit]
        if forms:
            chosen = max(forms, key=forms.count)
            if native and not chosen.unit and not chosen.zone and chosen.sep == " ":
                return TimeForm()
            return chosen
    if column.kind is Kind.WHOLE:
        return TimeForm("", 0, "", 1.0, whole=True)
    return TimeForm() if native else TimeForm("T", 6, "Z")


def _form_of(cell: object) -> TimeForm | None:
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | float):
        unit = _epoch_unit(cell)
        return TimeForm("", 0, "", unit, isinstance(cell, int))
    match = _ISO.fullmatch(cell.strip()) if isinstance(cell, str) else None
    if match is None:
        return None
    digits = min(len(match["fraction"] or ""), 6)
    zone = match["zone"] or ""
    return TimeForm(match["sep"], digits, "Z" if zone == "Z" else "+00:00" if zone else "")


def read_number(cell: object) -> Decimal | None:
    """A cell as a Decimal; None where it is no number."""
    if cell is None or isinstance(cell, bool):
        return None
    try:
        number = Decimal(str(cell).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def write_number(number: Decimal, form: NumberForm, scale: int | None) -> str | float:
    """A number in the column's form, at the scale that the column declares."""
    if scale is not None:
        number = number.quantize(Decimal(1).scaleb(-scale), context=_WIDE)
    if form is NumberForm.FLOAT:
        return float(number)  # the user's column is a float; nothing is computed with it
    if form is NumberForm.SINGLE:
        return _single(float(number))
    return format(number, "f")


def _single(number: float) -> float:
    try:
        narrow: float = struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return number  # for the database to refuse
    return narrow


def same_number(cell: object, number: Decimal, form: NumberForm, scale: int | None) -> bool:
    """Whether the cell already holds the number, as far as its type can tell."""
    # Where floats are compared, the way through the text of one would only lead back to it.
    stored = cell if isinstance(cell, float) and form is NumberForm.FLOAT else read_number(cell)
    if stored is None:
        return False
    written = write_number(number, form, scale)
    if isinstance(written, str):
        return stored == Decimal(written)
    if form is NumberForm.SINGLE:
        # Six digits are what every database shows of such a float, whatever it holds.
        return math.isclose(float(stored), written, rel_tol=1e-6, abs_tol=0.0)
    # One unit in the last place: SQLite's own text-to-float conversion is not always exact,
    # and a difference that no write can remove would be written for ever.
    return math.isclose(float(stored), written, rel_tol=2**-52, abs_tol=0.0)


_NUMBER_FORMS = {
    Kind.EXACT: NumberForm.TEXT,
    Kind.TEXT: NumberForm.TEXT,
    Kind.DOUBLE: NumberForm.FLOAT,
    Kind.SINGLE: NumberForm.SINGLE,
}


def number_form(column: ColumnShape) -> tuple[NumberForm, int | None] | None:
    """Form and scale of a number column; None where its type cannot hold such numbers.

    In SQLite any column can; there the declared type gives the form (SQLite affinity rules).
    """
    if column.kind is not Kind.ANY:
        form = _NUMBER_FORMS.get(column.kind)
        return (form, column.scale if column.kind is Kind.EXACT else None) if form else None
    kind = column.declared.upper()
    if any(name in kind for name in ("CHAR", "CLOB", "TEXT")):
        return NumberForm.TEXT, None
    scale = re.search(r"(?:NUMERIC|DECIMAL)\s*\(\s*\d+\s*,\s*(\d+)\s*\)", kind)
    return NumberForm.FLOAT, int(scale[1]) if scale else None
