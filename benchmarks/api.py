"""A list of 100 open orders over HTTP, beside a bare endpoint that reads the same rows.

Ours is `GET /api/v1/orders?limit=100` over a kept connection: guard, routing, parameters, rows and
truths read at one moment, compared and judged, JSON. The floor is a Starlette route on the same
listener that reads rows, truths and the source of each last event in one statement of bare
sqlite3, in the loop's own thread, and encodes them with msgspec: as many fields, nothing compared.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from benchmarks import scene
from benchmarks.measure import Line, Options, in_turn, median, p99, settle
from ordersync.clock import SystemClock
from ordersync.listed import Listed
from ordersync.store.listing import TableLists
from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.tokens import TableTokens
from ordersync.web.api.application import application
from ordersync.web.api.faces import Faces
from ordersync.web.api.keyring import Keyring
from ordersync.web.api.rules import Rules
from ordersync.web.guest import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp

GOAL = 0.5
LISTED = 100
HOST = "127.0.0.1"
READ = """
SELECT t.id, t.bot_id, t.product_id, t.side, t.fee, t.order_id, t.status, t.created_at, t.filled_at,
  o.status, o.state, o.version,
  (SELECT json_extract(e.body, '$.source') FROM ordersync_events AS e WHERE e.account = 'main'
     AND e.order_key = o.order_key ORDER BY e.log_id DESC, e.n DESC LIMIT 1)
FROM trades AS t LEFT JOIN ordersync_orders AS o
  ON o.account = 'main' AND o.order_key = 'v:' || t.order_id
WHERE t.status IN ('pending', 'open') ORDER BY t.id LIMIT 100"""

FIELDS = [name for name in Listed.__struct_fields__ if name not in {"source", "exchange_status"}]


async def run(options: Options, folder: Path) -> list[Line]:
    """One list at a time, over a connection each."""
    path = folder / "bot.db"
    await scene.make_known(path, LISTED, scene.Answers(), journal="wal")
    clock = SystemClock()
    lists = TableLists(
        SqliteFile(path),
        scene.ORDERS,
        clock,
        accounts=(scene.ACCOUNT,),
        where=str(path),
        stale_after=timedelta(hours=2),
        vouched=lambda _account, _known: None,
    )
    parts: dict[str, Any] = dict.fromkeys(Faces.__struct_fields__)
    parts |= {
        "clock": clock,
        "lists": lists,
        "keyring": Keyring(TableTokens(SqliteFile(path), scene.ORDERS), clock),
        "rules": Rules(),
    }
    connection = sqlite3.connect(path, isolation_level=None)
    async with (
        asking(application(Faces(**parts)), "/api/v1/orders?limit=100") as ours,
        asking(bare(connection), "/orders") as floor,
    ):
        for _ in range(20):
            await ours.timed()
            await floor.timed()
        settle()
        took, floors = await in_turn(options.of(1_000, 200), ours.timed, floor.timed)
    lists.close()
    connection.close()
    ratio = median(floors) / median(took)
    return [
        Line(
            what=f"a list of {LISTED} orders over HTTP, against a bare endpoint's rate",
            unit="/s",
            ours=1 / median(took),
            floor=1 / median(floors),
            ratio=ratio,
            goal=f">= {GOAL:g} x",
            met=ratio >= GOAL,
            note=f"p99 {p99(took) * 1e3:.1f} ms, floor's {p99(floors) * 1e3:.1f} ms",
        )
    ]


def bare(connection: sqlite3.Connection) -> Starlette:
    """The floor."""

    async def orders(_: Request) -> Response:
        with closing(connection.execute(READ)) as rows:
            found = [
                {
                    **dict.fromkeys(FIELDS),
                    "row_id": str(row[0]),
                    "owner": str(row[1]),
                    "symbol": row[2],
                    "side": row[3],
                    "fee": str(row[4]),
                    "venue_order_id": row[5],
                    "row_word": row[6],
                    "created_at": row[7],
                    "exchange_status": row[9],
                    "source": row[12],
                }
                for row in rows
            ]
        content = msgspec.json.encode({"orders": found, "next": None})
        return Response(content, media_type="application/json")

    return Starlette(routes=[Route("/orders", orders)])


class Asking:
    """Somebody who asks for one path over a kept connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._ask = f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()

    async def timed(self) -> float:
        """How long one answer took, in seconds."""
        start = time.perf_counter()
        self._writer.write(self._ask)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body = await self._reader.readexactly(int(length))
        took = time.perf_counter() - start
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body.count(b'"row_id"') == LISTED
        return took


@asynccontextmanager
async def asking(app: ASGIApp, path: str) -> AsyncIterator[Asking]:
    """Serve it, and ask."""
    async with listening(app, HOST, 0) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            yield Asking(reader, writer, path)
        finally:
            writer.close()
