"""Our own tables beside the user's: `ordersync_*`, with a schema version from the first day.

They are in the user's database because one transaction must cover row, truth and event. Each
entry of MIGRATIONS brings the schema one version further, in place. What stands in braces is
spelled by the make of database: see `Spelling.ddl`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ordersync.errors import StoreRefused
from ordersync.store.database import all_or_nothing
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from ordersync.store.database import Session
    from ordersync.store.own import OwnStatements
    from ordersync.store.spelling import Spelling

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # The truth. `state` is the merged Order as JSON; the columns beside it are for queries.
        # `row_id` is the row it was last projected onto, as text.
        """CREATE TABLE {prefix}ordersync_orders (
             account {key} NOT NULL, order_key {key} NOT NULL,
             venue_order_id {key}, client_order_id {key}, row_id {key},
             version {whole} NOT NULL, epoch {whole} NOT NULL, status {key},
             final {whole} NOT NULL, first_seen_at {key} NOT NULL, final_since {key},
             state {text} NOT NULL,
             PRIMARY KEY (account, order_key))""",
        """CREATE INDEX ordersync_orders_open ON {prefix}ordersync_orders {open_rows}""",
        """CREATE INDEX ordersync_orders_row ON {prefix}ordersync_orders (row_id)""",
        # The log: `log_id` numbers the commit, `n` the event in it. Append-only.
        """CREATE TABLE {prefix}ordersync_events (
             log_id {whole} NOT NULL, n {whole} NOT NULL, at {key} NOT NULL,
             account {key} NOT NULL, order_key {key} NOT NULL, kind {key} NOT NULL,
             body {text} NOT NULL,
             PRIMARY KEY (log_id, n))""",
        """CREATE INDEX ordersync_events_order ON {prefix}ordersync_events (account, order_key)""",
        # Cases of absence, one an order; removed by any sighting.
        """CREATE TABLE {prefix}ordersync_absences (
             account {key} NOT NULL, order_key {key} NOT NULL, overlay {key}, body {text} NOT NULL,
             PRIMARY KEY (account, order_key)){compact}""",
        # Orders to ask about although no open row leads to them.
        """CREATE TABLE {prefix}ordersync_due (
             account {key} NOT NULL, order_key {key} NOT NULL,
             venue_order_id {key}, client_order_id {key}, due_at {key} NOT NULL,
             PRIMARY KEY (account, order_key)){compact}""",
        """CREATE INDEX ordersync_due_at ON {prefix}ordersync_due (account, due_at)""",
        # What has been told already, so that it is told once; and how often a row was undone.
        """CREATE TABLE {prefix}ordersync_notes (
             account {key} NOT NULL, order_key {key} NOT NULL, kind {key} NOT NULL,
             digest {key} NOT NULL, times {whole} NOT NULL,
             first_at {key} NOT NULL, last_at {key} NOT NULL,
             PRIMARY KEY (account, order_key, kind, digest)){compact}""",
        # One row an account: who it is, and when all of it was last verified, but for whom.
        """CREATE TABLE {prefix}ordersync_accounts (
             account {key} NOT NULL PRIMARY KEY, body {text} NOT NULL){compact}""",
    ),
    (
        # Where orders are that moved out, and how they stood: one row for each file they are in.
        """CREATE TABLE {prefix}ordersync_archived (
             account {key} NOT NULL, order_key {key} NOT NULL, place {key} NOT NULL,
             venue_order_id {key}, client_order_id {key}, moved_at {key} NOT NULL, side {text},
             PRIMARY KEY (account, order_key, place)){compact}""",
        # Those that ended long ago are found without walking through the others.
        """CREATE INDEX ordersync_orders_final
             ON {prefix}ordersync_orders (account, final_since, order_key)""",
    ),
    (
        # Webhooks that were taken, so that one which comes again does nothing again.
        """CREATE TABLE {prefix}ordersync_webhooks (
             account {key} NOT NULL, webhook_id {key} NOT NULL, at {key} NOT NULL,
             PRIMARY KEY (account, webhook_id)){compact}""",
        """CREATE INDEX ordersync_webhooks_at ON {prefix}ordersync_webhooks (account, at)""",
    ),
    (
        # Who serves an account, until when by this database's clock; `token` grows with each.
        """CREATE TABLE {prefix}ordersync_leases (
             account {key} NOT NULL PRIMARY KEY, holder {key} NOT NULL, process {key} NOT NULL,
             token {whole} NOT NULL, until_at {key} NOT NULL, config {text} NOT NULL){compact}""",
        # What those who stand by want of whoever serves the account, and what came of it.
        """CREATE TABLE {prefix}ordersync_requests (
             request_id {key} NOT NULL PRIMARY KEY, account {key} NOT NULL, put_at {key} NOT NULL,
             kind {key} NOT NULL, body {text} NOT NULL, answer {text}){compact}""",
        # Who may call: of each token only its digest.
        """CREATE TABLE {prefix}ordersync_tokens (
             name {key} NOT NULL PRIMARY KEY, scope {key} NOT NULL, digest {key} NOT NULL,
             created_at {key} NOT NULL, expires_at {key}, revoked_at {key}){compact}""",
        # The figures of each minute, or hour (`step` in seconds), as JSON.
        """CREATE TABLE {prefix}ordersync_samples (
             account {key} NOT NULL, step {whole} NOT NULL, at {key} NOT NULL, body {text} NOT NULL,
             PRIMARY KEY (account, step, at)){compact}""",
        # What was told to whom, so that a restart does not tell it again.
        """CREATE TABLE {prefix}ordersync_alerts (
             name {key} NOT NULL PRIMARY KEY, body {text} NOT NULL){compact}""",
        # Who is told by a request to an address of his. `marks`: which commits were looked at.
        """CREATE TABLE {prefix}ordersync_subscriptions (
             subscription_id {key} NOT NULL PRIMARY KEY, url {text} NOT NULL,
             interest {text} NOT NULL, created_at {key} NOT NULL, key_mark {key} NOT NULL,
             marks {text} NOT NULL, stopped_at {key}, stopped_why {text},
             delivered {whole} NOT NULL, delivered_at {key}, failed_at {key}, failure {text}
             ){compact}""",
        # What is owed to them; what was taken is gone.
        """CREATE TABLE {prefix}ordersync_deliveries (
             subscription_id {key} NOT NULL, log_id {whole} NOT NULL, n {whole} NOT NULL,
             account {key} NOT NULL, order_key {key} NOT NULL, body {text} NOT NULL,
             state {key} NOT NULL, put_at {key} NOT NULL, due_at {key} NOT NULL,
             attempts {whole} NOT NULL, tried_at {key}, failure {text},
             PRIMARY KEY (subscription_id, log_id, n))""",
        """CREATE INDEX ordersync_deliveries_order
             ON {prefix}ordersync_deliveries (subscription_id, account, order_key)""",
    ),
)

VERSION = len(MIGRATIONS)

WITH_ARCHIVE = 2
"""The first version that knows what moved out."""

WITH_LEASES = 4
"""The first version that knows who serves an account."""

WITH_SUBSCRIPTIONS = 4
"""The first version that knows who is told by a request."""

_VERSION_TABLE = """CREATE TABLE IF NOT EXISTS {prefix}ordersync_schema (
             version {whole} NOT NULL, at {key} NOT NULL)"""


def statements(spelling: Spelling, prefix: str, since: int = 0) -> list[str]:
    """The DDL that makes our tables, or brings them forward from a version, in order."""
    steps = [*([] if since else [_VERSION_TABLE]), *(t for m in MIGRATIONS[since:] for t in m)]
    texts = [spelling.ddl(step, prefix) for step in steps]
    return [*texts, *spelling.beside_tables(prefix, tables_since(since))]


def tables_since(version: int) -> list[str]:
    """The tables that versions after this one bring, without their common prefix."""
    made = [
        name
        for migration in MIGRATIONS[version:]
        for text in migration
        for name in re.findall(r"CREATE TABLE \{prefix\}ordersync_(\w+)", text)
    ]
    return made if version else ["schema", *made]


def first_column(table: str) -> str:
    """The first column of one of these tables, named without their common prefix."""
    texts = [_VERSION_TABLE, *(text for migration in MIGRATIONS for text in migration)]
    found = re.search(rf"ordersync_{table} \(\s*(\w+)", "\n".join(texts))
    if found is None:
        raise ValueError(f"there is no table {table!r}")
    return found[1]


def version_of(session: Session, own: OwnStatements) -> int:
    """The version of our tables in this database, 0 where there are none."""
    if not session.has_table(own.schema, "ordersync_schema"):
        return 0
    rows = session.fetch(Ask(own.version))
    return int(rows[0][0]) if rows else 0


def check_version(session: Session, own: OwnStatements, *, where: str) -> int:
    """The version. Raises StoreRefused where a newer ordersync has made the tables."""
    version = version_of(session, own)
    if version > VERSION:
        raise StoreRefused(
            f"its ordersync tables are of version {version}, newer than this ordersync.",
            where=where,
            mend="Upgrade ordersync.",
        )
    return version


def migrate(session: Session, own: OwnStatements, *, where: str, at: str) -> None:
    """Bring our tables to this version, in place, all or nothing where DDL can be undone."""
    if version_of(session, own) == VERSION:
        return
    with all_or_nothing(session):
        session.alone("ordersync_schema")
        # Read again under the lock: another ordersync may have been first.
        version = check_version(session, own, where=where)
        if version < VERSION:
            for text in statements(own.spelling, own.prefix, version):
                session.run(Ask(text))
            table = own.table("schema")
            session.run(Ask(f"DELETE FROM {table}"))
            put = f"INSERT INTO {table} VALUES ({VERSION}, {own.spelling.param('at')})"
            session.run(Ask(put, {"at": at}))
