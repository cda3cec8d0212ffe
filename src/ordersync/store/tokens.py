"""The tokens of those who call: `tokened.TokenStore` in our own tables."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from ordersync.errors import StoreRefused
from ordersync.store import schema
from ordersync.store.database import all_or_nothing
from ordersync.store.own import OwnStatements
from ordersync.store.plan import spell
from ordersync.store.reflection import look_at_table
from ordersync.store.statement import Ask, Upsert
from ordersync.tokened import Scope, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordersync.settings import Orders
    from ordersync.store.database import Database, Session

_T = TypeVar("_T")

_COLUMNS = ("name", "scope", "digest", "created_at", "expires_at", "revoked_at")


class TableTokens:
    """Reads and writes over a connection a question: they are few, and the guard remembers."""

    def __init__(self, database: Database, orders: Orders) -> None:
        self._database = database
        shape = look_at_table(database, orders.table)
        self._own = OwnStatements(database.spelling, shape.schema if shape else None)
        table, at = self._own.table("tokens"), database.spelling.param
        self._all = f"SELECT {', '.join(_COLUMNS)} FROM {table} ORDER BY created_at, name"
        self._insert = Upsert(table=table, columns=dict.fromkeys(_COLUMNS, False), key=("name",))
        self._revoke = (
            f"UPDATE {table} SET revoked_at = {at('at')}"
            f" WHERE name = {at('name')} AND revoked_at IS NULL"
        )

    async def list_tokens(self) -> list[Token]:
        """All there ever were, oldest first."""
        return await asyncio.to_thread(self._with, self._list, writes=False)

    async def add_token(self, token: Token) -> bool:
        """Keep it; False where there is one of that name."""

        def add(session: Session) -> bool:
            schema.migrate(
                session, self._own, where=self._database.where, at=spell(token.created_at)
            )
            if any(one.name == token.name for one in self._list(session)):
                return False
            with all_or_nothing(session):
                (won,) = session.upsert(self._insert, [_row(token)])
            return won

        return await asyncio.to_thread(self._with, add, writes=True)

    async def revoke_token(self, name: str, at: datetime) -> bool:
        """From now on it opens nothing; False where there is none of that name to revoke."""

        def revoke(session: Session) -> bool:
            if not self._has_tokens(session):
                return False
            with all_or_nothing(session):
                count = session.run(Ask(self._revoke, {"at": spell(at), "name": name}))
            return count > 0

        return await asyncio.to_thread(self._with, revoke, writes=True)

    def _has_tokens(self, session: Session) -> bool:
        return session.has_table(self._own.schema, "ordersync_tokens")

    def _list(self, session: Session) -> list[Token]:
        if not self._has_tokens(session):
            return []
        return [_token(*row) for row in session.fetch(Ask(self._all))]

    def _with(self, work: Callable[[Session], _T], *, writes: bool) -> _T:
        try:
            session = self._database.connect(writes=writes)
            try:
                return work(session)
            finally:
                session.close()
        except self._database.errors as error:
            raise self._database.explain(error) from error


def _row(token: Token) -> tuple[object, ...]:
    return (
        token.name,
        token.scope.value,
        token.digest,
        spell(token.created_at),
        spell(token.expires_at) if token.expires_at else None,
        None,
    )


def _token(
    name: str, scope: str, digest: str, made: str, expires: str | None, revoked: str | None
) -> Token:
    try:
        known = Scope(scope)
    except ValueError:
        raise StoreRefused(
            f"the token {name!r} has the scope {scope!r}, which is none.",
            where="ordersync_tokens",
            mend="Delete that row, or upgrade ordersync.",
        ) from None
    return Token(
        name=name,
        scope=known,
        digest=digest,
        created_at=datetime.fromisoformat(made),
        expires_at=datetime.fromisoformat(expires) if expires else None,
        revoked_at=datetime.fromisoformat(revoked) if revoked else None,
    )
