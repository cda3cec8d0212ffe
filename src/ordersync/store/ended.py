"""Orders that have ended, by when they did, as a walk through an index of our own table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.store.kept import KeptOrder
from ordersync.store.plan import spell
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.listed import Place, Wanted
    from ordersync.store.database import Session
    from ordersync.store.own import OwnStatements

_LATER_THAN_ALL = "~"


class EndedStatements:
    """The walk, from the latest end to the first; of one moment by the orders' keys, backwards."""

    def __init__(self, own: OwnStatements) -> None:
        self._before, self._with = (_text(own, sign) for sign in ("<", "<="))

    @staticmethod
    def place_of(one: KeptOrder) -> Place:
        """Where the walk goes on behind it."""
        return (one.at, one.key, one.account)

    def next_ones(
        self,
        session: Session,
        accounts: Sequence[str],
        wanted: Wanted,
        after: Place | None,
        limit: int,
    ) -> list[KeptOrder]:
        """The next ones of these accounts, each with when we learned of its end."""
        until = spell(wanted.until) if wanted.until else _LATER_THAN_ALL
        at, key, last = after or (until, "", "")
        about = {
            "at": at,
            "key": key,
            "since": spell(wanted.since) if wanted.since else "",
            "limit": limit,
        }
        found: list[KeptOrder] = []
        for account in accounts:
            # Of two accounts' orders with one key the first account's comes first.
            text = self._with if after and account > last else self._before
            rows = session.fetch(Ask(text, {**about, "account": account}))
            found += [KeptOrder(account, *row) for row in rows]
        found.sort(key=lambda one: one.account)
        found.sort(key=lambda one: (one.at, one.key), reverse=True)
        return found[:limit]


def _text(own: OwnStatements, sign: str) -> str:
    at = own.spelling.param
    return (
        "SELECT final_since, order_key, venue_order_id, client_order_id"
        f" FROM {own.table('orders')} WHERE account = {at('account')}"
        f" AND final_since <= {at('at')} AND final_since >= {at('since')}"
        f" AND (final_since < {at('at')} OR order_key {sign} {at('key')})"
        f" ORDER BY final_since DESC, order_key DESC LIMIT {at('limit')}"
    )
