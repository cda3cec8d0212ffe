"""The statements of the SQLite store, made once for a mapping. Text only; nothing is run here.

Many keys or truths travel in one JSON parameter: no limit of parameters, no temporary table,
and RETURNING names the winners of a compare-and-set. The user's rows are written one by one:
as fast, exact in every type, and no planner can take it for a walk over the table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ordersync.ports import Meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.store.mapping import Mapping

# What is written here is guarded too: whoever wrote a cell in the meantime wins. Floats are
# not (their text form is not exact), nor is updated_at (every writer moves it).
_GUARDED = ("filled_at", "reason")

# CROSS JOIN keeps SQLite from walking all of an account's truths once for each key.
TRUTHS = """
SELECT o.order_key, o.version, o.state, o.final_since, o.row_id
FROM json_each(?2) AS j
CROSS JOIN ordersync_orders AS o ON o.account = ?1 AND o.order_key = j.value"""

ABSENCES = """
SELECT order_key, body FROM ordersync_absences
WHERE account = ?1 AND order_key IN (SELECT value FROM json_each(?2))"""

DUE_TIMES = """
SELECT order_key, due_at FROM ordersync_due
WHERE account = ?1 AND order_key IN (SELECT value FROM json_each(?2))"""

DUE_BY_TIME = """
SELECT venue_order_id, client_order_id FROM ordersync_due WHERE account = ?1 AND due_at <= ?2"""

DUE_ORDERS = f"""{DUE_BY_TIME}
UNION
SELECT venue_order_id, client_order_id FROM ordersync_orders INDEXED BY ordersync_orders_open
WHERE account = ?1 AND final = 0 AND row_id IS NOT NULL"""

COUNT_OPEN_TRUTHS = """
SELECT count(*) FROM ordersync_orders INDEXED BY ordersync_orders_open
WHERE account = ?1 AND final = 0 AND row_id IS NOT NULL"""

# The upsert is the compare-and-set: version 1 must be new, any other must follow its own
# predecessor. Keys that do not come back were advanced by somebody else.
PUT_TRUTH = """
INSERT INTO ordersync_orders (account, order_key, venue_order_id, client_order_id, row_id,
  version, epoch, status, final, first_seen_at, final_since, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, order_key) DO UPDATE SET
  venue_order_id = excluded.venue_order_id, client_order_id = excluded.client_order_id,
  row_id = coalesce(excluded.row_id, row_id), version = excluded.version, epoch = excluded.epoch,
  status = excluded.status, final = excluded.final, final_since = excluded.final_since,
  state = excluded.state
