"""The order store: the user's table and ours beside it, on any make of database.

Everything runs on the store's own line, one function a request, over one connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from ordersync.archived import Batch, LogSize
from ordersync.errors import ConfigError
from ordersync.ports import AccountRecord, OrderName
from ordersync.store import schema, sql
from ordersync.store.advance import Transaction
from ordersync.store.database import all_or_nothing
from ordersync.store.findings import look_for_findings
from ordersync.store.leases import LeaseTexts, TableLeases, arguments, held_by
from ordersync.store.line import Line
from ordersync.store.lookup import Lookup
from ordersync.store.mapping import Mapping, bind
from ordersync.store.own import OwnStatements
from ordersync.store.plan import draft, spell
from ordersync.store.projection import changes
from ordersync.store.receipts import drop_receipts
from ordersync.store.retention import Retention
from ordersync.store.rowless import RowlessStatements
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Mapping as Dict
    from datetime import datetime, timedelta

    from ordersync.archived import Movable, Reach
    from ordersync.hinted import Receipt
    from ordersync.leased import Lease
    from ordersync.orphaned import Rowless
    from ordersync.ports import (
        Advance,
        Change,
        Claim,
        Clock,
        Decide,
        Finding,
        Hinted,
        Ids,
        Known,
        Outcome,
        RowId,
        Scan,
    )
    from ordersync.settings import Orders
    from ordersync.store.database import Database, Session

_T = TypeVar("_T")

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
        self.line = Line(database, "ordersync-store")
        self._mapping: Mapping | None = None
        self._own: OwnStatements | None = None
        self._lookup: Lookup | None = None
        self._retention: Retention | None = None
        self._leases: dict[str, Lease] = {}
        self._lease_texts: LeaseTexts | None = None

    # --- opening and closing ---------------------------------------------------------------

    async def open(self, *, create: bool) -> None:
        """Connect, check the mapping against the table, make our tables if `create`."""
        await self.line.run(lambda: self._open(create=create))

    async def close(self) -> None:
        """Give back the connection and the thread."""
        await self.line.close()

    def _open(self, *, create: bool) -> None:
        self._mapping = mapping = bind(self._database, self._orders, where=self._where)
        session = self.line.connect(writes=create, table=mapping.shape)
        spelling = self._database.spelling
        self._own = own = OwnStatements(spelling, mapping.shape.schema)
        self._lease_texts = LeaseTexts(own)
        self._lookup = lookup = Lookup(spelling, mapping, own, self._clock)
        self._check_where(session)
        lookup.learn_times(session)
        where = self._database.where
        schema.check_version(session, own, where=where)
        if create:
            schema.migrate(session, own, where=where, at=spell(self._clock.now()))
        version = schema.version_of(session, own)
        lookup.has_tables = version > 0
        lookup.has_archive = version >= schema.WITH_ARCHIVE
        self._retention = Retention(own, lookup, mapping)

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

    def fence(self, account: str, lease: Lease | None) -> None:
        """From now on write for this account only while this lease is held."""
        if lease is None:
            self._leases.pop(account, None)
        else:
            self._leases[account] = lease

    def leases(self) -> TableLeases:
        """Who serves an account, to be asked once this is open. On a line of their own.

        A renewal must not wait until the store has read a hundred thousand orders. In a file with
        one writer a second line would only wait for the first.
        """
        is_shared = self._database.has_one_writer

        def line() -> Line:
            if is_shared:
                return self.line
            return Line(self._database, "ordersync-leases", writes=self.line.writes)

        return TableLeases(line, lambda: self.own, self._clock, is_shared=is_shared)

    @property
    def own(self) -> OwnStatements:
        """The statements about our own tables. RuntimeError before it was opened."""
        if self._own is None:
            raise RuntimeError("the store is not open")
        return self._own

    # --- what is there ---------------------------------------------------------------------

    async def revision(self) -> int | None:
        """A number that moves when another connection wrote; nearly free."""
        return await self._with(lambda session: session.revision())

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
        write = self._advance
        return await self._with(lambda s: write(s, account, steps, receipts), of=account)

    async def carry(
        self, account: str, names: Sequence[OrderName], decide: Decide
    ) -> list[Outcome]:
        """Read, decide and write in one hop to the store's thread: a hop each costs a commit."""
        read, write = self._looks().read, self._advance
        return await self._with(
            lambda s: write(s, account, decide(read(s, account, names))), of=account
        )

    def _advance(
        self, session: Session, account: str, steps: Sequence[Advance], *more: Sequence[Receipt]
    ) -> list[Outcome]:
        transaction = Transaction(
            session,
            self.own,
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

        ask = Ask(self.own.account_body, {"account": account})
        rows = await self._with(lambda session: session.fetch(ask))
        return _decode_account(rows[0][0]) if rows else AccountRecord(account=account)

    async def keep_account(self, record: AccountRecord) -> None:
        """Persist what is known about the account."""
        body = msgspec.json.encode(record).decode()

        def keep(session: Session) -> None:
            with all_or_nothing(session):
                session.upsert(self.own.account, [(record.account, body)])

        await self._with(keep, of=record.account)

    # --- orders without a row --------------------------------------------------------------

    async def list_rowless(
        self, account: str, *, before: datetime, after: Rowless | None, limit: int
    ) -> list[Rowless]:
        """Those that nobody was told of, first seen before then."""
        if not self._looks().has_tables:
            return []
        untold = RowlessStatements(self.own).untold
        return await self._with(lambda session: untold(session, account, before, after, limit))

    async def list_open_orphans(self, account: str, limit: int) -> list[str]:
        """The open ones that were told of."""
        if not self._looks().has_tables:
            return []
        open_told = RowlessStatements(self.own).open_told
        return await self._with(lambda session: open_told(session, account, limit))

    # --- webhooks that were taken ----------------------------------------------------------

    async def read_hinted(
        self, account: str, webhook_ids: Sequence[str], names: Sequence[OrderName]
    ) -> Hinted:
        """Of these webhooks those taken, and what is stored of each name."""
        hinted = self._looks().hinted
        return await self._with(lambda session: hinted(session, account, webhook_ids, names))

    async def drop_receipts(self, account: str, *, before: datetime, limit: int) -> int:
        """Forget the oldest of before then."""
        ours, about = self.own, {"account": account, "before": spell(before)}
        return await self._with(lambda s: drop_receipts(s, ours, about, limit), of=account)

    async def find_venue_ids(self, account: str, client_ids: Sequence[str]) -> Dict[str, str]:
        """By client id the venue's, where a row tells both or the venue did without one."""
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
        return await self._with(lambda session: go(session, account, batch, now), of=account)

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

    async def _with(self, work: Callable[[Session], _T], *, of: str | None = None) -> _T:
        """Run it on the line; what writes for the account `of` holds the account's lease."""
        self._bound()
        lease = self._leases.get(of) if of is not None else None

        def hold(session: Session) -> _T:
            session.held = self._held(lease) if lease is not None else None
            try:
                return work(session)
            finally:
                session.held = None  # others may share the line

        return await self.line.with_session(hold)

    def _held(self, lease: Lease) -> Ask:
        if self._lease_texts is None:
            raise RuntimeError("the store is not open")
        return Ask(self._lease_texts.held, {**arguments(self._clock), **held_by(lease)})
