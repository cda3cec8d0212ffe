"""Connections that only read, off the store's own thread: who asks waits for no commit."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from ordersync.errors import StoreBusy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ordersync.store.database import Database, Session

READERS = 4
"""How many questions are answered at once; others wait for their turn."""

_T = TypeVar("_T")


class Readers:
    """A few connections, made when they are needed and kept."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="ordersync-reader")
        self._idle: list[Session] = []
        self._is_closed = False

    async def ask(self, look: Callable[[Session], _T]) -> _T:
        """Answer on a connection of its own. Raises StoreBusy or StoreRefused."""
        if self._is_closed:
            raise StoreBusy("it is being closed.", where=self._database.where)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._answer, look)

    def _answer(self, look: Callable[[Session], _T]) -> _T:
        session: Session | None = None
        try:
            session = self._idle.pop() if self._idle else self._database.connect(writes=False)
            answer = look(session)
        except BaseException as error:
            # Broken, or in the middle of something: the next one gets a new connection.
            if session is not None:
                session.close()
            if isinstance(error, self._database.errors):
                raise self._database.explain(error) from error
            raise
        if self._is_closed:
            session.close()
        else:
            self._idle.append(session)
        return answer

    @contextmanager
    def one_moment(self, session: Session) -> Iterator[None]:
        """All that is read in the block is as it was at its first read.

        The block has to be short: at some databases nobody can write meanwhile.
        """
        self._database.spelling.begin_snapshot(session.begin, session.fetch)
        try:
            yield
        finally:
            session.rollback()

    def close(self) -> None:
        """Give back the connections; questions that are being answered are waited for."""
        self._is_closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        while self._idle:
            self._idle.pop().close()
