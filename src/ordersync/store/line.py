"""A line to the database: one connection on a thread of its own, made anew where it was lost.

One function a request, in plain blocking calls. What was asked while the connection was lost
fails as StoreBusy, and is asked again by whoever asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

from ordersync.errors import OrdersyncError, StoreBusy
from ordersync.store.one_thread import OneThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordersync.store.database import Database, Session
    from ordersync.store.shape import TableShape

_T = TypeVar("_T")

CLOSE_PATIENCE = 5.0
"""How many seconds a commit may take that is under way when we are told to end."""


class Line:
    """Not connected until it is asked. `name` is that of its thread."""

    def __init__(self, database: Database, name: str, *, writes: bool = False) -> None:
        self._database = database
        self._thread = OneThread(name)
        self._is_closing = False
        self._session: Session | None = None
        self._table: TableShape | None = None
        self.writes = writes

    def connect(self, *, writes: bool, table: TableShape | None = None) -> Session:
        """Connect, on the line's own thread; the same way again whenever it was lost."""
        self.writes, self._table = writes, table
        self._session = session = self._database.connect(writes=writes, table=table)
        return session

    async def with_session(self, work: Callable[[Session], _T]) -> _T:
        """Run this with the connection; a driver's error becomes StoreBusy or StoreRefused."""

        def attempt() -> _T:
            if self._is_closing:
                raise StoreBusy("it is being closed.", where=self._database.where)
            session = self._session or self.connect(writes=self.writes, table=self._table)
            try:
                return work(session)
            except self._database.errors:
                if not session.is_alive:
                    session.close()
                    self._session = None
                raise

        return await self.run(attempt)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run on the line's thread; a driver's error becomes StoreBusy or StoreRefused."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            if self._database.deadline is None:
                return await future
            async with asyncio.timeout(self._database.deadline) as limit:
                return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(self._forget)
            raise
        except TimeoutError:
            if not limit.expired():
                raise
            if self._session is not None:
                self._session.interrupt()
                with contextlib.suppress(*self._database.errors):
                    return await future  # it came to its end after all
            raise StoreBusy(
                f"no answer within {self._database.deadline:.0f} s.",
                where=self._database.where,
                mend="It is tried again; see whether the server behind the pooler runs.",
            ) from None
        except self._database.errors as error:
            raise self._database.explain(error) from error

    def _forget(self, future: asyncio.Future[_T]) -> None:
        """Whoever asked has gone: that he was refused is nobody's news, a mistake of ours is."""
        error = None if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, (OrdersyncError, *self._database.errors)):
            raise error

    async def close(self) -> None:
        """Give back the connection and the thread."""
        self._is_closing = True  # whoever still waits was canceled, and his commit may hang, too
        session = self._session
        if session is not None:
            closing = asyncio.get_running_loop().run_in_executor(self._thread, self._give_back)
            try:
                await asyncio.wait_for(asyncio.shield(closing), CLOSE_PATIENCE)
            except TimeoutError:
                # A commit that hangs: whether it is there is read at the next start.
                session.interrupt()
                await closing
        self._thread.shutdown(wait=True)
        # Where the opening was canceled, the thread may have connected only now.
        self._give_back()

    def _give_back(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
