"""The read side: what was recorded about an order. Nothing here writes or creates."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from ordersync.ports import Match
from ordersync.store.mapping import bind
from ordersync.store.reflection import explain
from ordersync.store.sql import Statements
from ordersync.store.sql import quote as quoted
from ordersync.truth.model import Event

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.settings import Orders

_decode_event = msgspec.json.Decoder(Event).decode

_EVENTS = """
SELECT body FROM ordersync_events WHERE account = ?1 AND order_key = ?2 ORDER BY log_id, n"""

_KEPT = """
SELECT account, order_key, row_id, venue_order_id, client_order_id, status
FROM ordersync_orders WHERE {} = ?1"""

_STATUS = "SELECT order_key, status FROM ordersync_orders WHERE account = ?1 AND order_key = ?2"

_OF_ROW = "SELECT order_key, status FROM ordersync_orders WHERE account = ?1 AND row_id = ?2"

_NAMES = ("id", "venue_order_id", "client_order_id")


class SqliteViews:
    """Implements `ports.OrderViews` on a file opened for reading only."""

    def __init__(self, path: Path, orders: Orders, *, where: str) -> None:
        self._path = path
        self._mapping = bind(path, orders, where=where)

    async def find(self, text: str) -> list[Match]:
        """The orders that a text names: by row id, else by venue id, else by client id."""
        try:
            with closing(self._connect()) as connection:
                for field in _NAMES:
                    matches = self._find_by(connection, field, text)
                    if matches:
                        return matches
        except sqlite3.Error as error:
            raise explain(error, self._path) from error
        return []

    async def history(self, match: Match) -> list[Event]:
        """Every event of one order, oldest first."""
        try:
            with closing(self._connect()) as connection:
                if not _has_tables(connection):
                    return []
                rows = connection.execute(_EVENTS, (match.account, match.key)).fetchall()
        except sqlite3.Error as error:
            raise explain(error, self._path) from error
        return [_decode_event(body) for (body,) in rows]

    async def count_words(self) -> dict[str | None, int]:
        """How many rows hold each status word."""
        text = Statements(self._mapping, None).count_words
        try:
            with closing(self._connect()) as connection:
                return dict(connection.execute(text).fetchall())
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def _find_by(self, connection: sqlite3.Connection, field: str, text: str) -> list[Match]:
        """Orders whose row, or whose kept truth where the row is gone, has this name."""
        found = self._rows(connection, field, text)
        if not _has_tables(connection):
            return found
        column = "row_id" if field == "id" else field
        known = {(match.account, match.key) for match in found}
        for account, key, row_id, venue, client, status in connection.execute(
            _KEPT.format(column), (text,)
        ):
            if (account, key) not in known:
                found.append(
                    Match(
                        matched=field,
                        account=account,
                        key=key,
                        row_id=row_id,
                        venue_order_id=venue,
                        client_order_id=client,
                        status=status,
                    )
                )
        return found

    def _rows(self, connection: sqlite3.Connection, field: str, text: str) -> list[Match]:
        mapping = self._mapping
        if field not in mapping.columns:
            return []
        names = [f for f in (*_NAMES, "status", "account") if f in mapping.columns]
        listed = ", ".join(quoted(mapping.columns[name]) for name in names)
        rows = connection.execute(
            f"SELECT {listed} FROM {quoted(mapping.shape.name)}"
            f" WHERE CAST({quoted(mapping.columns[field])} AS TEXT) = ?1",
            (text,),
        ).fetchall()
        found = []
        for row in rows:
            cells = {
                name: None if cell is None else str(cell)
                for name, cell in zip(names, row, strict=True)
            }
            account = mapping.account_of(cells.get("account"))
            venue, client = cells["venue_order_id"], cells.get("client_order_id")
            key = f"v:{venue}" if venue else f"c:{client}" if client else f"r:{cells['id']}"
            status = None
            if _has_tables(connection):
                kept = connection.execute(_STATUS, (account, key)).fetchone()
                if kept is None and not venue:
                    # Its venue id may be known and not written: in a shadow, or refused.
                    kept = connection.execute(_OF_ROW, (account, cells["id"])).fetchone()
                key, status = kept or (key, None)
            found.append(
                Match(
                    matched=field,
                    account=account,
                    key=key,
                    row_id=cells["id"],
                    venue_order_id=venue,
                    client_order_id=client,
                    word=cells["status"],
                    status=status,
                )
            )
        return found

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True, timeout=5.0)


def _has_tables(connection: sqlite3.Connection) -> bool:
    row = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'ordersync_schema'"
    ).fetchone()
    return row is not None
