"""How statements travel to PostgreSQL: many in one round trip, by libpq's pipeline itself.

A cursor for each statement costs as much as the statement; what is needed of it is little. Where
the connection is the server's own, what is asked again and again is prepared: to parse and plan
costs the server more than to write one order. A pooler in transaction mode gives each
transaction another connection, which does not know what was prepared: there, nothing is.
"""

from __future__ import annotations

import re
import select
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus

from ordersync.errors import LeaseLost
from ordersync.store.makes.postgres_cells import as_sent
from ordersync.store.makes.postgres_spelling import NO_LEASE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import abc
    from psycopg.pq.abc import PGresult

    from ordersync.store.makes.postgres_cells import Sent

Statement = tuple[str, "Mapping[str, object]"]

PREPARED_FROM = 3
"""How often a statement is seen before it is prepared."""

PREPARED_BYTES = 1 << 16
"""Beyond so many bytes of arguments it pays to plan for just these."""

PREPARED_FOR = 60.0
PREPARED_TIMES = 1024
"""Seconds, and times, after which it is prepared anew: a plan for an empty table reads all of it
once it is full. At first it is planned anew whenever it was seen twice as often as before."""

_PARAMETER = re.compile(r"%%|%\((\w+)\)[sb]")
_PASSED_ON = frozenset({b"26000", b"42P05"})
"""A prepared statement is not there, or is there already."""
_FINE = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY})


