"""How work ends when a person or the system asks for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def until(stopping: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Work until it ends or `stopping` is set; then it is cancelled and waited for.

    What is being committed at that moment is finished by the store before it closes.
    """

    async def stop(task: asyncio.Task[None]) -> None:
        await stopping.wait()
        task.cancel()

    try:
        async with asyncio.TaskGroup() as group:
            working = group.create_task(work)
            watching = group.create_task(stop(working))
            working.add_done_callback(lambda _: watching.cancel())
    except ExceptionGroup as several:
        # Nothing is swallowed: a person is shown the first, which ended the others.
        raise _first_of(several) from several


def _first_of(several: ExceptionGroup) -> Exception:
    """The error to show a person: the first one that is not itself a group."""
    first = several.exceptions[0]
    return _first_of(first) if isinstance(first, ExceptionGroup) else first
