"""A connection to MariaDB or MySQL: plain statements, values as literals, many rows in each.

No prepared statement and no temporary table: a proxy may stand between. Whether a row is as it
was read is compared here and not by the server, which holds `a` and `A` for equal; the rows are
locked before, in the order of their keys, and those that others hold are passed by.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import msgspec
from pymysql import MySQLError
from pymysql.constants import ER, SERVER_STATUS
from pymysql.err import IntegrityError, OperationalError

from ordersync.store.makes.at_once import AtOnce
from ordersync.store.makes.mysql_errors import GONE, ILLEGAL_MIX, code_of, is_refusal
from ordersync.store.makes.mysql_literals import (
    LISTED,
    Literals,
    is_as_asked,
    key_form,
    key_literal,
    keys_in,
    keys_of,
    listed,
    literal,
    literals,
    packets,
    parts,
    spelled,
)
from ordersync.store.shape import Kind
from ordersync.store.statement import Ask, Written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

    from ordersync.store.makes.mysql_spelling import MysqlSpelling
    from ordersync.store.shape import ColumnShape
    from ordersync.store.statement import RowKey, RowUpdate, Upsert

    Rows = list[tuple[Any, ...]]

KEYS_AT_ONCE = 900
"""MariaDB makes a subquery of a list of a thousand and more, and plans it otherwise."""

ROWS_AT_ONCE = 100
"""Of an UPDATE: each row is looked for in a CASE of all."""

LETTERS_AT_ONCE = 1 << 20
PATIENCE = 10
"""Seconds to wait for another ordersync that makes the tables."""


class MysqlSession(AtOnce):
    """Implements `database.Session`. `most_bytes` is what the server takes in one packet."""

    def __init__(
        self, connection: Connection[Cursor], spelling: MysqlSpelling, *, most_bytes: int
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._spelling = spelling
        self._letters = min(LETTERS_AT_ONCE, most_bytes // 5)  # of up to four bytes each
        self._is_gone = False
        self._names: list[str] = []
        self._has_counted = False
        # A DELETE looks into such a subquery anew for each row of the table.
        keys = spelling.each_key("keys")
        self._slow, self._quick = f"IN (SELECT j.value FROM {keys})", f"IN {listed('keys', 'text')}"

    def fetch(self, ask: Ask) -> Rows:
        """The rows of one statement; of several, where its list of keys is long."""
        found = LISTED.search(ask.text)
        if found is None:
            return self._rows(ask.text % Literals(ask.arguments))
        keys = keys_in(found[2], ask.arguments[found[1]])
        return self._rows_among(ask, f"{found[1]}:{found[2]}", keys)

    def fetch_each(self, asks: Sequence[Ask]) -> list[Rows]:
        """The rows of several statements."""
        return [self.fetch(ask) for ask in asks]

    def run(self, ask: Ask) -> int:
        """Run a statement that writes."""
        text = ask.text.replace(self._slow, self._quick)
        found = LISTED.search(text)
        if found is not None:
            keys, name = keys_in(found[2], ask.arguments[found[1]]), found[0][2:-2]
            return sum(
                self._execute(text % Literals({**ask.arguments, name: some}))
                for some in parts(keys, KEYS_AT_ONCE)
            )
        try:
            return self._execute(text % Literals(ask.arguments))
        except OperationalError as error:
            # MySQL has no IF NOT EXISTS for an index, and a migration may be a second try.
            if code_of(error) != ER.DUP_KEYNAME:
                raise
            return 0

    def begin(self, how: str | None = None) -> None:
        """Begin; READ COMMITTED is the session's own."""
        self._execute(how or "START TRANSACTION")

    def commit(self) -> None:
        """End it."""
        self.check_held()
        self._execute("COMMIT")
        self._release_names()

    def rollback(self) -> None:
        """End it; a deadlock has ended it already."""
        with contextlib.suppress(MySQLError):
            self._execute("ROLLBACK")
            self._release_names()

    @property
    def in_transaction(self) -> bool:
        """Asked of the server: its errors do not tell whether they ended the transaction."""
        status = getattr(self._connection, "server_status", 0) if self._answers() else 0
        return bool(status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

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
        """A lock by name: that of a row would end with the first CREATE TABLE."""
        ((got,),) = self._rows(f"SELECT GET_LOCK({literal(name)}, {PATIENCE})")
        if not got:
            what = f"another holds the lock {name} for more than {PATIENCE} seconds"
            raise OperationalError(ER.LOCK_WAIT_TIMEOUT, what)
        self._names.append(name)

    def has_table(self, schema: str | None, name: str) -> bool:
        """Whether there is such a table."""
        place = literal(schema) if schema else "DATABASE()"
        return bool(
            self._rows(
                "SELECT 1 FROM information_schema.TABLES"
                f" WHERE TABLE_SCHEMA = {place} AND TABLE_NAME = {literal(name)}"
            )
        )

    def next_log_id(self, log_ids: str) -> int:
        """The next of a counter for which nobody waits: it goes on whatever becomes of us."""
        table = log_ids % ()
        numbers = [self._next_number(table)]
        if not self._has_counted:
            # Who copied our tables may have left the counter behind.
            events = f"{table.removesuffix('log_ids')}events"
            ((last,),) = self._rows(f"SELECT coalesce(max(log_id), 0) FROM {events}")
            if numbers[0] <= last:
                self._execute(f"INSERT IGNORE INTO {table} (log_id) VALUES ({last})")
                numbers += [last, self._next_number(table)]
            self._has_counted = True
        self._execute(f"DELETE FROM {table} WHERE log_id IN ({', '.join(map(str, numbers))})")
        return numbers[-1]

    def _next_number(self, table: str) -> int:
        self._execute(f"INSERT INTO {table} () VALUES ()")
        return self._cursor.lastrowid

    def upsert(self, upsert: Upsert, rows: Sequence[tuple[object, ...]]) -> Sequence[bool]:
        """What is there is locked and looked at; then it is replaced, and the rest inserted."""
        if upsert.always:
            self._insert(upsert, rows)
            return [True] * len(rows)
        names = list(upsert.columns)
        places = [names.index(name) for name in upsert.key]
        keys = [tuple(row[place] for place in places) for row in rows]
        there = self._lock_ours(upsert, keys)
        at = names.index("version") if upsert.versioned else None
        won = [
            key not in there if at is None else row[at] == there.get(key, 0) + 1
            for key, row in zip(keys, rows, strict=True)
        ]
        self._insert(upsert, [rows[n] for n, key in enumerate(keys) if won[n] and key in there])
        fresh = [n for n, key in enumerate(keys) if won[n] and key not in there]
        plain = msgspec.structs.replace(upsert, updates=())
        done = 0
        for some in self._packets(literals(rows[n]) for n in fresh):
            places = fresh[done : done + len(some)]
            done += len(some)
            if not self._insert_new(plain, some):
                # Another has just made one of them: all but those.
                for n, line in zip(places, some, strict=True):
                    won[n] = self._insert_new(plain, [line])
        return won

    def _lock_ours(
        self, upsert: Upsert, keys: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[object, ...], int]:
        """The versions of the rows of ours that are there, locked in the order of their keys."""
        *first, last = upsert.key
        columns = ", ".join(f"o.{name}" for name in upsert.key)
        on = "".join(f"o.{name} = %({name})s AND " for name in first)
        text = (
            f"SELECT {columns}, {'o.version' if upsert.versioned else '1'}"
            f" FROM {self._spelling.each_key('keys')} STRAIGHT_JOIN {upsert.table} AS o"
            f" ON {on}o.{last} = j.value FOR UPDATE"
        )
        groups: dict[tuple[object, ...], list[object]] = {}
        for *group, key in sorted(keys):
            groups.setdefault(tuple(group), []).append(key)
        found: dict[tuple[object, ...], int] = {}
        for values, last_keys in groups.items():
            listed_keys = msgspec.json.encode(last_keys).decode()
            arguments = {**dict(zip(first, values, strict=True)), "keys": listed_keys}
            for *whole, version in self.fetch(Ask(text, arguments)):
                found[tuple(whole)] = version
        return found

    def _insert(self, upsert: Upsert, rows: Sequence[tuple[object, ...]]) -> None:
        for some in self._packets(map(literals, rows)):
            self._insert_lines(upsert, some)

    def _insert_new(self, upsert: Upsert, lines: Sequence[Sequence[str]]) -> bool:
        """Whether all of these could be inserted; else none was."""
        try:
            self._insert_lines(upsert, lines)
        except IntegrityError as error:
            if code_of(error) != ER.DUP_ENTRY:
                raise
            return False
        return True

    def _insert_lines(self, upsert: Upsert, lines: Sequence[Sequence[str]]) -> None:
        head, tail = (self._spelling.upsert(upsert, "VALUES \n") % ()).split("\n")
        values = ", ".join(f"({', '.join(line)})" for line in lines)
        self._execute(f"{head}{values}{tail}")

    def write_rows(self, update: RowUpdate, rows: Sequence[Sequence[Any]]) -> Written:
        """Lock, compare, write; and look whether a trigger let it be.

        A row in which not all texts are as they were asked for is put back as it was: refused.
        """
        key = f"t.{self._spelling.quote(update.key.name)}"
        lock = f"{update.scope} ORDER BY {key} FOR UPDATE SKIP LOCKED"
        there = self._cells(update, update.compared, sorted(row[0] for row in rows), lock)
        new = 1 + len(update.compared)
        same = [row for row in rows if there.get(row[0]) == tuple(row[1:new])]
        held = [row[0] for row in rows if row[0] not in there]
        if not same:
            return Written([], held)
        texts = [
            (place, column)
            for place, column in enumerate(update.written, start=new)
            if column.kind is Kind.TEXT
        ]
        self._execute("SAVEPOINT ordersync_update")
        self._update(update, same, new)
        after = (
            self._cells(update, [c for _, c in texts], [row[0] for row in same]) if texts else {}
        )
        done = [
            row
            for row in same
            if not texts or is_as_asked(after.get(row[0]), [row[place] for place, _ in texts])
        ]
        if len(done) < len(same):
            self._execute("ROLLBACK TO SAVEPOINT ordersync_update")
            self._update(update, done, new)
        self._execute("RELEASE SAVEPOINT ordersync_update")
        return Written([row[0] for row in done], held)

    def _cells(
        self,
        update: RowUpdate,
        columns: Sequence[ColumnShape],
        keys: Sequence[object],
        ending: str = "",
    ) -> dict[object, tuple[object, ...]]:
        """The cells of rows by their keys, as the store reads them."""
        read = ", ".join(self._spelling.read(column) for column in (update.key, *columns))
        name = f"keys:{key_form(update.key)}"
        key = f"t.{self._spelling.quote(update.key.name)}"
        text = f"SELECT {read} FROM {update.table} AS t WHERE {key} IN (%({name})s)"
        found = self._rows_among(Ask(text + ending), name, keys_of(key_form(update.key), keys))
        return {key: tuple(cells) for key, *cells in found}

    def _update(self, update: RowUpdate, rows: Sequence[Sequence[Any]], new: int) -> None:
        """Each new cell by its row's key: one table, many rows, no join with other collations."""
        key = f"t.{self._spelling.quote(update.key.name)}" % ()
        names = [f"t.{self._spelling.quote(column.name)}" % () for column in update.written]
        lines = (
            [
                key_literal(key_form(update.key), row[0]) or "NULL",
                *(
                    literal(spelled(column, cell))
                    for column, cell in zip(update.written, row[new:], strict=True)
                ),
            ]
            for row in rows
        )
        for some in self._packets(lines, ROWS_AT_ONCE):
            sets = []
            for place, name in enumerate(names, start=1):
                cases = " ".join(f"WHEN {line[0]} THEN {line[place]}" for line in some)
                is_one = len({line[place] for line in some}) == 1
                sets.append(f"{name} = {some[0][place] if is_one else f'CASE {key} {cases} END'}")
            keys = ", ".join(line[0] for line in some)
            self._execute(
                f"UPDATE {update.table % ()} AS t SET {', '.join(sets)} WHERE {key} IN ({keys})"
            )

    def is_held(self, update: RowUpdate, key: RowKey) -> bool:
        """Always: only another's lock lets a row that is there be passed by.

        Asked again, the lock might be gone by now, and the row be taken for one that is refused.
        """
        del update, key
        return True

    def refusal(self, error: BaseException) -> str:
        """A constraint, a type, or a trigger's own error; not another's lock, nor a deadlock."""
        return str(error.args[1]) if is_refusal(error) else ""

    def revision(self) -> int | None:
        """Nobody tells us."""
        return None

    def interrupt(self) -> None:
        """Shut the socket, which is the driver's own: it takes no word from another thread."""
        line = getattr(self._connection, "_sock", None)
        with contextlib.suppress(OSError, ValueError):
            if line is not None:
                with socket.socket(fileno=os.dup(line.fileno())) as same:
                    same.shutdown(socket.SHUT_RDWR)

    @property
    def is_alive(self) -> bool:
        """Whether the server still answers us as it did; asked after an error only."""
        return not self._is_gone and self._answers()

    def close(self) -> None:
        """Give back the connection, and with it all that it holds."""
        with contextlib.suppress(MySQLError):
            self._connection.close()

    def _answers(self) -> bool:
        try:
            self._connection.ping(reconnect=False)
        except MySQLError:
            return False
        return True

    def _release_names(self) -> None:
        while self._names:
            self._rows(f"SELECT RELEASE_LOCK({literal(self._names.pop())})")

    def _rows_among(self, ask: Ask, name: str, keys: Sequence[str]) -> Rows:
        """The rows whose key is in this list, asked for in parts."""
        rows: Rows = []
        for some in parts(keys, KEYS_AT_ONCE):
            try:
                rows += self._rows(ask.text % Literals({**ask.arguments, name: some}))
            except OperationalError as error:
                # Letters that the column's own set lacks: no row has such a key.
                if code_of(error) not in ILLEGAL_MIX:
                    raise
                middle = len(some) // 2
                for half in (some[:middle], some[middle:]) if middle else ():
                    rows += self._rows_among(ask, name, half)
        return rows

    def _packets(
        self, lines: Iterable[Sequence[str]], at_most: int | None = None
    ) -> Iterator[list[Sequence[str]]]:
        return packets(lines, self._letters, at_most)

    def _rows(self, text: str) -> Rows:
        self._execute(text)
        return list(self._cursor.fetchall())

    def _execute(self, text: str) -> int:
        try:
            return self._cursor.execute(text)
        except MySQLError as error:
            self._is_gone |= code_of(error) in GONE
            raise
