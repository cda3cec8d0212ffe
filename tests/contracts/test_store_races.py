"""The contract of OrderStore: two of us and a bot at once, and a death at any moment."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from ordersync.ports import Result
from ordersync.truth.merge import merge
from ordersync.truth.model import Status
from tests.contracts.bench import (
    ACCOUNT,
    NOON,
    TRADES,
    HandClock,
    ingest,
    mapped,
    read,
    said,
    step,
)
from tests.contracts.sqlite_bench import SqliteBench

if TYPE_CHECKING:
    from ordersync.ports import OrderStore

ROUNDS = 40
ROWS = 4
TURNS = 200
OPEN_WORDS = [f"open-{n}" for n in range(TURNS + 1)]
MANY_WORDS = {**{word: ["open"] for word in OPEN_WORDS}, "done": ["final"]}


# --- a bot and two of us ----------------------------------------------------------------------


def play_bot(file: SqliteBench, turns: int, done: threading.Event) -> None:
    """Write, in every turn, a word that was never there before, into one of the rows."""
    chance = random.Random(7)  # noqa: S311 - the same every time
    with closing(file.connect()) as connection:
        for turn in range(1, turns + 1):
            connection.execute(
                "UPDATE trades SET status = ?, note = ? WHERE id = ?",
                (OPEN_WORDS[turn], f"bot {turn}", chance.randrange(ROWS)),
            )
            if done.wait(chance.random() * 0.004):
                return


async def play_service(store: OrderStore, seed: int) -> None:
    """Ingest rising fills of all orders, and their ends; what is lost is read and tried again."""
    chance = random.Random(seed)  # noqa: S311 - the same every time
    for _ in range(ROUNDS):
        reports = [
            said(
                f"v{n}",
                chance.choice([Status.NEW, Status.CANCELED, None]),
                str(chance.randrange(1, 10**6)),
                at=NOON + timedelta(seconds=chance.randrange(100)),
            )
            for n in range(ROWS)
        ]
        outcomes = await ingest(store, *reports, asked_at=NOON + timedelta(days=1))
        for _ in range(50):
            lost = [
                report
                for report, outcome in zip(reports, outcomes, strict=True)
                if outcome.result is Result.LOST
            ]
            if not lost:
                break
            reports = lost
            outcomes = await ingest(store, *reports, asked_at=NOON + timedelta(days=1))


@pytest.mark.parametrize("journal", ["wal", "delete"])
async def test_no_write_of_the_bots_is_lost_and_every_version_has_its_event(
    tmp_path: Path, journal: str
) -> None:
    """A trigger of the user's keeps what every write found; our events say what we had read."""
    file = SqliteBench(tmp_path / "bot.db")
    file.run(f"PRAGMA journal_mode = {journal}")
    file.create(TRADES)
    file.insert(*({"id": n, "order_id": f"v{n}", "status": OPEN_WORDS[0]} for n in range(ROWS)))
    file.run("CREATE TABLE log (row INTEGER, old TEXT, new TEXT)")
    file.run(
        "CREATE TRIGGER keep AFTER UPDATE OF status ON trades BEGIN"
        " INSERT INTO log VALUES (new.id, old.status, new.status); END"
    )
    orders = mapped(status_words=MANY_WORDS)
    clock = HandClock()
    stores = [file.store(orders, clock, pause=timedelta(0)) for _ in range(2)]
    for store in stores:
        await store.open(create=True)
    over = threading.Event()
    bot = threading.Thread(target=play_bot, args=(file, TURNS, over))
    bot.start()
    try:
        await asyncio.gather(*(play_service(store, seed) for seed, store in enumerate(stores)))
    finally:
        over.set()
        bot.join()
    finals = [said(f"v{n}", Status.FILLED, str(10**6), at=NOON) for n in range(ROWS)]
    outcomes = await ingest(stores[0], *finals, asked_at=NOON + timedelta(days=1))
    assert {o.result for o in outcomes} == {Result.WON}

    ours = Counter(file.run("SELECT row, old FROM log WHERE new = 'done'"))
    told = Counter(
        file.run(
            "SELECT CAST(json_extract(body, '$.order.row_id') AS INTEGER),"
            " json_extract(body, '$.before.word') FROM ordersync_events"
            " WHERE json_extract(body, '$.before.word') <> json_extract(body, '$.after.word')"
        )
    )
    assert ours == told
    assert sum(ours.values()) >= ROWS
    assert file.run("SELECT DISTINCT status FROM trades") == [("done",)]
    changed = Counter(key for key, kind in file.ours().events if kind == "changed")
    assert {key: version for key, version, _ in file.ours().truths} == dict(changed)
    for (known,) in [await read(stores[1], report) for report in finals]:
        assert known.truth is not None
        assert known.truth.filled_qty == Decimal(10**6)
    for store in stores:
        await store.close()


