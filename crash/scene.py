"""The scene: a bot's table on PostgreSQL, its bot, the exchange, ordersync; and one round of it."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg

from crash.bot import AUDIT, TABLE, Bot
from crash.child import Ordersync, configure
from crash.exchange import Exchange
from crash.witness import (
    Seen,
    contradictions,
    forgotten,
    is_news,
    look,
    regressions,
    restless,
    unkept,
    untruths,
)
from ordersync.clock import SystemClock
from ordersync.simulator import Life
from tests.servers.daemon import until
from tests.servers.owned import Owned

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path
    from random import Random

    from crash.child import Told
    from tests.servers.place import Server

ORDERSYNC, DATABASE, POOLER = "ordersync", "database", "pooler"
WAVE = 2.0
"""Seconds in which a bot trades; what it places ends within as many more."""

MORE = 0.5
"""At least so many of them after all was there again."""

QUIET, CALMS = 2.2, 3
"""Two intervals of ordersync, and a little; and in how many of them it has to come to rest."""

ENOUGH, LOOK_EVERY, AIM_FOR = 120.0, 0.05, 1.0
_WRITES = (
    "SELECT FROM pg_stat_activity WHERE application_name = 'ordersync'"
    " AND backend_xid IS NOT NULL AND datname = current_database()"
)


class Verdict(msgspec.Struct, kw_only=True):
    """What became of one round. `untold` events were committed and never told."""

    victims: tuple[str, ...]
    pooled: bool = False
    rows: int = 0
    told: int = 0
    untold: int = 0
    in_the_middle: bool = False
    recovery: float | None = None
    memory: int = 0
    broken: list[str] = []


class Scene:
    """All that takes part. Without a pooler ordersync goes to the database itself."""

    def __init__(
        self,
        folder: Path,
        chance: Random,
        database: Server,
        pooler: Server | None = None,
        *,
        has_audit: bool = False,
        interval: str = "1s",
        more: str = "",
    ) -> None:
        self.chance = chance
        self.database, self.pooler = database, pooler
        self.url = database.new_database()
        self.door = pooler.url(self.url.rpartition("/")[2]) if pooler else self.url
        self._interval, self._more = interval, more
        with self.connect() as connection:
            connection.execute(TABLE.encode())
            if has_audit:
                connection.execute(AUDIT.encode())
        self.exchange = Exchange(folder, seed=chance.randrange(2**32))
        self.bot = Bot(self.url, self.exchange, chance)
        self.ordersync = Ordersync(self.configured(folder))
        self._before: dict[str, Seen] = {}
        self._stray = threading.Event()

    def configured(self, folder: Path, *, interval: str = "") -> Path:
        """This folder, with the configuration of everybody who serves the account."""
        folder.mkdir(exist_ok=True)
        configure(
            folder,
            database=self.door,
            key_file=self.exchange.key_file,
            url=self.exchange.url,
            interval=interval or self._interval,
            more=self._more,
        )
        return folder

    @property
    def crew(self) -> list[Ordersync]:
        """All that tell of events."""
        return [self.ordersync]

    @property
    def told(self) -> list[Told]:
        """What they told, in the order of hearing."""
        return sorted((told for one in self.crew for told in one.told), key=lambda told: told.at)

    def connect(self, **more: Any) -> psycopg.Connection[Any]:  # noqa: ANN401 - of libpq
        """A connection of nobody else's."""
        return psycopg.connect(self.url, autocommit=True, connect_timeout=5, **more)

    def open(self, rows: int) -> None:
        """Begin with so many open orders, and wait until ordersync has seen them."""
        with self.connect() as connection:
            for _ in range(rows):
                self.bot.place(connection, Life.open())
        self.ordersync.start()
        until(self._has_seen_all, "the first pass of ordersync", ENOUGH)
        until(lambda: len(self.told) >= rows, "its events", ENOUGH)

    def _has_seen_all(self) -> bool:
        if not self.ordersync.is_alive:
            raise RuntimeError(f"ordersync ended:\n{self.ordersync.log_text()}")
        with self.connect() as connection, contextlib.suppress(psycopg.errors.UndefinedTable):
            text = "SELECT count(*) FROM ordersync_orders"
            row = connection.execute(text).fetchone()
            return row is not None and int(row[0]) >= len(self.bot.orders)
        return False

    def close(self) -> None:
        """End all but the servers."""
        self.bot.stop()
        for one in self.crew:
            if one.is_alive:
                one.kill()
        self.exchange.close()
        with contextlib.suppress(psycopg.Error):
            self.database.drop_database(self.url)

    # --- single orders -----------------------------------------------------------------------

    def place(self, *lives: Life) -> list[str]:
        """Orders at the exchange and their rows, written by the bot at once."""
        with self.connect(options="-c synchronous_commit=local") as connection:
            return [self.bot.place(connection, life) for life in lives]

    def untruths(self, rows: Collection[str]) -> list[str]:
        """In what these rows differ from the exchange; and what of them cannot be."""
        with self.connect() as connection:
            seen = look(connection, rows)
        truths = self.exchange.truths([one.order for one in seen])
        wrong = [what for one in seen for what in untruths(one, truths[one.order])]
        for one in seen:
            wrong += contradictions(one, canceled=one.row in self.bot.canceled)
        return wrong

    def heal(self, rows: Collection[str], within: float = ENOUGH) -> float:
        """Wait until the exchange is at rest and these rows are true; how many seconds it took."""
        begun_at = time.monotonic()
        with contextlib.suppress(TimeoutError):
            is_at_rest = self.exchange.is_at_rest
            until(lambda: is_at_rest() and not self.untruths(rows), "these rows are true", within)
        if wrong := self.untruths(rows):
            raise TimeoutError("\n".join([*wrong, *self.ordersync.log[-20:]]))
        return time.monotonic() - begun_at

    # --- a round ---------------------------------------------------------------------------

    def play(self, *victims: str) -> Verdict:
        """Trade, kill, start again, wait for rest, judge."""
        verdict = Verdict(victims=victims, pooled=self.pooler is not None, broken=[])
        count, begun_at = len(self.bot.orders), SystemClock().now()
        first_told = len(self.told)
        with self._watched(count, verdict):
            self.bot.start(WAVE)
            wave_over = time.monotonic() + WAVE
            enough = first_told + self.chance.randrange(1, 60)
            with contextlib.suppress(TimeoutError):
                until(lambda: len(self.told) >= enough, "the updates", WAVE)
            verdict.in_the_middle = self._aim()
            back_at = self._strike(victims)
            self._stray.wait(max(MORE, wave_over - time.monotonic()))
            self.bot.stop()
            self._settle(count, verdict)
        verdict.recovery = self._recovery(back_at) if victims else None
        self._judge(verdict, begun_at, first_told)
        verdict.rows = len(self.bot.orders) - count
        verdict.told = len(self.told) - first_told
        if self.ordersync.is_alive:
            verdict.memory = self.ordersync.memory()
        return verdict

    def _aim(self) -> bool:
        """Wait for the moment: at random, or until ordersync has written and not yet committed."""
        if self.chance.random() < 1 / 3:
            self._stray.wait(self.chance.random() * 0.3)
        end = time.monotonic() + (AIM_FOR if self.chance.random() < 2 / 3 else 0.0)
        with self.connect() as connection:
            while not connection.execute(_WRITES).fetchall():
                if time.monotonic() > end:
                    return False
        self._stray.wait(self.chance.random() * 0.02)
        return True

    def _strike(self, victims: Sequence[str]) -> float:
        """Kill these and start them again; when all was there again."""
        servers = {DATABASE: self.database, POOLER: self.pooler}
        if ORDERSYNC in victims:
            self.ordersync.kill()
        named = [servers[name] for name in (POOLER, DATABASE) if name in victims]
        struck = [server for server in named if isinstance(server, Owned)]
        if len(struck) < len(named):
            raise ValueError("a server that is not ours cannot be killed")
        for server in struck:
            server.kill()
        self._stray.wait(self.chance.choice((0.0, self.chance.random())))
        for server in reversed(struck):
            server.start()
        if ORDERSYNC in victims:
            self.ordersync.start()
        return time.monotonic()

    def _recovery(self, back_at: float) -> float | None:
        """Seconds until the first event after all was there again."""
        times = [told.at for told in self.told if told.at >= back_at]
        return times[0] - back_at if times else None

    # --- the judge -------------------------------------------------------------------------

    @contextlib.contextmanager
    def _watched(self, count: int, verdict: Verdict) -> Iterator[None]:
        """Look at the young rows all the time, and compare each look with the one before."""
        over = threading.Event()

        def watch() -> None:
            before: dict[str, Seen] = {}
            while not over.wait(LOOK_EVERY):
                with contextlib.suppress(psycopg.OperationalError), self.connect() as connection:
                    while not over.wait(LOOK_EVERY):
                        before = self._compare(before, self._look(connection, count), verdict)

        watcher = threading.Thread(target=watch, name="watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _look(self, connection: psycopg.Connection[Any], count: int) -> list[Seen]:
        return look(connection, list(self.bot.orders)[count:])

    def _compare(
        self, before: dict[str, Seen], seen: list[Seen], verdict: Verdict
    ) -> dict[str, Seen]:
        for one in seen:
            wrong = contradictions(one, canceled=one.row in self.bot.canceled)
            if one.row in before:
                wrong += regressions(before[one.row], one)
            verdict.broken += [what for what in wrong if what not in verdict.broken]
        gone = before.keys() - {one.row for one in seen}
        verdict.broken += [f"lost: row {row} is gone" for row in sorted(gone)]
        return {one.row: one for one in seen}

    def _settle(self, count: int, verdict: Verdict) -> None:
        """Wait until the exchange has nothing new and every row says so."""
        young = dict(list(self.bot.orders.items())[count:])
        wrong: list[str] = []

        def holds() -> bool:
            nonlocal wrong
            # Asked first: what happens after the last look would be nobody's fault.
            is_at_rest = self.exchange.is_at_rest()
            with self.connect() as connection:
                seen = self._look(connection, count)
            truths = self.exchange.truths(list(young.values()))
            wrong = [what for one in seen for what in untruths(one, truths[one.order])]
            wrong += [
                f"lost: row {row} is gone" for row in young.keys() - {one.row for one in seen}
            ]
            self._stray.wait(LOOK_EVERY)
            return is_at_rest and not wrong

        try:
            until(holds, "every row is true", ENOUGH)
        except TimeoutError:
            verdict.broken += wrong or ["the exchange did not come to rest"]

    def _calm(self, connection: psycopg.Connection[Any]) -> tuple[list[Seen], list[str]]:
        """All rows; and what was written though nothing was new.

        Every row is true: none may be written any more. A truth may still learn what its row says
        already, which has to come to an end.
        """
        seen, stirred = look(connection), list[str]()
        for _ in range(CALMS):
            self._stray.wait(QUIET)
            before, seen = seen, look(connection)
            later = {one.row: one for one in seen}
            pairs = [(one, later.get(one.row)) for one in before]
            moved = [pair for pair in pairs if restless(*pair)]
            stirred = [what for pair in moved for what in restless(*pair)]
            if not moved or not all(is_news(*pair) for pair in moved):
                break
        return seen, stirred

    def _judge(self, verdict: Verdict, begun_at: datetime, first_told: int) -> None:
        """All rows, when nothing is new: true, whole, at rest, and as they were before."""
        for one in self.crew:
            if not one.is_alive:
                verdict.broken.append(f"ordersync ended by itself with status {one.wait()}")
        with self.connect() as connection:
            seen, stirred = self._calm(connection)
            told = self.told[first_told:]
            since = begun_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
            lost, verdict.untold = forgotten(connection, told, since)
        verdict.broken += lost
        verdict.broken += stirred
        truths = self.exchange.truths([one.order for one in seen])
        verdict.broken += [what for one in seen for what in untruths(one, truths[one.order])]
        verdict.broken += [what for one in seen for what in unkept(one, self.bot)]
        self._before = self._compare(self._before, seen, verdict)
