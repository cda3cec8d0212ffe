"""What a statement is made of, whatever the make of database. Pure data."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from ordersync.store.shape import ColumnShape

RowKey = int | str


class Ask(msgspec.Struct, frozen=True):
    """One statement with its arguments."""

    text: str
    arguments: Mapping[str, object] = {}


class Upsert(msgspec.Struct, frozen=True, kw_only=True):
    """Rows for one of our own tables: inserted, or by their key updated.

    `columns` name the values of a row in order, with whether each is a whole number. Without
    `updates` a row that is there stays as it is; without a `key` there can be none. Where
    `versioned`, the row that is there must have the version before the new one: the
    compare-and-set of a truth.
    """

    table: str
    columns: dict[str, bool]
    key: tuple[str, ...]
    updates: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    versioned: bool = False

    @property
    def always(self) -> bool:
        """Whether every row is written, whatever is there (or it is an error)."""
        return not self.versioned and bool(self.updates or not self.key)


class Written(msgspec.Struct, frozen=True):
    """The keys of rows that were written, and of those that could not even be looked at."""

    won: Collection[object] = ()
    held: Collection[object] = ()


class RowUpdate(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Compare-and-set of rows of the user's table.

    Each is found by its key, and written where the compared columns are as they were read. Its
    arguments are the key, the compared cells, the new ones.

    `scope` is what every statement adds to its condition.
    """

    table: str
    key: ColumnShape
    compared: tuple[ColumnShape, ...]
    written: tuple[ColumnShape, ...]
    scope: str


def keys_of(keys: Iterable[str]) -> str:
    """Many keys as one parameter: a JSON array."""
    return msgspec.json.encode(list(keys)).decode()