async def test_two_stores_that_race_for_one_order_write_each_version_once(tmp_path: Path) -> None:
    file = SqliteBench(tmp_path / "bot.db")
    file.create(TRADES)
    file.insert({"id": 1, "order_id": "v1", "status": "pending"})
    stores = [file.store(mapped(), HandClock()) for _ in range(2)]
    for store in stores:
        await store.open(create=True)
    for qty in range(1, 31):
        knowns = [(await read(store, said("v1")))[0] for store in stores]
        reports = [said("v1", Status.NEW, f"{qty}.{n}") for n in range(2)]
        outcomes = await asyncio.gather(
            *(
                store.advance(ACCOUNT, [step(known, merge(known.truth, report))])
                for store, known, report in zip(stores, knowns, reports, strict=True)
            )
        )
        assert sorted(o.result for (o,) in outcomes) == [Result.LOST, Result.WON]
    assert file.ours().truths == [("v:v1", 30, "1")]
    assert len(file.ours().events) == 30
    for store in stores:
        await store.close()


async def test_a_row_that_had_to_be_waited_for_was_read_when_the_wait_was_over(
    tmp_path: Path,
) -> None:
    """Otherwise an ask begun while the bot wrote would seem to be younger than what it wrote."""
    file = SqliteBench(tmp_path / "bot.db")
    file.create(TRADES)
    file.insert({"id": 1, "order_id": "v1", "status": "pending"})
    clock = HandClock()
    store = file.store(mapped(), clock)
    await store.open(create=True)
    with closing(file.connect()) as bot:
        bot.execute("BEGIN EXCLUSIVE")
        reading = asyncio.ensure_future(read(store, said("v1")))  # noqa: TID251 - awaited below
        done, _ = await asyncio.wait([reading], timeout=0.03)
        assert not done
        written_at = clock.forward(1)
        bot.execute("UPDATE trades SET status = 'failed'")
        bot.execute("COMMIT")
    (known,) = await reading
    assert known.claims[0].word == "failed"
    assert known.claims[0].read_at >= written_at
    await store.close()


# --- death ------------------------------------------------------------------------------------

BATCH = 800
MOMENTS = (None, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Parts of the time that a batch takes; the first is let live, to learn that time."""


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_death_in_the_middle_leaves_row_truth_and_event_together(
    tmp_path: Path, journal: str
) -> None:
    file = SqliteBench(tmp_path / "bot.db")
    file.run(f"PRAGMA journal_mode = {journal}")
    file.create(TRADES)
    file.insert(
        *({"id": n, "order_id": f"v{n}", "status": "pending"} for n in range(BATCH * len(MOMENTS)))
    )
    script = Path(__file__).with_name("mortal.py")
    fates = []
    lifetime = 0.0
    with subprocess.Popen(
        [sys.executable, script, file.path, str(BATCH)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for number, moment in enumerate(MOMENTS):
            parent.stdin.write(f"{number * BATCH}\n")
            parent.stdin.flush()
            mortal = int(parent.stdout.readline())
            assert parent.stdout.readline() == "begun\n"
            begun_at = perf_counter()
            if moment is not None:
                threading.Event().wait(min(moment * lifetime, 0.05))
                with suppress(ProcessLookupError):  # it was quicker
                    os.kill(mortal, signal.SIGKILL)
            fates.append(parent.stdout.readline().strip())
            lifetime = lifetime or perf_counter() - begun_at
            check_consistency(file, number)
        parent.stdin.close()
        assert parent.wait() == 0
    assert fates[0] == "finished"
    assert "killed" in fates


def check_consistency(file: SqliteBench, number: int) -> None:
    """Each batch was written whole or not at all: its rows, its truths and its events."""
    with closing(file.connect()) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        sizes = connection.execute(
            "SELECT (SELECT count(*) FROM trades WHERE status = 'completed' AND id / ?1 = ?2),"
            " (SELECT count(*) FROM ordersync_orders WHERE row_id / ?1 = ?2),"
            " (SELECT count(*) FROM ordersync_events"
            "  WHERE json_extract(body, '$.order.row_id') / ?1 = ?2)",
            (BATCH, number),
        ).fetchone()
    assert sizes in {(0, 0, 0), (BATCH, BATCH, BATCH)}
