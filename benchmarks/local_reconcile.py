"""A pass over many open orders of which few changed: all that happens on this machine.

Ours is a pass of the reconciler itself, from pages of raw JSON to the commit; the one before it
has seen the orders as they were. The floor turns the same JSON into the same Reports with one
typed decoder, and scans the rows once through the index into tuples.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import scene
from benchmarks.apply import write_bare
from benchmarks.commit import bare_parameters
from benchmarks.measure import Line, Options, in_turn, median, settle
from ordersync.clock import SystemClock
from ordersync.settings import Sync
from ordersync.sync.reconcile import THOROUGH_EVERY, Reconciler
from ordersync.truth.evidence import Sighting
from ordersync.truth.model import Report
from ordersync.venues.answers import Payload
from ordersync.venues.coinbase import parse
from ordersync.venues.coinbase.key import CdpKey
from ordersync.venues.coinbase.venue import HISTORY, Coinbase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

GOAL = 1.5
PAGE = 1000  # of the floor's; ours asks by id, a hundred at a time
CHANGED_EACH = 100  # one order in so many

SCAN = """
SELECT id, order_id, status, product_id, side, created_at, filled_at, fee, bot_id FROM trades
WHERE status IN ('pending', 'open')"""


class Terms(msgspec.Struct):
    """What an order asks for."""

    base_size: Decimal


class TypedOrder(msgspec.Struct):
    """An order as strictly as the floor may take it: as the simulated exchange writes it."""

    order_id: str
    client_order_id: str
    product_id: str
    side: str
    status: str
    filled_size: Decimal
    average_filled_price: Decimal
    total_fees: Decimal
    settled: bool
    order_configuration: dict[str, Terms]
    created_time: datetime
    last_update_time: datetime
    last_fill_time: datetime | None


class TypedPage(msgspec.Struct):
    """A page of them."""

    orders: list[TypedOrder]
    has_next: bool


_decode = msgspec.json.Decoder(TypedPage).decode


class PreparedAnswers:
    """Stands where the Reader stands: the bodies are ready, no request is made or signed.

    What a request costs is in `verify`. The time that it takes to put a page together from the
    objects of the orders asked for is counted in `spent_s`, and is not ours.
    """

    calls = 0

    def __init__(self, orders: dict[str, bytes]) -> None:
        self.orders = orders
        self.spent_s = 0.0
        shown = msgspec.json.decode(next(iter(orders.values())))
        self._key = {
            "can_view": True,
            "can_trade": False,
            "can_transfer": False,
            "portfolio_uuid": shown["retail_portfolio_id"],
        }

    async def get(
        self, path: str, query: Sequence[tuple[str, str]] = (), *, public: bool = False
    ) -> Payload:
        """The page of exactly the orders that are asked for."""
        start = time.perf_counter()
        if public:
            body = b'{"epochMillis":"%d"}' % (time.time() * 1000)
        elif path == HISTORY:
            body = _page([self.orders[value] for name, value in query if name == "order_ids"])
        else:
            body = msgspec.json.encode(self._key)
        self.spent_s += time.perf_counter() - start
        return Payload(body)

    async def close(self) -> None:
        """There is nothing to give back."""


async def run(options: Options, folder: Path) -> list[Line]:
    """100,000 open orders, one in a hundred of them filled since the last pass."""
    count = options.of(100_000, 5_000)
    answers = scene.Answers()
    base, work = folder / "base.db", folder / "work.db"
    await scene.make_known(base, count, answers)
    quiet = {scene.order_id(n): answers.of(n, filled=False) for n in range(1, count + 1)}
    filled = {scene.order_id(n): answers.of(n, filled=True) for n in range(1, count, CHANGED_EACH)}
    later = {**quiet, **filled}
    orders = list(later.values())
    pages = [_page(orders[n : n + PAGE]) for n in range(0, count, PAGE)]
    as_of = datetime.now(UTC)
    assert _floor_reports(pages[:1], as_of) == _reports(pages[:1], as_of)
    first: list[float] = []
    unchanged: list[float] = []
    written: list[float] = []
    fills = [answers.sighting(n, filled=True, as_of=as_of) for n in range(1, count, CHANGED_EACH)]
    bare_steps, _ = await bare_parameters(base, fills)
    remembered: list[float] = []

    async def ours() -> float:
        shutil.copy(base, work)
        async with _reconciling(work, quiet) as (reconciler, prepared):
            first.append(await _timed(reconciler, prepared))
            remembered.append(_bytes_of(reconciler) / count)
            unchanged.append(await _timed(reconciler, prepared))
            prepared.orders = later
            took = await _timed(reconciler, prepared)
        assert scene.number_of_untrue(work) == count - len(filled)
        return took

    async def floor() -> float:
        connection = sqlite3.connect(base)
        start = time.perf_counter()
        reports = _floor_reports(pages, as_of)
        rows = connection.execute(SCAN).fetchall()
        took = time.perf_counter() - start
        connection.close()
        assert len(reports) == len(rows) == count
        shutil.copy(base, work)
        written.append(write_bare(work, bare_steps))
        return took

    settle()
    took, bare = await in_turn(3, ours, floor)
    ratio = median(took) / median(bare)
    return [
        Line(
            what=f"local reconcile of {count:,} open orders, 1 % changed",
            unit="s",
            ours=median(took),
            floor=median(bare),
            ratio=ratio,
            goal=f"<= {GOAL:g} x",
            met=ratio <= GOAL,
            note=f"{median(remembered):.0f} bytes an order remembered from pass to pass; "
            f"the bare writes of the 1 %, which the floor has not: {median(written):.3f} s",
        ),
        Line(
            what=f"the same pass over {count:,} open orders, none changed",
            unit="s",
            ours=median(unchanged),
            floor=median(bare),
            ratio=median(unchanged) / median(bare),
        ),
        Line(
            what=f"the first pass over {count:,} open orders, or a thorough one; none changed",
            unit="s",
            ours=median(first),
            floor=median(bare),
            ratio=median(first) / median(bare),
            note=f"one pass in {THOROUGH_EVERY}",
        ),
    ]


def _page(orders: Sequence[bytes]) -> bytes:
    return b'{"orders":[' + b",".join(orders) + b'],"has_next":false,"cursor":""}'


def _reports(pages: Sequence[bytes], as_of: datetime) -> list[Report]:
    """The pages as the venue reads them."""
    found = [
        parse.parse_order(bytes(raw), "batch", as_of, None)
        for body in pages
        for raw in parse.PAGE.decode(body).orders
    ]
    return [one.report for one in found if isinstance(one, Sighting)]


async def _timed(reconciler: Reconciler, prepared: PreparedAnswers) -> float:
    prepared.spent_s = 0.0
    start = time.perf_counter()
    report = await reconciler.full_pass(datetime.now(UTC))
    took = time.perf_counter() - start - prepared.spent_s
    assert len(report.sighted) == report.asked == len(prepared.orders)
    assert not report.failed
    return took


@asynccontextmanager
async def _reconciling(
    path: Path, orders: dict[str, bytes]
) -> AsyncIterator[tuple[Reconciler, PreparedAnswers]]:
    """The real store, write path, venue and reconciler; only the transport is another."""
    clock = SystemClock()
    store = scene.open_store(path)
    await store.open(create=True)
    key = CdpKey("bench", Ed25519PrivateKey.generate())
    venue, prepared = Coinbase(key, clock), PreparedAnswers(orders)
    await venue.close()
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


def _bytes_of(reconciler: Reconciler) -> int:
    """What is remembered of the orders at rest: two marks each, and the venue's id."""
    at_rest = reconciler._at_rest  # noqa: SLF001 - only its size is of interest
    tables = (at_rest.rows, at_rest.words)
    marks = [mark for table in tables for mark in table]
    ids = {id(order): order for table in tables for order in table.values()}
    return sum(map(sys.getsizeof, [*tables, *marks, *ids.values()]))


def _floor_reports(pages: Sequence[bytes], as_of: datetime) -> list[Report]:
    return [_report(order, as_of) for body in pages for order in _decode(body).orders]


def _report(order: TypedOrder, as_of: datetime) -> Report:
    status = parse.STATUSES[order.status]
    return Report(
        as_of=as_of,
        venue_order_id=order.order_id,
        client_order_id=order.client_order_id,
        symbol=order.product_id,
        side=order.side.lower(),
        status=status,
        venue_status=order.status,
        filled_qty=order.filled_size,
        avg_price=order.average_filled_price or None,
        fee=order.total_fees,
        settled=order.settled if status.is_final else None,
        quantity=next(iter(order.order_configuration.values())).base_size,
        created_at=order.created_time,
        changed_at=order.last_update_time,
        last_fill_at=order.last_fill_time,
    )
