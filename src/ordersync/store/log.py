"""The event log as listeners read it, over a connection that never stands in a writer's way."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ordersync.logged import Logged, Place, Recent
from ordersync.store.line import Line
from ordersync.store.mapping import bind
from ordersync.store.own import OwnStatements
from ordersync.store.plan import spell
from ordersync.store.schema import WITH_ARCHIVE, version_of
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.settings import Orders
    from ordersync.store.database import Database, Session

LOOKED_BACK = 2_000
"""So many events are looked at a time where the recent ones are looked for."""

_FIELDS = "log_id, n, account, order_key, kind, body"


class LogTexts:
    """The statements for one database."""

    def __init__(self, own: OwnStatements) -> None:
        at, events = own.spelling.param, own.table("events")
        read = f"SELECT {_FIELDS} FROM {events}"
        ordered = "ORDER BY log_id, n"
        self.newest = f"SELECT log_id, n FROM {events} ORDER BY log_id DESC, n DESC LIMIT 1"
        self.after = f"{read} WHERE log_id > {at('last')} {ordered} LIMIT {at('limit')}"
        self.between = (
            f"{read} WHERE log_id >= {at('first')} AND log_id <= {at('last')} {ordered}"
            f" LIMIT {at('limit')}"
        )
        self.rest = f"{read} WHERE log_id = {at('log_id')} AND n > {at('n')} ORDER BY n"
        self.back = (
            f"SELECT log_id, at FROM {events} WHERE log_id < {at('before')}"
            f" ORDER BY log_id DESC, n DESC LIMIT {LOOKED_BACK}"
        )
        self.time = f"SELECT at FROM {events} WHERE log_id = {at('log_id')} AND n = {at('n')}"
        self.moved = f"SELECT account FROM {own.table('archived')} LIMIT 1"


class TableLog:
    """Implements `logged.EventLog`; connects when it is asked first."""

    def __init__(self, database: Database, orders: Orders, *, where: str) -> None:
        self._database = database
        self._orders = orders
        self._where = where
        self._line = Line(database, "ordersync-log")
        self._found: tuple[OwnStatements, LogTexts] | None = None
        self._version = 0
        self.commits_in_order = database.spelling.commits_in_order

    async def newest(self) -> Place | None:
        """The event with the highest number."""

        def look(session: Session) -> Place | None:
            if not self._has_tables(session):
                return None
            rows = session.fetch(Ask(self._texts.newest))
            return Place(*rows[0]) if rows else None

        return await self._line.with_session(look)

    async def read_after(
        self, last: int, gaps: Sequence[tuple[int, int]], limit: int
    ) -> list[Logged]:
        """What is in these gaps, then what comes after `last`."""

        def look(session: Session) -> list[Logged]:
            if not self._has_tables(session):
                return []
            texts = self._texts
            asks = [
                Ask(texts.between, {"first": first, "last": until, "limit": limit})
                for first, until in gaps
            ]
            asks.append(Ask(texts.after, {"last": last, "limit": limit}))
            found: list[tuple[Any, ...]] = []
            for rows in session.fetch_each(asks):
                found += rows
                if len(rows) == limit:
                    # The last commit may go on behind what was read.
                    log_id, n, *_ = rows[-1]
                    found += session.fetch(Ask(texts.rest, {"log_id": log_id, "n": n}))
            return [Logged(Place(log_id, n), *more) for log_id, n, *more in found]

        return await self._line.with_session(look)

    async def find_recent(self, since: datetime, before: int) -> Recent:
        """Of the commits below `before` those that began after then."""
        started = spell(since)

        def look(session: Session) -> Recent:
            found: set[int] = set()
            below = before
            while self._has_tables(session):
                rows = session.fetch(Ask(self._texts.back, {"before": below}))
                recent = [log_id for log_id, at in rows if at > started]
                lowest = min(recent, default=below)
                found.update(log_id for log_id, _ in rows if log_id >= lowest)
                older = [log_id for log_id, _ in rows if log_id < lowest]
                if older or len(rows) < LOOKED_BACK:
                    return Recent(before=max(older, default=0), numbers=tuple(sorted(found)))
                below = rows[-1][0]
            return Recent()

        return await self._line.with_session(look)

    async def find_time(self, place: Place) -> datetime | None:
        """When this event happened."""
        about = {"log_id": place.log_id, "n": place.n}

        def look(session: Session) -> datetime | None:
            if not self._has_tables(session):
                return None
            rows = session.fetch(Ask(self._texts.time, about))
            return datetime.fromisoformat(rows[0][0]) if rows else None

        return await self._line.with_session(look)

    async def has_moved_out(self) -> bool:
        """Whether anything ever left the log."""

        def look(session: Session) -> bool:
            if not self._has_tables(session) or self._version < WITH_ARCHIVE:
                return False
            return bool(session.fetch(Ask(self._texts.moved)))

        return await self._line.with_session(look)

    async def close(self) -> None:
        """Give back the connection and its thread."""
        await self._line.close()

    def _has_tables(self, session: Session) -> bool:
        if self._found is None:
            # Our tables stand beside the user's, wherever that is.
            shape = bind(self._database, self._orders, where=self._where).shape
            own = OwnStatements(self._database.spelling, shape.schema)
            self._found = (own, LogTexts(own))
        if not self._version:
            self._version = version_of(session, self._found[0])
        return self._version > 0

    @property
    def _texts(self) -> LogTexts:
        if self._found is None:
            raise RuntimeError("nothing was looked for yet")
        return self._found[1]
