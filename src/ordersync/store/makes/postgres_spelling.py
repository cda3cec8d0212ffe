"""What PostgreSQL spells otherwise. What is read depends on no setting of the session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ordersync.store.shape import Kind
from ordersync.store.spelling import Spelling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.store.shape import ColumnShape, TableShape
    from ordersync.store.statement import Ask

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BIGINT = 2**63
CHANNEL = "ordersync_rows"
NO_LEASE = "ordersync: the lease is gone"
TRIGGER = "ordersync_notify"


class PostgresSpelling(Spelling):
    """Standard SQL, with what makes it exact."""

    # Sorted as Python sorts, whatever the database's language: the order in which rows are locked
    # is everybody's, and a new version of the server's libraries breaks no index.
    key_type = 'TEXT COLLATE "C"'
    swallowed_by = "a trigger, or a policy of row-level security?"
    create_index = "CREATE INDEX CONCURRENTLY"

    def grants(
        self,
        role: str,
        prefix: str,
        table: TableShape,
        read: Sequence[str],
        written: Sequence[str],
        ours: Sequence[str],
    ) -> list[str]:
        """Columns one by one; and a policy on each of our tables, shut by row-level security."""
        to, name = self.quote(role), self.table(table)
        seen = ", ".join(self.quote(column) for column in read)
        changed = ", ".join(self.quote(column) for column in written)
        texts = (
            [f"GRANT USAGE ON SCHEMA {self.quote(table.schema)} TO {to}"] if table.schema else []
        )
        texts += [
            f"GRANT SELECT ({seen}), UPDATE ({changed}) ON {name} TO {to}",
            f"GRANT USAGE ON SEQUENCE {prefix}ordersync_log_ids TO {to}",
        ]
        for one in ours:
            full = f"{prefix}ordersync_{one}"
            texts.append(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {full} TO {to}")
            texts.append(
                f"CREATE POLICY ordersync ON {full} TO {to} USING (true) WITH CHECK (true)"
            )
        return texts

    def notifying_trigger(self, table: TableShape) -> list[str]:
        """A trigger for each statement, not for each row; equal notifications are sent once."""
        schema = f"{self.quote(table.schema)}." if table.schema else ""
        function = (
            f"CREATE OR REPLACE FUNCTION {schema}ordersync_notify() RETURNS trigger"
            " LANGUAGE plpgsql AS $$"
            f" BEGIN PERFORM pg_notify('{CHANNEL}', ''); RETURN NULL; END $$"
        )
        trigger = (
            f"CREATE TRIGGER {TRIGGER} AFTER INSERT OR UPDATE ON {self.table(table)}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {schema}ordersync_notify()"
        )
        return [function, trigger]

    def as_typed(self, text: str) -> str:
        """The percent signs as they were."""
        return text.replace("%%", "%")

    def bare_quote(self, name: str) -> str:
        """An identifier, quoted, where no parameter is looked for."""
        return '"' + name.replace('"', '""') + '"'

    def verbatim(self, text: str) -> str:
        """A percent sign begins a parameter, but for two."""
        return text.replace("%", "%%")

    def param(self, name: str) -> str:
        """The place of a named argument."""
        return f"%({name})s"

    def read(self, column: ColumnShape) -> str:
        """Numbers as they are, times as ISO text, all else as text."""
        cell = f"t.{self.quote(column.name)}"
        if column.kind in {Kind.WHOLE, Kind.DOUBLE}:
            return cell
        if column.kind is Kind.TIME and column.zoned:
            # An infinite time becomes NULL: no time for us.
            return f"to_char({cell} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US\"+00:00\"')"
        if column.kind is Kind.TIME:
            return f"to_char({cell}, 'YYYY-MM-DD HH24:MI:SS.US')"
        if column.kind is Kind.DAY:
            return f"to_char({cell}, 'YYYY-MM-DD')"
        return f"{cell}::text"

    def can_hold(self, column: ColumnShape, key: str) -> bool:
        """A uuid, a whole number, or any text without a NUL."""
        if column.kind is Kind.UUID:
            return _UUID.fullmatch(key) is not None
        if column.kind is Kind.WHOLE:
            return bool(re.fullmatch(r"-?[0-9]{1,19}", key)) and -_BIGINT <= int(key) < _BIGINT
        return "\0" not in key

    def is_same(self, column: ColumnShape, text: str) -> str:
        """Whether a column is as it was read; numbers compare as numbers, whatever their text."""
        if column.kind in {Kind.WHOLE, Kind.DOUBLE}:
            cell = f"t.{self.quote(column.name)}"
            return f"{cell} IS NOT DISTINCT FROM CAST({text} AS {column.declared})"
        return f"{self.read(column)} IS NOT DISTINCT FROM {text}"

    def key_cast(self, column: ColumnShape) -> str:
        """The type that a key is cast to, so that the column's own index is used."""
        if column.kind is Kind.WHOLE:
            return "bigint"
        if column.kind is Kind.TEXT and not column.is_enum:
            declared = column.declared.lower()
            if declared.startswith("character("):
                return "bpchar"  # without its length, which would cut the key
            return declared if declared.endswith("citext") else "text"
        return column.declared

    def value_cast(self, column: ColumnShape) -> str:
        """The type that a new value is cast to: a text without its length, which would cut it."""
        is_text = column.kind is Kind.TEXT and not column.is_enum
        return "text" if is_text else column.declared

    def is_blank(self, column: ColumnShape) -> str:
        """Whether a column holds no name; a number is compared as text."""
        return f"coalesce({self.read(column)}::text, '') = ''"

    def each_key(self, name: str) -> str:
        """The JSON list in an argument as a table."""
        return f"jsonb_array_elements_text({_as_json(self.param(name))}) AS j(value)"

    def among(self, column: ColumnShape, name: str) -> str:
        """Whether a column is in the JSON list in an argument, by the column's own index."""
        keys = f"jsonb_array_elements_text({_as_json(self.param(name))}) AS k"
        cast = f"CAST(k AS {self.key_cast(column)})"
        return f"t.{self.quote(column.name)} = ANY (ARRAY(SELECT {cast} FROM {keys}))"

    def json_text(self, expression: str, *path: str) -> str:
        """A text inside a JSON text."""
        return f"{_as_json(expression)} #>> '{{{','.join(path)}}}'"

    def moment(self, span: str = "") -> str:
        """By the clock itself: `now()` would be the transaction's beginning."""
        later = f" + {self.param(span)} * interval '1 microsecond'" if span else ""
        form = '\'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\''
        return f"to_char((clock_timestamp(){later}) AT TIME ZONE 'UTC', {form})"

    def held(self, select: str) -> str:
        """An error where it has no row: it travels with the COMMIT, which then does not happen."""
        text = f"coalesce(max(held.token::text), '{NO_LEASE}')"
        return f"SELECT CAST({text} AS bigint) FROM ({select} FOR SHARE) AS held"

    def begin_snapshot(self, begin: Callable[[str], None], fetch: Callable[[Ask], object]) -> None:
        """One snapshot for all statements to come."""
        del fetch  # it would be a transaction by itself
        begin("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def lock(self, alias: str) -> str:
        """Held until the transaction ends."""
        return f" FOR UPDATE OF {alias}"

    def beside_tables(self, prefix: str, tables: Sequence[str]) -> list[str]:
        """What numbers the commits; and row-level security, which closes our tables to all others.

        Poolers that publish a schema over HTTP (Supabase) give every table in it to anonymous
        readers, unless that is on. The owner is not bound by it.
        """
        counted = [f"CREATE SEQUENCE {prefix}ordersync_log_ids"] if "events" in tables else []
        # Events are just over the size from which PostgreSQL compresses rows, which would cost
        # more than all the rest of writing them.
        plain = [
            f"ALTER TABLE {prefix}ordersync_{name} SET (toast_tuple_target = 8160)"
            for name in ("orders", "events")
            if name in tables
        ]
        secured = [
            f"ALTER TABLE {prefix}ordersync_{name} ENABLE ROW LEVEL SECURITY" for name in tables
        ]
        return [*counted, *plain, *secured]


def _as_json(text: str) -> str:
    """A JSON text as jsonb, which no NUL may be in: a letter that nobody uses stands for it."""
    return rf"replace({text}, '\u0000', '\u0001')::jsonb"