WHERE ordersync_orders.version = excluded.version - 1"""

# A row may be written on the strength of a truth that did not change only while that truth
# still stands.
STANDING_TRUTHS = """
SELECT o.order_key FROM json_each(?2) AS j
CROSS JOIN ordersync_orders AS o ON o.account = ?1 AND o.order_key = json_extract(j.value, '$[0]')
WHERE o.version = json_extract(j.value, '$[1]')"""

LINK_ROW = "UPDATE ordersync_orders SET row_id = ?3 WHERE account = ?1 AND order_key = ?2"

PUT_EVENT = """
INSERT INTO ordersync_events (log_id, n, at, account, order_key, kind, body)
VALUES (?, ?, ?, ?, ?, ?, ?)"""

NEXT_LOG_ID = "SELECT coalesce(max(log_id), 0) + 1 FROM ordersync_events"

PUT_ABSENCE = """
INSERT INTO ordersync_absences (account, order_key, overlay, body) VALUES (?, ?, ?, ?)
ON CONFLICT (account, order_key) DO UPDATE SET overlay = excluded.overlay, body = excluded.body"""

DROP_ABSENCES = """
DELETE FROM ordersync_absences
WHERE account = ?1 AND order_key IN (SELECT value FROM json_each(?2))"""

PUT_DUE = """
INSERT INTO ordersync_due (account, order_key, venue_order_id, client_order_id, due_at)
VALUES (?, ?, ?, ?, ?) ON CONFLICT (account, order_key) DO UPDATE SET due_at = excluded.due_at"""

DROP_DUE = """
DELETE FROM ordersync_due WHERE account = ?1 AND order_key IN (SELECT value FROM json_each(?2))"""

# A note that is new comes back; one that was told before does not.
PUT_NOTE = """
INSERT INTO ordersync_notes (account, order_key, kind, digest, times, first_at, last_at)
VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5) ON CONFLICT DO NOTHING RETURNING digest"""

# How often a row was repaired of late. The log knows: a repair that was refused or lost is none.
REPAIRS = """
SELECT count(*) FROM ordersync_events
WHERE account = ?1 AND order_key = ?2 AND kind = 'repaired' AND at > ?4
  AND json_extract(body, '$.order.row_id') = ?3"""

CONTESTED = """
SELECT last_at FROM ordersync_notes
WHERE account = ?1 AND order_key = ?2 AND kind = 'contested row' AND digest = ?3"""

IS_NOTED = """
SELECT 1 FROM ordersync_notes
WHERE account = ?1 AND order_key = ?2 AND kind = ?3 AND digest = ?4"""

PUT_CONTESTED = """
INSERT INTO ordersync_notes (account, order_key, kind, digest, times, first_at, last_at)
VALUES (?1, ?2, 'contested row', ?3, 1, ?4, ?4)
ON CONFLICT DO UPDATE SET times = times + 1, last_at = ?4"""

GET_ACCOUNT = "SELECT body FROM ordersync_accounts WHERE account = ?"
PUT_ACCOUNT = """
INSERT INTO ordersync_accounts (account, body) VALUES (?, ?)
ON CONFLICT (account) DO UPDATE SET body = excluded.body"""


def quote(name: str) -> str:
    """An identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text literal. Words are written out so that a partial index on them can be used."""
    return "'" + text.replace("'", "''") + "'"


_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]""")


def is_one_expression(text: str) -> bool:
    """Whether a condition stays inside the parentheses that it is put into."""
    depth = 0
    bare = _QUOTED.sub("", text)
    for letter in bare:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            return False
    return depth == 0 and "--" not in bare and "/*" not in bare


