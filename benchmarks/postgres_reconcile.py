"""A pass over many open orders in a table with a long history, on PostgreSQL: this machine's part.

Ours is a pass of the reconciler itself, as in `local_reconcile`, from pages of raw JSON to the
commit; the passes before it have seen the orders as they were. The floor turns the same JSON into
the same Reports with one typed decoder, and scans the open rows once through the index. The
history is closed rows without truths; the indexes are those that `doctor` proposes.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import postgres_scene, scene
from benchmarks.local_reconcile import (
    CHANGED_EACH,
    GOAL,
    PAGE,
    SCAN,
    PreparedAnswers,
    _floor_reports,
    _page,
    _timed,
)
from benchmarks.measure import Line, Options, in_turn, median, settle
from ordersync.clock import SystemClock
from ordersync.settings import Sync
from ordersync.sync.reconcile import THOROUGH_EVERY, Reconciler
from ordersync.venues.coinbase.key import CdpKey
from ordersync.venues.coinbase.venue import Coinbase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ROUNDS = 3
FEW = 100
UNMAPPED = 100

HISTORY = """
INSERT INTO trades
SELECT 1000000 + n, 7, 'BTC-USD', 'buy', 0.01, 63000.0, 1.5, gen_random_uuid()::text,
  CASE n % 5 WHEN 0 THEN 'cancelled' ELSE 'completed' END,
  timestamp '2026-01-01' - n * interval '1 s', timestamp '2026-01-01' - n * interval '1 s'
