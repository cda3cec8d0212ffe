"""A connection to MariaDB or MySQL: plain statements, values as literals, many rows in each.

No cursor of the server's, no prepared statement, no temporary table: a proxy may stand between.
Whether a row is as it was read is compared here and not by the server, which holds `a` and `A`
for equal; the rows are locked before, in the order of their keys, and those that others hold
are passed by.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import msgspec
from pymysql import MySQLError
from pymysql.constants import ER, SERVER_STATUS
from pymysql.err import IntegrityError, OperationalError

from ordersync.store.makes.mysql_errors import GONE, ILLEGAL_MIX, is_refusal
from ordersync.store.makes.mysql_spelling import (
    key_form,
    key_literal,
    listed,
    literal,
    spelled_key,
)
from ordersync.store.shape import Kind
from ordersync.store.statement import Ask, Written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

    from ordersync.store.makes.mysql_spelling import MysqlSpelling
    from ordersync.store.shape import ColumnShape
    from ordersync.store.statement import RowKey, RowUpdate, Upsert

KEYS_AT_ONCE = 900
"""MariaDB makes a subquery of a list of a thousand and more, and plans it otherwise."""

ROWS_AT_ONCE = 100
"""Of an UPDATE: each row is looked for in a CASE of all."""

BYTES_AT_ONCE = 1 << 20

PATIENCE = 10
"""Seconds to wait for another ordersync that makes the tables."""

_LIST = re.compile(r"(?<!%)%\((\w+):(\w+)\)s")
_DUPLICATE_INDEX = 1061


class MysqlSession:
    """Implements `database.Session`. `most_bytes` is what the server takes in one packet."""

    def __init__(
        self, connection: Connection[Cursor], spelling: MysqlSpelling, *, most_bytes: int
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._spelling = spelling
        self._bytes = min(BYTES_AT_ONCE, most_bytes // 2)
        self._gone = False
        self._names: list[str] = []
        self._has_counted = False
        # DELETE looks at such a subquery again for each row of the table.
        keys = spelling.each_key("keys")
        self._slow, self._quick = f"IN (SELECT j.value FROM {keys})", f"IN {listed('keys', 'text')}"

    def fetch(self, ask: Ask) -> list[tuple[Any, ...]]:
        """The rows of one statement; of several, where its list of keys is long."""
        found = _LIST.search(ask.text)
        if found is None:
            return self._rows(ask.text % _Literals(ask.arguments))
        name, form = found.groups()
        keys = _keys(form, ask.arguments[name])
        rows: list[tuple[Any, ...]] = []
        for some in _parts(keys, KEYS_AT_ONCE) or [["NULL"]]:
            rows += self._rows_among(ask.text, {**ask.arguments, f"{name}:{form}": some})
        return rows

    def fetch_each(self, asks: Sequence[Ask]) -> list[list[tuple[Any, ...]]]:
        """The rows of several statements."""
        return [self.fetch(ask) for ask in asks]

    def run(self, ask: Ask) -> int:
        """Run a statement that writes."""
        text = ask.text.replace(self._slow, self._quick)
        found = _LIST.search(text)
        if found is not None:
            keys = _keys(found[2], ask.arguments[found[1]])
            return sum(
                self._execute(text % _Literals({**ask.arguments, f"{found[1]}:{found[2]}": some}))
                for some in _parts(keys, KEYS_AT_ONCE)
            )
        try:
            return self._execute(text % _Literals(ask.arguments))
        except OperationalError as error:
            # MySQL has no IF NOT EXISTS for an index, and a migration may be a second try.
            if error.args[0] != _DUPLICATE_INDEX:
                raise
            return 0

    def begin(self) -> None:
        """Begin; the session's isolation is READ COMMITTED."""
        self._execute("START TRANSACTION")

    def commit(self) -> None:
        """End it."""
        self._execute("COMMIT")
        self._release_names()

    def rollback(self) -> None:
        """End it; a deadlock has ended it already."""
        with contextlib.suppress(MySQLError):
            self._execute("ROLLBACK")
            self._release_names()

    @property
    def in_transaction(self) -> bool:
        """Asked of the server: an error does not tell whether it ended the transaction."""
        try:
            self._connection.ping(reconnect=False)
        except MySQLError:
            return False
        return bool(self._connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    def savepoint(self) -> None:
        """Mark where to go back to."""
        self._execute("SAVEPOINT ordersync_rows")

    def rollback_to_savepoint(self) -> None:
        """Go back there."""
        self._execute("ROLLBACK TO SAVEPOINT ordersync_rows")
        self.release_savepoint()

    def release_savepoint(self) -> None:
        """Forget the mark."""
        self._execute("RELEASE SAVEPOINT ordersync_rows")

    def alone(self, name: str) -> None:
        """A lock of the server's: a table's would end with the first CREATE TABLE."""
        ((got,),) = self._rows(f"SELECT GET_LOCK({literal(name)}, {PATIENCE})")
        if not got:
            what = f"the lock {name} was not to be had within {PATIENCE} seconds"
            raise OperationalError(ER.LOCK_WAIT_TIMEOUT, what)
        self._names.append(name)

    def has_table(self, schema: str | None, name: str) -> bool:
        """Whether there is such a table."""
        place = literal(schema) if schema else "DATABASE()"
        text = (
            "SELECT 1 FROM information_schema.TABLES"
            f" WHERE TABLE_SCHEMA = {place} AND TABLE_NAME = {literal(name)}"
        )
        return bool(self._rows(text))

    def next_log_id(self, log_ids: str) -> int:
        """The next of a counter that nobody has to wait for: it goes on if we roll back.

        The row itself is not kept. Once for each session the log is looked at: a copy of the
        tables may have lost the counter.
        """
        table = log_ids % ()
        self._execute(f"INSERT INTO {table} () VALUES ()")
        number = self._cursor.lastrowid
        if not self._has_counted:
            events = f"{table.removesuffix('log_ids')}events"
            ((last,),) = self._rows(f"SELECT coalesce(max(log_id), 0) FROM {events}")
            if number <= last:
                self._execute(f"UPDATE {table} SET log_id = {last + 1} WHERE log_id = {number}")
                self._execute(f"INSERT INTO {table} (log_id) VALUES ({last + 2})")
                number = last + 2
            self._has_counted = True
        self._execute(f"DELETE FROM {table} WHERE log_id <= {number} AND log_id > {number - 2}")
        return number

    def upsert(self, upsert: Upsert, rows: Sequence[tuple[object, ...]]) -> Sequence[bool]:
        """What is there is locked and looked at; then new rows are inserted, others replaced."""
        if upsert.always:
            self._insert(upsert, rows)
            return [True] * len(rows)
        names = list(upsert.columns)
        places = [names.index(name) for name in upsert.key]
        at = names.index("version") if upsert.versioned else None
        keys = [tuple(row[place] for place in places) for row in rows]
        there = self._lock_ours(upsert, keys)
        won = [
            row[at] == there.get(key, 0) + 1 if at is not None else key not in there
            for key, row in zip(keys, rows, strict=True)
        ]
        followers = [n for n, key in enumerate(keys) if won[n] and key in there]
        self._insert(upsert, [rows[n] for n in followers])
        fresh = [n for n, key in enumerate(keys) if won[n] and key not in there]
        plain = msgspec.structs.replace(upsert, updates=(), kept=())
        for some in _parts(fresh, KEYS_AT_ONCE):
            try:
                self._insert(plain, [rows[n] for n in some])
            except IntegrityError as error:
                if error.args[0] != ER.DUP_ENTRY:
                    raise
                for n in some:  # another has just made one of them: all but those
                    won[n] = self._insert_new(plain, rows[n])
        return won

    def _insert_new(self, upsert: Upsert, row: tuple[object, ...]) -> bool:
        try:
            self._insert(upsert, [row])
        except IntegrityError as error:
            if error.args[0] != ER.DUP_ENTRY:
                raise
            return False
        return True

    def _lock_ours(
        self, upsert: Upsert, keys: Sequence[tuple[object, ...]]
    ) -> dict[tuple[object, ...], int]:
        """The rows of ours that are there, locked in the order of their keys: their versions."""
        columns = [f"o.{name}" for name in upsert.key]
        columns.append("o.version" if upsert.versioned else "1")
        on = " AND ".join(
            f"o.{name} = j.value" if n == len(upsert.key) - 1 else f"o.{name} = %(p{n})s"
            for n, name in enumerate(upsert.key)
        )
        text = (
            f"SELECT {', '.join(columns)} FROM {self._spelling.each_key('keys')}"
            f" STRAIGHT_JOIN {upsert.table} AS o ON {on} FOR UPDATE"
        )
        groups: dict[tuple[object, ...], list[object]] = {}
        for *others, last in sorted(keys, key=str):
            groups.setdefault(tuple(others), []).append(last)
        found: dict[tuple[object, ...], int] = {}
        for group, last_keys in groups.items():
            arguments = {f"p{n}": value for n, value in enumerate(group)}
            listed_keys = msgspec.json.encode(last_keys).decode()
            for *key, version in self.fetch(Ask(text, {**arguments, "keys": listed_keys})):
                found[tuple(key)] = version
        return found

    def _insert(self, upsert: Upsert, rows: Sequence[tuple[object, ...]]) -> None:
        head, tail = (self._spelling.upsert(upsert, "VALUES \n") % ()).split("\n")
        texts = (f"({', '.join(map(literal, row))})" for row in rows)
        for some in self._packets(texts, len(rows)):
            self._execute(f"{head}{', '.join(some)}{tail}")

    def write_rows(self, update: RowUpdate, rows: Sequence[Sequence[object]]) -> Written:
        """Lock, compare, write; and look whether a trigger let it be.

        A row that was written otherwise than asked is put back as it was: it is refused.
        """
        first_new = 1 + len(update.compared)
        keys = sorted((row[0] for row in rows), key=str)
        there = self._cells(update, update.compared, keys, f"{update.scope} {_SKIPPING}")
        same = [row for row in rows if there.get(row[0]) == tuple(row[1:first_new])]
        held = [key for key in keys if key not in there]
        words = [
            (n, column)
            for n, column in enumerate(update.written, start=first_new)
            if column.kind is Kind.TEXT
        ]
        if same and words:
            self._execute("SAVEPOINT ordersync_update")
        self._update(update, same, first_new)
        if same and words:
            columns = [column for _, column in words]
            after = self._cells(update, columns, [row[0] for row in same])
            done = [
                row
                for row in same
                if _is_as_asked(after.get(row[0]), [row[place] for place, _ in words])
            ]
            if len(done) < len(same):
                self._execute("ROLLBACK TO SAVEPOINT ordersync_update")
                self._update(update, done, first_new)
                same = done
            self._execute("RELEASE SAVEPOINT ordersync_update")
        return Written([row[0] for row in same], held)

    def _cells(
        self,
        update: RowUpdate,
        columns: Sequence[ColumnShape],
        keys: Sequence[object],
        rest: str = "",
    ) -> dict[object, tuple[object, ...]]:
        """The cells of rows, by their keys, as the store reads them."""
        read = self._spelling.read
        names = ", ".join(read(column) for column in (update.key, *columns))
        head = f"SELECT {names} FROM {update.table} AS t WHERE "
        column = f"t.{self._spelling.quote(update.key.name)}"
        among = f"{column} IN {listed('keys', key_form(update.key))}"
        # In the order of their keys, so that two of us never stand in each other's way.
        tail = rest.replace(_SKIPPING, f"ORDER BY {column} {_SKIPPING}")
        ask = Ask(f"{head}{among}{tail}", {"keys": msgspec.json.encode(keys).decode()})
        return {key: tuple(cells) for key, *cells in self.fetch(ask)}

    def _update(self, update: RowUpdate, rows: Sequence[Sequence[object]], first_new: int) -> None:
        """Each new cell by its row's key: one statement for many rows, on one table only."""
        key = f"t.{self._spelling.quote(update.key.name)}" % ()
        columns = list(enumerate(update.written, start=first_new))
        lines = [
            [
                spelled_key(update.key, row[0]) or "NULL",
                *(literal(_for_column(column, row[n])) for n, column in columns),
            ]
            for row in rows
        ]
        for some in self._packets(lines, ROWS_AT_ONCE):
            sets = []
            for n, (_, column) in enumerate(columns, start=1):
                values = {line[n] for line in some}
                cases = " ".join(f"WHEN {line[0]} THEN {line[n]}" for line in some)
                value = f"CASE {key} {cases} END" if len(values) > 1 else values.pop()
                sets.append(f"t.{self._spelling.quote(column.name)}" % () + f" = {value}")
            among = ", ".join(line[0] for line in some)
            table = update.table % ()
            self._execute(
                f"UPDATE {table} AS t SET {', '.join(sets)} WHERE {key} IN ({among})"
            )

    def is_held(self, update: RowUpdate, key: RowKey) -> bool:
        """Always: nothing but another's lock lets a row that is there be passed by.

        Asked again, the lock might be gone by now, and the row be taken for one that is refused.
        """
        del update, key
        return True

    def refusal(self, error: BaseException) -> str:
        """A constraint, a type, or a trigger's own error; no deadlock, no lock of another's."""
        return str(error.args[1]) if is_refusal(error) else ""

    def revision(self) -> int | None:
        """Nobody tells us."""
        return None

    @property
    def is_alive(self) -> bool:
        """Whether the server still answers; asked after an error only."""
        if self._gone or not self._connection.open:
            return False
        try:
            self._connection.ping(reconnect=False)
        except MySQLError:
            return False
        return True

    def close(self) -> None:
        """Give back the connection, and with it all that it holds."""
        with contextlib.suppress(MySQLError):
            self._connection.close()

    def _release_names(self) -> None:
        while self._names:
            self._rows(f"SELECT RELEASE_LOCK({literal(self._names.pop())})")

    def _rows_among(self, text: str, arguments: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """The rows whose key is in a list. A key in letters that the column lacks finds none."""
        try:
            return self._rows(text % _Literals(arguments))
        except OperationalError as error:
            if error.args[0] not in ILLEGAL_MIX:
                raise
            name = next(name for name in arguments if ":" in name)
            keys = arguments[name]
            if not isinstance(keys, list) or len(keys) == 1:
                return []
            middle = len(keys) // 2
            return [
                row
                for half in (keys[:middle], keys[middle:])
                for row in self._rows_among(text, {**arguments, name: half})
            ]

    def _rows(self, text: str) -> list[tuple[Any, ...]]:
        self._execute(text)
        return list(self._cursor.fetchall())

    def _execute(self, text: str) -> int:
        try:
            return self._cursor.execute(text)
        except MySQLError as error:
            self._gone |= bool(error.args) and error.args[0] in GONE
            raise
