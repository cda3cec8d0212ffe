"""Lists of rows beside what the exchange says: `listed.OrderLists` over connections that only read.

Open rows are found as a pass finds them, by their words. Final orders are found in our own table
by when they ended: whatever the bot's history holds, a page costs a page.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ordersync.listed import Found, Page, Past, State, Status, Wanted
from ordersync.ports import AccountRecord, Known, Meaning, OrderName
from ordersync.store import schema
from ordersync.store.beside import Judge, Verified
from ordersync.store.blocked import Blocked
from ordersync.store.ended import EndedStatements
from ordersync.store.lookup import Lookup
from ordersync.store.mapping import bind
from ordersync.store.named import Named
from ordersync.store.open_rows import (
    OPEN,
    Row,
    cut,
    is_after,
    is_of_all,
    is_whole,
    may_fit,
    nameless,
    place_of,
    rank,
    totals_of,
)
from ordersync.store.own import OwnStatements
from ordersync.store.readers import Readers
from ordersync.store.remembered import Remembered
from ordersync.store.rowless import RowlessStatements
from ordersync.store.statement import Ask, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from ordersync.listed import Listed, OwnerShown, Place
    from ordersync.ports import Claim, Clock
    from ordersync.settings import Orders
    from ordersync.store.database import Database, Session
    from ordersync.store.kept import KeptOrder

LOOKED_THROUGH = 2_000
"""How many final orders are looked at for one page; where few of them fit, the page is short."""

AT_A_TIME = 500
ORPHANS_COUNT_FOR = timedelta(hours=24)
"""For how long an order without a row counts after it has ended."""

_T = TypeVar("_T")

_decode_account = msgspec.json.Decoder(AccountRecord).decode


class TableLists:
    """Implements `listed.OrderLists`.

    `vouched` says of an account and an order since when it is vouched for as far as this process
    knows, stored or not. It is asked on a reader's thread.
    """

    def __init__(
        self,
        database: Database,
        orders: Orders,
        clock: Clock,
        *,
        accounts: Sequence[str],
        where: str,
        stale_after: timedelta,
        vouched: Callable[[str, Known], datetime | None],
    ) -> None:
        self._clock = clock
        self._accounts = tuple(accounts)
        self._stale_after = stale_after
        self._vouched = vouched
        self._where = database.where
        self.readers = Readers(database)
        self.mapping = bind(database, orders, where=where)
        self.own = OwnStatements(database.spelling, self.mapping.shape.schema)
        self.lookup = Lookup(database.spelling, self.mapping, self.own, clock)
        self._ended = EndedStatements(self.own)
        self._rowless = RowlessStatements(self.own)
        self._named = Named(self.mapping, self.own, self.lookup)
        self._blocked = Blocked(self.mapping, self.own)
        self._turn = asyncio.Lock()
        self._remembered = Remembered(self.mapping, self.own, self.lookup, clock)
        self._version = 0

    def close(self) -> None:
        """Give back the connections."""
        self.readers.close()

    async def list_orders(self, wanted: Wanted, *, after: Place | None, limit: int) -> Page:
        """Rows in the order of their keys; final ones by their end, the latest first."""
        if wanted.state is State.FINAL:
            return await self._ask(lambda s: self._final_page(s, wanted, after, limit))
        return await self._ask(lambda s: self._open_page(s, wanted, after, limit))

    async def list_orphans(self, account: str | None, *, after: Place | None, limit: int) -> Page:
        """Orders at the exchange that have no row, as they are counted; the oldest first."""
        return await self._ask(lambda s: self._orphans_page(s, account, after, limit))

    async def count_open(self, wanted: Wanted, *, after: Place | None, limit: int) -> Status:
        """A page of open rows, with the totals of all that are wanted."""
        return await self._ask(lambda s: self._status(s, wanted, after, limit))

    async def match(self, text: str, account: str | None = None) -> list[Found]:
        """The orders that a text names: by row id, else by venue id, else by client id."""
        accounts = [name for name in self._accounts if account in {None, name}]

        def look(session: Session) -> list[Found]:
            with self.readers.one_moment(session):
                found = self._named.find(session, text, accounts)
                sources = self._sources(session, ((name, k.key) for name, k, _ in found))
            judge = self._judge(session)
            listed = []
            for name, known, claim in found:
                verified = Verified.of(self._record(session, name))
                at = verified.of_order(known, self._vouched(name, known))
                one = judge.listed(name, known, claim, at, sources.get((name, known.key)))
                listed.append(Found(order=one, key=known.key))
            return listed

        return await self._ask(look)

    async def past(self, account: str, key: str, *, after: Place | None, limit: int) -> Past:
        """The events of an order, oldest first, and where else something about it is."""

        def look(session: Session) -> Past:
            events, place = self._named.events(session, account, key, after, limit)
            archived = self._named.archived(session, account, key)
            return Past(events=events, archived=archived, next=place)

        return await self._ask(look)

    async def owners(self) -> list[OwnerShown]:
        """Every owner who waits, or waited untruly today."""

        def look(session: Session) -> list[OwnerShown]:
            now = self._clock.now()
            self._blocked.look(session, now, has_tables=self.lookup.has_tables)
            rows = self._beside(session, self._open_rows(session, Wanted()))
            waiting = ((listed, known.final_since) for _, known, listed in rows)
            return self._blocked.owners(waiting, self._accounts, now)

        async with self._turn:  # what is remembered of the log is for one at a time
            return await self._ask(look)

    async def each_open(self, account: str, take: Callable[[Listed], None]) -> None:
        """Give each open row of an account to `take`, on a reader's thread."""

        def look(session: Session) -> None:
            rows = self._open_rows(session, Wanted(account=account))
            for _, one in self._judged(session, rows):
                take(one)

        await self._ask(look)

    async def verified_at(self) -> dict[str, datetime | None]:
        """By account when all of it was last verified."""

        def look(session: Session) -> dict[str, datetime | None]:
            return {name: self._record(session, name).verified_at for name in self._accounts}

        return await self._ask(look)

    async def _ask(self, look: Callable[[Session], _T]) -> _T:
        def prepared(session: Session) -> _T:
            self._look_for_tables(session)
            return look(session)

        return await self.readers.ask(prepared)

    def _look_for_tables(self, session: Session) -> None:
        """What of our tables is there, until all of it is."""
        if self._version < schema.VERSION:
            self._version = schema.check_version(session, self.own, where=self._where)
            self.lookup.has_tables = self._version > 0
            self.lookup.has_archive = self._version >= schema.WITH_ARCHIVE

    # --- open rows -------------------------------------------------------------------------

    def _open_page(self, session: Session, wanted: Wanted, after: Place | None, limit: int) -> Page:
        if is_of_all(wanted) and self.lookup.about(None).has_whole_keys:
            return self._next_page(session, wanted, after, limit)
        rows = [row for row in self._open_rows(session, wanted) if is_after(row, after)]
        judged = self._fitting(self._judged(session, rows), wanted)
        return cut(judged, limit)

    def _next_page(self, session: Session, wanted: Wanted, after: Place | None, limit: int) -> Page:
        """The same where the database sorts and cuts: however many are open, it costs a page."""
        if after is not None and not is_whole(after):
            return Page(orders=[])
        behind = None if after is None else int(after[1])
        accounts = [name for name in self._accounts if wanted.account in {None, name}]
        found = (
            Row(account, claim)
            for account in accounts
            for claim in self._remembered.next_claims(session, account, behind, limit + 1)
        )
        rows = sorted(found, key=rank)[: limit + 1]
        page = cut(self._judged(session, rows), limit)
        if page.next is None and len(rows) > limit:
            # Some of them have ended since they were found: there are more behind.
            return Page(orders=page.orders, next=place_of(rows[-1]))
        return page

    def _status(self, session: Session, wanted: Wanted, after: Place | None, limit: int) -> Status:
        rows = self._open_rows(session, wanted)
        fitting = list(self._fitting(self._judged(session, rows), wanted))
        page = cut((pair for pair in fitting if is_after(pair[0], after)), limit)
        accounts = [name for name in self._accounts if wanted.account in {None, name}]
        # Nothing but its account tells whether an order without a row is wanted.
        orphans = (
            self._rowless.count(session, accounts, self._clock.now(), ORPHANS_COUNT_FOR)
            if self.lookup.has_tables
            else 0
        )
        return Status(page=page, totals=totals_of([one for _, one in fitting], orphans))

    def _orphans_page(
        self, session: Session, account: str | None, after: Place | None, limit: int
    ) -> Page:
        if not self.lookup.has_tables:
            return Page(orders=[])
        accounts = [name for name in self._accounts if account in {None, name}]
        since = self._clock.now() - ORPHANS_COUNT_FOR
        told = self._rowless.told_of(session, accounts, since, after, limit + 1)
        # A row that has appeared meanwhile shows it in its own list.
        judged = self._as_told(session, told[:limit], Wanted())
        orders = [one for _, one in judged if one is not None and one.row_id is None]
        place = self._rowless.place_of(told[limit - 1]) if len(told) > limit else None
        return Page(orders=orders, next=place)

    def _open_rows(self, session: Session, wanted: Wanted) -> list[Row]:
        """The open rows that may be wanted, by their keys."""
        found = []
        for account in self._accounts:
            if wanted.account not in {None, account}:
                continue
            claims = self._remembered.open_claims(session, account)
            found += [Row(account, claim) for claim in claims if may_fit(claim, wanted)]
        return sorted(found, key=rank)

    def _judged(self, session: Session, rows: Sequence[Row]) -> Iterator[tuple[Row, Listed]]:
        """Each row that is still open, as it is told; read in parts, as they are taken."""
        return ((row, listed) for row, _, listed in self._beside(session, rows))

    def _beside(self, session: Session, rows: Sequence[Row]) -> Iterator[tuple[Row, Known, Listed]]:
        """The same, with what is stored of its order."""
        judge = self._judge(session)
        verified = {name: Verified.of(self._record(session, name)) for name in self._accounts}
        for n in range(0, len(rows), AT_A_TIME):
            part = rows[n : n + AT_A_TIME]
            with self.readers.one_moment(session):
                # The rows once more: what was written since they were found is in the truths.
                told = self._remembered.find(session, part)
                others = [row for row in part if (row.account, row.claim.row_id) not in told]
                known = self._known_of(session, others)
                sighted = ((account, k.key) for (account, _), (k, _) in known.items() if k.truth)
                sources = self._sources(session, sighted)
            for row in part:
                key = (row.account, row.claim.row_id)
                if key in told:
                    one, stood = told[key].known, told[key].stood
                else:
                    one, claim = known[key]
                    if claim.meaning is Meaning.FINAL:
                        continue
                    source = sources.get((row.account, one.key))
                    stood = judge.stand(row.account, one, claim, source)
                    self._remembered.keep(row.account, one, claim, stood)
                at = verified[row.account].of_order(one, self._vouched(row.account, one))
                yield row, one, judge.tell(stood, at)

    def _known_of(
        self, session: Session, rows: Sequence[Row]
    ) -> dict[tuple[str, int | str], tuple[Known, Claim]]:
        """What is stored of each row's order, and the row now; of one that names none, nothing."""
        found: dict[tuple[str, int | str], tuple[Known, Claim]] = {}
        for account in self._accounts:
            keys = [row.claim.row_id for row in rows if row.account == account]
            for known in self.lookup.read_rows(session, account, keys) if keys else []:
                found.update(((account, c.row_id), (known, c)) for c in known.claims)
        for account, claim in rows:
            if (account, claim.row_id) not in found:
                found[account, claim.row_id] = nameless(claim), claim
        return found

    def _sources(
        self, session: Session, orders: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], str]:
        """By account and key which way the last change of each came."""
        found: dict[tuple[str, str], str] = {}
        wanted = list(orders) if self.lookup.has_tables else []
        for account in self._accounts:
            keys = [key for name, key in wanted if name == account]
            if keys:
                ask = Ask(self.own.sources, {"account": account, "keys": keys_of(keys)})
                found.update(
                    ((account, key), source) for key, source in session.fetch(ask) if source
                )
        return found

    def _judge(self, session: Session) -> Judge:
        def read(account: str, name: OrderName) -> Known:
            (known,) = self.lookup.read(session, account, [name])
            return known

        return Judge(self.mapping, now=self._clock.now(), stale_after=self._stale_after, read=read)

    def _record(self, session: Session, account: str) -> AccountRecord:
        if not self.lookup.has_tables:
            return AccountRecord(account=account)
        rows = session.fetch(Ask(self.own.account_body, {"account": account}))
        return _decode_account(rows[0][0]) if rows else AccountRecord(account=account)

    @staticmethod
    def _fitting(
        judged: Iterable[tuple[Row, Listed]], wanted: Wanted
    ) -> Iterator[tuple[Row, Listed]]:
        for row, one in judged:
            if wanted.state not in OPEN and one.state is not wanted.state:
                continue
            if wanted.symbol in {None, one.symbol}:
                yield row, one

    # --- final orders ----------------------------------------------------------------------

    def _final_page(
        self, session: Session, wanted: Wanted, after: Place | None, limit: int
    ) -> Page:
        accounts = [n for n in self._accounts if wanted.account in {None, n}]
        found: list[Listed] = []
        place, looked, more = after, 0, self.lookup.has_tables
        while more and looked < LOOKED_THROUGH:
            ended = self._ended.next_ones(session, accounts, wanted, place, limit + 1)
            more = len(ended) > limit
            for one, listed in self._as_told(session, ended[:limit], wanted):
                place = self._ended.place_of(one)
                looked += 1
                if listed is not None:
                    found.append(listed)
                if len(found) == limit:
                    return Page(orders=found, next=place if more or one != ended[-1] else None)
        return Page(orders=found, next=place if more else None)

    def _as_told(
        self, session: Session, kept: Sequence[KeptOrder], wanted: Wanted
    ) -> Iterator[tuple[KeptOrder, Listed | None]]:
        """Each of these as it is told; None where it is not wanted, or its row is still open."""
        rows: dict[KeptOrder, tuple[Known, Claim | None]] = {}
        for account in self._accounts:
            names = {one.name: one for one in kept if one.account == account}
            if not names:
                continue
            with self.readers.one_moment(session):
                read = self.lookup.read(session, account, list(names))
            for known in read:
                claim = known.claims[0] if known.claims else None
                rows.update((o, (known, claim)) for o in names.values() if o.key == known.key)
        judge = self._judge(session)
        verified = {name: Verified.of(self._record(session, name)) for name in self._accounts}
        sources = self._sources(session, ((o.account, o.key) for o in rows))
        for one in kept:
            if one not in rows:  # it moved out at this moment
                yield one, None
                continue
            known, claim = rows[one]
            if claim is not None and claim.meaning in {Meaning.OPEN, Meaning.UNKNOWN}:
                yield one, None
                continue
            at = verified[one.account].of_order(known, self._vouched(one.account, known))
            source = sources.get((one.account, one.key))
            listed = judge.listed(one.account, known, claim, at, source)
            fits = wanted.owner in {None, listed.owner} and wanted.symbol in {None, listed.symbol}
            yield one, listed if fits else None
