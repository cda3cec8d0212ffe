"""An event loop whose clock jumps to the next timer instead of waiting for it.

Rule 1: time moves only while nothing is ready, and then by at least a nanosecond.
Rule 2: nothing outside the loop's own thread can wake it, so waiting for nothing is an error.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import socket
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import FileDescriptorLike

    from tests.virtual.network import Network

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

WEEK_SECONDS = 7 * 86_400.0
# What the clean-up after an overrun may still take before it counts as an overrun itself.
_OVERTIME_SECONDS = 3_600.0
_NANOSECONDS = 1_000_000_000


class DeadlockError(RuntimeError):
    """Every task waits, and nothing is scheduled that could wake one."""


class OvertimeError(RuntimeError):
    """The virtual clock passed its limit: something repeats for ever while the test waits."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump = jump

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        # The first is the pipe with which the loop wakes itself.
        if self.get_map():
            raise NotImplementedError("real input and output cannot be waited for in virtual time")
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            # Only the loop itself could have written, and then nothing is waited for (Rule 2).
            if ready := super().select(0):
                return ready
            self._jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Use it through `run_virtually`, or as the `loop_factory` of an `asyncio.Runner`."""

    def __init__(self, network: Network, *, limit_seconds: float = WEEK_SECONDS) -> None:
        # In whole nanoseconds: a float would lose the small steps of a long run.
        self._now_ns, self._now = 0, 0.0
        self._limit_seconds = limit_seconds
        self.network = network
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._now

    def close(self) -> None:
        super().close()
        self.network.close()

    def _jump(self, timeout: float | None) -> None:
        if timeout is None:
            tasks = "".join(sorted(f"\n  {_whereabouts(t)}" for t in asyncio.all_tasks(self)))
            raise DeadlockError(
                f"at {self.time():.6f} s nothing can wake any of these tasks:{tasks}"
            )
        self._now_ns += max(1, math.ceil(timeout * _NANOSECONDS))
        self._now = self._now_ns / _NANOSECONDS
        if self.time() > self._limit_seconds:
            limit, self._limit_seconds = self._limit_seconds, self.time() + _OVERTIME_SECONDS
            raise OvertimeError(f"still running after {limit:.0f} s of virtual time")

    def run_in_executor(
        self, executor: object, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run `func` here and now, whatever the executor.

        The result comes in the loop's next round, so that other tasks get between as they do
        when a real thread works.
        """
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - an executor hands over whatever was raised
            self.call_soon(_settle, future, future.set_exception, error)
        else:
            self.call_soon(_settle, future, future.set_result, result)
        return future

    # Any stands for what asyncio's stubs spell out in many overloads.

    async def getaddrinfo(
        self, host: bytes | str | None, port: bytes | str | int | None, **_hints: int
    ) -> Any:  # noqa: ANN401
        """Answer a name with what the network's `names` have for it, else with itself.

        Ports alone tell the network's servers apart.
        """
        name = host.decode() if isinstance(host, bytes) else host or "127.0.0.1"
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, int(port or 0)),
            )
            for address in self.network.names.get(name, [name])
        ]

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return await self.network.connect(*args, **kwargs)

    async def create_server(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return await self.network.listen(*args, **kwargs)

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Do nothing: a test sends no signals."""

    def remove_signal_handler(self, sig: int) -> bool:
        """Do nothing, as nothing was added."""
        del sig
        return False


def _settle(future: asyncio.Future[Any], settle: Callable[[Any], None], value: object) -> None:
    if not future.cancelled():
        settle(value)


def _whereabouts(task: asyncio.Task[Any]) -> str:
    """Say where a task waits: the innermost coroutine that it awaits."""
    coroutine: Any = task.get_coro()
    while getattr(inner := getattr(coroutine, "cr_await", None), "cr_frame", None):
        coroutine = inner
    frame = getattr(coroutine, "cr_frame", None)
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "unknown"
    return f"{task.get_name()}: {getattr(coroutine, '__qualname__', coroutine)} ({where})"
