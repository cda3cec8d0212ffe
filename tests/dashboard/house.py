"""A bot's table, a simulated exchange and ordersync with its API: real sockets, real time.

All of it lives in a thread of its own, because the browser's driver wants this one for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ordersync import settings as configuration
from ordersync.service import serving
from ordersync.simulator import Fault, Faults, Kind, Life, World, app, limit_gtc
from ordersync.simulator import serving as simulated
from ordersync.store.plan import spell
from tests.dashboard.wire import Wire
from tests.servers.daemon import free_port, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from ordersync.sampled import Sample

T = TypeVar("T")

MAIN = "main"

TABLE = """
CREATE TABLE trades (
  id INTEGER PRIMARY KEY, bot_id TEXT, product_id TEXT, side TEXT, fill_price FLOAT, fee FLOAT,
  filled FLOAT, order_id TEXT UNIQUE, status TEXT NOT NULL, created_at DATETIME,
  filled_at DATETIME, account TEXT NOT NULL)"""

CONFIGURATION = """
[database]
url = "sqlite:///bot.db"

[orders]
table = "trades"
id = "id"
venue_order_id = "order_id"
status = "status"
created_at = "created_at"
account = {account}
{columns}

[orders.status_words]
pending = ["open"]
"open <i>word</i>" = ["open"]
completed = ["filled", "canceled+fills"]
cancelled = ["canceled", "expired", "replaced"]
failed = ["rejected"]
unknown = ["unknown"]

[sync]
interval = "1s"
stale_after = "{stale_after}"

