"""From a webhook on its way to its 2xx, on SQLite with synchronous FULL.

Ours is one POST over a kept connection to the real door: HTTP, signature, receipt looked up, the
venue asked, row, truth, event, due time and receipt in a transaction, the answer. The venue answers
out of memory: how long a real one takes is its own affair. The floor is the HMAC of the same bytes
and that transaction in bare sqlite3, with the receipt, its parameters prepared. Who sends shares
our loop: that is a fiftieth of the figure, less than another process that has to wake up.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import shutil
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks import scene
from benchmarks.commit import bare_parameters, connect, write
from benchmarks.measure import Line, Options, in_turn, median, p99, settle
from ordersync.clock import SystemClock
from ordersync.standard_webhooks import Secret
from ordersync.sync.demand import Demand
from ordersync.sync.hints import Hints
from ordersync.truth.evidence import Reading
from ordersync.web.guest import listening
from ordersync.web.webhooks import Door

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from benchmarks.commit import Bare

GOAL = 3.0
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
HOST = "127.0.0.1"
RECEIPT = "INSERT INTO ordersync_webhooks (account, webhook_id, at) VALUES (?, ?, ?)"


class _Venue:
    """Knows the JSON of every order by heart: each is filled. It is read as that of a real one."""

    batch_size = 100

    def __init__(self, answers: scene.Answers, count: int) -> None:
        self._told = {scene.order_id(n): answers.of(n, filled=True) for n in range(1, count + 1)}

    def now(self) -> datetime:
        """The venue's clock."""
        return datetime.now(UTC)

    async def ask_ids(self, ids: Sequence[str], heard: object = None) -> Reading:
        """Sightings of these."""
        del heard
        now = self.now()
        return Reading(sightings=tuple(scene.read(self._told[one], as_of=now) for one in ids))


async def run(options: Options, folder: Path) -> list[Line]:
    """One webhook at a time, in both kinds of journal."""
    answers, lines = scene.Answers(), []
    count = options.of(1000, 100)
    for journal in ("delete", "wal"):
        ours, floor = folder / f"ours-{journal}.db", folder / f"floor-{journal}.db"
        await scene.make_known(ours, count, answers, journal=journal)
        shutil.copy(ours, floor)
        lines.append(await _measure(ours, floor, count, answers, journal))
    return lines


async def _measure(
    ours: Path, floor: Path, count: int, answers: scene.Answers, journal: str
) -> Line:
    now = datetime.now(UTC)
    sightings = [answers.sighting(n, filled=True, as_of=now) for n in range(1, count + 1)]
    parameters, _ = await bare_parameters(floor, sightings)
    bare, numbers = iter(enumerate(parameters)), iter(range(1, count + 1))
    connection = connect(floor)
    async with _door(ours, answers, count) as port:
        reader, writer = await asyncio.open_connection(HOST, port)

        async def send() -> float:
            return await _timed_send(reader, writer, answers, next(numbers))

        async def write() -> float:
            n, parameters = next(bare)
            return _timed_write(connection, n, answers.of(1 + n, filled=True), parameters)

        settle()
        took, wrote = await in_turn(count, send, write)
        writer.close()
    connection.close()
    assert scene.number_of_untrue(ours) == scene.number_of_untrue(floor) == 0
    ratio = median(took) / median(wrote)
    name = "rollback journal" if journal == "delete" else "WAL"
    return Line(
        what=f"webhook answered 2xx, against HMAC and commit, {name}",
        unit="ms",
        ours=median(took) * 1e3,
        floor=median(wrote) * 1e3,
        ratio=ratio,
        goal=f"<= {GOAL:g} x",
        met=ratio <= GOAL,
        note=f"p99 {p99(took) * 1e3:.2f} ms, floor's {p99(wrote) * 1e3:.2f} ms",
    )


@asynccontextmanager
async def _door(path: Path, answers: scene.Answers, count: int) -> AsyncIterator[int]:
    """The door at work on this table."""
    clock, store = SystemClock(), scene.open_store(path)
    await store.open(create=True)
    hints = Hints(
        scene.ACCOUNT,
        venue=_Venue(answers, count),  # type: ignore[arg-type] # all that a hint asks of one
        store=store,
        ingest=scene.ingest_on(store),
        demand=Demand(),
        clock=clock,
    )
    door = Door({scene.ACCOUNT: hints}, {scene.ACCOUNT: [Secret(SECRET)]}, clock)
    async with listening(door.app, HOST, 0) as port, asyncio.TaskGroup() as group:
        working = group.create_task(hints.run())
        yield port
        working.cancel()
    await store.close()


async def _timed_send(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: scene.Answers, n: int
) -> float:
    body = answers.of(n, filled=True)
    at = str(int(time.time()))
    head = (
        f"POST /webhooks/{scene.ACCOUNT} HTTP/1.1\r\nhost: {HOST}\r\n"
        f"content-length: {len(body)}\r\nwebhook-id: msg_{n}\r\nwebhook-timestamp: {at}\r\n"
        f"webhook-signature: {_signature(f'msg_{n}', at, body)}\r\n\r\n"
    )
    start = time.perf_counter()
    writer.write(head.encode() + body)
    answer = await reader.readuntil(b'"}')
    took = time.perf_counter() - start
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"taken" in answer
    return took


def _signature(webhook_id: str, at: str, body: bytes) -> str:
    content = b".".join((webhook_id.encode(), at.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(KEY, content, hashlib.sha256)).decode()


def _timed_write(connection: sqlite3.Connection, n: int, body: bytes, parameters: Bare) -> float:
    receipt = (scene.ACCOUNT, f"msg_{n}", "2026-11-20T12:00:00.000000Z")
    start = time.perf_counter()
    signature = _signature(f"msg_{n}", "1614265330", body)
    connection.execute("BEGIN IMMEDIATE")
    write(connection, parameters)
    connection.execute(RECEIPT, receipt)
    connection.execute("COMMIT")
    took = time.perf_counter() - start
    assert signature
    return took
