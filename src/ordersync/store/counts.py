"""How many rows there are to work on, by account: what `plan` reckons with. Only reads."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.store.lookup import Lookup
from ordersync.store.mapping import bind
from ordersync.store.own import OwnStatements
from ordersync.store.sql import open_words
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.ports import Clock
    from ordersync.settings import Orders
    from ordersync.store.database import Database, Session


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one account: open ones, and how many are made a day (None: no time is mapped)."""

    open_rows: int
    new_a_day: float | None


def count_rows(
    database: Database, orders: Orders, accounts: Sequence[str], clock: Clock, *, where: str
) -> dict[str, Counts]:
    """What each of these accounts has. Raises ConfigError, StoreBusy or StoreRefused."""
    mapping = bind(database, orders, where=where)
    own = OwnStatements(database.spelling, mapping.shape.schema)
    lookup = Lookup(database.spelling, mapping, own, clock)
    statements = lookup.about(None)
    now = clock.now()
    # From a midnight on: text times may have any separator between date and hour.
    since = (now.astimezone(UTC) - timedelta(days=1)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    days = (now - since) / timedelta(days=1)
    numbers = {f"at_{unit}": int(since.timestamp() * unit) for unit in (1, 10**3, 10**6, 10**9)}
    recent = {"day": since.strftime("%Y-%m-%d"), **numbers}
    made: dict[str, int] = {}

    def by_account(session: Session, ask: Ask) -> dict[str, int]:
        counts: dict[str, int] = {}
        for cell, count in session.fetch(ask):
            # Several values may stand for one account.
            account = mapping.account_of(None if cell is None else str(cell))
            counts[account] = counts.get(account, 0) + count
        return counts

    try:
        session = database.connect(writes=False)
        try:
            lookup.learn_times(session)
            opened = by_account(session, Ask(statements.count_open(open_words(mapping))))
            if "created_at" in mapping.time_forms:
                made = by_account(session, Ask(statements.count_created, recent))
        finally:
            session.close()
    except database.errors as error:
        raise database.explain(error) from error
    knows = "created_at" in mapping.time_forms
    return {
        name: Counts(
            open_rows=opened.get(name, 0),
            new_a_day=made.get(name, 0) / days if knows else None,
        )
        for name in accounts
    }
