"""How values are spelled for PostgreSQL: each by itself as text, many in a binary array."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Sent = tuple[int, "bytes | None", int]
"""Type, bytes and form (1: binary) of an argument."""

_TEXT, _TEXTS, _WHOLES = 0, 1009, 1016
_HEAD = struct.Struct("!iiIii")
_LENGTH = struct.Struct("!i")
_WHOLE = struct.Struct("!iq")
_NULL = _LENGTH.pack(-1)
_SMALL, _MIDDLE = 1 << 15, 1 << 31


class Array(NamedTuple):
    """Many values in one argument, as PostgreSQL's binary form of an array."""

    oid: int
    raw: bytes


def texts(cells: Sequence[str | None]) -> Array:
    """An array of texts."""
    parts = [_HEAD.pack(1, 1, 25, len(cells), 1)]
    put, pack = parts.append, _LENGTH.pack
    for cell in cells:
        if cell is None:
            put(_NULL)
        else:
            raw = cell.encode()
            put(pack(len(raw)))
            put(raw)
    return Array(_TEXTS, b"".join(parts))


def wholes(cells: Sequence[int]) -> Array:
    """An array of whole numbers."""
    pack = _WHOLE.pack
    head = _HEAD.pack(1, 0, 20, len(cells), 1)
    return Array(_WHOLES, head + b"".join([pack(8, cell) for cell in cells]))


def as_sent(value: object) -> Sent:
    """Type, bytes and form (1: binary) of an argument."""
    if isinstance(value, Array):
        return value.oid, value.raw, 1
    if isinstance(value, str):
        return _TEXT, value.encode(), 0
    if isinstance(value, int) and not isinstance(value, bool):
        # As wide as it is: the column that it is compared with may be narrower.
        size = abs(value)
        return 21 if size < _SMALL else 23 if size < _MIDDLE else 20, b"%d" % value, 0
    if value is None:
        return _TEXT, None, 0
    raise TypeError(f"no argument can be a {type(value).__name__}")


def array(column: Sequence[Any], is_whole: bool) -> Array:  # noqa: FBT001 - as in an Upsert
    """One column of rows of ours."""
    return wholes(column) if is_whole else texts(plain_column(column))


def as_texts(column: Sequence[object]) -> Array:
    """One column of the user's rows."""
    return texts([spelled(cell) for cell in column])


def spelled(cell: object) -> str | None:
    """A cell of the user's, as text."""
    return None if cell is None else str(cell)


def _plain(cell: object) -> object:
    """A text without what no text here may hold; the letter that `_as_json` has for it, too."""
    return cell.replace("\0", "\1") if isinstance(cell, str) and "\0" in cell else cell


def plain_column(column: Sequence[Any]) -> list[Any]:
    """The same for many: in one look at all of them, since there is next to never such a letter."""
    if "\0" in "".join([cell for cell in column if isinstance(cell, str)]):
        return [_plain(cell) for cell in column]
    return list(column)


def without_nul(arguments: Mapping[str, object]) -> Mapping[str, object]:
    """Arguments without what no text may hold."""
    return {name: _plain(cell) for name, cell in arguments.items()}
