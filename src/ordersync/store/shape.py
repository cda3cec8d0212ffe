"""A table as it is declared: its columns, what they can hold, its keys and indexes. Pure."""

from __future__ import annotations

from enum import Enum

import msgspec


class Kind(Enum):
    """What a column's declared type makes of its values. SQLite's columns hold anything."""

    ANY = "any"
    WHOLE = "whole numbers"
    EXACT = "exact numbers"
    DOUBLE = "floats"
    SINGLE = "floats of 32 bits"
    TEXT = "text"
    TIME = "times"
    DAY = "days"
    UUID = "uuids"
    OTHER = "other values"


class ColumnShape(msgspec.Struct, frozen=True, kw_only=True):
    """A column as it is declared. `words` are what an enum or a CHECK lets it hold.

    `scale` are an exact number's digits behind the point, `digits` those of a time's second;
    `zoned` tells of a time that knows its zone.
    """

    name: str
    declared: str
    nullable: bool
    kind: Kind = Kind.ANY
    length: int | None = None
    scale: int | None = None
    digits: int = 6
    zoned: bool = False
    generated: bool = False
    is_enum: bool = False
    words: tuple[str, ...] = ()


class IndexShape(msgspec.Struct, frozen=True, kw_only=True):
    """An index: its columns in order, whether unique, and its condition if it is partial."""

    columns: tuple[str, ...]
    unique: bool
    where: str | None = None


class TableShape(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view as it is declared. `schema` is None where it is the connection's own."""

    name: str
    schema: str | None = None
    columns: dict[str, ColumnShape]
    primary_key: tuple[str, ...]
    indexes: tuple[IndexShape, ...]
    is_view: bool = False

    def is_unique(self, column: str) -> bool:
        """Whether one value of this column names at most one row."""
        if self.primary_key == (column,):
            return True
        return any(i.unique and i.columns == (column,) and i.where is None for i in self.indexes)

    def leads_an_index(self, column: str) -> bool:
        """Whether rows can be found by this column without reading the whole table."""
        if self.primary_key[:1] == (column,):
            return True
        return any(i.columns[:1] == (column,) for i in self.indexes)