class Statements:
    """The statements about the rows of one account, or of all (None)."""

    def __init__(self, mapping: Mapping, account: str | None) -> None:
        self._mapping = mapping
        self._table = quote(mapping.shape.name)
        self._columns = {field: f"t.{quote(name)}" for field, name in mapping.columns.items()}
        self._scope = self._scope_of(account)
        self.select = f"SELECT {', '.join(self._columns.values())} FROM {self._table} AS t"

    def by_words(self, words: Sequence[str]) -> str:
        """Rows that hold one of these words: few, whatever ANALYZE has learned of the others."""
        return f"{self.select} WHERE likelihood({self._in_words(words)}, 0.0001){self._scope}"

    def finished_since(self, words: Sequence[str]) -> str:
        """Rows of these words with a time at or after :day (text) or :seconds (a number)."""
        recent = " OR ".join(
            f"{column} >= {f':seconds * {form.unit}' if form.unit else ':day'}"
            for field, column in self._columns.items()
            if (form := self._mapping.time_forms.get(field)) is not None
        )
        # The plus hides all but the times from SQLite, which may think an index on the status
        # or the account the better way, and walks through the whole history by it.
        return f"{self.select} WHERE ({recent or '0'}) AND +({self._in_words(words)}{self._scope})"

    def outside_words(self, words: Sequence[str]) -> str:
        """The ?1 newest rows that hold another word than these, or none."""
        status = self._columns["status"]
        return (
            f"{self.select} WHERE ({status} IS NULL OR NOT {self._in_words(words)}){self._scope}"
            f" ORDER BY {self._columns['id']} DESC LIMIT ?1"
        )

    @property
    def newest_ids(self) -> str:
        """The venue ids of the ?1 newest rows that have one."""
        venue = self._columns["venue_order_id"]
        return (
            f"SELECT {venue} FROM {self._table} AS t WHERE {venue} IS NOT NULL{self._scope}"
            f" ORDER BY {self._columns['id']} DESC LIMIT ?1"
        )

    @property
    def by_venue_ids(self) -> str:
        """Rows whose venue id is in the JSON list ?1."""
        venue = self._columns["venue_order_id"]
        return f"{self.select} WHERE {venue} IN (SELECT value FROM json_each(?1)){self._scope}"

    @property
    def by_client_ids(self) -> str:
        """Rows without a venue id whose client id is in the JSON list ?1."""
        venue, client = self._columns["venue_order_id"], self._columns["client_order_id"]
        return (
            # An index on the venue id would lead to every order that never had one.
            f"{self.select} WHERE coalesce({venue}, '') = ''"
            f" AND {client} IN (SELECT value FROM json_each(?1)){self._scope}"
        )

    @property
    def by_row_ids(self) -> str:
        """Rows whose key is in the JSON list ?1, whatever word they hold."""
        key = self._columns["id"]
        return f"{self.select} WHERE {key} IN (SELECT value FROM json_each(?1)){self._scope}"

    @property
    def test_where(self) -> str:
        """A read that fails where the mapping's `where` is no expression."""
        return f"{self.select} WHERE 1{self._scope} LIMIT 1"

    @property
    def count_words(self) -> str:
        """How many rows hold each word."""
        status = self._columns["status"]
        return f"SELECT {status}, count(*) FROM {self._table} AS t WHERE 1{self._scope} GROUP BY 1"

    def samples(self, field: str) -> str:
        """The newest cells of a time column."""
        column, key = self._columns[field], self._columns["id"]
        return (
            f"SELECT {column} FROM (SELECT {column}, {key} AS k FROM {self._table} AS t"
            f" ORDER BY {key} DESC LIMIT 200) AS t WHERE {column} IS NOT NULL LIMIT 50"
        )

    def write(self, fields: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """Compare-and-set of these fields of one row, and the fields that are compared.

        Its arguments: the key, the compared cells as they were read, the new ones.
        """
        identity = ["status", "venue_order_id"]
        identity += ["client_order_id"] if "client_order_id" in self._columns else []
        compared = (*identity, *(field for field in _GUARDED if field in fields))
        values = ", ".join(
            f"{quote(self._mapping.columns[field])} = ?{n}"
            for n, field in enumerate(fields, start=2 + len(compared))
        )
        same = "".join(
            f" AND {self._columns[field]} IS ?{n}" for n, field in enumerate(compared, start=2)
        )
        text = (
            f"UPDATE {self._table} AS t SET {values}"
            f" WHERE {self._columns['id']} = ?1{same}{self._scope}"
        )
        return text, compared

    def index_proposals(self) -> list[tuple[str, str, str]]:
        """(field, why, DDL) of each index without which a pass reads the whole table."""
        mapping, name = self._mapping, self._mapping.shape.name
        proposals = []
        if not mapping.shape.leads_an_index(mapping.columns["status"]):
            words = ", ".join(literal(word) for word in open_words(mapping))
            status = quote(mapping.columns["status"])
            ddl = (
                f"CREATE INDEX {quote(f'{name}_open')} ON {self._table} ({status})"
                f" WHERE {status} IN ({words})"
            )
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
                ddl = f"CREATE INDEX {quote(f'{name}_{column}')} ON {self._table} ({quote(column)})"
                proposals.append((field, why, ddl))
        return proposals

    def _in_words(self, words: Sequence[str]) -> str:
        return f"{self._columns['status']} IN ({', '.join(literal(word) for word in words)})"

    def _scope_of(self, account: str | None) -> str:
        """The conditions that every statement carries: the account's rows, the user's `where`."""
        scope = ""
        values = self._mapping.account_values(account) if account is not None else None
        if values is not None:
            listed = ", ".join(literal(value) for value in values)
            scope += f" AND likelihood({self._columns['account']} IN ({listed}), 0.9)"
        if self._mapping.orders.where:
            # Most rows, whatever an index on it might promise: the other conditions are narrower.
            scope += f" AND likelihood(({self._mapping.orders.where}), 0.9)"
        return scope


def open_words(mapping: Mapping) -> tuple[str, ...]:
    """The words of rows to watch: those that are open, and those that say unknown."""
    return (
        *mapping.words.words_meaning(Meaning.OPEN),
        *mapping.words.words_meaning(Meaning.UNKNOWN),
    )
