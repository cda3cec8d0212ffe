"""Accounts verified a second by Celery with 1, 2 and 4 worker processes, beside the venue's floor.

The floor is what the exchange alone can answer: the one question that a visit asks, bare, as many
at a time as there are worker processes. Exchange, broker, database and workers share this machine,
so more processes than it has processors say how the work divides, not how it grows.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from benchmarks import postgres_scene
from benchmarks.idle import _resident_mb
from benchmarks.measure import Line, Options
from ordersync import settings as configuration
from ordersync.clock import SystemClock
from ordersync.service import build_venue
from ordersync.simulator import Life
from ordersync.venues.coinbase.key import read_key
from ordersync.venues.coinbase.venue import HISTORY
from tests.scale.yard import Yard
from tests.servers.daemon import until
from tests.servers.valkey import Valkey

if TYPE_CHECKING:
    from tests.scale.yard import Worker

ORDERS = 10
FIRST = 5
ENOUGH = 120.0


async def run(options: Options, folder: Path) -> list[Line]:
    """The same accounts, round after round, by ever more processes."""
    accounts, rounds = options.of(30, 10), options.of(4, 1)
    lines = []
    with ExitStack() as stack:
        broker = stack.enter_context(closing(Valkey()))
        url = postgres_scene.server().new_database()
        yard = stack.enter_context(Yard(folder, broker.place.url, accounts=accounts, database=url))
        yard.write(celery='every = "1h"')
        yard.fill_up(ORDERS, Life.open())
        for processes in (1, 2, 4):
            floor = await _bare(yard, processes, rounds)
            worker = yard.worker("-c", str(processes))
            worker.until_says("ready.")
            done = _round(yard, worker, 0, 2)  # who comes first opens what he keeps
            spent, start = _processor_seconds(worker), time.perf_counter()
            visits = _round(yard, worker, done, rounds) - done
            took, spent = time.perf_counter() - start, _processor_seconds(worker) - spent
            lines.append(
                Line(
                    what=f"Celery: accounts of {ORDERS} open orders verified a second, "
                    f"{processes} worker process{'es' if processes > 1 else ''}",
                    unit="/s",
                    ours=visits / took,
                    floor=floor,
                    ratio=visits / took / floor,
                    note="the floor is the exchange alone, asked as many at a time",
                )
            )
            if processes == 1:
                lines += await _costs(worker, spent / visits)
            worker.stop()
        lines.append(await asyncio.to_thread(_connections, yard))
        lines.append(await asyncio.to_thread(_idle_run, yard, options.of(10, 2)))
    return lines


def _round(yard: Yard, worker: Worker, done: int, rounds: int) -> int:
    """Visit every account so many times; how many visits there were in all."""
    for _ in range(rounds):
        yard.send("verify_account", *({"accounts": account} for account in yard.accounts))
        done += len(yard.accounts)
        until(lambda: worker.log().count("succeeded in") >= done, worker.log()[-2000:], ENOUGH)  # noqa: B023 - ends here
    assert worker.log().count("'asked': 10, ") >= done, "somebody was left alone"
    return done


async def _bare(yard: Yard, at_once: int, rounds: int) -> float:
    """Accounts a second where nothing is done but asking."""
    keys = [read_key(path) for path in yard.exchange.keys]
    orders = list(yard.placed.values())
    host = yard.exchange.url.partition("//")[2]
    jobs = [
        (keys[n], orders[n * ORDERS : (n + 1) * ORDERS])
        for _ in range(rounds)
        for n in range(len(keys))
    ]
    count, start = len(jobs), time.perf_counter()

    async def work() -> None:
        async with httpx2.AsyncClient(base_url=yard.exchange.url) as client:
            while jobs:
                key, ids = jobs.pop()
                token = key.token("GET", host, HISTORY, SystemClock().now())
                answer = await client.get(
                    HISTORY,
                    params=[("order_ids", one) for one in ids],
                    headers={"authorization": f"Bearer {token}"},
                )
                assert answer.status_code == httpx2.codes.OK, answer.text

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return count / (time.perf_counter() - start)


async def _costs(worker: Worker, seconds: float) -> list[Line]:
    (process,) = worker.brood()
    return [
        Line(
            what="Celery: one account of 10 open orders, processor time a visit",
            unit="ms",
            ours=seconds * 1e3,
            note="of the worker process; messages, transport and database included",
        ),
        Line(
            what="Celery: memory of a worker process",
            unit="MB",
            ours=await _resident_mb(process),
            note="much of it shared with its parent",
        ),
    ]


def _connections(yard: Yard) -> Line:
    """What one more account takes, in a process of its own: here much was given back before."""
    command = [sys.executable, "-m", "benchmarks.celery", str(yard.config)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return Line(
        what="Celery: memory of one more account's connection", unit="MB", ours=float(said.stdout)
    )


def _idle_run(yard: Yard, pause: int) -> Line:
    """What `ordersync run` takes of memory with the same accounts, all its doors open."""
    place = {"ORDERSYNC_WEB__LISTEN": "127.0.0.1:0"}
    command = [sys.executable, "-m", "ordersync", "run"]
    log = yard.folder / "run.log"
    with log.open("wb") as out:
        child = subprocess.Popen(  # noqa: S603
            command, cwd=yard.folder, env={**os.environ, **place}, stdout=out, stderr=out
        )
    try:
        until(lambda: b"The API answers" in log.read_bytes(), "ordersync run answers", ENOUGH)
        time.sleep(pause)
        memory = asyncio.run(_resident_mb(child.pid))
    finally:
        child.terminate()
        child.wait()
    return Line(
        what=f"PostgreSQL: memory of an idle `ordersync run`, {len(yard.accounts)} accounts",
        unit="MB",
        ours=memory,
        note="its API open; on SQLite ten less, for the driver",
    )


async def _open_all(config: Path) -> float:
    """MB an account takes, its key checked and its connection open."""
    settings, clock = configuration.load(config), SystemClock()
    venues, before = [], 0.0
    for n, (name, account) in enumerate(settings.served_accounts.items()):
        if n == FIRST:
            before = await _resident_mb(os.getpid())
        venues.append(build_venue(settings, name, account, clock))
        await venues[-1].identify()
    after = await _resident_mb(os.getpid())
    for venue in venues:
        await venue.close()
    return (after - before) / (len(venues) - FIRST)


def _processor_seconds(worker: Worker) -> float:
    """What its worker processes have had of a processor."""
    ticks = os.sysconf("SC_CLK_TCK")
    spent = 0.0
    for process in worker.brood():
        with open(f"/proc/{process}/stat", encoding="ascii") as file:  # noqa: PTH123
            user, system = file.read().rpartition(")")[2].split()[11:13]
        spent += (int(user) + int(system)) / ticks
    return spent


if __name__ == "__main__":
    print(asyncio.run(_open_all(Path(sys.argv[1]))))
