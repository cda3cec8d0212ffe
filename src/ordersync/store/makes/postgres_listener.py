"""Who hears of new rows at once: LISTEN, on a connection of its own, where it works.

A trigger of the user's (`ordersync schema --sql` prints it) notifies after each statement that
wrote. Notifications do not pass a pooler in transaction mode, so it is tried at the start: one
is sent to ourselves. Where none arrives, or no trigger is there, rows are looked for instead.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg

from ordersync.store.makes.postgres_spelling import CHANNEL, TRIGGER

if TYPE_CHECKING:
    from collections.abc import Callable

_Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

PATIENCE = 1.0
"""Seconds in which a notification to ourselves must have come."""

_LISTENERS = itertools.count()
_HAS_TRIGGER = """
SELECT EXISTS (SELECT FROM pg_trigger
  WHERE tgname = %s AND tgrelid = to_regclass(%s) AND tgenabled IN ('O', 'A'))"""


class Listener:
    """Counts the notifications. `why_not` is why rows are looked for instead, "" where heard."""

    def __init__(self, connect: Callable[[], _Connection], sender: _Connection, table: str) -> None:
        self._connection: _Connection | None = None
        # Another listener's number is another: what came between the two was not heard.
        self._heard = next(_LISTENERS) << 32
        self.why_not = ""
        row = sender.execute(_HAS_TRIGGER, (TRIGGER, table)).fetchone()
        if row is None or not row[0]:
            self.why_not = "the table has no trigger that notifies"
            return
        listening: _Connection | None = None
        try:
            listening = connect()
            listening.execute(f"LISTEN {CHANNEL}")
            sender.execute("SELECT pg_notify(%s, 'hello')", (CHANNEL,))
            if list(listening.notifies(timeout=PATIENCE, stop_after=1)):
                self._connection = listening
            else:
                self.why_not = "notifications do not pass the pooler"
        except psycopg.Error as error:
            self.why_not = str(error).partition("\n")[0]
        finally:
            if listening is not None and self._connection is None:
                listening.close()

    def revision(self) -> int | None:
        """How many came so far; None where none can come, or the connection is gone."""
        if self._connection is None:
            return None
        try:
            self._heard += len(list(self._connection.notifies(timeout=0)))
        except psycopg.Error:
            self.close()
            return None
        return self._heard

    def close(self) -> None:
        """Give back the connection."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None