FROM generate_series(1, {}) AS n"""
KEYS = ("ADD PRIMARY KEY (id)", "ADD UNIQUE (order_id)")


async def run(options: Options, folder: Path) -> list[Line]:
    """A few open rows among 10,000,000 closed ones are found; then 100,000 are verified."""
    del folder  # the server has its own
    one = postgres_scene.server()
    closed, count = options.of(10_000_000, 200_000), options.of(100_000, 5_000)
    answers = scene.Answers()
    url = one.new_database()
    _make_history(url, closed)
    postgres_scene.make_table(url, [(n, scene.order_id(n)) for n in range(1, FEW + 1)])
    with postgres_scene.connect(url) as connection:
        connection.execute("VACUUM (ANALYZE)")
    lines = await _discovery(url, closed)
    postgres_scene.make_table(url, [(n, scene.order_id(n)) for n in range(FEW + 1, count + 1)])
    await postgres_scene.learn_orders(url, count, answers)
    with postgres_scene.connect(url) as connection:
        connection.execute("CHECKPOINT")
    lines += await _passes(url, closed, count, answers)
    one.drop_database(url)
    return lines


def _make_history(url: str, closed: int) -> None:
    with postgres_scene.connect(url) as connection:
        # Rows first, then what leads to them: a third of the time.
        connection.execute(postgres_scene.TABLE)
        for name in ("trades_pkey", "trades_order_id_key"):
            connection.execute(f"ALTER TABLE trades DROP CONSTRAINT {name}".encode())
        connection.execute(HISTORY.format(closed).encode())
        connection.execute("SET maintenance_work_mem = '1GB'")
        for key in KEYS:
            connection.execute(f"ALTER TABLE trades {key}".encode())
        postgres_scene.make_proposed_indexes(connection, url)


async def _discovery(url: str, closed: int) -> list[Line]:
    """What is asked each second where nobody tells of new rows; and what is asked each minute."""
    store = postgres_scene.open_store(url)
    await store.open(create=True)
    connection = postgres_scene.connect(url)
    text = SCAN.encode()

    async def ours() -> float:
        start = time.perf_counter()
        found = (await store.scan_open(scene.ACCOUNT, {})).moved
        took = time.perf_counter() - start
        assert len(found) == FEW
        return took

    async def floor() -> float:
        start = time.perf_counter()
        rows = connection.execute(text).fetchall()
        took = time.perf_counter() - start
        assert len(rows) == FEW
        return took

    settle()
    took, bare = await in_turn(100, ours, floor)
    start = time.perf_counter()
    assert await store.list_unmapped(scene.ACCOUNT, UNMAPPED) == []
    whole = time.perf_counter() - start
    await store.close()
    connection.close()
    among = f"among {closed:,} closed rows"
    return [
        Line(
            what=f"PostgreSQL: {FEW} open rows found {among}",
            unit="ms",
            ours=median(took) * 1e3,
            floor=median(bare) * 1e3,
            ratio=median(took) / median(bare),
        ),
        Line(
            what=f"PostgreSQL: words outside the mapping looked for {among}",
            unit="s",
            ours=whole,
            note="once a minute, among the newest 10,000",
        ),
    ]


async def _passes(url: str, closed: int, count: int, answers: scene.Answers) -> list[Line]:
    """One pass to begin with; then in turn one in which nothing changed and one with its 1 %."""
    said = {n: answers.of(n, filled=False) for n in range(1, count + 1)}
    connection = postgres_scene.connect(url)
    text = SCAN.encode()
    unchanged: list[float] = []
    turns = iter(range(1, ROUNDS + 1))

    def orders() -> dict[str, bytes]:
        return {scene.order_id(n): raw for n, raw in said.items()}

    async with _reconciling(url, orders()) as (reconciler, prepared):
        first = await _timed(reconciler, prepared)

        async def ours() -> float:
            unchanged.append(await _timed(reconciler, prepared))
            turn = next(turns)
            ended = range(turn, count + 1, CHANGED_EACH)
            said.update({n: answers.of(n, filled=True) for n in ended})
            prepared.orders = orders()
            took = await _timed(reconciler, prepared)
            assert postgres_scene.number_of_untrue(url) == count - len(ended) * turn
            for n in ended:
                del said[n]
            prepared.orders = orders()
            return took

        async def floor() -> float:
            shown = list(said.values())
            pages = [_page(shown[n : n + PAGE]) for n in range(0, len(shown), PAGE)]
            as_of = datetime.now(UTC)
            start = time.perf_counter()
            reports = _floor_reports(pages, as_of)
            rows = connection.execute(text).fetchall()
            took = time.perf_counter() - start
            assert len(reports) == len(rows) == len(shown)
            return took

        settle()
        took, bare = await in_turn(ROUNDS, ours, floor)
    connection.close()
    return _lines(closed, count, (median(took), median(unchanged), first), median(bare))


def _lines(
    closed: int, count: int, figures: tuple[float, float, float], floor: float
) -> list[Line]:
    took, unchanged, first = figures
    orders, among = f"{count:,} open orders", f"{closed:,} closed rows"
    return [
        Line(
            what=f"PostgreSQL: local reconcile of {orders} among {among}, 1 % changed",
            unit="s",
            ours=took,
            floor=floor,
            ratio=took / floor,
            goal=f"<= {GOAL:g} x",
            met=took <= GOAL * floor,
            note="with the write of the 1 %, which the floor has not",
        ),
        Line(
            what=f"PostgreSQL: the same pass over {orders}, none changed",
            unit="s",
            ours=unchanged,
            floor=floor,
            ratio=unchanged / floor,
        ),
        Line(
            what=f"PostgreSQL: the first pass over {orders}; none changed",
            unit="s",
            ours=first,
            floor=floor,
            ratio=first / floor,
            note=f"one pass in {THOROUGH_EVERY}; with the look at the whole table",
        ),
    ]


@asynccontextmanager
async def _reconciling(
    url: str, orders: dict[str, bytes]
) -> AsyncIterator[tuple[Reconciler, PreparedAnswers]]:
    """The real store, write path, venue and reconciler; only the transport is another."""
    clock = SystemClock()
    store = postgres_scene.open_store(url)
    await store.open(create=True)
    venue = Coinbase(CdpKey("bench", Ed25519PrivateKey.generate()), clock)
    await venue.close()
    prepared = PreparedAnswers(orders)
    venue._reader = prepared  # type: ignore[assignment]  # noqa: SLF001 - what `verify` measures
    await venue.identify()
    reconciler = Reconciler(
        scene.ACCOUNT,
        venue=venue,
        store=store,
        ingest=scene.ingest_on(store),
        clock=clock,
        settings=Sync(),
    )
    yield reconciler, prepared
    await store.close()
