"""The pure parts by themselves, for information: merging reports, writing events down."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from benchmarks import scene
from benchmarks.measure import Line, Options, in_turn, median, settle
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.mapping import bind
from ordersync.store.plan import draft, event
from ordersync.truth.merge import merge
from ordersync.truth.model import EventKind

if TYPE_CHECKING:
    from pathlib import Path


async def run(options: Options, folder: Path) -> list[Line]:
    """Merges a second, and events built and encoded a second."""
    count = options.of(20_000, 4_000)
    answers, now = scene.Answers(), datetime.now(UTC)
    begins = [
        answers.sighting(n, filled=False, as_of=now - timedelta(minutes=1)).report
        for n in range(1, count + 1)
    ]
    ends = [answers.sighting(n, filled=True, as_of=now) for n in range(1, count + 1)]
    orders = [merge(None, report) for report in begins]
    path = folder / "bot.db"
    scene.make_table(path, count)
    store = scene.open_store(path)
    await store.open(create=True)
    known = await store.read(scene.ACCOUNT, scene.names(count))
    await store.close()
    mapping = bind(SqliteFile(path), scene.ORDERS, where="bench")
    mapping.learn_time_forms({})
    drafts = [draft(mapping, step, now) for step in scene.steps(known, ends)]
    encode = msgspec.json.Encoder().encode
    made = [event(d, None, EventKind.CHANGED, scene.ACCOUNT, now) for d in drafts]

    async def merges() -> float:
        start = time.perf_counter()
        for order, end in zip(orders, ends, strict=True):
            merge(order, end.report)
        return time.perf_counter() - start

    async def events() -> float:
        start = time.perf_counter()
        for d in drafts:
            encode(event(d, None, EventKind.CHANGED, scene.ACCOUNT, now))
        return time.perf_counter() - start

    async def bare_events() -> float:
        start = time.perf_counter()
        for one in made:
            encode(one)
        return time.perf_counter() - start

    settle()
    merged, _ = await in_turn(5, merges, bare_events)
    built, encoded = await in_turn(5, events, bare_events)
    return [
        Line(what="reports merged", unit="/s", ours=count / median(merged)),
        Line(
            what="events made and encoded",
            unit="/s",
            ours=count / median(built),
            floor=count / median(encoded),
            ratio=median(encoded) / median(built),
            note="the floor encodes events that are made already",
        ),
    ]
