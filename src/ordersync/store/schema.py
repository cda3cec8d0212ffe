"""Our own tables beside the user's: `ordersync_*`, with a schema version from the first day.

They are in the user's database because one transaction must cover row, truth and event. Each
entry of MIGRATIONS brings the schema one version further, in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.errors import StoreRefused

if TYPE_CHECKING:
    import sqlite3

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # The truth. `state` is the merged Order as JSON; the columns beside it are for queries.
        # `row_id` is the row it was last projected onto, as text.
        """CREATE TABLE ordersync_orders (
             account TEXT NOT NULL, order_key TEXT NOT NULL,
             venue_order_id TEXT, client_order_id TEXT, row_id TEXT,
             version INTEGER NOT NULL, epoch INTEGER NOT NULL, status TEXT,
             final INTEGER NOT NULL, first_seen_at TEXT NOT NULL, final_since TEXT,
             state TEXT NOT NULL,
             PRIMARY KEY (account, order_key))""",
        """CREATE INDEX ordersync_orders_open ON ordersync_orders (account, row_id)
             WHERE final = 0""",
        """CREATE INDEX ordersync_orders_row ON ordersync_orders (row_id)""",
        # The log: `log_id` numbers the commit, `n` the event in it. Append-only.
        """CREATE TABLE ordersync_events (
             log_id INTEGER NOT NULL, n INTEGER NOT NULL, at TEXT NOT NULL,
             account TEXT NOT NULL, order_key TEXT NOT NULL, kind TEXT NOT NULL,
             body TEXT NOT NULL,
             PRIMARY KEY (log_id, n))""",
        """CREATE INDEX ordersync_events_order ON ordersync_events (account, order_key)""",
        # Cases of absence, one an order; removed by any sighting.
        """CREATE TABLE ordersync_absences (
             account TEXT NOT NULL, order_key TEXT NOT NULL, overlay TEXT, body TEXT NOT NULL,
             PRIMARY KEY (account, order_key)) WITHOUT ROWID""",
        # Orders to ask about although no open row leads to them.
        """CREATE TABLE ordersync_due (
             account TEXT NOT NULL, order_key TEXT NOT NULL,
             venue_order_id TEXT, client_order_id TEXT, due_at TEXT NOT NULL,
             PRIMARY KEY (account, order_key)) WITHOUT ROWID""",
        """CREATE INDEX ordersync_due_at ON ordersync_due (account, due_at)""",
        # What has been told already, so that it is told once; and how often a row was undone.
        """CREATE TABLE ordersync_notes (
             account TEXT NOT NULL, order_key TEXT NOT NULL, kind TEXT NOT NULL,
             digest TEXT NOT NULL, times INTEGER NOT NULL,
             first_at TEXT NOT NULL, last_at TEXT NOT NULL,
             PRIMARY KEY (account, order_key, kind, digest)) WITHOUT ROWID""",
        # One row an account: who it is, and when all of it was last verified, but for whom.
        """CREATE TABLE ordersync_accounts (
             account TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID""",
    ),
)

VERSION = len(MIGRATIONS)

_VERSION_TABLE = (
    "CREATE TABLE IF NOT EXISTS ordersync_schema (version INTEGER NOT NULL, at TEXT NOT NULL)"
)


def version_of(connection: sqlite3.Connection) -> int:
    """The version of our tables in this database, 0 where there are none."""
    known = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'ordersync_schema'"
    ).fetchone()
    if known is None:
        return 0
    row = connection.execute("SELECT version FROM ordersync_schema").fetchone()
    return int(row[0]) if row else 0


def check_version(connection: sqlite3.Connection, *, where: str) -> None:
    """Raise StoreRefused where a newer ordersync has made the tables."""
    version = version_of(connection)
    if version > VERSION:
        raise StoreRefused(
            f"its ordersync tables are of version {version}, newer than this ordersync.",
            where=where,
            mend="Upgrade ordersync.",
        )


def migrate(connection: sqlite3.Connection, *, where: str, at: str) -> None:
    """Bring our tables to this version, in place, all or nothing."""
    if version_of(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_VERSION_TABLE)
        # Read again under the lock: another ordersync may have been first.
        check_version(connection, where=where)
        for step in MIGRATIONS[version_of(connection) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute("DELETE FROM ordersync_schema")
        connection.execute("INSERT INTO ordersync_schema VALUES (?, ?)", (VERSION, at))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
