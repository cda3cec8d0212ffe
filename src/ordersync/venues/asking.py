"""What every venue does with what it asks: pages that may be unusable, many questions in turn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ordersync.truth.evidence import Reading, Silence
from ordersync.venues.answers import Answer, Blame, NotFound, Unusable, decode, excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

_T = TypeVar("_T")


def page_of(answer: Answer, decoder: msgspec.json.Decoder[_T]) -> _T | Unusable:
    """A page of a list; a list has no 404 that proves anything."""
    if isinstance(answer, NotFound):
        return Unusable(why="no such page (404)", blame=Blame.GARBLED, raw=excerpt(answer.body))
    if isinstance(answer, Unusable):
        return answer
    return decode(answer, decoder)


def silence_of(endpoint: str, trouble: Unusable, ids: Sequence[str]) -> Silence:
    """What an unusable answer says about these orders: nothing, and why."""
    return Silence(
        endpoint=endpoint,
        why=trouble.why,
        orders=tuple(ids),
        raw=trouble.raw,
        refused=trouble.blame in {Blame.KEY, Blame.REQUEST},
        barred=trouble.blame is Blame.KEY,
    )


async def ask_in_batches(
    ids: Sequence[str],
    size: int,
    at_a_time: int,
    ask: Callable[[list[str]], Coroutine[None, None, tuple[Reading, Silence | None]]],
) -> Reading:
    """Ask in batches, several at a time. After a failure the rest is not asked in vain.

    `ask` gives what one batch brought and, where the others would fare alike, the silence.
    """
    batches = [list(ids[n : n + size]) for n in range(0, len(ids), size)]
    places = asyncio.Semaphore(at_a_time)
    failed: list[Silence] = []

    async def ask_in_turn(batch: list[str]) -> Reading:
        async with places:
            if failed:
                spared = msgspec.structs.replace(failed[0], orders=tuple(batch))
                return Reading(silences=(spared,))
            reading, failure = await ask(batch)
            if failure is not None:
                failed.append(failure)
            return reading

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask_in_turn(batch)) for batch in batches]
    readings = [task.result() for task in asked]
    return Reading(
        sightings=tuple(s for r in readings for s in r.sightings),
        said_again=tuple(s for r in readings for s in r.said_again),
        absences=tuple(a for r in readings for a in r.absences),
        silences=tuple(s for r in readings for s in r.silences),
    )
