"""The order store on SQLite: one connection, one thread, plain statements.

Everything runs on the store's own thread, one function a request: a hop to the thread costs
little, a hop a statement costs more than the statements. The journal mode of the user's file
is never changed; `synchronous` is FULL, so what is reported as written is on the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import msgspec

from ordersync.errors import ConfigError
from ordersync.ports import Absent, AccountRecord, Claim, Known, Meaning, OrderName
from ordersync.store import schema, sql
from ordersync.store.advance import Transaction
from ordersync.store.findings import look_for_findings
from ordersync.store.mapping import Mapping, bind
from ordersync.store.plan import draft, spell
from ordersync.store.projection import changes
from ordersync.store.reflection import explain
from ordersync.store.scan import learn_times, tell_apart
from ordersync.truth.model import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from collections.abc import Mapping as Dict
    from pathlib import Path

    from ordersync.ports import Advance, Change, Clock, Finding, Outcome, Scan
    from ordersync.settings import Orders

_T = TypeVar("_T")

LEAST_SQLITE = (3, 35)
"""RETURNING, on which the compare-and-set rests."""

_decode_order = msgspec.json.Decoder(Order).decode
_decode_absent = msgspec.json.Decoder(Absent).decode
_decode_account = msgspec.json.Decoder(AccountRecord).decode


class SqliteStore:
    """Implements `ports.OrderStore`.

    `writes` False opens the file for reading only; `writes_rows` False (shadow) keeps truth
    and events and leaves the user's rows alone. `contested_pause` is how long a row that
    somebody keeps undoing is left alone.
    """

    def __init__(
        self,
        path: Path,
        orders: Orders,
        clock: Clock,
        *,
        where: str,
        contested_pause: timedelta,
        writes_rows: bool = True,
    ) -> None:
        self._path = path
        self._orders = orders
        self._clock = clock
        self._where = where
        self._contested_pause = contested_pause
        self._writes_rows = writes_rows
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ordersync-sqlite")
        self._connection: sqlite3.Connection | None = None
        self._mapping: Mapping | None = None
        self._statements: dict[str, sql.Statements] = {}
        self._has_tables = False

    # --- opening and closing ---------------------------------------------------------------

    async def open(self, *, create: bool) -> None:
        """Connect, check the mapping against the table, make our tables if `create`."""
        await self._run(lambda: self._open(create=create))

    async def close(self) -> None:
        """Give back the connection and the thread."""
        if self._connection is not None:
            await self._run(self._connection.close)
            self._connection = None
        self._thread.shutdown(wait=True)

    def _open(self, *, create: bool) -> None:
        if sqlite3.sqlite_version_info < LEAST_SQLITE:
            raise ConfigError(
                f"this Python brings SQLite {sqlite3.sqlite_version}; 3.35 or newer is needed.",
                mend="Use a newer Python.",
            )
        mapping = bind(self._path, self._orders, where=self._where)
        mode = "rw" if create else "ro"
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode={mode}",
            uri=True,
            timeout=5.0,
            isolation_level=None,
        )
        self._connection, self._mapping = connection, mapping
        connection.execute("PRAGMA synchronous = FULL")
        # At most 64 MiB, taken as they are needed: a large group must not spill half written pages.
        connection.execute("PRAGMA cache_size = -65536")
        self._check_where(connection, mapping)
        learn_times(connection, mapping)
        schema.check_version(connection, where=str(self._path))
        if create:
            schema.migrate(connection, where=str(self._path), at=spell(self._clock.now()))
        self._has_tables = schema.version_of(connection) > 0

    def _check_where(self, connection: sqlite3.Connection, mapping: Mapping) -> None:
        if self._orders.where is None:
            return
        connection.execute("PRAGMA query_only = ON")
        try:
            if not sql.is_one_expression(self._orders.where):
                raise sqlite3.ProgrammingError("it does not end where its parentheses do")
            connection.execute(sql.Statements(mapping, None).test_where).fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise ConfigError(
                f"the condition is refused by the database: {error}.",
                where=f"{self._where}: orders.where",
                mend="Write one SQL condition over the table's columns.",
            ) from error
        finally:
            connection.execute("PRAGMA query_only = OFF")

    # --- what is there ---------------------------------------------------------------------

    async def revision(self) -> int | None:
        """A number that moves when another connection wrote; nearly free."""
        return await self._with(lambda c: int(c.execute("PRAGMA data_version").fetchone()[0]))

    async def list_open(self, account: str) -> list[Claim]:
        """Rows whose word is open or unknown."""
        return await self._with(lambda c: self._claims(c, *self._open_rows(account)))

    async def scan_open(self, account: str, seen: Dict[int, str]) -> Scan:
        """Rows whose word is open or unknown, by whether they are as they were."""
        text = self._open_rows(account)[0]
        return await self._with(lambda c: tell_apart(c, text, self._bound(), seen, self._clock))

    async def list_finished(self, account: str, since: datetime) -> list[Claim]:
        """Rows whose word is final, with a time since then."""
        return await self._with(lambda c: self._finished(c, account, since))

    async def list_unmapped(self, account: str, limit: int) -> list[Claim]:
        """The newest rows whose word is outside the mapping."""
        text = self._about(account).outside_words(self._bound().words.all_words)
        return await self._with(lambda c: self._claims(c, text, (limit,)))

    async def list_witnesses(self, account: str, limit: int) -> list[str]:
        """Venue ids of the newest rows."""
        text = self._about(account).newest_ids
        return await self._with(lambda c: [str(v) for (v,) in c.execute(text, (limit,)) if v])

    async def list_due(
        self, account: str, now: datetime, *, open_truths: int | None = None
    ) -> list[OrderName]:
        """Orders to ask about although no open row leads to them."""

        def look(connection: sqlite3.Connection) -> list[OrderName]:
            (count,) = connection.execute(sql.COUNT_OPEN_TRUTHS, (account,)).fetchone()
            text = sql.DUE_BY_TIME if count == open_truths else sql.DUE_ORDERS
            return [OrderName(*row) for row in connection.execute(text, (account, spell(now)))]

        return await self._with(look) if self._has_tables else []

    async def read(self, account: str, names: Sequence[OrderName]) -> list[Known]:
        """What is stored about these orders, in their order."""
        return await self._with(lambda c: self._read(c, account, names))

    async def read_claims(self, account: str, claims: Sequence[Claim]) -> list[Known]:
        """What is stored about the orders of these rows, without reading the rows again."""
        grouped: dict[str, list[Claim]] = {}
        for claim in claims:
            key = key_of(claim.venue_order_id, claim.client_order_id)
            if key is not None:
                grouped.setdefault(key, []).append(claim)
        aliases = _aliases((c.venue_order_id, c.client_order_id) for c in claims)
        return await self._with(lambda c: self._known(c, account, grouped, aliases))

    async def advance(self, account: str, steps: Sequence[Advance]) -> list[Outcome]:
        """Write row, truth and event of each step in one transaction."""

        def write(connection: sqlite3.Connection) -> list[Outcome]:
            transaction = Transaction(
                connection,
                self._bound(),
                self._about(account),
                account,
                writes_rows=self._writes_rows,
                contested_pause=self._contested_pause,
            )
            return transaction.run(steps, self._clock)

        return await self._with(write)

    async def preview(self, account: str, steps: Sequence[Advance]) -> list[list[Change]]:
        """What `advance` would write into the rows, without writing."""
        del account
        mapping, now = self._bound(), self._clock.now()
        return [
            [
                change
                for found in draft(mapping, step, now).patches
                for change in changes(mapping, found)
            ]
            for step in steps
        ]

    async def get_account(self, account: str) -> AccountRecord:
        """What is stored about the account."""
        if not self._has_tables:
            return AccountRecord(account=account)

        def get(connection: sqlite3.Connection) -> AccountRecord:
            row = connection.execute(sql.GET_ACCOUNT, (account,)).fetchone()
            return _decode_account(row[0]) if row else AccountRecord(account=account)

        return await self._with(get)

    async def keep_account(self, record: AccountRecord) -> None:
        """Persist what is known about the account."""
        body = msgspec.json.encode(record).decode()
        await self._with(lambda c: c.execute(sql.PUT_ACCOUNT, (record.account, body)).close())

    async def findings(self) -> list[Finding]:
        """Columns, rights, indexes and words, each with its mend."""
        return await self._with(
            lambda c: look_for_findings(
                c, self._bound(), sql.Statements(self._bound(), None), self._path
            )
        )

    # --- on the store's thread -------------------------------------------------------------

    def _open_rows(self, account: str) -> tuple[str, tuple[object, ...]]:
        return self._about(account).by_words(sql.open_words(self._bound())), ()

    def _finished(
        self, connection: sqlite3.Connection, account: str, since: datetime
    ) -> list[Claim]:
        mapping = self._bound()
        learn_times(connection, mapping)
        words = mapping.words.words_meaning(Meaning.FINAL)
        # The day before: a text time may carry any zone; the exact cut follows.
        day = (since - timedelta(days=1)).strftime("%Y-%m-%d")
        text = self._about(account).finished_since(words)
        found = self._claims(connection, text, {"day": day, "seconds": since.timestamp()})
        return [claim for claim in found if mapping.newest_time(claim) >= since]

    def _claims(
        self,
        connection: sqlite3.Connection,
        text: str,
        arguments: tuple[object, ...] | dict[str, object],
    ) -> list[Claim]:
        rows = connection.execute(text, arguments).fetchall()
        # Taken after the read, so that no earlier ask can seem to be younger than what was read.
        mapping, read_at = self._bound(), self._clock.now()
        if rows:
            learn_times(connection, mapping)
        return [mapping.claim(cells, read_at) for cells in rows]

    def _read(
        self, connection: sqlite3.Connection, account: str, names: Sequence[OrderName]
    ) -> list[Known]:
        statements = self._about(account)
        venue_ids = [n.venue_order_id for n in names if n.venue_order_id]
        claims = self._claims(connection, statements.by_venue_ids, (_text(venue_ids),))
        by_venue: dict[str | None, list[Claim]] = {}
        for claim in claims:
            by_venue.setdefault(claim.venue_order_id, []).append(claim)
        by_client: dict[str | None, list[Claim]] = {}
        orphans = [
            n.client_order_id
            for n in names
            if n.client_order_id and n.venue_order_id not in by_venue
        ]
        if orphans and "client_order_id" in self._bound().at:
            for claim in self._claims(connection, statements.by_client_ids, (_text(orphans),)):
                by_client.setdefault(claim.client_order_id, []).append(claim)
        grouped: dict[str, list[Claim]] = {}
        for name in names:
            key = key_of(name.venue_order_id, name.client_order_id)
            if key is not None:
                found = by_venue.get(name.venue_order_id) if name.venue_order_id else None
                if not found and name.client_order_id:
                    found = by_client.get(name.client_order_id)
                grouped[key] = found or []
        aliases = _aliases((n.venue_order_id, n.client_order_id) for n in names)
        return self._known(connection, account, grouped, aliases)

    def _known(
        self,
        connection: sqlite3.Connection,
        account: str,
        grouped: dict[str, list[Claim]],
        aliases: dict[str, str],
    ) -> list[Known]:
        """What is stored under these keys. An alias is the name an order had before it was seen."""
        if not self._has_tables:
            return [
                Known(key=key, truth=None, version=0, claims=tuple(claims))
                for key, claims in grouped.items()
            ]
        keys = _text(list(grouped))
        truths = {row[0]: row for row in connection.execute(sql.TRUTHS, (account, keys))}
        names = _text([*grouped, *aliases.values()])
        absents = dict(connection.execute(sql.ABSENCES, (account, names)).fetchall())
        due = dict(connection.execute(sql.DUE_TIMES, (account, keys)).fetchall())
        found = []
        for key, claims in grouped.items():
            _, version, state, final_since, row_id = truths.get(key, (key, 0, None, None, None))
            absent = absents.get(key) or absents.get(aliases.get(key, ""))
            found.append(
                Known(
                    key=key,
                    truth=_decode_order(state) if state else None,
                    version=version,
                    claims=tuple(claims),
                    absent=_decode_absent(absent) if absent else None,
                    final_since=_moment(final_since),
                    due_at=_moment(due.get(key)),
                    row_id=row_id,
                )
            )
        return found

    def _about(self, account: str) -> sql.Statements:
        if account not in self._statements:
            self._statements[account] = sql.Statements(self._bound(), account)
        return self._statements[account]

    def _bound(self) -> Mapping:
        if self._mapping is None:
            raise RuntimeError("the store is not open")
        return self._mapping

    async def _with(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        connection = self._connection
        if connection is None:
            raise RuntimeError("the store is not open")

        def attempt() -> _T:
            try:
                return work(connection)
            except sqlite3.OperationalError as error:
                if "Could not decode" not in str(error):
                    raise
                # One cell that is no UTF-8 must not hide all the others. Slower, so not at first.
                connection.text_factory = lambda text: text.decode(errors="replace")
                return work(connection)

        return await self._run(attempt)

    async def _run(self, work: Callable[[], _T]) -> _T:
        """Run on the store's thread; a driver's error becomes StoreBusy or StoreRefused."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise explain(error, self._path) from error


def key_of(venue_order_id: str | None, client_order_id: str | None) -> str | None:
    """The key of an order's truth: the venue's id where it is known, else the client's."""
    if venue_order_id:
        return f"v:{venue_order_id}"
    return f"c:{client_order_id}" if client_order_id else None


def _aliases(ids: Iterable[tuple[str | None, str | None]]) -> dict[str, str]:
    """The key that an order had while only its client id was known, by the one it has now."""
    return {f"v:{venue}": f"c:{client}" for venue, client in ids if venue and client}


def _text(values: Iterable[object]) -> str:
    return msgspec.json.encode(list(values)).decode()


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
