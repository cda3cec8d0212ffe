"""Open rows that are as they were when they were last told: nothing of them is compared again.

Whether they are is asked of the database each time: a row by its cells, a truth by its version,
an absence by its text. What is remembered saves the comparing, never the looking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ordersync.store.sql import open_words
from ordersync.store.statement import Ask, keys_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.ports import Claim, Clock, Known
    from ordersync.store.beside import Stood
    from ordersync.store.database import Session
    from ordersync.store.lookup import Lookup
    from ordersync.store.mapping import Mapping
    from ordersync.store.open_rows import Row
    from ordersync.store.own import OwnStatements
    from ordersync.store.scan import Cells

ROWS_LIMIT = 20_000
"""How many rows are remembered; beyond, memory would grow with the table."""

Key = tuple[str, "int | str"]
"""An account and a row's key."""


class Told(NamedTuple):
    """A row as it was told, and by what it is known to be the same."""

    cells: Cells
    version: int
    absent: str | None
    known: Known
    claim: Claim
    stood: Stood


class Remembered:
    """Of one table. Used by several threads: each entry is put and taken as a whole."""

    def __init__(self, mapping: Mapping, own: OwnStatements, lookup: Lookup, clock: Clock) -> None:
        self._mapping = mapping
        self._own = own
        self._lookup = lookup
        self._clock = clock
        self._words = open_words(mapping)
        self._claims: dict[Cells, Claim] = {}
        self._told: dict[Key, Told] = {}
        keys, at = own.spelling.each_key("keys"), own.spelling.param
        self._versions = (
            f"SELECT o.order_key, o.version FROM {keys} {own.spelling.joined}"
            f" {own.table('orders')} AS o"
            f" ON o.account = {at('account')} AND o.order_key = j.value"
        )

    def open_claims(self, session: Session, account: str) -> list[Claim]:
        """The open rows of an account, as claims."""
        ask = Ask(self._lookup.about(account).by_words(self._words))
        return self._as_claims(session, session.fetch(ask))

    def next_claims(
        self, session: Session, account: str, after: int | None, limit: int
    ) -> list[Claim]:
        """So many of them behind a key, in the order of their keys, which are whole numbers."""
        text = self._lookup.about(account).next_by_words(self._words, is_first=after is None)
        behind = {} if after is None else {"after": after}
        return self._as_claims(session, session.fetch(Ask(text, {"limit": limit, **behind})))

    def _as_claims(self, session: Session, rows: Sequence[Cells]) -> list[Claim]:
        if rows:
            self._lookup.learn_times(session)
        read_at, known = self._clock.now(), self._claims
        if len(known) > ROWS_LIMIT:
            self._claims = known = {}
        claims = []
        for cells in rows:
            claim = known.get(cells)
            if claim is None:
                known[cells] = claim = self._mapping.claim(cells, read_at)
            claims.append(claim)
        return claims

    def find(self, session: Session, rows: Sequence[Row]) -> dict[Key, Told]:
        """Those of these rows that are as they were, row and truth and absence."""
        found: dict[Key, Told] = {}
        for account in {row.account for row in rows} if self._lookup.has_tables else ():
            told = {
                row.claim.row_id: one
                for row in rows
                if row.account == account
                and (one := self._told.get((account, row.claim.row_id))) is not None
            }
            if not told:
                continue
            about = {"account": account, "keys": keys_of(one.known.key for one in told.values())}
            ids = {"keys": keys_of(str(key) for key in told)}
            cells, versions, absents = session.fetch_each(
                [
                    Ask(self._lookup.about(account).by_row_ids, ids),
                    Ask(self._versions, about),
                    Ask(self._own.absences, about),
                ]
            )
            now, absent_now = dict(versions), dict(absents)
            for row_cells in cells:
                key = row_cells[0] if isinstance(row_cells[0], int) else str(row_cells[0])
                one = told.get(key)
                if (
                    one is not None
                    and one.cells == row_cells
                    and one.version == now.get(one.known.key, 0)
                    and one.absent == absent_now.get(one.known.key)
                ):
                    found[account, key] = one
        return found

    def keep(self, account: str, known: Known, claim: Claim, stood: Stood) -> None:
        """Remember a row that no other order has a say in, and nothing was absent of."""
        if known.absent is None and known.key[0] == "v" and stood.alone:
            if len(self._told) > ROWS_LIMIT:
                self._told.clear()
            self._told[account, claim.row_id] = Told(
                claim.cells, known.version, None, known, claim, stood
            )
