"""A connection to PostgreSQL: few round trips, and nothing that a pooler would not carry.

Between us and the server there may be a pooler in transaction mode, which gives each transaction
another connection: there nothing is prepared, time-outs are SET LOCAL, and nowhere does what is
read depend on a setting. Many rows travel as binary arrays, or by COPY. What needs no answer waits
and goes with the next statement that does.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from ordersync.store.makes.postgres_cells import array, as_texts, plain_column, spelled, without_nul
from ordersync.store.makes.postgres_settings import LIMITS
from ordersync.store.makes.postgres_wire import Statement, Wire, refusal
from ordersync.store.statement import Ask, Written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ordersync.store.makes.postgres_spelling import PostgresSpelling
    from ordersync.store.makes.postgres_wire import Answer
    from ordersync.store.statement import RowKey, RowUpdate, Upsert

FETCHED = 5_000
"""How many of very many rows are in memory at once."""

COPIED_FROM = 200
"""From how many rows on COPY is worth its own round trip."""

_BEGIN_READ = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_AT_ONCE = "SET CONSTRAINTS ALL IMMEDIATE"
"""What the user's tables would check at COMMIT is checked while it is known which row it was."""

_READS_ONLY = (b"default_transaction_read_only", b"in_hot_standby")
"""What a server since 14 reports of itself, at once and whenever it changes."""

_DONE_WITH = frozenset({TransactionStatus.IDLE, TransactionStatus.UNKNOWN})


