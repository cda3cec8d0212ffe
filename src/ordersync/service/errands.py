"""A thread with an event loop, for programs that have none: they hand over work and wait.

One a process, started at the first errand, because a process that forks takes no thread along.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, TypeVar

from ordersync.service.visits import Visits

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ordersync.settings import Settings

_T = TypeVar("_T")

PATIENCE = 10.0
"""How many seconds a visit that is broken off may take to give everything back."""


class Errands:
    """Visits of one configuration, from any thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._starting = threading.Lock()
        self._home: _Home | None = None

    def run(self, errand: Callable[[Visits], Coroutine[None, None, _T]]) -> _T:
        """Do it and wait for the end; who is interrupted meanwhile breaks it off.

        Raises what it raises.
        """
        home = self._at_home()
        ended = threading.Event()

        async def to_the_end() -> _T:
            try:
                return await errand(home.visits)
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(to_the_end(), home.loop)
        try:
            return future.result()
        except BaseException:
            # A time limit or a shutdown interrupts the waiting, not the work.
            if not future.done():
                future.cancel()
                ended.wait(PATIENCE)
            raise

    def close(self) -> None:
        """Give back all connections, and end the thread. The next errand starts it anew."""
        with self._starting:
            home, self._home = self._home, None
        if home is not None and home.pid == os.getpid():
            home.stop()

    def _at_home(self) -> _Home:
        with self._starting:
            if self._home is None or self._home.pid != os.getpid():
                # Of a parent's thread nothing is here but its name.
                self._home = _Home(self.settings)
            return self._home


class _Home:
    """The thread, its loop, and what lives there."""

    def __init__(self, settings: Settings) -> None:
        self.pid = os.getpid()
        self._settings = settings
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._live, name="ordersync", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(PATIENCE)

    def _live(self) -> None:
        asyncio.run(self._stay())

    async def _stay(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.visits = Visits(self._settings)
        self._ready.set()
        try:
            await self._stopping.wait()
        finally:
            await self.visits.close()
