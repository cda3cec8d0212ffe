"""Cells of a wire format that several venues spell alike: numbers as text, times as RFC 3339. Pure.

A number may be text, bare or absent; a time has up to nine digits of a second and any offset.
What is neither is refused by a ValueError, never guessed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec

from ordersync.truth.evidence import LONGEST_NAME

_T = TypeVar("_T")

_YEAR_ONE, _LAST_YEAR = 1, 9999
Number = Any
"""A cell that should be text or a bare number or null. What it is, `number` says: a type that
names numbers would have msgspec read a bare one as a float before anybody sees its digits."""


def decoder_of(kind: type[_T]) -> msgspec.json.Decoder[_T]:
    """Reads objects that have a `Number`, bare ones with all their digits."""
    return msgspec.json.Decoder(kind, float_hook=Decimal)


def number(cell: Number) -> Decimal | None:
    """A number of the wire: "" and null are absent. Raises ValueError on what is no number."""
    if cell is None or cell == "":
        return None
    try:
        value = Decimal(str(cell).strip())
    except InvalidOperation:
        raise ValueError(f"{cell!r:.80} is no number") from None
    if not value.is_finite():
        raise ValueError(f"{cell!r:.80} is no finite number")
    return value


def moment(text: str | None) -> datetime | None:
    """A time of the wire (RFC 3339, up to nanoseconds); null, "" and the year 1 are absent."""
    if not text:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r:.80} is no time") from None
    if value.tzinfo is None:
        raise ValueError(f"the time {text!r:.80} has no zone")
    if value.year == _YEAR_ONE:
        return None
    if value.year == _LAST_YEAR:  # a moment after it would be in no calendar
        raise ValueError(f"{text!r:.80} is no time")
    return value.astimezone(UTC)


def check_names(*names: str | None) -> None:
    """Raises ValueError where an id or a symbol is longer than any: it could not be kept."""
    for name in names:
        if name and len(name) > LONGEST_NAME:
            raise ValueError(f"an id or a symbol of {len(name):,} signs")


def spell(at: datetime) -> str:
    """A time as a query takes it: RFC 3339 in UTC, microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