class PostgresSession:
    """Implements `database.Session`. `revision` and `close` are those of a Listener, if any."""

    sends_together = True
    held: Ask | None = None

    def __init__(
        self,
        connection: psycopg.Connection[tuple[Any, ...]],
        spelling: PostgresSpelling,
        revision: Callable[[], int | None],
        close: Callable[[], None],
        *,
        is_direct: bool,
    ) -> None:
        self._connection = connection
        self._spelling = spelling
        self._revision = revision
        self._close = close
        self._begun = False
        self._queued: list[Statement] = []
        self._awaited: dict[int, Callable[[Answer], None]] = {}
        self._log_id: int | None = None
        self._wire = Wire(connection, prepares=is_direct)
        self._texts: dict[object, str] = {}
        self._copied: dict[str, bool] = {}

    @property
    def _limits(self) -> list[Statement]:
        """What is set in each transaction where what was set before may not be there."""
        return [] if self._wire.prepares else [(LIMITS, {})]

    def fetch(self, ask: Ask) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        (rows,) = self.fetch_each([ask])
        return rows

    def fetch_each(self, asks: Sequence[Ask]) -> list[list[tuple[Any, ...]]]:
        """The rows of several statements, in one round trip."""
        if not asks:
            return []
        statements: list[Statement] = [(ask.text, without_nul(ask.arguments)) for ask in asks]
        if self._begun:
            return [answer.rows() for answer in self._send(statements)]
        try:
            answers = self._wire.round_trip(
                [(_BEGIN_READ, {}), *self._limits, *statements, ("COMMIT", {})]
            )
        except BaseException:
            # Whatever it was: no transaction may stay open on the next request's connection.
            self.rollback()
            raise
        return [answer.rows() for answer in answers[-1 - len(statements) : -1]]

    def stream(self, ask: Ask) -> Iterator[tuple[Any, ...]]:
        """Through a cursor: the driver would hold all of them twice."""
        declare = f"DECLARE ordersync_rows NO SCROLL CURSOR FOR {ask.text}"
        fetch: Statement = (f"FETCH {FETCHED} FROM ordersync_rows", {})
        first = [(_BEGIN_READ, {}), *self._limits, (declare, without_nul(ask.arguments)), fetch]
        try:
            *_, answer = self._wire.round_trip(first)
            while rows := answer.rows():
                yield from rows
                if len(rows) < FETCHED:
                    break
                (answer,) = self._wire.round_trip([fetch])
            self._wire.round_trip([("COMMIT", {})])
        except BaseException:
            self.rollback()
            raise

    def run(self, ask: Ask) -> int:
        """Run a statement that writes."""
        (answer,) = self._send([(ask.text, without_nul(ask.arguments))])
        return answer.count

    def begin(self, how: str | None = None) -> None:
        """Begin; the statement itself goes with the first one that needs an answer."""
        self._begun = True
        self._log_id = None
        self._queued = [(how or _BEGIN, {}), *self._limits, (_AT_ONCE, {})]

    def commit(self) -> None:
        """End it, with what still waits."""
        if self.held is not None:
            self._queued.append((self.held.text, self.held.arguments))
        self._queued.append(("COMMIT", {}))
        answers = self._send([])
        self._begun = False
        if answers and answers[-1].tag == b"ROLLBACK":
            raise errors.InFailedSqlTransaction("the transaction had failed before its end")

    def rollback(self) -> None:
        """End it, if it is still there."""
        self._begun = False
        self._queued.clear()
        self._awaited.clear()
        self._copied.clear()  # what failed may be that an owner closed the table meanwhile
        if self._connection.pgconn.transaction_status not in _DONE_WITH:
            try:
                self._connection.execute("ROLLBACK")
            except psycopg.Error:
                self._connection.close()

    @property
    def in_transaction(self) -> bool:
        """No trigger can end a transaction here."""
        return self._begun

    def savepoint(self) -> None:
        """Mark where to go back to."""
        self._queued.append(("SAVEPOINT ordersync_rows", {}))

    def rollback_to_savepoint(self) -> None:
        """Go back there."""
        self._send([("ROLLBACK TO SAVEPOINT ordersync_rows", {})])
        self.release_savepoint()

    def release_savepoint(self) -> None:
        """Forget the mark."""
        self._queued.append(("RELEASE SAVEPOINT ordersync_rows", {}))

    def alone(self, name: str) -> None:
        """An advisory lock, until the transaction ends."""
        lock = "SELECT pg_advisory_xact_lock(hashtextextended(%(name)s, 0))"
        self._send([(lock, {"name": name})])

    def has_table(self, schema: str | None, name: str) -> bool:
        """Whether there is such a table, looked for on the path where no schema is named.

        By the catalogue, not by to_regclass: that can remember for the length of a transaction
        that there was none, while another has made it.
        """
        at = "n.nspname = %(schema)s" if schema else "pg_table_is_visible(c.oid)"
        text = (
            "SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            f" WHERE c.relname = %(name)s AND {at}"
        )
        return bool(self.fetch(Ask(text, {"name": name, "schema": schema})))

    def expect_log_id(self, log_ids: str) -> None:
        """The next of a sequence: it goes on whatever becomes of the transaction."""
        name = self._spelling.as_typed(log_ids)
        text = "SELECT nextval(%(name)s::regclass)"
        self._await(text, {"name": name}, self._keep_log_id)

    def _keep_log_id(self, answer: Answer) -> None:
        ((found,),) = answer.rows()
        self._log_id = int(found)

    def next_log_id(self, log_ids: str) -> int:
        """The one that was expected, or another."""
        if self._log_id is None:
            self.expect_log_id(log_ids)
            self._send([])
        found, self._log_id = self._log_id, None
        if found is None:
            raise RuntimeError("a sequence gave no number")
        return found

    def upsert(self, upsert: Upsert, rows: Sequence[tuple[object, ...]]) -> Sequence[bool]:
        """All in one statement, or by COPY; only where it can lose the answer is waited for."""
        return self.upsert_soon(upsert, rows)()

    def upsert_soon(
        self, upsert: Upsert, rows: Sequence[tuple[object, ...]]
    ) -> Callable[[], Sequence[bool]]:
        """It waits, and goes with the next statement that needs an answer."""
        if not rows:
            return list
        if not upsert.key and len(rows) >= COPIED_FROM and self._may_copy(upsert.table):
            self._copy(upsert, rows)
            return lambda: [True] * len(rows)
        text = self._text(upsert.table, lambda: self._upsert_text(upsert))
        columns = zip(zip(*rows, strict=True), upsert.columns.values(), strict=True)
        arguments = {f"p{n}": array(*column) for n, column in enumerate(columns)}
        if upsert.always:
            self._queued.append((text, arguments))
            return lambda: [True] * len(rows)
        places = [list(upsert.columns).index(name) for name in upsert.key]
        keys = [tuple(row[place] for place in places) for row in rows]
        came: list[Answer] = []
        self._await(text, arguments, came.append)

        def won() -> list[bool]:
            if not came:
                self._send([])
            there = set(came[0].rows())
            return [key in there for key in keys]

        return won

    def _upsert_text(self, upsert: Upsert) -> str:
        arrays = ", ".join(
            f"%(p{n})b::{'bigint' if is_whole else 'text'}[]"
            for n, is_whole in enumerate(upsert.columns.values())
        )
        text = self._spelling.upsert(upsert, f"SELECT * FROM unnest({arrays})")
        if upsert.always:
            return text
        return f"{text} RETURNING {', '.join(f'o.{name}' for name in upsert.key)}"

    def _may_copy(self, table: str) -> bool:
        """Whether no policy of row-level security is in the way, which COPY does not pass."""
        if table not in self._copied:
            text = "SELECT row_security_active(%(name)s::regclass::oid)"
            (answer,) = self._send([(text, {"name": self._spelling.as_typed(table)})])
            ((is_policed,),) = answer.rows()
            self._copied[table] = not is_policed
        return self._copied[table]

    def _copy(self, upsert: Upsert, rows: Sequence[tuple[object, ...]]) -> None:
        self._send([])
        table, names = upsert.table, ", ".join(upsert.columns)
        types = ["int8" if is_whole else "text" for is_whole in upsert.columns.values()]
        text = f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)"
        # Without parameters: nothing is doubled in it.
        with self._connection.cursor().copy(self._spelling.as_typed(text).encode()) as copy:
            copy.set_types(types)
            for row in zip(*map(plain_column, zip(*rows, strict=True)), strict=True):
                copy.write_row(row)

    def write_rows(self, update: RowUpdate, rows: Sequence[Sequence[object]]) -> Written:
        """All in one statement, which takes each row's lock in the order of the keys.

        A row that another transaction holds is passed by. What has changed since it was read is
        seen as it is now: the conditions are checked again once the lock is there.
        """
        text = self._text(update, lambda: self._update_text(update))
        keys = {spelled(row[0]): row[0] for row in rows}
        columns = zip(*rows, strict=True)
        arguments = {f"p{n}": as_texts(column) for n, column in enumerate(columns)}
        (answer,) = self._send([(text, arguments)])
        seen = {keys[key]: won for key, won in answer.rows()}
        return Written(
            [key for key, won in seen.items() if won],
            [key for key in keys.values() if key not in seen],
        )

    def _update_text(self, update: RowUpdate) -> str:
        spelling, key = self._spelling, f"t.{self._spelling.quote(update.key.name)}"
        compared, written = update.compared, update.written
        names = [f"ordersync_{n}" for n in range(1 + len(compared) + len(written))]
        arrays = ", ".join(f"%(p{n})b::text[]" for n in range(len(names)))
        same = "".join(
            f" AND {spelling.is_same(column, f'ordersync_held.{name}')}"
            for column, name in zip(compared, names[1:], strict=False)
        )
        values = ", ".join(
            f"{spelling.quote(column.name)} = CAST(ordersync_held.{name}"
            f" AS {spelling.value_cast(column)})"
            for column, name in zip(written, names[1 + len(compared) :], strict=True)
        )
        given, key_text = ", ".join(names), names[0]
        return (
            f"WITH ordersync_given AS (SELECT * FROM unnest({arrays}) AS g ({given})),"
            f" ordersync_held AS (SELECT {key} AS ordersync_key, g.* FROM {update.table} AS t"
            f" JOIN ordersync_given AS g"
            f" ON {key} = CAST(g.{key_text} AS {spelling.key_cast(update.key)})"
            f" ORDER BY {key} FOR {_strength(update)} OF t SKIP LOCKED),"
            f" ordersync_won AS (UPDATE {update.table} AS t SET {values} FROM ordersync_held"
            f" WHERE {key} = ordersync_key{same}{update.scope}"
            f" RETURNING ordersync_held.{key_text} AS ordersync_done)"
            f" SELECT {key_text}, ordersync_done IS NOT NULL"
            f" FROM ordersync_held LEFT JOIN ordersync_won ON ordersync_done = {key_text}"
        )

    def is_held(self, update: RowUpdate, key: RowKey) -> bool:
        """Asked by trying to lock it: what nobody holds and we still cannot see is a policy's."""
        column = update.key
        text = (
            f"SELECT 1 FROM {update.table} AS t WHERE t.{self._spelling.quote(column.name)}"
            f" = CAST(%(key)s AS {self._spelling.key_cast(column)})"
            f" FOR {_strength(update)} NOWAIT"
        )
        self.savepoint()
        try:
            self._send([(text, {"key": str(key)})])
        except errors.LockNotAvailable:
            self.rollback_to_savepoint()
            return True
        self.release_savepoint()
        return False

    def refusal(self, error: BaseException) -> str:
        """A constraint, a type, a policy, or whatever went wrong inside a trigger."""
        return refusal(error)

    def revision(self) -> int | None:
        """How many notifications came; None where nobody notifies us."""
        return self._revision()

    def interrupt(self) -> None:
        """Shut the socket: libpq may be touched by one thread only, its socket by any."""
        with contextlib.suppress(OSError, psycopg.Error):
            descriptor = os.dup(self._connection.fileno())
            with socket.socket(fileno=descriptor) as line:
                line.shutdown(socket.SHUT_RDWR)

    @property
    def is_alive(self) -> bool:
        """Whether the connection can be used again: a pooler's may be ended and not say so yet.

        One to a server that only reads is not: it keeps what was so when it was made, and the
        primary may be elsewhere by now.
        """
        pgconn = self._connection.pgconn
        if pgconn.transaction_status is not TransactionStatus.IDLE:
            return False  # closed, perhaps: what the server reported cannot be asked then
        return not any(pgconn.parameter_status(name) == b"on" for name in _READS_ONLY)

    def close(self) -> None:
        """Give back the connection."""
        self._close()
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def _text(self, key: object, make: Callable[[], str]) -> str:
        if key not in self._texts:
            self._texts[key] = make()
        return self._texts[key]

    def _await(
        self, text: str, arguments: Mapping[str, object], take: Callable[[Answer], None]
    ) -> None:
        """Let a statement wait; its answer goes to `take` when it comes."""
        self._awaited[len(self._queued)] = take
        self._queued.append((text, arguments))

    def _send(self, statements: Sequence[Statement]) -> list[Answer]:
        """What waits, and these, in one round trip; the answers of these."""
        waiting, self._queued = self._queued, []
        awaited, self._awaited = self._awaited, {}
        answers = self._wire.round_trip([*waiting, *statements])
        for place, take in awaited.items():
            take(answers[place])
        return answers[len(waiting) :] if statements else answers


def _strength(update: RowUpdate) -> str:
    """The lock that the update takes itself: a row that fills refer to can be written meanwhile.

    Only a new venue id, the second of the compared columns, may be a key that others refer to.
    """
    venue_id = update.compared[1].name
    return "UPDATE" if any(c.name == venue_id for c in update.written) else "NO KEY UPDATE"
