"""A bot's house in virtual time: its table, the exchange it trades at, and the service beside it.

Everything but time and the network is real: the file, the store, the HTTP client and server.
The house's oracle is the exchange itself: what a row should say is worked out from what really
happened to the order, never from what the service believes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from ordersync import settings as configuration
from ordersync.service import serving as serving_orders
from ordersync.simulator import Fault, Faults, Life, World, app, limit_gtc, serving
from ordersync.store.statement import Ask
from tests.virtual import VirtualClock, VirtualLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from starlette.applications import Starlette
    from starlette.types import ASGIApp

    from ordersync.ports import Clock, Venue
    from ordersync.service import Service
    from ordersync.settings import Settings
    from ordersync.simulator import Account, alpaca
    from ordersync.simulator import Truth as CoinbaseTruth
    from ordersync.simulator.exchange import Served
    from ordersync.simulator.kinds import StreamKind
    from ordersync.simulator.stream_line import Streamed
    from ordersync.sync.stream import Stream
    from ordersync.sync.work import PassReport
    from tests.virtual import Network

    Truth = CoinbaseTruth | alpaca.Truth

PORT: Final = 8700
WORDS: Final = {
    "pending": ["open"],
    "completed": ["filled", "canceled+fills"],
    "cancelled": ["canceled"],
    "failed": ["rejected", "expired", "replaced"],
    "unknown": ["unknown"],
}
TABLE: Final = """
CREATE TABLE trades (
  id INTEGER PRIMARY KEY, bot_id INTEGER DEFAULT 1, product_id TEXT, order_id TEXT, client_id TEXT,
  status TEXT NOT NULL, created_at DATETIME, filled_at DATETIME,
  filled_size FLOAT, avg_price FLOAT, fee FLOAT, reason TEXT
)"""
OURS: Final = ("trades", "ordersync_orders", "ordersync_events")
OPEN: Final = "pending"

Row = dict[str, Any]


def naive(moment: datetime) -> str:
    """A time as the bot's ORM writes it into SQLite."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def ago(**spell: float) -> timedelta:
    return timedelta(**spell)


class SetClock(VirtualClock):
    """A machine whose time of day is wrong by `off`, and may be set at any time."""

    off = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.off


@dataclass
class Placed:
    """An order at the exchange, and the bot's row about it."""

    order_id: str
    client_id: str
    row_id: int


