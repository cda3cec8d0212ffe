"""The read side: what was recorded about an order. Nothing here writes or creates."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ordersync.ports import Match
from ordersync.store.lookup import as_archived
from ordersync.store.mapping import bind
from ordersync.store.own import OwnStatements
from ordersync.store.sql import RowStatements
from ordersync.store.statement import Ask, keys_of
from ordersync.truth.model import Event, Side

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordersync.archived import Archived
    from ordersync.settings import Orders
    from ordersync.store.database import Database, Session

_T = TypeVar("_T")

_decode_event = msgspec.json.Decoder(Event).decode

_decode_side = msgspec.json.Decoder(Side).decode

_NAMES = ("id", "venue_order_id", "client_order_id")


class TableViews:
    """Implements `ports.OrderViews` over connections that only read, one a question."""

    def __init__(self, database: Database, orders: Orders, *, where: str) -> None:
        self._database = database
        self._mapping = bind(database, orders, where=where)
        self._own = OwnStatements(database.spelling, self._mapping.shape.schema)
        self._statements = RowStatements(database.spelling, self._mapping, None)

    async def find(self, text: str) -> list[Match]:
        """The orders that a text names: by row id, else by venue id, else by client id."""

        def look(session: Session) -> list[Match]:
            for field in _NAMES:
                if matches := self._find_by(session, field, text):
                    return matches
            return []

        return await self._with(look)

    async def history(self, match: Match) -> list[Event]:
        """Every event of one order, oldest first."""
        ask = Ask(self._own.history, {"account": match.account, "order_key": match.key})
        rows = await self._with(
            lambda session: session.fetch(ask) if self._has_tables(session) else []
        )
        return [_decode_event(body) for (body,) in rows]

    async def archived(self, account: str, key: str) -> list[Archived]:
        """Where else something about this order is, oldest first."""
        ask = Ask(self._own.archived_places, {"account": account, "order_key": key})
        rows = await self._with(
            lambda session: session.fetch(ask) if self._has_archive(session) else []
        )
        return [as_archived(*row) for row in rows]

    async def count_words(self) -> dict[str | None, int]:
        """How many rows hold each status word."""
        ask = Ask(self._statements.count_words)
        rows = await self._with(lambda session: session.fetch(ask))
        return {word if word is None else str(word): count for word, count in rows}

    async def _with(self, look: Callable[[Session], _T]) -> _T:
        def attempt() -> _T:
            try:
                session = self._database.connect(writes=False)
                try:
                    return look(session)
                finally:
                    session.close()
            except self._database.errors as error:
                raise self._database.explain(error) from error

        return await asyncio.to_thread(attempt)

    def _has_tables(self, session: Session) -> bool:
        return session.has_table(self._own.schema, "ordersync_schema")

    def _has_archive(self, session: Session) -> bool:
        return session.has_table(self._own.schema, "ordersync_archived")

    def _find_by(self, session: Session, field: str, text: str) -> list[Match]:
        """Orders whose row, or whose kept truth where the row is gone, has this name."""
        found = self._rows(session, field, text)
        if not self._has_tables(session) or (field == "id" and found):
            return found  # a row says itself which order it is, whatever it was before
        column = "row_id" if field == "id" else field
        known = {(match.account, match.key) for match in found}
        kept = session.fetch(Ask(self._own.named(column), {"text": text}))
        if field != "id" and self._has_archive(session):
            moved = session.fetch(Ask(self._own.named_archived(column), {"text": text}))
            kept += [(*names, _status_in(side)) for *names, side in moved]
        for account, key, row_id, venue, client, status in kept:
            if (account, key) not in known:
                known.add((account, key))
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

    def _rows(self, session: Session, field: str, text: str) -> list[Match]:
        mapping, spelling = self._mapping, self._database.spelling
        if field not in mapping.columns or not spelling.can_hold(mapping.column(field), text):
            return []
        names = [f for f in (*_NAMES, "status", "account") if f in mapping.columns]
        listed = ", ".join(spelling.read(mapping.column(name)) for name in names)
        among = spelling.among(mapping.column(field), "keys")
        rows = session.fetch(
            Ask(
                f"SELECT {listed} FROM {self._statements.table} AS t WHERE {among}",
                {"keys": keys_of([text])},
            )
        )
        found = []
        for row in rows:
            cells = {
                name: None if cell is None else str(cell)
                for name, cell in zip(names, row, strict=True)
            }
            # The column's own type may think that 01 is 1.
            if cells[field] == text:
                found.append(self._match(session, field, cells))
        return found

    def _match(self, session: Session, field: str, cells: dict[str, str | None]) -> Match:
        account = self._mapping.account_of(cells.get("account"))
        venue, client = cells["venue_order_id"], cells.get("client_order_id")
        key = f"v:{venue}" if venue else f"c:{client}" if client else f"r:{cells['id']}"
        status = None
        if self._has_tables(session):
            about = {"account": account, "order_key": key}
            kept = session.fetch(Ask(self._own.status_of_key, about))
            if not kept and not venue:
                # Its venue id may be known and not written: in a shadow, or refused.
                of_row = {"account": account, "row_id": cells["id"]}
                kept = session.fetch(Ask(self._own.status_of_row, of_row))
            key, status = kept[0] if kept else (key, None)
            if status is None and self._has_archive(session):
                moved = session.fetch(Ask(self._own.archived_places, {**about, "order_key": key}))
                status = _status_in(moved[-1][-1]) if moved else None
        return Match(
            matched=field,
            account=account,
            key=key,
            row_id=cells["id"],
            venue_order_id=venue,
            client_order_id=client,
            word=cells["status"],
            status=status,
        )


def _status_in(side: str | None) -> str | None:
    """The status of a side as it is noted of an order that moved out."""
    return _decode_side(side).status if side else None
