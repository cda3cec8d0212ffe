"""Running a coroutine, or a whole asynchronous test, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import random
import time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, TypeVarTuple, overload

import anyio.to_thread

from tests.virtual.clock import EPOCH, VirtualClock
from tests.virtual.loop import WEEK_SECONDS, VirtualLoop
from tests.virtual.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# For last bytes to land and last callbacks to run. Shorter than any keep-alive, which would
# close what a test forgot to.
_SETTLING_SECONDS = 1.0


class LeftoverError(AssertionError):
    """The coroutine ended, and what it had started did not."""


def run_virtually(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    network: Network | None = None,
    limit_seconds: float = WEEK_SECONDS,
) -> T:
    """Run `main` to its end in a virtual loop of its own, and return what it returns.

    The seed decides `random` and, unless a network is given, the network's latencies. While it
    runs, the functions of `time` tell virtual time as well, since libraries read them (the
    HTTP client's keep-alive does), and worker threads are replaced by calls in place.
    Fails if tasks, connections or servers are left when `main` has returned.
    """
    network = network or Network(seed)
    loop = VirtualLoop(network, limit_seconds=limit_seconds)
    with _virtual_surroundings(loop, seed), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_run_and_settle(main, network))


@overload
def virtually(test: Callable[P, Coroutine[Any, Any, None]], /) -> Callable[P, None]: ...
@overload
def virtually(
    *, seed: int = 0, limit_seconds: float = WEEK_SECONDS
) -> Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]: ...
def virtually(
    test: Callable[P, Coroutine[Any, Any, None]] | None = None,
    /,
    *,
    seed: int = 0,
    limit_seconds: float = WEEK_SECONDS,
) -> Callable[..., Any]:
    """Make an `async def` test a plain one that runs virtually; its fixtures stay its own."""
    if test is None:
        return functools.partial(virtually, seed=seed, limit_seconds=limit_seconds)

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        main = functools.partial(test, *args, **kwargs)
        run_virtually(main, seed=seed, limit_seconds=limit_seconds)

    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run


async def _run_and_settle(main: Callable[[], Coroutine[Any, Any, T]], network: Network) -> T:
    try:
        result = await main()
        await _settle(network)
    finally:
        network.close_everything()
        # One round, for protocols to hear that their connections are lost.
        await VirtualClock().sleep(0)
    return result


async def _settle(network: Network) -> None:
    if _other_tasks() or network.left_open():
        await VirtualClock().sleep(_SETTLING_SECONDS)
    left = [*sorted(map(repr, _other_tasks())), *network.left_open()]
    if left:
        raise LeftoverError("left behind:\n  " + "\n  ".join(left))


def _other_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


@contextlib.contextmanager
def _virtual_surroundings(loop: VirtualLoop, seed: int) -> Iterator[None]:
    """Point what is global in a process at the loop, and put it back."""
    start = EPOCH.timestamp()
    state = random.getstate()
    with contextlib.ExitStack() as stack:
        stack.callback(random.setstate, state)
        random.seed(seed)
        for module, name, replacement in (
            (time, "monotonic", loop.time),
            (time, "perf_counter", loop.time),
            (time, "time", lambda: start + loop.time()),
            (time, "time_ns", lambda: int((start + loop.time()) * 1_000_000_000)),
            (anyio.to_thread, "run_sync", _run_in_place),
        ):
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, replacement)
        yield


async def _run_in_place(func: Callable[[*Ts], T], *args: *Ts, **_options: object) -> T:
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, lambda: context.run(func, *args))
