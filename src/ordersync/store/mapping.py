"""The user's mapping bound to a table that exists: checked once, used everywhere.

A Mapping knows the mapped columns, their order in a row as we read it (`cells`), how each is
spelled, and the words. It holds no connection and does no I/O.
"""

from __future__ import annotations

import difflib
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ordersync.errors import ConfigError
from ordersync.ports import Claim, Meaning
from ordersync.store import columns
from ordersync.store.reflection import look_at_table, no_such_table, view_refused
from ordersync.store.scan import key_of_row
from ordersync.store.shape import Kind
from ordersync.store.words import Words
from ordersync.truth.evidence import LONGEST_NAME
from ordersync.truth.model import Status

if TYPE_CHECKING:
    from collections.abc import Mapping as Dict
    from collections.abc import Sequence

    from ordersync.settings import Orders
    from ordersync.store.database import Database
    from ordersync.store.shape import ColumnShape, TableShape
    from ordersync.truth.model import Order

FIELDS = (
    "id",
    "venue_order_id",
    "client_order_id",
    "status",
    "symbol",
    "side",
    "quantity",
    "created_at",
    "filled_at",
    "updated_at",
    "filled_qty",
    "avg_price",
    "fee",
    "reason",
    "owner",
)
WRITABLE = (
    "status",
    "filled_at",
    "filled_qty",
    "avg_price",
    "fee",
    "reason",
    "updated_at",
    "venue_order_id",
)
TIMES = ("created_at", "filled_at", "updated_at")
_NEVER = datetime.min.replace(tzinfo=UTC)

NUMBERS = ("filled_qty", "avg_price", "fee")


def bind(database: Database, orders: Orders, *, where: str) -> Mapping:
    """The mapping of a database's table. Raises ConfigError where there is no such table."""
    shape = look_at_table(database, orders.table)
    if shape is None:
        raise no_such_table(database, orders.table, where=f"{where}: orders.table")
    return Mapping(orders, shape, where=where)


