"""A yard: bots' tables, the exchange they trade at, a broker, and real Celery workers between.

The exchange lives on a thread of its own and never dies, so that it can be the judge. It can be
held: then every question about orders waits, and whoever asked is in the middle of his work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import psycopg
from celery import Celery

from ordersync import settings as configuration
from ordersync.clock import SystemClock
from ordersync.service.build import build_store
from ordersync.simulator import Life, World, app, limit_gtc, serving
from tests.servers.daemon import children, until
from tests.system.house import WORDS, as_viewer, word_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

_T = TypeVar("_T")

PATIENCE = 60.0
"""Seconds, which only a failure takes."""
HISTORY = "/api/v3/brokerage/orders/historical"
QUEUE = "ordersync"
TABLE = """CREATE TABLE trades (
  id BIGINT PRIMARY KEY, account VARCHAR(40), order_id VARCHAR(64), status VARCHAR(20),
  created_at VARCHAR(40), filled_size FLOAT, fee FLOAT)"""
CELERY = Path(sys.executable).with_name("celery")


class Exchange:
    """Accounts `a0`, `a1` … of one exchange."""

    def __init__(self, folder: Path, accounts: int) -> None:
        self.world = World(SystemClock().now, seed=7)
        made = [as_viewer(self.world, self.world.open_account()) for _ in range(accounts)]
        self.keys = [account.key.write(folder / f"key-{n}.json") for n, account in enumerate(made)]
        self.portfolios = [account.portfolio for account in made]
        self.url = ""
        self.waiting = threading.Event()
        self._free = threading.Event()
        self._free.set()
        self._loop = asyncio.new_event_loop()
        self._up, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="exchange", daemon=True)
        self._thread.start()
        assert self._up.wait(PATIENCE), "the exchange did not start"

    def _serve(self) -> None:
        async def serve() -> None:
            application = self._holding(app(self.world, requests_per_second=100_000))
            async with serving(application) as self.url:
                self._up.set()
                await self._over.wait()

        self._loop.run_until_complete(serve())
        self._loop.close()

    def _holding(self, inner: ASGIApp) -> ASGIApp:
        async def hold(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"].startswith(HISTORY):
                if not self._free.is_set():
                    self.waiting.set()
                await asyncio.to_thread(self._free.wait, PATIENCE)
            await inner(scope, receive, send)

        return hold

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody is answered about orders while the block runs."""
        self.waiting.clear()
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def there(self, work: Callable[[], _T]) -> _T:
        """Do it on the exchange's own thread: the world is nobody else's to touch."""

        async def on_its_thread() -> _T:
            return work()

        return asyncio.run_coroutine_threadsafe(on_its_thread(), self._loop).result(PATIENCE)

    def close(self) -> None:
        self._free.set()
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)


