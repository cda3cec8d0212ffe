"""A pass over many open orders of which few changed: all that happens on this machine.

Ours begins with pages of raw JSON and ends with the commit, as a pass of the reconciler does it.
The floor turns the same JSON into the same Reports with one typed decoder, and scans the rows
once through the index into tuples.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from benchmarks import scene
from benchmarks.measure import Line, Options, in_turn, median, settle
from ordersync.sync.parcels import Parcel
from ordersync.sync.verify import IDS_AT_A_TIME
from ordersync.truth.evidence import Sighting
from ordersync.truth.model import Report, Source
from ordersync.venues.coinbase import parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GOAL = 1.5
PAGE = 1000
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


async def run(options: Options, folder: Path) -> list[Line]:
    """100,000 open orders, one in a hundred of them filled meanwhile."""
    count = options.of(100_000, 5_000)
    answers = scene.Answers()
    base, work = folder / "base.db", folder / "work.db"
    await scene.make_known(base, count, answers)
    pages = _pages(answers, count)
    as_of = datetime.now(UTC)
    assert _floor_reports(pages[:1], as_of) == [s.report for s in _read(pages[:1], as_of)]
    parts: list[tuple[float, float, float]] = []

    async def ours() -> float:
        shutil.copy(base, work)
        took = await _reconcile(work, pages, parts)
        assert scene.number_of_untrue(work) == count - count // CHANGED_EACH
        return took

    async def floor() -> float:
        connection = sqlite3.connect(base)
        start = time.perf_counter()
        reports = _floor_reports(pages, as_of)
        rows = connection.execute(SCAN).fetchall()
        took = time.perf_counter() - start
        connection.close()
        assert len(reports) == len(rows) == count
        return took

    settle()
    took, bare = await in_turn(3, ours, floor)
    ratio = median(took) / median(bare)
    shares = ", ".join(
        f"{name} {median(part) / median(took):.0%}"
        for name, part in zip(("parse", "read", "ingest"), zip(*parts, strict=True), strict=True)
    )
    return [
        Line(
            what=f"local reconcile of {count:,} open orders, 1 % changed",
            unit="s",
            ours=median(took),
            floor=median(bare),
            ratio=ratio,
            goal=f"<= {GOAL:g} x",
            met=ratio <= GOAL,
            note=shares,
        )
    ]


def _pages(answers: scene.Answers, count: int) -> list[bytes]:
    orders = [answers.of(n, filled=n % CHANGED_EACH == 0) for n in range(1, count + 1)]
    return [
        b'{"orders":[' + b",".join(orders[n : n + PAGE]) + b'],"has_next":true,"cursor":"c"}'
        for n in range(0, count, PAGE)
    ]


def _read(pages: Sequence[bytes], as_of: datetime) -> list[Sighting]:
    """The pages as the venue reads them."""
    found = [
        parse.parse_order(bytes(raw), "batch", as_of, None)
        for body in pages
        for raw in parse.PAGE.decode(body).orders
    ]
    return [one for one in found if isinstance(one, Sighting)]


async def _reconcile(
    path: Path, pages: Sequence[bytes], parts: list[tuple[float, float, float]]
) -> float:
    store = scene.open_store(path)
    await store.open(create=True)
    ingest = scene.ingest_on(store)
    start = time.perf_counter()
    now = datetime.now(UTC)
    sightings = _read(pages, now)
    parsed = time.perf_counter()
    claims = await store.list_open(scene.ACCOUNT)
    known = {k.key: k for k in await store.read_claims(scene.ACCOUNT, claims)}
    read = time.perf_counter()
    for n in range(0, len(sightings), IDS_AT_A_TIME):
        await ingest.take(
            Parcel(
                account=scene.ACCOUNT,
                source=Source.POLL,
                asked_at=now,
                venue_now=now,
                sightings=sightings[n : n + IDS_AT_A_TIME],
                known=known,
            )
        )
    end = time.perf_counter()
    await store.close()
    parts.append((parsed - start, read - parsed, end - read))
    return end - start


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
