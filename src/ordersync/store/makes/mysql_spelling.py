"""What MariaDB and MySQL spell otherwise.

Our session treats a backslash as a letter (NO_BACKSLASH_ESCAPES), so that a quote in a literal
is doubled and nothing else of it matters. A column is compared with literals, which take the
column's own collation and so its index; a value from a JSON list has a collation of its own,
and one that differs makes a look-up read the whole table once for each key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.store.makes.mysql_literals import key_form, key_literal, listed
from ordersync.store.shape import Kind
from ordersync.store.spelling import Spelling
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.store.shape import ColumnShape, TableShape
    from ordersync.store.statement import Upsert


class MysqlSpelling(Spelling):
    """What differs; our own tables hold text by its letters."""

    open_rows = "(account, final, row_id)"
    has_partial_indexes = False
    joined = "STRAIGHT_JOIN"

    def __init__(self) -> None:
        self.compare_by("utf8mb4_bin")

    def compare_by(self, collation: str) -> None:
        """Let our own texts be compared by this: each make has its own name for letter by letter.

        It has to be known before our tables are made or asked.
        """
        letters = f"CHARACTER SET utf8mb4 COLLATE {collation}"
        self.collation = collation
        # Four of these fit into the longest key that InnoDB can index: 3072 bytes.
        self.key_type = f"VARCHAR(190) {letters}"
        self.text_type = f"LONGTEXT {letters}"
        # Wider than what it is compared with: MariaDB cuts what is too long, and what was cut
        # must not be equal to anything.
        self._json_key = f"VARCHAR(191) {letters}"

    def ddl(self, template: str, prefix: str) -> str:
        """A statement about our tables. Each is its own transaction: one may be there already."""
        text = super().ddl(template, prefix)
        if not text.startswith("CREATE TABLE "):
            return text
        rest = text.removeprefix("CREATE TABLE ").removeprefix("IF NOT EXISTS ")
        return f"CREATE TABLE IF NOT EXISTS {rest} ENGINE = InnoDB ROW_FORMAT = DYNAMIC"

    def beside_tables(self, prefix: str, tables: Sequence[str]) -> list[str]:
        """What numbers the commits."""
        if "events" not in tables:
            return []
        column = "(log_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY)"
        name = f"{prefix}ordersync_log_ids"
        return [f"CREATE TABLE IF NOT EXISTS {name} {column} ENGINE = InnoDB"]

    def grants(
        self,
        role: str,
        prefix: str,
        table: TableShape,
        read: Sequence[str],
        written: Sequence[str],
        ours: Sequence[str],
    ) -> list[str]:
        """SELECT on the whole table: without it nobody is told how the table is declared."""
        del read
        user, _, host = role.rpartition("@") if "@" in role else (role, "", "%")
        to = f"{self.literal(user)}@{self.literal(host)}"
        changed = ", ".join(self.quote(column) for column in written)
        texts = [f"GRANT SELECT, UPDATE ({changed}) ON {self.table(table)} TO {to}"]
        texts += [
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {prefix}ordersync_{one} TO {to}"
            for one in (*ours, *(["log_ids"] if "events" in ours else []))
        ]
        return texts

    def as_typed(self, text: str) -> str:
        """The percent signs as they were."""
        return text.replace("%%", "%")

    def quote(self, name: str) -> str:
        """An identifier, in the quotes that every mode knows."""
        return self.verbatim("`" + name.replace("`", "``") + "`")

    def verbatim(self, text: str) -> str:
        """A percent sign begins a parameter, but for two."""
        return text.replace("%", "%%")

    def param(self, name: str) -> str:
        """The place of a named argument."""
        return f"%({name})s"

    def read(self, column: ColumnShape) -> str:
        """Numbers and times as the server spells them; text so that it compares by its letters."""
        cell = f"t.{self.quote(column.name)}"
        if column.kind is Kind.TIME and column.zoned:
            return f"CONCAT({cell}, '+00:00')"  # our session's zone
        if column.kind is Kind.TEXT:
            return f"CONVERT({cell} USING utf8mb4) COLLATE {self.collation}"
        return cell

    def can_hold(self, column: ColumnShape, key: str) -> bool:
        """Numbers for numbers: a text compared with a number is taken for another number."""
        return key_literal(key_form(column), key) is not None

    def each_key(self, name: str) -> str:
        """The JSON list in an argument as a table; for our own columns."""
        columns = f"COLUMNS (value {self._json_key} PATH '$')"
        return f"JSON_TABLE({self.param(name)}, '$[*]' {columns}) AS j"

    def among(self, column: ColumnShape, name: str) -> str:
        """Whether a column is among literals, which the session makes of the argument."""
        return f"t.{self.quote(column.name)} IN {listed(name, key_form(column))}"

    def json_text(self, expression: str, *path: str) -> str:
        """A text inside a JSON text."""
        return f"JSON_VALUE({expression}, '$.{'.'.join(path)}')"

    def no_index_for(self, condition: str) -> str:
        """No planner looks into a function."""
        return f"coalesce({condition}, 0) <> 0"

    def moment(self, span: str = "") -> str:
        """The statement's time: one that waited for a lock is judged by when it came."""
        later = f" + INTERVAL {self.param(span)} MICROSECOND" if span else ""
        form = self.verbatim("'%Y-%m-%dT%H:%i:%s.%fZ'")
        return f"DATE_FORMAT(UTC_TIMESTAMP(6){later}, {form})"

    def held(self, select: str) -> str:
        """In the words that both makes know."""
        return f"{select} LOCK IN SHARE MODE"

    def begin_snapshot(self, begin: Callable[[str], None], fetch: Callable[[Ask], object]) -> None:
        """One snapshot for all statements to come."""
        fetch(Ask("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        begin("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def lock(self, alias: str) -> str:
        """Held until the transaction ends. MariaDB knows no OF."""
        del alias
        return " FOR UPDATE"

    def upsert(self, upsert: Upsert, values: str) -> str:
        """One statement; whether a row may be replaced has been looked at before."""
        text = f"INSERT INTO {upsert.table} ({', '.join(upsert.columns)}) {values}"
        if not upsert.updates:
            return text
        sets = [f"{name} = VALUES({name})" for name in upsert.updates]
        sets += [f"{name} = coalesce(VALUES({name}), {name})" for name in upsert.kept]
        return f"{text} ON DUPLICATE KEY UPDATE {', '.join(sets)}"

    def words(self, column: ColumnShape, words: Sequence[str]) -> str:
        """By the column's index, which may not tell letters apart; then letter by letter."""
        fit = [word for word in words if not column.is_enum or word in column.words]
        form = key_form(column)
        if form != "text":
            fit = [word for word in fit if key_literal(form, word) is not None]
        if not fit:
            return "1 = 0"
        cell = f"t.{self.quote(column.name)}"
        if form != "text":
            return f"{cell} IN ({', '.join(fit)})"
        literals = [self.literal(word) for word in fit]
        exactly = f"CAST(CONVERT({cell} USING utf8mb4) AS BINARY)"
        letters = ", ".join(f"_binary{literal}" for literal in literals)
        return f"({cell} IN ({', '.join(literals)}) AND {exactly} IN ({letters}))"
