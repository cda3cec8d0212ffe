"""The statements about the user's rows, made once for a mapping. Text only; nothing is run here."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from ordersync.ports import Meaning
from ordersync.store.shape import Kind
from ordersync.store.statement import RowUpdate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.store.mapping import Mapping
    from ordersync.store.spelling import Spelling

# What is written here is guarded too: whoever wrote a cell in the meantime wins. Floats are
# not (their text form is not exact), nor is updated_at (every writer moves it).
_GUARDED = ("filled_at", "reason")

LOOKED_THROUGH = 10_000
"""Among how many of the newest rows words outside the mapping are looked for."""

_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]""")


def is_one_expression(text: str) -> bool:
    """Whether a condition stays inside the parentheses that it is put into."""
    depth = 0
    bare = _QUOTED.sub("", text)
    for letter in bare:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            return False
    return depth == 0 and "--" not in bare and "/*" not in bare and ";" not in bare


class RowStatements:
    """The statements about the rows of one account, or of all (None)."""

    def __init__(self, spelling: Spelling, mapping: Mapping, account: str | None) -> None:
        self.spelling = spelling
        self.mapping = mapping
        self.table = spelling.table(mapping.shape)
        self.key = mapping.column("id")
        self._scope = self._scope_of(account)
        self._updates: dict[tuple[str, ...], tuple[RowUpdate, list[int]]] = {}
        self._cells = ", ".join(spelling.read(mapping.column(f)) for f in mapping.columns)
        self.select = f"SELECT {self._cells} FROM {self.table} AS t"

    def column(self, field: str) -> str:
        """A field's column, as a statement names it."""
        return f"t.{self.spelling.quote(self.mapping.columns[field])}"

    def by_words(self, words: Sequence[str]) -> str:
        """Rows that hold one of these words: few, whatever ANALYZE has learned of the others."""
        return f"{self.select} WHERE {self.spelling.rare(self._in_words(words))}{self._scope}"

    @property
    def has_whole_keys(self) -> bool:
        """Whether every key is a whole number: these all databases sort alike."""
        key, shape = self.key, self.mapping.shape
        is_rowid = key.declared.upper() == "INTEGER" and shape.primary_key == (key.name,)
        return key.kind is Kind.WHOLE or (key.kind is Kind.ANY and is_rowid)

    def next_by_words(self, words: Sequence[str], *, is_first: bool) -> str:
        """The first :limit of these rows by their whole keys, or those behind the key :after."""
        at = self.spelling.param
        # Not the key itself: by an index on it the whole history would be walked through.
        key = f"{self.column('id')} + 0"
        behind = "" if is_first else f" AND {key} > {at('after')}"
        return f"{self.by_words(words)}{behind} ORDER BY {key} LIMIT {at('limit')}"

    def finished_since(self, words: Sequence[str]) -> str:
        """Rows of these words with a time at or after :day (text) or :at_1, :at_1000 (numbers)."""
        at = self.spelling.param
        recent = " OR ".join(
            f"{self.column(field)} >= " + (at(f"at_{form.unit:.0f}") if form.unit else at("day"))
            for field, form in self.mapping.time_forms.items()
        )
        # Only the times may lead into the table: by an index on the status or the account the
        # whole history would be walked through.
        rest = self.spelling.no_index_for(f"({self._in_words(words)}{self._scope})")
        return f"{self.select} WHERE ({recent or '1 = 0'}) AND {rest}"

    def outside_words(self, words: Sequence[str]) -> str:
        """The :limit newest rows that hold another word than these, or none.

        Looked for among the newest rows only: no index leads to what is not a word.
        """
        status = self.column("status")
        # By name: the rights may be on these columns alone.
        names = ", ".join(dict.fromkeys(self.column(field) for field in self.mapping.columns))
        newest = (
            f"SELECT {names} FROM {self.table} AS t WHERE 1 = 1{self._scope}"
            f" ORDER BY {self._newest_first} LIMIT {LOOKED_THROUGH}"
        )
        return (
            f"SELECT {self._cells} FROM ({newest}) AS t"
            f" WHERE ({status} IS NULL OR NOT {self._in_words(words)})"
            f" ORDER BY {self._newest_first} LIMIT {self.spelling.param('limit')}"
        )

    @cached_property
    def newest_ids(self) -> str:
        """The venue ids of the :limit newest rows that have one."""
        venue = self.spelling.read(self.mapping.column("venue_order_id"))
        return (
            f"SELECT {venue} FROM {self.table} AS t"
            f" WHERE {self.column('venue_order_id')} IS NOT NULL{self._scope}"
            f" ORDER BY {self._newest_first} LIMIT {self.spelling.param('limit')}"
        )

    @cached_property
    def by_venue_ids(self) -> str:
        """Rows whose venue id is in the JSON list :keys."""
        among = self.spelling.among(self.mapping.column("venue_order_id"), "keys")
        return f"{self.select} WHERE {among}{self._scope}"

    @cached_property
    def by_client_ids(self) -> str:
        """Rows without a venue id whose client id is in the JSON list :keys."""
        # An index on the venue id would lead to every order that never had one.
        lacks = self.spelling.no_index_for(
            f"({self.spelling.is_blank(self.mapping.column('venue_order_id'))})"
        )
        among = self.spelling.among(self.mapping.column("client_order_id"), "keys")
        return f"{self.select} WHERE {among} AND {lacks}{self._scope}"

    @cached_property
    def by_any_client_ids(self) -> str:
        """Rows whose client id is in the JSON list :keys, with a venue id or without."""
        among = self.spelling.among(self.mapping.column("client_order_id"), "keys")
        return f"{self.select} WHERE {among}{self._scope}"

    @cached_property
    def by_row_ids(self) -> str:
        """Rows whose key is in the JSON list :keys, whatever word they hold."""
        return f"{self.select} WHERE {self.spelling.among(self.key, 'keys')}{self._scope}"

    @property
    def test_where(self) -> str:
        """A read that fails where the mapping's `where` is no expression."""
        return f"{self.select} WHERE 1 = 1{self._scope} LIMIT 1"

    @property
    def count_words(self) -> str:
        """How many rows hold each word."""
        status = self.spelling.read(self.mapping.column("status"))
        return (
            f"SELECT {status}, count(*) FROM {self.table} AS t WHERE 1 = 1{self._scope} GROUP BY 1"
        )

    def count_open(self, words: Sequence[str]) -> str:
        """How many rows hold one of these words, by the cell that names the account."""
        return self._count_by_account(self._in_words(words))

    @property
    def count_created(self) -> str:
        """How many rows were made at or after :day (text) or :at_1, :at_1000 … (numbers)."""
        form = self.mapping.time_forms["created_at"]
        at = self.spelling.param(f"at_{form.unit:.0f}" if form.unit else "day")
        return self._count_by_account(f"{self.column('created_at')} >= {at}")

    def _count_by_account(self, condition: str) -> str:
        account = self.mapping.columns.get("account")
        cell = self.spelling.read(self.mapping.column("account")) if account else "NULL"
        grouped = f" GROUP BY {self.column('account')}" if account else ""
        return (
            f"SELECT {cell}, count(*) FROM {self.table} AS t"
            f" WHERE {condition}{self._scope}{grouped}"
        )

    def samples(self, field: str) -> str:
        """The newest cells of a time column."""
        cell = self.spelling.read(self.mapping.column(field))
        return (
            f"SELECT c FROM (SELECT {cell} AS c FROM {self.table} AS t"
            f" ORDER BY {self._newest_first} LIMIT 200) AS s WHERE c IS NOT NULL LIMIT 50"
        )

    def update(self, fields: tuple[str, ...]) -> tuple[RowUpdate, list[int]]:
        """Compare-and-set of these fields, and the places of the cells that it takes first."""
        if fields not in self._updates:
            mapping = self.mapping
            compared = ["status", "venue_order_id"]
            compared += ["client_order_id"] if "client_order_id" in mapping.columns else []
            compared += [field for field in _GUARDED if field in fields]
            update = RowUpdate(
                table=self.table,
                key=self.key,
                compared=tuple(mapping.column(field) for field in compared),
                written=tuple(mapping.column(field) for field in fields),
                scope=self._scope,
            )
            self._updates[fields] = update, [mapping.at[field] for field in ("id", *compared)]
        return self._updates[fields]

    def index_proposals(self) -> list[tuple[str, str, str]]:
        """(field, why, DDL) of each index without which a pass reads the whole table."""
        mapping, name, quote = self.mapping, self.mapping.shape.name, self.spelling.quote
        proposals = []
        if not mapping.shape.leads_an_index(mapping.columns["status"]):
            status = self.column("status").removeprefix("t.")
            ddl = f"{self.spelling.create_index} {quote(f'{name}_open')} ON {self.table} ({status})"
            if self.spelling.has_partial_indexes:
                ddl += f" WHERE {self._in_words(open_words(mapping)).replace('t.', '', 1)}"
            ddl = self.spelling.as_typed(ddl)
            proposals.append(("status", "open rows are found by reading the whole table", ddl))
        row_why = "the row of an order is found by reading the whole table"
        time_why = "rows that the bot has just finished are found by reading the whole table"
        for field, why in (
            ("venue_order_id", row_why),
            ("client_order_id", row_why),
            ("created_at", time_why),
            ("filled_at", time_why),
            ("updated_at", time_why),
        ):
            column = mapping.columns.get(field)
            if column is not None and not mapping.shape.leads_an_index(column):
                index = quote(f"{name}_{column}")
                ddl = f"{self.spelling.create_index} {index} ON {self.table} ({quote(column)})"
                proposals.append((field, why, self.spelling.as_typed(ddl)))
        return proposals

    @property
    def _newest_first(self) -> str:
        """The order of the newest rows: by the key, unless it is random and a time is indexed."""
        created = self.mapping.columns.get("created_at")
        counted = self.key.kind in {Kind.ANY, Kind.WHOLE}
        if not counted and created is not None and self.mapping.shape.leads_an_index(created):
            return f"{self.column('created_at')} DESC"
        return f"{self.column('id')} DESC"

    def _in_words(self, words: Sequence[str]) -> str:
        return self.spelling.words(self.mapping.column("status"), words)

    def _scope_of(self, account: str | None) -> str:
        """The conditions that every statement carries: the account's rows, the user's `where`."""
        scope = ""
        values = self.mapping.account_values(account) if account is not None else None
        if values is not None:
            listed = self.spelling.words(self.mapping.column("account"), values)
            scope += f" AND {self.spelling.common(listed)}"
        if self.mapping.orders.where:
            where = self.spelling.verbatim(self.mapping.orders.where)
            scope += f" AND {self.spelling.common(f'({where})')}"
        return scope


def open_words(mapping: Mapping) -> tuple[str, ...]:
    """The words of rows to watch: those that are open, and those that say unknown."""
    return (
        *mapping.words.words_meaning(Meaning.OPEN),
        *mapping.words.words_meaning(Meaning.UNKNOWN),
    )