@dataclass(kw_only=True)
class Premises(ABC):
    """One bot, one exchange, one configuration; which exchange, the heirs know."""

    symbol: ClassVar[str]

    folder: Path
    clock: VirtualClock
    faults: Faults
    app: Starlette
    url: str
    pushes: bool = False
    service_clock: Clock | None = None
    sync_settings: dict[str, Any] = field(default_factory=dict)
    orders_settings: dict[str, Any] = field(default_factory=dict)
    more_settings: dict[str, Any] = field(default_factory=dict)
    account_settings: dict[str, Any] = field(default_factory=dict)
    more_accounts: dict[str, dict[str, Any]] = field(default_factory=dict)

    # --- the exchange and the bot ----------------------------------------------------------------

    @abstractmethod
    def new_id(self) -> str:
        """An id that no order has."""

    @abstractmethod
    def truth_of(self, order_id: str, at: datetime | None = None) -> Truth:
        """What really is the case with an order, or was at `at`."""

    @abstractmethod
    def steady_at(self) -> datetime:
        """When everything that will happen to the orders has happened."""

    @abstractmethod
    def section(self, url: str, key: Any) -> dict[str, Any]:  # noqa: ANN401 - as the exchange has it
        """The account in the configuration; its key is written into the folder."""

    def note(
        self, order_id: str, client_id: str, created_at: datetime, row: Mapping[str, object]
    ) -> Placed:
        """The bot's row about an order; `row` says it otherwise."""
        row_id = self.insert(
            **{
                "order_id": order_id,
                "client_id": client_id,
                "created_at": naive(created_at),
                **row,
            }
        )
        return Placed(order_id, client_id, row_id)

    def invent(self, *, age: timedelta = timedelta(days=2), **row: object) -> Placed:
        """A row about an order that the exchange never had."""
        order_id, client_id = self.new_id(), self.new_id()
        created = naive(self.clock.now() - age)
        columns = {"order_id": order_id, "client_id": client_id, "created_at": created, **row}
        return Placed(order_id, client_id, self.insert(**columns))

    def insert(self, **row: object) -> int:
        columns = {"status": OPEN, "product_id": self.symbol, **row}
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        (row_id,) = self.sql(
            f"INSERT INTO trades ({names}) VALUES ({marks}) RETURNING id",  # noqa: S608
            *columns.values(),
        )[0]
        return int(row_id)

    def insert_many(self, rows: Iterable[Row]) -> None:
        """Rows that differ only in these columns, in one transaction."""
        listed = [{"status": OPEN, "product_id": self.symbol, **row} for row in rows]
        names = ", ".join(listed[0])
        marks = ", ".join(f":{name}" for name in listed[0])
        with contextlib.closing(self._connect()) as connection, connection:
            connection.executemany(f"INSERT INTO trades ({names}) VALUES ({marks})", listed)  # noqa: S608

    def update(self, row_id: int, **cells: object) -> None:
        changes = ", ".join(f"{name} = ?" for name in cells)
        self.sql(f"UPDATE trades SET {changes} WHERE id = ?", *cells.values(), row_id)  # noqa: S608

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement on a connection of its own, committed."""
        with contextlib.closing(self._connect()) as connection:
            found = connection.execute(statement, values).fetchall()
            connection.commit()
            return found

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.database, timeout=0)
        # The bot may be careless with its disk; nothing here cuts the power.
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    @contextlib.contextmanager
    def locked(self, service: Service) -> Iterator[None]:
        """Somebody else writes for as long as the block runs."""
        # Each attempt would wait five seconds of a real clock for the lock: SQLite's own.
        session = service.store.line._session  # type: ignore[attr-defined]  # noqa: SLF001
        session.run(Ask("PRAGMA busy_timeout = 0"))
        with contextlib.closing(self._connect()) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.rollback()

    def row(self, row_id: int) -> Row:
        with contextlib.closing(self._connect()) as connection:
            connection.row_factory = sqlite3.Row
            return dict(
                connection.execute("SELECT * FROM trades WHERE id = ?", (row_id,)).fetchone()
            )

    def word(self, placed: Placed) -> str:
        return str(self.row(placed.row_id)["status"])

    def dump(self, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
        """Every cell of the user's table, of the truths and of the events."""
        present = {name for (name,) in self.sql("SELECT name FROM sqlite_master")}
        names = tables or OURS
        return {n: self.sql(f'SELECT * FROM "{n}"') if n in present else [] for n in names}  # noqa: S608

    def events(self, *kinds: str, order: str | None = None) -> list[str]:
        """The kinds of the events so far, in their order; only these kinds where any are named."""
        found = self.sql("SELECT kind, order_key FROM ordersync_events ORDER BY log_id, n")
        return [
            kind
            for kind, key in found
            if (not kinds or kind in kinds) and (order is None or key[2:] == order)
        ]

    def absences(self) -> dict[str, str | None]:
        """The open cases of absence: order and what is said of it."""
        found = self.sql("SELECT order_key, overlay FROM ordersync_absences")
        return {key[2:]: overlay for key, overlay in found}

    # --- what is really the case -----------------------------------------------------------------

    def truth(self, placed: Placed, at: datetime | None = None) -> Truth:
        """What really is the case with the order of a row."""
        return self.truth_of(placed.order_id, at)

    def untrue(self, placed: Placed) -> list[str]:
        """In what a row differs from the exchange; empty where it is true."""
        return self.differences(self.row(placed.row_id), self.truth(placed))

    def all_untrue(self, placed: Iterable[Placed]) -> dict[int, list[str]]:
        """The rows that differ from the exchange, and in what."""
        found = {one.row_id: self.untrue(one) for one in placed}
        return {row_id: differences for row_id, differences in found.items() if differences}

    @staticmethod
    def differences(row: Row, truth: Truth) -> list[str]:
        filled = float(truth.filled_qty)
        found = []
        if row["status"] != word_of(truth):
            found.append(f"status {row['status']} is {truth.status}")
        if (row["filled_size"] or 0.0) != filled:
            found.append(f"filled_size {row['filled_size']} is {filled}")
        if filled and row["avg_price"] != float(truth.avg_price or 0):
            found.append(f"avg_price {row['avg_price']} is {truth.avg_price}")
        if (row["fee"] or 0.0) != float(truth.fee):
            found.append(f"fee {row['fee']} is {truth.fee}")
        if truth.final and truth.last_fill_at and row["filled_at"] != naive(truth.last_fill_at):
            found.append(f"filled_at {row['filled_at']} is {truth.last_fill_at}")
        return found

    @property
    def network(self) -> Network:
        """The network between the service and the exchange."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return loop.network

    # --- the service -----------------------------------------------------------------------------

    @property
    def database(self) -> Path:
        return self.folder / "bot.db"

    def settings(self, *, url: str | None = None, key: Any = None) -> Settings:  # noqa: ANN401
        mapping = {
            "table": "trades",
            "id": "id",
            "venue_order_id": "order_id",
            "client_order_id": "client_id",
            "status": "status",
            "created_at": "created_at",
            "filled_at": "filled_at",
            "filled_qty": "filled_size",
            "avg_price": "avg_price",
            "fee": "fee",
            "reason": "reason",
            "symbol": "product_id",
            "account": "main",
            "status_words": WORDS,
            **self.orders_settings,
        }
        content = {
            "database": {"url": f"sqlite:///{self.database}"},
            "orders": {name: value for name, value in mapping.items() if value is not None},
            "accounts": {
                "main": {**self.section(url or self.url, key), **self.account_settings},
                **self.more_accounts,
            },
            "sync": self.sync_settings,
            "web": {"enabled": False},
            **self.more_settings,
        }
        return configuration.build(self.folder / "ordersync.toml", content)

    @contextlib.asynccontextmanager
    async def serving(
        self,
        *,
        url: str | None = None,
        key: Any = None,  # noqa: ANN401
    ) -> AsyncIterator[Service]:
        settings = self.settings(url=url, key=key)
        clock = self.service_clock or self.clock
        async with serving_orders(settings, create=True, clock=clock) as service:
            yield service

    @contextlib.asynccontextmanager
    async def running(self, *, key: Any = None) -> AsyncIterator[Service]:  # noqa: ANN401
        """The service at work, cancelled at the end of the block."""
        async with self.serving(key=key) as service, asyncio.TaskGroup() as group:
            working = group.create_task(service.run())
            try:
                yield service
            finally:
                working.cancel()

    async def sync(
        self,
        *,
        url: str | None = None,
        key: Any = None,  # noqa: ANN401
        **more: Any,  # noqa: ANN401 - whatever `Service.sync` takes
    ) -> PassReport:
        """One `ordersync sync`, from opening to closing."""
        async with self.serving(url=url, key=key) as service:
            (report,) = await service.sync(**more)
            return report

    async def wait(self, **spell: float) -> None:
        await self.clock.sleep(timedelta(**spell))

    async def until_true(self, *placed: Placed, within: float, step: float = 0.5) -> float:
        """Wait until all rows are true; how many seconds that took."""
        began = self.clock.monotonic()
        while any(self.untrue(one) for one in placed):
            waited = self.clock.monotonic() - began
            assert waited <= within, {one.row_id: self.untrue(one) for one in placed}
            await self.wait(seconds=step)
        return self.clock.monotonic() - began

    # --- the stream ------------------------------------------------------------------------------

    def fault(self, kind: StreamKind, **more: Any) -> None:  # noqa: ANN401 - as Fault takes it
        """Something goes wrong on the stream from now on."""
        self.faults.add(Fault(kind=kind, on="stream", **more))

    @property
    def connections(self) -> list[Streamed]:
        """Every connection to the stream so far."""
        return list(self.app.state.streams)

    # --- what the exchange was asked -------------------------------------------------------------

    def asked(self, *endpoints: str) -> list[Served]:
        """The requests so far, of these endpoints where any are named."""
        served: Sequence[Served] = self.app.state.served
        return [one for one in served if not endpoints or one.endpoint in endpoints]

    def forget_asked(self) -> None:
        self.app.state.served.clear()


@dataclass(kw_only=True)
class House(Premises):
    """A bot that trades at Coinbase."""

    symbol = "BTC-USD"

    world: World
    account: Account

    def place(
        self,
        life: Life | None = None,
        *,
        age: timedelta = timedelta(hours=1),
        terms: Mapping[str, object] | None = None,
        source: str = "RETAIL_ADVANCED",
        **row: object,
    ) -> Placed:
        """An order of this age at the exchange, and a row about it; `row` says it otherwise."""
        made = self.world.place(
            self.account.portfolio,
            self.symbol,
            "BUY",
            terms or limit_gtc("1", "100"),
            life=life if life is not None else Life.open(),
            created_at=self.clock.now() - age,
            placement_source=source,
        )
        return self.note(made.order_id, made.client_order_id, made.created_at, row)

    def new_id(self) -> str:
        return self.world.new_id()

    def truth_of(self, order_id: str, at: datetime | None = None) -> CoinbaseTruth:
        return self.world.truth(order_id, at)

    def steady_at(self) -> datetime:
        return self.world.steady_at()

    def section(self, url: str, key: Account | None) -> dict[str, Any]:
        account = key or self.account
        key_file = account.key.write(self.folder / f"key-{account.portfolio[:8]}.json")
        section = {"venue": "coinbase", "key_file": str(key_file), "rest_url": url}
        return section | ({"ws_url": url.replace("http", "ws", 1)} if self.pushes else {})


def word_of(truth: Truth) -> str:
    """The word that a row about an order with this truth should hold."""
    if truth.standing in {"canceled", "expired", "replaced"} and truth.filled_qty:
        return "completed"
    return {
        "open": OPEN,
        "filled": "completed",
        "canceled": "cancelled",
        "expired": "failed",
        "rejected": "failed",
        "replaced": "failed",
    }[truth.standing]


def tallies(house: Premises, placed: Placed) -> dict[str, int]:
    """How often each endpoint has said that the order is not there."""
    found = house.sql(
        "SELECT body FROM ordersync_absences WHERE order_key = ?", f"v:{placed.order_id}"
    )
    if not found:
        return {}
    case: dict[str, Any] = msgspec.json.decode(found[0][0])["case"]
    return {endpoint: tally["count"] for endpoint, tally in case["tallies"].items()}


def stream_of(service: Service) -> Stream:
    return service.streams["main"]


def venue_of(service: Service) -> Venue:
    return service.venues["main"]


@contextlib.asynccontextmanager
async def built(
    folder: Path,
    *,
    seed: int = 1,
    faults: Faults | None = None,
    table: str = TABLE,
    sync: dict[str, Any] | None = None,
    orders: dict[str, Any] | None = None,
    pushes: bool = False,
    more: dict[str, Any] | None = None,
    around: Callable[[Starlette], ASGIApp] | None = None,
    **exchange: Any,  # noqa: ANN401 - whatever the exchange takes
) -> AsyncIterator[House]:
    """A house with an exchange that is being served; call it in virtual time.

    `around` puts something between the exchange and the wire.
    """
    clock = VirtualClock()
    world = World(clock.now, seed=seed)
    faults = faults or Faults()
    application = app(world, faults, **exchange)
    async with serving(around(application) if around else application, port=PORT) as url:
        house = House(
            folder=folder,
            clock=clock,
            world=world,
            account=world.open_account("ed25519"),
            faults=faults,
            app=application,
            url=url,
            pushes=pushes,
            sync_settings=sync or {},
            orders_settings=orders or {},
            more_settings=more or {},
        )
        house.account = as_viewer(world, house.account)
        house.sql(table)
        yield house


def as_viewer(world: World, account: Account) -> Account:
    """The same account with a key that can only view, as the documentation asks for."""
    viewer = replace(account, can_trade=False, can_transfer=False)
    world.admit(viewer)
    return viewer
