"""The orders that a text names: by row id, else by venue id, else by client id; and their past."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.ports import Known, OrderName
from ordersync.store.lookup import as_archived
from ordersync.store.statement import Ask, keys_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.archived import Archived
    from ordersync.listed import Place
    from ordersync.ports import Claim
    from ordersync.store.database import Session
    from ordersync.store.lookup import Lookup
    from ordersync.store.mapping import Mapping
    from ordersync.store.own import OwnStatements

NAMES = ("id", "venue_order_id", "client_order_id")

Found = tuple[str, Known, "Claim | None"]
"""An account, what is stored of an order, and the row that it was found by, if there is one."""


class Named:
    """Looks by name, with the statements of one database."""

    def __init__(self, mapping: Mapping, own: OwnStatements, lookup: Lookup) -> None:
        self._mapping = mapping
        self._own = own
        self._lookup = lookup
        at = own.spelling.param
        self._events = (
            f"SELECT log_id, n, body FROM {own.table('events')}"
            f" WHERE account = {at('account')} AND order_key = {at('order_key')}"
            f" AND (log_id > {at('log_id')} OR (log_id = {at('log_id')} AND n > {at('n')}))"
            f" ORDER BY log_id, n LIMIT {at('limit')}"
        )

    def find(self, session: Session, text: str, accounts: Sequence[str]) -> list[Found]:
        """By the first kind of name that fits; several where it is no name of one order alone."""
        for field in NAMES:
            if found := self._by(session, field, text, accounts):
                return found
        return []

    def _by(self, session: Session, field: str, text: str, accounts: Sequence[str]) -> list[Found]:
        found: list[Found] = []
        for claim in self._rows(session, field, text):
            account = self._account_of(claim)
            if account in accounts:
                found.append((account, self._known(session, account, claim), claim))
        if not self._lookup.has_tables:
            return found
        if field == "id" and found:
            return found  # a row says itself which order it is, whatever it was before
        seen = {(account, known.key) for account, known, _ in found}
        asks = [Ask(self._own.named("row_id" if field == "id" else field), {"text": text})]
        if field != "id" and self._lookup.has_archive:
            asks.append(Ask(self._own.named_archived(field), {"text": text}))
        for account, key, _, venue, client, _ in (
            row for ask in asks for row in session.fetch(ask)
        ):
            if account in accounts and (account, key) not in seen:
                seen.add((account, key))
                (known,) = self._lookup.read(session, account, [OrderName(venue, client)])
                found.append((account, known, known.claims[0] if known.claims else None))
        return found

    def _rows(self, session: Session, field: str, text: str) -> list[Claim]:
        mapping = self._mapping
        if field not in mapping.columns:
            return []
        if not self._own.spelling.can_hold(mapping.column(field), text):
            return []
        about = self._lookup.about(None)
        statement = {
            "id": about.by_row_ids,
            "venue_order_id": about.by_venue_ids,
            "client_order_id": about.by_any_client_ids if "client_order_id" in mapping.at else "",
        }[field]
        claims = self._lookup.claims(session, Ask(statement, {"keys": keys_of([text])}))
        # The column's own type may think that 01 is 1.
        return [claim for claim in claims if str(claim.cells[mapping.at[field]]) == text]

    def _known(self, session: Session, account: str, claim: Claim) -> Known:
        """What is stored of a row's order, with all rows of it; of a row that names none, it."""
        name = OrderName(claim.venue_order_id, claim.client_order_id)
        if name.venue_order_id or name.client_order_id:
            for known in self._lookup.read(session, account, [name]):
                return known
        return Known(key=f"r:{claim.row_id}", truth=None, version=0, claims=(claim,))

    def _account_of(self, claim: Claim) -> str:
        place = self._mapping.at.get("account")
        cell = claim.cells[place] if place is not None else None
        return self._mapping.account_of(None if cell is None else str(cell))

    def events(
        self, session: Session, account: str, key: str, after: Place | None, limit: int
    ) -> tuple[list[str], Place | None]:
        """Events of an order as JSON texts, oldest first, and where the next ones begin."""
        if not self._lookup.has_tables:
            return [], None
        log_id, n = after or ("-1", "-1")
        about = {"account": account, "order_key": key, "limit": limit + 1}
        place = {"log_id": int(log_id), "n": int(n)}
        rows = session.fetch(Ask(self._events, {**about, **place}))
        texts = [body for *_, body in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return texts, (str(last[0]), str(last[1])) if last else None

    def archived(self, session: Session, account: str, key: str) -> list[Archived]:
        """Where else something about an order is, oldest first."""
        if not self._lookup.has_archive:
            return []
        ask = Ask(self._own.archived_places, {"account": account, "order_key": key})
        return [as_archived(*row) for row in session.fetch(ask)]
