"""Connections of their own for what is written beside the way of an order: figures, alerts.

One a request, on a thread of the pool: nothing here waits for the store's thread, and the
store's thread waits for nothing here but the moment that a database takes for one small row.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from ordersync.store.database import all_or_nothing
from ordersync.store.mapping import bind
from ordersync.store.own import OwnStatements

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordersync.settings import Orders
    from ordersync.store.database import Database, Session

_T = TypeVar("_T")


class Aside:
    """Our tables of one database, reached beside the store. Nothing is connected until then.

    Where our tables are not there, a read finds nothing.
    """

    def __init__(self, database: Database, orders: Orders, *, where: str) -> None:
        self._database = database
        self._orders = orders
        self._where = where
        self._own: OwnStatements | None = None

    async def read(
        self, look: Callable[[Session, OwnStatements], list[_T]], table: str
    ) -> list[_T]:
        """What is in this table, nothing where it is not there. Raises what a store raises."""

        def attempt(session: Session, own: OwnStatements) -> list[_T]:
            there = session.has_table(own.schema, f"ordersync_{table}")
            return look(session, own) if there else []

        return await asyncio.to_thread(self._attempt, attempt, writes=False)

    async def write(self, work: Callable[[Session, OwnStatements], None]) -> None:
        """One short transaction. Raises what a store raises."""

        def attempt(session: Session, own: OwnStatements) -> None:
            with all_or_nothing(session):
                work(session, own)

        await asyncio.to_thread(self._attempt, attempt, writes=True)

    def _attempt(self, work: Callable[[Session, OwnStatements], _T], *, writes: bool) -> _T:
        database = self._database
        try:
            if self._own is None:
                mapping = bind(database, self._orders, where=self._where)
                self._own = OwnStatements(database.spelling, mapping.shape.schema)
            session = database.connect(writes=writes)
            try:
                return work(session, self._own)
            finally:
                session.close()
        except database.errors as error:
            raise database.explain(error) from error
