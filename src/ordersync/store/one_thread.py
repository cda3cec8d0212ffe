"""A thread that does one thing after the other, for those who wait for it in an event loop.

A pool answers with a future that threads may wait for, handed on to one of asyncio's: a hop costs
half as much again, and every commit waits for one.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Executor
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_Asked = tuple[asyncio.Future[Any], "Callable[[], Any]"]


class OneThread(Executor):
    """For `run_in_executor`, in one loop at a time. It starts with the first thing to do."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._asked = SimpleQueue[_Asked | None]()
        self._thread: Thread | None = None
        self._is_shut = False

    def submit(  # type: ignore[override] # a future of asyncio's own is taken as it is
        self, work: Callable[..., Any], /, *arguments: object
    ) -> asyncio.Future[Any]:
        """Do this when all that was asked before is done; not if it is cancelled by then."""
        if self._is_shut:
            raise RuntimeError(f"the thread {self._name} was ended")
        if self._thread is None:
            self._thread = Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        future = asyncio.get_running_loop().create_future()
        self._asked.put((future, partial(work, *arguments) if arguments else work))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - an Executor's
        """End when all that was asked is done, or cancelled."""
        del cancel_futures
        self._is_shut = True
        self._asked.put(None)
        if wait and self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            future, work = asked
            if not future.cancelled():
                _do(future, work)
            # Whatever it holds is not to live on until the next thing is asked.
            del asked, future, work


def _do(future: asyncio.Future[Any], work: Callable[[], Any]) -> None:
    try:
        answer = work()
    except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
        _tell(future, _fail, error)
    else:
        _tell(future, _answer, answer)


def _tell(
    future: asyncio.Future[Any], how: Callable[[asyncio.Future[Any], Any], None], what: object
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        future.get_loop().call_soon_threadsafe(how, future, what)


def _answer(future: asyncio.Future[Any], answer: object) -> None:
    if not future.done():
        future.set_result(answer)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
