"""A thread for those who wait in an event loop: what asyncio's own pool promises, it keeps."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ordersync.store.one_thread import OneThread


async def test_all_is_done_on_one_thread_in_the_order_in_which_it_was_asked() -> None:
    loop, thread = asyncio.get_running_loop(), OneThread("test")
    done: list[tuple[int, str]] = []

    def do(n: int) -> None:
        done.append((n, threading.current_thread().name))

    await asyncio.gather(*[loop.run_in_executor(thread, do, n) for n in range(20)])
    thread.shutdown()
    assert done == [(n, "test") for n in range(20)]


async def test_what_fails_is_raised_where_it_is_waited_for_and_the_next_is_done() -> None:
    loop, thread = asyncio.get_running_loop(), OneThread("test")
    with pytest.raises(ValueError, match="no number"):
        await loop.run_in_executor(thread, int, "no number")
    assert await loop.run_in_executor(thread, int, "7") == 7
    thread.shutdown()


async def test_what_is_cancelled_before_its_turn_is_not_done() -> None:
    loop, thread = asyncio.get_running_loop(), OneThread("test")
    may_end, done = threading.Event(), list[str]()
    under_way = loop.run_in_executor(thread, may_end.wait, 30)
    waits = loop.run_in_executor(thread, done.append, "cancelled")
    waits.cancel()
    may_end.set()
    assert await under_way
    await loop.run_in_executor(thread, done.append, "kept")
    thread.shutdown()
    assert done == ["kept"]


def test_a_loop_that_ends_meanwhile_does_not_end_the_thread() -> None:
    thread, may_end = OneThread("test"), threading.Event()

    async def leave() -> None:
        asyncio.get_running_loop().run_in_executor(thread, may_end.wait, 30)

    async def ask() -> int:
        return await asyncio.get_running_loop().run_in_executor(thread, int, "7")

    asyncio.run(leave())
    may_end.set()
    assert asyncio.run(ask()) == 7
    thread.shutdown()


async def test_the_end_waits_for_what_was_asked_and_nothing_is_taken_after_it() -> None:
    loop, thread = asyncio.get_running_loop(), OneThread("test")
    done: list[str] = []
    asked = loop.run_in_executor(thread, done.append, "asked")
    thread.shutdown()
    assert done == ["asked"]
    await asked
    with pytest.raises(RuntimeError, match="was ended"):
        loop.run_in_executor(thread, done.append, "late")