[web]
listen = "127.0.0.1:{port}"
{web}
"""

ACCOUNT = """
[accounts.{name}]
venue = "coinbase"
key_file = "{name}.json"
rest_url = "{url}"
ws_url = "{stream}"
"""

COLUMNS = """
symbol = "product_id"
side = "side"
filled_at = "filled_at"
filled_qty = "filled"
avg_price = "fill_price"
fee = "fee"
owner = "bot_id"
"""


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the product runs in real time here


class Mishaps(Faults):
    """Faults that end when the test says so."""

    def end(self) -> None:
        self._running.clear()


class House:
    """One folder, one exchange, one service; `start` and `stop` are of the service alone."""

    def __init__(
        self,
        folder: Path,
        *,
        stale_after: str = "3s",
        web: str = "",
        columns: str = COLUMNS,
        shadow: bool = False,
        accounts: tuple[str, ...] = (MAIN,),
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.world = World(now, seed=8)
        self._accounts = {name: self.world.open_account() for name in accounts}
        self.account = self._accounts[MAIN]
        self.mishaps = Mishaps()
        self._stale_after = stale_after
        self._web = web
        self._columns = columns
        self._shadow = shadow
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="house", daemon=True)
        self._exchange: contextlib.AsyncExitStack | None = None
        self._service: asyncio.Task[None] | None = None
        self._wire: Wire | None = None
        for name, account in self._accounts.items():
            account.key.write(folder / f"{name}.json")
        with contextlib.closing(self._connect()) as table, table:
            table.execute(TABLE)

    @property
    def address(self) -> str:
        """Where the dashboard is."""
        return f"http://127.0.0.1:{self.port}"

    # The bot's side

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "bot.db", timeout=20.0)

    def place(
        self,
        life: Life | None = None,
        *,
        age: timedelta = timedelta(minutes=10),
        word: str = "pending",
        symbol: str | None = "BTC-USD",
        owner: str | None = "grid",
        account: str = MAIN,
    ) -> tuple[int, str]:
        """An order at the exchange and the bot's row about it: the row's id, the order's."""

        def placed() -> str:
            order = self.world.place(
                self._accounts[account].portfolio,
                symbol or "BTC-USD",
                "BUY",
                limit_gtc("2", "50"),
                life=life or Life.open(),
                created_at=now() - age,
            )
            return order.order_id

        order_id = self._call(placed)
        row = self.write(order_id, age=age, word=word, symbol=symbol, owner=owner, account=account)
        return row, order_id

    def write(
        self,
        order_id: str | None,
        *,
        age: timedelta = timedelta(minutes=10),
        word: str = "pending",
        symbol: str | None = "BTC-USD",
        owner: str | None = "grid",
        account: str = MAIN,
    ) -> int:
        """A row of the bot's, whatever the exchange knows of it."""
        made = (now() - age).strftime("%Y-%m-%d %H:%M:%S.%f")
        with contextlib.closing(self._connect()) as table, table:
            cursor = table.execute(
                "INSERT INTO trades"
                " (bot_id, product_id, side, order_id, status, created_at, account)"
                " VALUES (?, ?, 'BUY', ?, ?, ?, ?)",
                (owner, symbol, order_id, word, made, account),
            )
            return int(cursor.lastrowid or 0)

    def refuse(self, row_id: int) -> None:
        """From now on the database lets nobody change this row."""
        with contextlib.closing(self._connect()) as table, table:
            table.execute(
                f"CREATE TRIGGER refused{row_id} BEFORE UPDATE ON trades WHEN old.id = {row_id}"
                " BEGIN SELECT RAISE(ABORT, 'this row is closed'); END"
            )

    def write_many(self, count: int) -> None:
        """So many orders that rest at the exchange, and their rows."""
        created = now() - timedelta(minutes=2)
        made = created.strftime("%Y-%m-%d %H:%M:%S")
        for n in range(count):
            self.world.place(
                self.account.portfolio,
                "ETH-USD",
                "SELL",
                limit_gtc("2", "5000"),
                life=Life.open(),
                order_id=f"00000000-0000-4000-8000-{n:012d}",
                created_at=created,
            )
        with contextlib.closing(self._connect()) as table, table:
            table.executemany(
                "INSERT INTO trades"
                " (bot_id, product_id, side, order_id, status, created_at, account)"
                " VALUES (?, 'ETH-USD', 'SELL', ?, 'pending', ?, ?)",
                [
                    (f"bot {n % 7}", f"00000000-0000-4000-8000-{n:012d}", made, MAIN)
                    for n in range(count)
                ],
            )

    def events(self) -> int:
        """How many events there are."""
        with contextlib.closing(self._connect()) as table:
            return int(table.execute("SELECT count(*) FROM ordersync_events").fetchone()[0])

    def lengthen_history(self, count: int) -> None:
        """As if the first event had come so many times more; while the service is stopped."""
        with contextlib.closing(self._connect()) as table, table:
            table.execute(
                "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                " INSERT INTO ordersync_events SELECT i, 0, at, account, order_key, kind,"
                " json_set(body, '$.id', i || '-0') FROM ordersync_events, n WHERE log_id = 1",
                (count + 99,),
            )

    def remember(self, samples: list[Sample]) -> None:
        """Figures of minutes that were watched before; while the service is stopped."""
        rows = [
            (one.account, 60, spell(one.at), msgspec.json.encode(one).decode()) for one in samples
        ]
        with contextlib.closing(self._connect()) as table, table:
            table.executemany("INSERT INTO ordersync_samples VALUES (?, ?, ?, ?)", rows)

    def word(self, row_id: int) -> str:
        """What the row says."""
        with contextlib.closing(self._connect()) as table:
            found = table.execute("SELECT status FROM trades WHERE id = ?", (row_id,)).fetchone()
            return str(found[0])

    # The exchange's side

    def garble(self, order_id: str) -> None:
        """From now on no answer about this order can be read, until `mishaps.end()`."""

        def garbled() -> None:
            about = frozenset({order_id})
            for on in ("list", "get"):
                self.mishaps.add(Fault(kind=Kind.UNKNOWN_STATUS, on=on, order_ids=about))

        self._call(garbled)

    def fall_silent(self) -> None:
        """From now on no call has an answer that counts, until `mend`."""
        self._call(lambda: self.mishaps.add(Fault(kind=Kind.SERVER_ERROR)))

    def trade_by_hand(self) -> str:
        """An order of which no row tells."""
        terms = (self.account.portfolio, "SOL-USD", "BUY", limit_gtc("2", "50"))
        return self._call(lambda: self.world.place(*terms, life=Life.open()).order_id)

    def cancel(self, order_id: str) -> None:
        """Somebody cancels it at the exchange, which tells of that."""
        self._call(lambda: self.world.cancel(order_id))

    def mend(self) -> None:
        """The exchange answers as it should again."""
        self._call(self.mishaps.end)

    # The way between browser and service

    def lay_wire(self) -> str:
        """The dashboard's address behind a wire that `cut_wire` cuts."""
        self._wire = Wire(self.port)
        return f"http://127.0.0.1:{self._wait(self._wire.start())}"

    def cut_wire(self) -> None:
        """Nothing comes through any more."""
        assert self._wire is not None
        self._call(self._wire.cut)

    def mend_wire(self) -> None:
        """All comes through again."""
        assert self._wire is not None
        self._call(self._wire.mend)

    # The service

    def prepare(self) -> None:
        """Start the exchange, and write the configuration that knows where it is."""
        self._thread.start()
        self._wait(self._open_exchange())

    def open(self) -> None:
        """Start the exchange and the service."""
        self.prepare()
        self.start()

    def start(self) -> None:
        """Start the service, until its API answers."""
        self._service = self._wait(self._begin())
        until(self._answers, "the API answers")

    def stop(self) -> None:
        """End the service; the exchange and the table stay."""
        service, self._service = self._service, None
        if service is not None:
            self._wait(self._end(service))

    def close(self) -> None:
        """End everything."""
        self.stop()
        if self._thread.is_alive():
            if self._wire is not None:
                self._wait(self._wire.close())
            if self._exchange is not None:
                self._wait(self._exchange.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def _answers(self) -> bool:
        assert self._service is not None
        if self._service.done():
            self._service.result()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def _open_exchange(self) -> None:
        self._exchange = contextlib.AsyncExitStack()
        url = await self._exchange.enter_async_context(simulated(app(self.world, self.mishaps)))
        text = CONFIGURATION.format(
            port=self.port,
            stale_after=self._stale_after,
            web=self._web,
            columns=self._columns,
            account=self._account_setting(),
        )
        for name in self._accounts:
            text += ACCOUNT.format(name=name, url=url, stream=url.replace("http", "ws", 1))
        (self.folder / "ordersync.toml").write_text(text, encoding="utf-8")

    def _account_setting(self) -> str:
        """Of one account the table need not tell."""
        if len(self._accounts) == 1:
            return f'"{MAIN}"'
        values = ", ".join(f'{name} = "{name}"' for name in self._accounts)
        return f'{{ column = "account", values = {{ {values} }} }}'

    async def _begin(self) -> asyncio.Task[None]:
        return self._loop.create_task(self._serve())

    async def _serve(self) -> None:
        settings = configuration.load(self.folder / "ordersync.toml")
        async with serving(settings, create=True, shadow=self._shadow) as service:
            await service.run()

    @staticmethod
    async def _end(service: asyncio.Task[None]) -> None:
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def _call(self, what: Callable[[], T]) -> T:
        """Do it in the exchange's own thread, where there is one yet."""
        if not self._thread.is_alive():
            return what()

        async def done() -> T:
            return what()

        return self._wait(done())
