"""The event stream that can be replayed: trade updates as server-sent events.

What happened since a moment or an id comes first, then what happens, without a gap between.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ordersync.simulator.alpaca.order_json import moment
from ordersync.simulator.alpaca.updates import update_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from ordersync.simulator.alpaca.announcements import Announcement
    from ordersync.simulator.alpaca.queries import EventQuery
    from ordersync.simulator.alpaca.world import World

KEEP_ALIVE_SECONDS = 15.0


async def told_since(world: World, account_id: str, query: EventQuery) -> AsyncIterator[bytes]:
    """Tell an account's events as the query wants them, until the client leaves or has all."""
    last = world.announcements.written_by(world.now())
    yield b": connected\n\n"
    if query.replays:
        for each in world.announcements.of(account_id):
            if (each.at, each.serial) <= last and _wanted(query, each):
                yield _message(world, account_id, each)
    async for news in _news(world, account_id, query, last):
        yield b": keep-alive\n\n" if news is None else _message(world, account_id, news)


async def _news(
    world: World, account_id: str, query: EventQuery, last: tuple[datetime, int]
) -> AsyncIterator[Announcement | None]:
    """Wait for what happens; None when nothing did for a while."""
    loop = asyncio.get_running_loop()
    wake = asyncio.Event()
    stop = world.observe(account_id, lambda _: wake.set())
    try:
        while True:
            wake.clear()
            now = world.now()
            if query.until is not None and query.until <= now:
                return
            coming = world.announcements.next_behind(account_id, last)
            if coming is not None and query.until_id is not None:
                coming = coming if coming.event_id <= query.until_id else None
            if coming is not None and coming.at <= now:
                last = (coming.at, coming.serial)
                yield coming
                continue
            if coming is None and query.until_id is not None:
                return
            due = loop.time() + KEEP_ALIVE_SECONDS
            for moment_due in (query.until, None if coming is None else coming.at):
                if moment_due is not None:
                    due = min(due, loop.time() + (moment_due - now).total_seconds())
            alarm = loop.call_at(due, wake.set)
            try:
                await wake.wait()
            finally:
                alarm.cancel()
            if loop.time() >= due and (coming is None or coming.at > world.now()):
                yield None
    finally:
        stop()


def _wanted(query: EventQuery, each: Announcement) -> bool:
    return (
        (query.since is None or each.at >= query.since)
        and (query.until is None or each.at <= query.until)
        and (query.since_id is None or each.event_id >= query.since_id)
        and (query.until_id is None or each.event_id <= query.until_id)
    )


def _message(world: World, account_id: str, each: Announcement) -> bytes:
    document = {
        **update_json(world, each),
        "account_id": account_id,
        "at": moment(each.at),
        "event_id": each.event_id,
    }
    return b"data: " + msgspec.json.encode(document) + b"\n\n"
