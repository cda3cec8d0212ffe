"""How a make of database spells what the statements need. Text only; nothing is run here.

The base class is standard SQL as SQLite and PostgreSQL understand it; each make overrides
what it spells otherwise. `t` is the user's table in every statement about its rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.store.shape import ColumnShape, TableShape
    from ordersync.store.statement import Ask, Upsert


class Spelling(ABC):
    """Names, literals, parameters and lists of keys; see the makes for what differs."""

    key_type = "TEXT"
    text_type = "TEXT"
    whole_type = "BIGINT"
    compact = ""
    open_rows = "(account, row_id) WHERE final = 0"
    create_index = "CREATE INDEX"
    has_partial_indexes = True
    commits_in_order = False
    """Whether a commit's number in the event log is always above those of all before it."""
    swallowed_by = "a trigger?"
    joined = "JOIN"
    """How a list of keys is joined: SQLite must be told to begin with the list."""

    def ddl(self, template: str, prefix: str) -> str:
        """A statement of `schema.MIGRATIONS` in this make's types.

        `{key}` is a short text that can be indexed, `{text}` any text, `{whole}` a number;
        `{compact}` keeps a table in its key where that saves space; `{open_rows}` is the
        index by which orders that are not final are found; `{prefix}` the schema with its dot.
        """
        return template.format(
            key=self.key_type,
            text=self.text_type,
            whole=self.whole_type,
            compact=self.compact,
            open_rows=self.open_rows,
            prefix=prefix,
        )

    def beside_tables(self, prefix: str, tables: Sequence[str]) -> list[str]:
        """What this make needs beside these tables of ours, made once with them."""
        del prefix, tables
        return []

    def grants(
        self,
        role: str,
        prefix: str,
        table: TableShape,
        read: Sequence[str],
        written: Sequence[str],
        ours: Sequence[str],
    ) -> list[str]:
        """The rights that a role needs: on the user's columns, and on these tables of ours."""
        del role, prefix, table, read, written, ours
        return []

    def notifying_trigger(self, table: TableShape) -> list[str]:
        """What tells us of new rows at once, where this make has such a thing."""
        del table
        return []

    def as_typed(self, text: str) -> str:
        """A statement without parameters as a person would type it."""
        return text

    def quote(self, name: str) -> str:
        """An identifier, quoted."""
        return self.verbatim('"' + name.replace('"', '""') + '"')

    def literal(self, text: str) -> str:
        """A text literal. Words are written out so that a partial index can be used."""
        return self.verbatim("'" + text.replace("'", "''") + "'")

    def verbatim(self, text: str) -> str:
        """A piece of SQL that holds no parameter of ours, whatever it looks like."""
        return text

    def param(self, name: str) -> str:
        """The place of a named argument."""
        return f":{name}"

    def read(self, column: ColumnShape) -> str:
        """A column of the user's table as the store reads it: a number, or text, or NULL."""
        return f"t.{self.quote(column.name)}"

    def can_hold(self, column: ColumnShape, key: str) -> bool:
        """Whether the column could hold this key at all: no error where it could not."""
        del column, key
        return True

    @abstractmethod
    def each_key(self, name: str) -> str:
        """The JSON list of texts in an argument as a table `j` with the column `value`."""

    @abstractmethod
    def among(self, column: ColumnShape, name: str) -> str:
        """Whether a column of the user's is in the JSON list in an argument."""

    @abstractmethod
    def json_text(self, expression: str, *path: str) -> str:
        """A text inside a JSON text."""

    def rare(self, condition: str) -> str:
        """A condition that few rows meet, whatever the statistics say."""
        return condition

    def common(self, condition: str) -> str:
        """A condition that most rows meet, whatever an index on it might promise."""
        return condition

    def no_index_for(self, condition: str) -> str:
        """A condition that is no way into the table."""
        return condition

    def by_index(self, name: str) -> str:
        """What holds the planner to an index, where it needs that."""
        del name
        return ""

    def is_blank(self, column: ColumnShape) -> str:
        """Whether a column holds no name: NULL or an empty text."""
        return f"coalesce({self.read(column)}, '') = ''"

    def table(self, shape: TableShape) -> str:
        """The user's table, as a statement names it."""
        prefix = f"{self.quote(shape.schema)}." if shape.schema else ""
        return prefix + self.quote(shape.name)

    def begin_snapshot(self, begin: Callable[[str], None], fetch: Callable[[Ask], object]) -> None:
        """Begin a transaction that only reads, and sees one moment."""
        del fetch
        begin("BEGIN")

    def lock(self, alias: str) -> str:
        """What makes a SELECT hold its rows until the transaction ends."""
        del alias
        return ""

    def moment(self, span: str = "") -> str:
        """Now, as our own tables hold a time; or so many microseconds of an argument later.

        By the database's clock, whatever the zone. SQLite runs on our machine: it is told.
        """
        return self.param("later" if span else "now")

    def held(self, select: str) -> str:
        """A SELECT whose one row stays as it is until the commit that comes right after it."""
        return select

    def upsert(self, upsert: Upsert, values: str) -> str:
        """One statement for an Upsert. `values` is its VALUES or SELECT; `o` the table."""
        names = ", ".join(upsert.columns)
        text = f"INSERT INTO {upsert.table} AS o ({names}) {values}"
        if not upsert.key:
            return text
        text += " ON CONFLICT"
        if not upsert.updates:
            return f"{text} DO NOTHING"
        sets = [f"{name} = excluded.{name}" for name in upsert.updates]
        sets += [f"{name} = coalesce(excluded.{name}, o.{name})" for name in upsert.kept]
        text += f" ({', '.join(upsert.key)}) DO UPDATE SET {', '.join(sets)}"
        return f"{text} WHERE o.version = excluded.version - 1" if upsert.versioned else text

    def words(self, column: ColumnShape, words: Sequence[str]) -> str:
        """Whether a column holds one of these words; words that it cannot hold are left out."""
        fit = [word for word in words if not column.is_enum or word in column.words]
        if not fit:
            return "1 = 0"
        listed = ", ".join(self.literal(word) for word in fit)
        return f"t.{self.quote(column.name)} IN ({listed})"
