"""The order store: the user's table and ours beside it, on any make of database.

Everything runs on the store's own thread, one function a request, over one connection. A
connection that is lost is made anew by the next request; what was asked meanwhile fails as
StoreBusy, and is asked again by whoever asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ordersync.archived import Batch, LogSize
from ordersync.errors import ConfigError, StoreBusy
from ordersync.ports import AccountRecord, OrderName
from ordersync.store import schema, sql
from ordersync.store.advance import Transaction
from ordersync.store.findings import look_for_findings
from ordersync.store.lookup import Lookup
from ordersync.store.mapping import Mapping, bind
from ordersync.store.own import OwnStatements
from ordersync.store.plan import draft, spell
from ordersync.store.projection import changes
from ordersync.store.receipts import drop_receipts
from ordersync.store.retention import Retention
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Mapping as Dict
    from datetime import datetime, timedelta

    from ordersync.archived import Movable, Reach
    from ordersync.hinted import Receipt
    from ordersync.ports import (
        Advance,
        Change,
        Claim,
        Clock,
        Decide,
        Finding,
        Ids,
        Known,
        Outcome,
        RowId,
        Scan,
    )
    from ordersync.settings import Orders
    from ordersync.store.database import Database, Session

_T = TypeVar("_T")

CLOSE_PATIENCE = 5.0
"""How many seconds a commit may take that is under way when we are told to end."""

_decode_account = msgspec.json.Decoder(AccountRecord).decode


class TableStore:
    """Implements `ports.OrderStore`.

    `writes_rows` False (shadow) keeps truth and events and leaves the user's rows alone.
    `contested_pause` is how long a row that somebody keeps undoing is left alone.
    """

    def __init__(
        self,
        database: Database,
        orders: Orders,
        clock: Clock,
        *,
        where: str,
        contested_pause: timedelta,
        writes_rows: bool = True,
    ) -> None:
        self._database = database
        self._orders = orders
        self._clock = clock
        self._where = where
        self._contested_pause = contested_pause
        self._writes_rows = writes_rows
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ordersync-store")
        self._is_closing = False
        self._session: Session | None = None
        self._mapping: Mapping | None = None
        self._own: OwnStatements | None = None
        self._lookup: Lookup | None = None
        self._retention: Retention | None = None
        self._writes = False

    # --- opening and closing ---------------------------------------------------------------

    async def open(self, *, create: bool) -> None:
        """Connect, check the mapping against the table, make our tables if `create`."""
        await self._run(lambda: self._open(create=create))

    async def close(self) -> None:
        """Give back the connection and the thread."""
        self._is_closing = True  # whoever still waits was canceled, and his commit may hang, too
        session = self._session
        if session is not None:
            closing = asyncio.get_running_loop().run_in_executor(self._thread, self._give_back)
            try:
                await asyncio.wait_for(asyncio.shield(closing), CLOSE_PATIENCE)
            except TimeoutError:
                # A commit that hangs: whether it is there is read at the next start.
                session.interrupt()
                await closing
        self._thread.shutdown(wait=True)
        # Where the opening was canceled, the thread may have connected only now.
        self._give_back()

    def _give_back(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _open(self, *, create: bool) -> None:
        self._mapping = mapping = bind(self._database, self._orders, where=self._where)
        self._writes = create
        self._session = session = self._database.connect(writes=create, table=mapping.shape)
        spelling = self._database.spelling
        self._own = OwnStatements(spelling, mapping.shape.schema)
        self._lookup = lookup = Lookup(spelling, mapping, self._own, self._clock)
        self._check_where(session)
        lookup.learn_times(session)
        where = self._database.where
        schema.check_version(session, self._own, where=where)
        if create:
            schema.migrate(session, self._own, where=where, at=spell(self._clock.now()))
        version = schema.version_of(session, self._own)
        lookup.has_tables = version > 0
        lookup.has_archive = version >= schema.WITH_ARCHIVE
        self._retention = Retention(self._own, lookup, mapping)

    def _check_where(self, session: Session) -> None:
        if self._orders.where is None:
            return
        why = ""
        if not sql.is_one_expression(self._orders.where):
            why = "it does not end where its parentheses do"
        else:
            try:
                session.fetch(Ask(self._looks().about(None).test_where))
            except self._database.errors as error:
                why = str(error).partition("\n")[0]
        if why:
            raise ConfigError(
                f"the condition is refused by the database: {why}.",
                where=f"{self._where}: orders.where",
                mend="Write one SQL condition over the table's columns.",
            )

    # --- what is there ---------------------------------------------------------------------

    async def revision(self) -> int | None:
        """A number that moves when another connection wrote; nearly free."""
        return await self._with(lambda session: session.revision())

    async def list_open(self, account: str) -> list[Claim]:
        """Rows whose word is open or unknown."""
        return await self._with(lambda session: self._looks().open_rows(session, account))

    async def scan_open(self, account: str, seen: Dict[int, str], most: int | None = None) -> Scan:
        """Rows whose word is open or unknown, by whether they are as they were."""
        lookup = self._looks()
        return await self._with(lambda session: lookup.scan_open(session, account, seen, most))

    async def list_finished(self, account: str, since: datetime) -> list[Claim]:
        """Rows whose word is final, with a time since then."""
        return await self._with(lambda session: self._looks().finished(session, account, since))

    async def list_unmapped(self, account: str, limit: int) -> list[Claim]:
        """The newest rows whose word is outside the mapping."""
        text = self._looks().about(account).outside_words(self._bound().words.all_words)
        return await self._with(
            lambda session: self._looks().claims(session, Ask(text, {"limit": limit}))
        )

    async def list_witnesses(self, account: str, limit: int) -> list[str]:
        """Venue ids of the newest rows."""
        ask = Ask(self._looks().about(account).newest_ids, {"limit": limit})
        return await self._with(lambda session: [str(v) for (v,) in session.fetch(ask) if v])

    async def list_due(
        self, account: str, now: datetime, *, open_truths: int | None = None, unread: Ids = None
    ) -> list[OrderName]:
        """Orders to ask about although no open row leads to them."""
        lookup = self._looks()
        if not lookup.has_tables:
            return []
        return await self._with(
            lambda session: lookup.due(session, account, spell(now), open_truths, unread)
        )

    async def read(self, account: str, names: Sequence[OrderName]) -> list[Known]:
        """What is stored about these orders, in their order."""
        return await self._with(lambda session: self._looks().read(session, account, names))

    async def read_claims(self, account: str, claims: Sequence[Claim]) -> list[Known]:
        """What is stored about the orders of these rows, without reading the rows again."""
        lookup = self._looks()
        return await self._with(lambda session: lookup.read_claims(session, account, claims))

    async def read_rows(self, account: str, row_ids: Sequence[RowId]) -> list[Known]:
        """What is stored about the orders of these rows, and the rows as they are now."""
        lookup = self._looks()
        return await self._with(lambda session: lookup.read_rows(session, account, row_ids))

    async def advance(
        self, account: str, steps: Sequence[Advance], receipts: Sequence[Receipt] = ()
    ) -> list[Outcome]:
        """Write row, truth and event of each step in one transaction, and the receipts."""
        return await self._with(lambda session: self._advance(session, account, steps, receipts))

    async def carry(
        self, account: str, names: Sequence[OrderName], decide: Decide
    ) -> list[Outcome]:
        """Read, decide and write in one hop to the store's thread: a hop each costs a commit."""
        read = self._looks().read
        return await self._with(
            lambda s: self._advance(s, account, decide(read(s, account, names)))
        )

    def _advance(
        self, session: Session, account: str, steps: Sequence[Advance], *more: Sequence[Receipt]
    ) -> list[Outcome]:
        transaction = Transaction(
            session,
            self._ours(),
            self._looks().about(account),
            account,
            writes_rows=self._writes_rows,
            contested_pause=self._contested_pause,
        )
        return transaction.run(steps, self._clock, *more)

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
        if not self._looks().has_tables:
            return AccountRecord(account=account)

        ask = Ask(self._ours().account_body, {"account": account})
        rows = await self._with(lambda session: session.fetch(ask))
        return _decode_account(rows[0][0]) if rows else AccountRecord(account=account)

    async def keep_account(self, record: AccountRecord) -> None:
        """Persist what is known about the account."""
        body = msgspec.json.encode(record).decode()

        def keep(session: Session) -> None:
            session.begin()
            try:
                session.upsert(self._ours().account, [(record.account, body)])
                session.commit()
            except BaseException:
                session.rollback()
                raise

        await self._with(keep)

    # --- webhooks that were taken ----------------------------------------------------------

    async def list_receipts(self, account: str, webhook_ids: Sequence[str]) -> set[str]:
        """Those of these webhooks that were taken."""
        keys = msgspec.json.encode(list(webhook_ids)).decode()
        ask = Ask(self._ours().receipts, {"account": account, "keys": keys})
        return {row[0] for row in await self._with(lambda session: session.fetch(ask))}

    async def drop_receipts(self, account: str, *, before: datetime, limit: int) -> int:
        """Forget the oldest of before then."""
        ours, about = self._ours(), {"account": account, "before": spell(before)}
        return await self._with(lambda session: drop_receipts(session, ours, about, limit))

    async def find_venue_ids(self, account: str, client_ids: Sequence[str]) -> Dict[str, str]:
        """By client id the venue's, where a row tells both."""
        find = self._looks().venue_ids
        return await self._with(lambda session: find(session, account, client_ids))

    # --- what moves out --------------------------------------------------------------------

    async def list_movable(
        self, account: str, *, before: datetime, after: Reach, limit: int
    ) -> Batch:
        """Of the next orders that ended before then, those that may move."""
        if not self._looks().has_tables:
            return Batch()
        ended = self._retains().ended
        return await self._with(lambda session: ended(session, account, before, after, limit))

    async def list_movable_events(
        self, account: str, *, before: datetime, after: Reach, limit: int
    ) -> Batch:
        """Of the next events from before then, those of orders without truth and case."""
        if not self._looks().has_tables:
            return Batch()
        old = self._retains().old_events
        return await self._with(lambda session: old(session, account, before, after, limit))

    async def move_out(self, account: str, batch: Batch) -> list[Movable]:
        """Delete what was archived and note where it is."""
        go, now = self._retains().move_out, self._clock.now()
        return await self._with(lambda session: go(session, account, batch, now))

    async def measure_log(self) -> LogSize:
        """How many events are stored."""
        if not self._looks().has_tables:
            return LogSize()
        return await self._with(self._retains().log_size)

    async def findings(self) -> list[Finding]:
        """Columns, rights, indexes and words, each with its mend."""
        return await self._with(
            lambda session: look_for_findings(
                session, self._database, self._bound(), self._looks().about(None)
            )
        )

    # --- on the store's thread -------------------------------------------------------------

    def _looks(self) -> Lookup:
        if self._lookup is None:
            raise RuntimeError("the store is not open")
        return self._lookup

    def _bound(self) -> Mapping:
        if self._mapping is None:
            raise RuntimeError("the store is not open")
        return self._mapping

    def _retains(self) -> Retention:
        if self._retention is None:
            raise RuntimeError("the store is not open")
        return self._retention

    def _ours(self) -> OwnStatements:
        if self._own is None:
            raise RuntimeError("the store is not open")
        return self._own

    async def _with(self, work: Callable[[Session], _T]) -> _T:
        if self._mapping is None:
            raise RuntimeError("the store is not open")

        def attempt() -> _T:
            if self._is_closing:
                raise StoreBusy("it is being closed.", where=self._database.where)
            if self._session is None:
                table = self._bound().shape
                self._session = self._database.connect(writes=self._writes, table=table)
            try:
                return work(self._session)
            except self._database.errors:
                if not self._session.is_alive:
                    self._session.close()
                    self._session = None
                raise

        return await self._run(attempt)

    async def _run(self, work: Callable[[], _T]) -> _T:
        """Run on the store's thread; a driver's error becomes StoreBusy or StoreRefused."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            if self._database.deadline is None:
                return await future
            async with asyncio.timeout(self._database.deadline) as limit:
                return await asyncio.shield(future)
        except TimeoutError:
            if not limit.expired():
                raise
            if self._session is not None:
                self._session.interrupt()
                with contextlib.suppress(*self._database.errors):
                    return await future  # it came to its end after all
            raise StoreBusy(
                f"no answer within {self._database.deadline:.0f} s.",
                where=self._database.where,
                mend="It is tried again; see whether the server behind the pooler runs.",
            ) from None
        except self._database.errors as error:
            raise self._database.explain(error) from error