class Answer:
    """What came of one statement."""

    def __init__(self, result: PGresult, transformer: abc.Transformer) -> None:
        self._result = result
        self._transformer = transformer

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows."""
        count = self._result.ntuples
        if not count:
            return []
        self._transformer.set_pgresult(self._result)
        rows: list[tuple[Any, ...]] = self._transformer.load_rows(0, count, tuple)
        return rows

    @property
    def count(self) -> int:
        """How many rows it wrote."""
        return self._result.command_tuples or 0

    @property
    def tag(self) -> bytes:
        """What the server says that it did."""
        return self._result.command_status or b""


class _Text:
    """A statement as libpq takes it, and whether it is prepared there."""

    def __init__(self, text: str) -> None:
        self.names: dict[str, int] = {}
        self.sql = _PARAMETER.sub(self._place, text).encode()
        self.times = 0
        self.name = b""
        self.oids: list[int] = []
        self.prepared_at, self.prepared_times = 0.0, 0

    def is_old(self, now: float) -> bool:
        """Whether its plan may have been made for other tables than those of today."""
        often = self.times - self.prepared_times >= min(self.prepared_times, PREPARED_TIMES)
        return often or now - self.prepared_at > PREPARED_FOR

    def _place(self, found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return "%"
        return f"${self.names.setdefault(name, 1 + len(self.names))}"


class Wire:
    """A connection, used by one thread. `prepares` where it leads to one and the same server."""

    def __init__(self, connection: psycopg.Connection[Any], *, prepares: bool) -> None:
        self._pgconn = connection.pgconn
        self.prepares = prepares
        self._transformer: abc.Transformer = Transformer(connection)
        self._texts: dict[str, _Text] = {}
        self._numbered = 0
        self._poll = select.poll()
        self._socket = self._pgconn.socket
        self._poll.register(self._socket, select.POLLIN)

    def round_trip(self, statements: Sequence[Statement]) -> list[Answer]:
        """Send all of these, wait for all answers. Raises psycopg's error of the first that fails.

        Raises LeaseLost where a commit had to be held by a lease that is gone. In a transaction
        or, where none is open, as one.
        """
        # All of it first: what cannot be spelled leaves the connection as it was.
        ready = [self._spell(text, arguments) for text, arguments in statements]
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        asked: list[_Text | None] = []
        try:
            for one in ready:
                self._send(*one, asked)
            pgconn.pipeline_sync()
            results = self._fetch(asked)
        finally:
            if pgconn.status == ConnStatus.OK:
                pgconn.exit_pipeline_mode()
        answers = zip(asked, results, strict=True)
        return [Answer(result, self._transformer) for one, result in answers if one is None]

    def _spell(self, text: str, arguments: Mapping[str, object]) -> tuple[_Text, list[Sent]]:
        one = self._texts.get(text)
        if one is None:
            one = self._texts[text] = _Text(text)
        return one, [as_sent(arguments[name]) for name in one.names]

    def _send(self, one: _Text, sent: list[Sent], asked: list[_Text | None]) -> None:
        """Put it into the pipeline; `asked` has what is prepared, and None for what is asked."""
        cells = [cell for _, cell, _ in sent]
        oids = [oid for oid, _, _ in sent]
        formats = [form for _, _, form in sent]
        one.times += 1
        # What has no argument (BEGIN, COMMIT) is parsed as soon as it would be found.
        often = self.prepares and one.times > PREPARED_FROM
        if often and cells and sum([len(cell) for cell in cells if cell]) < PREPARED_BYTES:
            now = time.monotonic()
            if not one.name or oids != one.oids or one.is_old(now):
                self._prepare(one, oids, asked)
                one.prepared_at, one.prepared_times = now, one.times
            self._pgconn.send_query_prepared(one.name, cells, formats)
        else:
            self._pgconn.send_query_params(one.sql, cells, oids, formats)
        asked.append(None)

    def _prepare(self, one: _Text, oids: list[int], asked: list[_Text | None]) -> None:
        """Give it a new name; the old one is forgotten there."""
        if one.name:
            self._pgconn.send_query_params(b"DEALLOCATE " + one.name, [])
            asked.append(one)
        self._numbered += 1
        one.name, one.oids = b"ordersync_%d" % self._numbered, oids
        self._pgconn.send_prepare(one.name, one.sql, oids)
        asked.append(one)

    def _fetch(self, asked: Sequence[_Text | None]) -> list[PGresult]:
        """A result for each that was asked, and the end of the pipeline after them."""
        pgconn = self._pgconn
        results: list[PGresult] = []
        failed: PGresult | None = None
        unsent = bool(pgconn.flush())
        was_none = False
        while True:
            while pgconn.is_busy():
                unsent = self._wait(unsent=unsent)
            result = pgconn.get_result()
            if result is None:
                if was_none or pgconn.status != ConnStatus.OK:
                    raise self._lost()
                was_none = True
                continue
            was_none = False
            if result.status == ExecStatus.PIPELINE_SYNC:
                break
            results.append(result)
            if result.status not in _FINE and failed is None:
                failed = result
        if failed is not None:
            raise self._failed(failed, asked)
        return results

    def _failed(self, failed: PGresult, asked: Sequence[_Text | None]) -> Exception:
        """What failed, as psycopg's error. What was to be prepared may not be."""
        for one in asked:
            if one is not None:
                one.name = b""
        state = failed.error_field(DiagnosticField.SQLSTATE)
        if state is None:
            return self._lost()
        if state in _PASSED_ON:
            # It was not one and the same server after all.
            self.prepares = False
        error = errors.error_from_result(failed)
        return LeaseLost() if NO_LEASE in str(error) else error

    def _wait(self, *, unsent: bool) -> bool:
        pgconn = self._pgconn
        wanted = select.POLLIN | select.POLLOUT if unsent else select.POLLIN
        if unsent:
            self._poll.modify(self._socket, wanted)
        ((_, ready),) = self._poll.poll()
        if ready & ~select.POLLOUT:
            pgconn.consume_input()
        if unsent:
            unsent = bool(pgconn.flush())
            if not unsent:
                self._poll.modify(self._socket, select.POLLIN)
        return unsent

    def _lost(self) -> psycopg.OperationalError:
        message = self._pgconn.get_error_message().strip()
        return psycopg.OperationalError(message or "the connection is lost")


_PASSING = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX"})
"""Classes of errors that tell of the moment, not of the row."""


def refusal(error: BaseException) -> str:
    """Why the server refuses what was to be written; "" where the error is another."""
    if not isinstance(error, psycopg.Error):
        return ""
    state, told = error.sqlstate or "", error.diag
    refused = isinstance(error, errors.IntegrityError | errors.DataError)
    refused |= state[:2] in {"44", "P0"}
    # By names that no server translates.
    refused |= told.source_function == "ExecWithCheckOptions"
    refused |= "PL/" in (told.context or "") and state[:2] not in _PASSING
    return str(error).partition("\n")[0] if refused else ""