class Yard:
    """One database with the rows of several accounts, and the configuration of ordersync."""

    def __init__(self, folder: Path, broker: str, *, accounts: int = 1, database: str = "") -> None:
        self.folder, self.broker = folder, broker
        self.url = database or f"sqlite:///{folder / 'bot.db'}"
        self.exchange = Exchange(folder, accounts)
        self.placed: dict[int, str] = {}
        self.workers: list[Worker] = []
        self.accounts = [f"a{n}" for n in range(accounts)]
        self.sql(TABLE)
        self.config = folder / "ordersync.toml"
        self.write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.end()
        self.exchange.close()

    def write(self, *, celery: str = 'every = "1s"') -> None:
        """The configuration, with these lines for Celery."""
        accounts = "".join(
            f'[accounts.{name}]\nvenue = "coinbase"\nkey_file = "key-{n}.json"\n'
            f'rest_url = "{self.exchange.url}"\n'
            for n, name in enumerate(self.accounts)
        )
        values = ", ".join(f'{name} = "{name}"' for name in self.accounts)
        words = "\n".join(f"{word} = {json.dumps(tokens)}" for word, tokens in WORDS.items())
        self.config.write_text(
            f'[database]\nurl = "{self.url}"\n'
            '[orders]\ntable = "trades"\nid = "id"\nvenue_order_id = "order_id"\n'
            'status = "status"\ncreated_at = "created_at"\nfilled_qty = "filled_size"\n'
            f'fee = "fee"\naccount = {{ column = "account", values = {{ {values} }} }}\n'
            f"[orders.status_words]\n{words}\n{accounts}"
            f'[celery]\nbroker_url = "{self.broker}"\n{celery}\n',
            encoding="utf-8",
        )

    # --- the bots ----------------------------------------------------------------------------

    def sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement, committed; its marks are question marks."""
        if self.url.startswith("sqlite"):
            path = self.url.removeprefix("sqlite:///")
            with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
                found = connection.execute(text, values).fetchall()
                connection.commit()
                return found
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(text.replace("?", "%s").encode(), values)
            return cursor.fetchall() if cursor.description else []

    def place(self, account: int, life: Life, age: timedelta = timedelta(minutes=30)) -> int:
        """An order at the exchange, and its row, which says that it is pending."""
        world = self.exchange.world
        made = self.exchange.there(
            lambda: world.place(
                self.exchange.portfolios[account],
                "BTC-USD",
                "BUY",
                limit_gtc("1", "100"),
                life=life,
                created_at=world.now() - age,
            )
        )
        row = len(self.placed) + 1
        self.placed[row] = made.order_id
        self.sql(
            "INSERT INTO trades (id, account, order_id, status, created_at) VALUES (?, ?, ?, ?, ?)",
            row,
            f"a{account}",
            made.order_id,
            "pending",
            made.created_at.isoformat(),
        )
        return row

    def fill_up(self, orders: int, life: Life | None = None) -> None:
        """So many orders in every account, filled ten minutes ago unless their life is another."""
        filled = Life.filled(timedelta(minutes=20))
        for account in range(len(self.accounts)):
            for _ in range(orders):
                self.place(account, life or filled)

    def untrue(self) -> dict[int, str]:
        """Every row that does not say what the exchange says, and what it should be."""
        truths = self.exchange.there(
            lambda: {row: self.exchange.world.truth(o) for row, o in self.placed.items()}
        )
        rows = {
            row: cells
            for row, *cells in self.sql("SELECT id, status, filled_size, fee FROM trades")
        }
        found = {}
        for row, truth in truths.items():
            status, filled, fee = rows[row]
            said = (status, filled or 0.0, fee or 0.0)
            true = (word_of(truth), float(truth.filled_qty), float(truth.fee))
            if said != true:
                found[row] = f"{said} is {true}"
        return found

    def until_true(self, within: float = PATIENCE) -> None:
        try:
            until(lambda: not self.untrue(), "true rows", within)
        except TimeoutError as error:
            error.add_note(f"{self.untrue()}\n{self.logs()}")
            raise

    def leased(self) -> list[str]:
        """The accounts whose lease is not over."""

        async def look() -> list[str]:
            store = build_store(configuration.load(self.config), SystemClock())
            await store.open(create=False)
            leases = store.leases()
            try:
                return [lease.account for lease in await leases.list_leases() if lease.is_live]
            finally:
                await leases.close()
                await store.close()

        return asyncio.run(look())

    # --- the workers -------------------------------------------------------------------------

    def worker(self, *options: str, app: str = "ordersync.celery_app", **env: str) -> Worker:
        """A real worker process, in the folder of the configuration."""
        worker = Worker(self.folder, app, options, env, len(self.workers))
        self.workers.append(worker)
        return worker

    def send(self, task: str, *messages: Mapping[str, object]) -> None:
        """Messages with these arguments, as anybody may send them who knows the broker."""
        with Celery(broker=self.broker, set_as_current=False) as client:
            for arguments in messages:
                client.send_task(f"ordersync.{task}", kwargs=arguments, queue=QUEUE)

    def logs(self) -> str:
        return "\n".join(worker.log() for worker in self.workers)


class Worker:
    """`celery -A … worker` with prefork processes."""

    def __init__(
        self, folder: Path, app: str, options: Sequence[str], env: dict[str, str], number: int
    ) -> None:
        self._log = folder / f"worker-{number}.log"
        command = [
            str(CELERY),
            "-A",
            app,
            "worker",
            "-l",
            "info",
            "-n",
            f"w{number}@yard",
            *options,
        ]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORDERSYNC_", "CELERY"))}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**kept, "PYTHONPATH": str(folder), "NO_COLOR": "1", **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def until_says(self, words: str, times: int = 1, within: float = PATIENCE) -> None:
        def said() -> bool:
            assert self.process.poll() is None, self.log()
            return self.log().count(words) >= times

        try:
            until(said, repr(words), within)
        except TimeoutError as error:
            error.add_note(self.log())
            raise

    def brood(self) -> list[int]:
        """Its worker processes, and beat's where it has one."""
        return children(self.process.pid)

    def kill(self) -> None:
        """kill -9 of all of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self) -> int:
        """A warm shutdown; its exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        """Whatever state it is in."""
        if self.process.poll() is None:
            self.kill()
