"""Orders of which a truth is kept and no row was ever found: those to tell of, those told.

Found by the index of the rows' keys, where they stand together: the history is not walked through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.orphaned import Rowless
from ordersync.store.kept import KeptOrder
from ordersync.store.plan import spell
from ordersync.store.statement import Ask
from ordersync.truth.model import EventKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from ordersync.listed import Place
    from ordersync.store.database import Session
    from ordersync.store.own import OwnStatements

ORPHAN = EventKind.ORPHAN.value


class RowlessStatements:
    """The statements about them, made once for a database."""

    def __init__(self, own: OwnStatements) -> None:
        at, orders, notes = own.spelling.param, own.table("orders"), own.table("notes")
        told = (
            f"EXISTS (SELECT 1 FROM {notes} AS n WHERE n.account = o.account"
            f" AND n.order_key = o.order_key AND n.kind = '{ORPHAN}')"
        )
        ours = f"FROM {orders} AS o WHERE o.row_id IS NULL AND o.account = {at('account')}"
        later = (
            f"(o.first_seen_at > {at('seen_at')}"
            f" OR (o.first_seen_at = {at('seen_at')} AND o.order_key > {at('key')}))"
        )
        self._untold = (
            f"SELECT o.first_seen_at, o.order_key {ours} AND {later}"
            f" AND o.first_seen_at <= {at('before')} AND NOT {told}"
            f" ORDER BY o.first_seen_at, o.order_key LIMIT {at('limit')}"
        )
        self._open = (
            f"SELECT o.venue_order_id {ours} AND o.final = 0 AND {told} LIMIT {at('limit')}"
        )
        counted = f"{ours} AND {told} AND (o.final = 0 OR o.final_since >= {at('since')})"
        self._count = f"SELECT count(*) {counted}"
        self._list = (
            "SELECT o.first_seen_at, o.order_key, o.venue_order_id, o.client_order_id"
            f" {counted} AND {later} ORDER BY o.first_seen_at, o.order_key LIMIT {at('limit')}"
        )

    def untold(
        self, session: Session, account: str, before: datetime, after: Rowless | None, limit: int
    ) -> list[Rowless]:
        """Those that nobody was told of, the oldest first."""
        seen_at, key = after or ("", "")
        about = {"account": account, "seen_at": seen_at, "key": key, "limit": limit}
        rows = session.fetch(Ask(self._untold, {**about, "before": spell(before)}))
        return [Rowless(*row) for row in rows]

    def open_told(self, session: Session, account: str, limit: int) -> list[str]:
        """The venue's ids of the open ones that were told of."""
        rows = session.fetch(Ask(self._open, {"account": account, "limit": limit}))
        return [order for (order,) in rows if order]

    @staticmethod
    def place_of(one: KeptOrder) -> Place:
        """Where the walk goes on behind it."""
        return (one.account, one.at, one.key)

    def told_of(
        self,
        session: Session,
        accounts: Sequence[str],
        since: datetime,
        after: Place | None,
        limit: int,
    ) -> list[KeptOrder]:
        """Those that `count` counts, each with when it was first seen.

        Account after account, of each the oldest first.
        """
        last, seen_at, key = after or ("", "", "")
        found: list[KeptOrder] = []
        for account in sorted(accounts):
            if account < last or len(found) >= limit:
                continue
            place = (seen_at, key) if account == last else ("", "")
            about = {"account": account, "since": spell(since), "limit": limit - len(found)}
            ask = Ask(self._list, {**about, "seen_at": place[0], "key": place[1]})
            found += [KeptOrder(account, *row) for row in session.fetch(ask)]
        return found

    def count(
        self, session: Session, accounts: Sequence[str], now: datetime, counted_for: timedelta
    ) -> int:
        """How many that were told of are open, or ended so lately."""
        since = spell(now - counted_for)
        counts = (
            session.fetch(Ask(self._count, {"account": account, "since": since}))[0][0]
            for account in accounts
        )
        return sum(int(count) for count in counts)