class Mapping:
    """Which column is what, and how it is read and written.

    `columns` maps our field names to the user's columns; `at` gives a field's place in a row's
    cells. Raises ConfigError naming file, key and mend where the table does not fit.
    """

    def __init__(self, orders: Orders, shape: TableShape, *, where: str) -> None:
        self.orders = orders
        self.shape = shape
        self.where = where
        self._check_table()
        self.columns: dict[str, str] = {
            field: self._existing(field, name)
            for field in FIELDS
            if (name := getattr(orders, field)) is not None
        }
        if not isinstance(orders.account, str):
            self.columns["account"] = self._existing("account.column", orders.account.column)
        self.at: dict[str, int] = {field: place for place, field in enumerate(self.columns)}
        self._check_columns()
        self.words = Words(orders.status_words, where=f"{where}: orders.status_words")
        # Python's own UTC is several times faster than the same out of the zone database.
        self.zone: tzinfo = UTC if orders.timezone == "UTC" else ZoneInfo(orders.timezone)
        self.follow_replace = orders.follow_replace
        self.number_forms = {
            field: form
            for field in NUMBERS
            if field in self.columns
            and (form := columns.number_form(self.column(field))) is not None
        }
        self.time_forms: dict[str, columns.TimeForm] = {}
        self.knows_times = False
        self.writes_unknown = self._can_hold_unknown()

    def learn_time_forms(self, samples: Dict[str, Sequence[object]]) -> None:
        """Settle how each time column is spelled, from cells of the table (newest first).

        An empty table teaches nothing: it is for the store to ask again (`knows_times`).
        """
        self.knows_times = any(samples.values())
        for field in TIMES:
            if field in self.columns:
                siblings = [
                    cell for other in TIMES if other != field for cell in samples.get(other, ())
                ]
                self.time_forms[field] = columns.time_form(
                    self.column(field), samples.get(field, ()), siblings
                )

    def column(self, field: str) -> ColumnShape:
        """A field's column as it is declared."""
        return self.shape.columns[self.columns[field]]

    def claim(self, cells: tuple[object, ...], read_at: datetime) -> Claim:
        """A row as a claim."""
        at = self.at
        word = self._word(cells)
        created_at = cells[at["created_at"]] if "created_at" in at else None
        return Claim(
            row_id=key_of_row(cells),
            venue_order_id=self._name(cells, "venue_order_id"),
            client_order_id=self._name(cells, "client_order_id"),
            word=word,
            meaning=self.words.meaning(word),
            created_at=columns.read_time(created_at, self.zone) if created_at is not None else None,
            symbol=self.text(cells, "symbol"),
            owner=self.text(cells, "owner"),
            read_at=read_at,
            cells=cells,
        )

    def named(self, cells: tuple[object, ...]) -> tuple[str | None, Meaning]:
        """Of a row only its order's venue id, and what its word stands for."""
        return self._name(cells, "venue_order_id"), self.words.meaning(self._word(cells))

    def _word(self, cells: tuple[object, ...]) -> str | None:
        word = cells[self.at["status"]]
        return None if word is None else str(word)

    def text(self, cells: tuple[object, ...], field: str) -> str | None:
        """A cell as text; None where the field is not mapped, NULL or blank."""
        place = self.at.get(field)
        cell = cells[place] if place is not None else None
        return (str(cell).strip() or None) if cell is not None else None

    def _name(self, cells: tuple[object, ...], field: str) -> str | None:
        """An id as text. Bytes are none, nor is a float: a long id in it has lost its digits.

        Nor is what is longer than any: no key of ours could hold it.
        """
        place = self.at.get(field)
        exact = place is not None and isinstance(cells[place], str | int)
        name = self.text(cells, field) if exact else None
        return name if name is None or len(name) <= LONGEST_NAME else None

    def lacks_venue_id(self, claim: Claim) -> bool:
        """Whether the row holds no venue id at all, so that ours overwrites nothing."""
        cell = claim.cells[self.at["venue_order_id"]]
        return cell is None or (isinstance(cell, str) and not cell.strip())

    def wants_venue_id(self, claim: Claim, shown: Order) -> bool:
        """Whether the venue id is to be written: there is none, or the row follows its order."""
        if self.lacks_venue_id(claim):
            return True
        follows = self.follow_replace and bool(shown.replaced_by)
        return follows and claim.venue_order_id != shown.venue_order_id

    def newest_time(self, claim: Claim) -> datetime:
        """The latest of a row's times: when it was made, filled or last written."""
        times = [
            moment
            for field in TIMES
            if field in self.at
            and (moment := columns.read_time(claim.cells[self.at[field]], self.zone)) is not None
        ]
        return max(times, default=_NEVER)

    def account_values(self, account: str) -> list[str] | None:
        """What the account column holds for this account; None where one account has all rows."""
        if isinstance(self.orders.account, str):
            return None
        return [value for value, name in self.orders.account.values.items() if name == account]

    def account_of(self, cell: str | None) -> str:
        """The account that a row's account cell names; "" where none does."""
        account = self.orders.account
        return account if isinstance(account, str) else account.values.get(cell or "", "")

    def _can_hold_unknown(self) -> bool:
        """Whether the schema lets the status column hold the word for unknown."""
        word = self.words.word_for(Status.UNKNOWN.value)
        column = self.shape.columns[self.columns["status"]]
        return word is not None and self.fits(column, word)

    @staticmethod
    def fits(column: ColumnShape, word: str) -> bool:
        """Whether an enum, a CHECK or a length lets the column hold this word."""
        if column.is_enum and not column.words:
            return False
        if column.words and word not in column.words:
            return False
        return column.length is None or len(word) <= column.length

    def _check_table(self) -> None:
        if self.shape.is_view:
            raise view_refused(self.shape, where=f"{self.where}: orders.table")

    def _existing(self, field: str, name: str) -> str:
        if name in self.shape.columns:
            return name
        near = difflib.get_close_matches(name, self.shape.columns, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"the table {self.shape.name!r} has no column {name!r}.",
            where=f"{self.where}: orders.{field}",
            mend=f"{hint}Its columns: {', '.join(self.shape.columns)}.",
        )

    def _check_columns(self) -> None:
        key = self.columns["id"]
        if not self.shape.is_unique(key):
            raise ConfigError(
                f"the column {key!r} is no key: two rows may hold the same value.",
                where=f"{self.where}: orders.id",
                mend="Name the primary key, or put a UNIQUE index on the column; "
                "one that PostgreSQL calls INVALID is none.",
            )
        seen: dict[str, str] = {}
        for field, column in self.columns.items():
            # A table keyed by the venue's own id is fine: an id that is there is never written.
            is_key = {field, seen.get(column)} == {"id", "venue_order_id"}
            if column in seen and not is_key and {field, seen[column]} & set(WRITABLE):
                raise ConfigError(
                    f"the column {column!r} is mapped as {seen[column]} already.",
                    where=f"{self.where}: orders.{field}",
                    mend="Map each column that ordersync writes to one field.",
                )
            seen[column] = field
            if field in WRITABLE and self.shape.columns[column].generated:
                raise ConfigError(
                    f"the column {column!r} is generated by the database and cannot be written.",
                    where=f"{self.where}: orders.{field}",
                    mend="Take it out of the mapping.",
                )
            self._check_type(field, self.shape.columns[column])

    def _check_type(self, field: str, column: ColumnShape) -> None:
        """Whether the column's type can hold what is to be written into it."""
        fits, what = True, ""
        if field in NUMBERS:
            fits, what = columns.number_form(column) is not None, "a number with digits"
        elif field in TIMES and field in WRITABLE:
            fits, what = columns.can_hold_times(column), "a time"
        elif field == "status":
            fits, what = column.kind in {Kind.ANY, Kind.TEXT, Kind.WHOLE}, "a word"
        elif field == "reason":
            fits, what = column.kind in {Kind.ANY, Kind.TEXT}, "a text"
        if not fits:
            raise ConfigError(
                f"the column {column.name!r} is {column.declared} and cannot hold {what}.",
                where=f"{self.where}: orders.{field}",
                mend="Map another column, or widen this one.",
            )
