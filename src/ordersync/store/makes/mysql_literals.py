"""Values as literals of our session, in which a backslash is a letter like any other.

PyMySQL would put the arguments into the text too; here it is known what becomes of each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ordersync.store.shape import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ordersync.store.shape import ColumnShape

LISTED = re.compile(r"(?<!%)%\((\w+):(\w+)\)s")
"""The place of a list of literals: an argument's name, and how its keys are spelled."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,19}")
_NUMBER = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,30})?")
_LEAST, _MOST = -(2**63), 2**64 - 1

_T = TypeVar("_T")


class Literals(dict[str, object]):
    """The arguments of a statement as it takes them up: literals, or lists of literals."""

    def __getitem__(self, name: str) -> str:
        """One argument."""
        value = super().__getitem__(name)
        if isinstance(value, float):
            return repr(value) if "e" in repr(value) else f"{value!r}e0"
        return ", ".join(value) if isinstance(value, list) else literal(value)


def listed(name: str, form: str) -> str:
    """The place of a list of literals made of the JSON list in an argument."""
    return f"(%({name}:{form})s)"


def key_form(column: ColumnShape) -> str:
    """How a column's keys are spelled as literals, so that the column's own index is used."""
    if column.kind is Kind.WHOLE:
        return "whole"
    if column.kind in {Kind.EXACT, Kind.DOUBLE, Kind.SINGLE}:
        return "number"
    return "uuid" if column.kind is Kind.UUID else "text"


def key_literal(form: str, key: object) -> str | None:
    """A key as a literal, None where it has not this form."""
    text = str(key)
    if form == "whole":
        fits = _WHOLE.fullmatch(text) is not None and _LEAST <= int(text) <= _MOST
        return text if fits else None
    if form == "number":
        return repr(key) if isinstance(key, float) else text if _NUMBER.fullmatch(text) else None
    if form == "uuid" and not _UUID.fullmatch(text):
        return None
    return literal(text)


def literal(value: object) -> str:
    """A value as a literal of our session, whatever is in it."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(int(value))
    # A float as text too: no literal is infinite, and a text is read back to the last bit.
    text = repr(value) if isinstance(value, float) else str(value)
    return "'" + text.replace("'", "''") + "'"


def literals(row: Sequence[object]) -> list[str]:
    """The cells of a row."""
    return [literal(cell) for cell in row]


def keys_of(form: str, keys: Iterable[object]) -> list[str]:
    """Keys as literals; those that the column cannot hold are left out."""
    found = (key_literal(form, key) for key in keys)
    return [key for key in found if key is not None]


def keys_in(form: str, listed_keys: object) -> list[str]:
    """The keys of a JSON list as literals."""
    return keys_of(form, msgspec.json.decode(str(listed_keys)))


def parts(whole: Sequence[_T], size: int) -> list[Sequence[_T]]:
    """A list in parts of this size."""
    return [whole[n : n + size] for n in range(0, len(whole), size)]


def packets(
    lines: Iterable[Sequence[str]], letters: int, at_most: int | None
) -> Iterator[list[Sequence[str]]]:
    """Lines of literals in parts, each of which fits into one statement."""
    part: list[Sequence[str]] = []
    size = 0
    for line in lines:
        length = sum(map(len, line))
        if part and (size + length > letters or len(part) == at_most):
            yield part
            part, size = [], 0
        part.append(line)
        size += length
    if part:
        yield part


def spelled(column: ColumnShape, cell: object) -> object:
    """A cell as the column takes it: its zone is our session's, and goes without saying."""
    is_zoned = column.kind is Kind.TIME and column.zoned
    return str(cell).removesuffix("+00:00") if is_zoned else cell


def is_as_asked(found: Sequence[object] | None, asked: Sequence[object]) -> bool:
    """Whether these texts were written; CHAR forgets the spaces at its end."""
    if found is None:
        return False
    pairs = zip(found, asked, strict=True)
    return all(str(cell).rstrip(" ") == str(new).rstrip(" ") for cell, new in pairs)
