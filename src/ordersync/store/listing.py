"""Lists of rows beside what the exchange says: `listed.OrderLists` over connections that only read.

Open rows are found as a pass finds them, by their words. Final orders are found in our own table
by when they ended: whatever the bot's history holds, a page costs a page.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from ordersync.listed import Page, State, Status, Totals
from ordersync.ports import AccountRecord, Known, Meaning, OrderName
from ordersync.store import schema
from ordersync.store.beside import Judge, Verified
from ordersync.store.ended import Ended, EndedStatements
from ordersync.store.lookup import Lookup
from ordersync.store.mapping import bind
from ordersync.store.own import OwnStatements
from ordersync.store.readers import Readers
from ordersync.store.statement import Ask, keys_of
from ordersync.truth.urgency import Urgency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime, timedelta

    from ordersync.listed import Listed, Place, Wanted
    from ordersync.ports import Claim, Clock
    from ordersync.settings import Orders
    from ordersync.store.database import Database, Session

LOOKED_THROUGH = 2_000
"""How many final orders are looked at for one page; where few of them fit, the page is short."""

AT_A_TIME = 500

_T = TypeVar("_T")

_decode_account = msgspec.json.Decoder(AccountRecord).decode

_OPEN = frozenset({None, State.OPEN})


class Row(NamedTuple):
    """An open row, and whose it is."""

    account: str
    claim: Claim


class TableLists:
    """Implements `listed.OrderLists`.

    `vouched` says of an account and a venue id since when it was surely said again, though nothing
    of that is stored.
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
        vouched: Callable[[str, str], datetime | None],
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
        self._sources_text = _sources_text(self.own)
        self._version = 0

    def close(self) -> None:
        """Give back the connections."""
        self.readers.close()

    async def list_orders(self, wanted: Wanted, *, after: Place | None, limit: int) -> Page:
        """Rows in the order of their keys; final ones by their end, the latest first."""
        if wanted.state is State.FINAL:
            return await self._ask(lambda s: self._final_page(s, wanted, after, limit))
        return await self._ask(lambda s: self._open_page(s, wanted, after, limit))

    async def count_open(self, wanted: Wanted, *, after: Place | None, limit: int) -> Status:
        """A page of open rows, with the totals of all that are wanted."""
        return await self._ask(lambda s: self._status(s, wanted, after, limit))

    async def verified_at(self) -> dict[str, datetime | None]:
        """By account when all of it was last verified."""

        def look(session: Session) -> dict[str, datetime | None]:
            return {name: self._record(session, name).verified_at for name in self._accounts}

        return await self._ask(look)

    async def _ask(self, look: Callable[[Session], _T]) -> _T:
        def prepared(session: Session) -> _T:
            self._look_for_tables(session)
            return look(session)

        return await self.readers.ask(prepared, at_one_moment=True)

    def _look_for_tables(self, session: Session) -> None:
        """What of our tables is there, until all of it is."""
        if self._version < schema.VERSION:
            self._version = schema.check_version(session, self.own, where=self._where)
            self.lookup.has_tables = self._version > 0
            self.lookup.has_archive = self._version >= schema.WITH_ARCHIVE

    # --- open rows -------------------------------------------------------------------------

    def _open_page(self, session: Session, wanted: Wanted, after: Place | None, limit: int) -> Page:
        rows = [row for row in self._open_rows(session, wanted) if _is_after(row, after)]
        judged = self._fitting(self._judged(session, rows), wanted)
        return _cut(judged, limit)

    def _status(self, session: Session, wanted: Wanted, after: Place | None, limit: int) -> Status:
        rows = self._open_rows(session, wanted)
        fitting = list(self._fitting(self._judged(session, rows), wanted))
        page = _cut((pair for pair in fitting if _is_after(pair[0], after)), limit)
        return Status(page=page, totals=totals_of([one for _, one in fitting]))

    def _open_rows(self, session: Session, wanted: Wanted) -> list[Row]:
        """The open rows that may be wanted, by their keys."""
        found = []
        for account in self._accounts:
            if wanted.account not in {None, account}:
                continue
            claims = self.lookup.open_rows(session, account)
            found += [Row(account, claim) for claim in claims if _may_fit(claim, wanted)]
        return sorted(found, key=_rank)

    def _judged(self, session: Session, rows: Sequence[Row]) -> Iterator[tuple[Row, Listed]]:
        """Each row as it is told; read in parts, as they are taken."""
        judge = self._judge(session)
        verified = {name: Verified.of(self._record(session, name)) for name in self._accounts}
        for n in range(0, len(rows), AT_A_TIME):
            part = rows[n : n + AT_A_TIME]
            known = self._known_of(session, part)
            sighted = ((account, k.key) for (account, _), k in known.items() if k.truth)
            sources = self._sources(session, sighted)
            for row in part:
                one = known[row.account, row.claim.row_id]
                at = verified[row.account].of_order(one, self._voucher(row.account))
                source = sources.get((row.account, one.key))
                yield row, judge.listed(row.account, one, row.claim, at, source)

    def _known_of(
        self, session: Session, rows: Sequence[Row]
    ) -> dict[tuple[str, int | str], Known]:
        """What is stored of each row's order; of a row that names none, nothing."""
        found: dict[tuple[str, int | str], Known] = {}
        for account in self._accounts:
            claims = [row.claim for row in rows if row.account == account]
            for known in self.lookup.read_claims(session, account, claims):
                found.update(((account, claim.row_id), known) for claim in known.claims)
            for claim in claims:
                if (account, claim.row_id) not in found:
                    found[account, claim.row_id] = _nameless(claim)
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
                ask = Ask(self._sources_text, {"account": account, "keys": keys_of(keys)})
                found.update(
                    ((account, key), source) for key, source in session.fetch(ask) if source
                )
        return found

    def _judge(self, session: Session) -> Judge:
        def read(account: str, name: OrderName) -> Known:
            (known,) = self.lookup.read(session, account, [name])
            return known

        return Judge(self.mapping, now=self._clock.now(), stale_after=self._stale_after, read=read)

    def _voucher(self, account: str) -> Callable[[str], datetime | None]:
        return lambda venue_order_id: self._vouched(account, venue_order_id)

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
            if wanted.state not in _OPEN and one.state is not wanted.state:
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
            for one, listed in self._as_final(session, ended[:limit], wanted):
                place = one.place
                looked += 1
                if listed is not None:
                    found.append(listed)
                if len(found) == limit:
                    return Page(orders=found, next=place if more or one != ended[-1] else None)
        return Page(orders=found, next=place if more else None)

    def _as_final(
        self, session: Session, ended: Sequence[Ended], wanted: Wanted
    ) -> Iterator[tuple[Ended, Listed | None]]:
        """Each of these as it is told; None where it is not wanted, or its row is still open."""
        rows: dict[Ended, tuple[Known, Claim | None]] = {}
        for account in self._accounts:
            names = {one.name: one for one in ended if one.account == account}
            for known in self.lookup.read(session, account, list(names)) if names else []:
                claim = known.claims[0] if known.claims else None
                rows.update((o, (known, claim)) for o in names.values() if o.key == known.key)
        judge = self._judge(session)
        verified = {name: Verified.of(self._record(session, name)) for name in self._accounts}
        sources = self._sources(session, ((o.account, o.key) for o in rows))
        for one in ended:
            if one not in rows:  # it moved out at this moment
                yield one, None
                continue
            known, claim = rows[one]
            if claim is not None and claim.meaning in {Meaning.OPEN, Meaning.UNKNOWN}:
                yield one, None
                continue
            at = verified[one.account].of_order(known, self._voucher(one.account))
            source = sources.get((one.account, one.key))
            listed = judge.listed(one.account, known, claim, at, source)
            fits = wanted.owner in {None, listed.owner} and wanted.symbol in {None, listed.symbol}
            yield one, listed if fits else None


def totals_of(listed: Sequence[Listed], orphans: int = 0) -> Totals:
    """These open rows, counted."""
    ages = [one.verified_age_seconds for one in listed if one.verified_age_seconds is not None]
    urgencies = Counter(one.urgency for one in listed)
    states = Counter(one.state for one in listed)
    return Totals(
        open=len(listed),
        stale=sum(one.stale for one in listed),
        suspect=states[State.SUSPECT],
        unknown=states[State.UNKNOWN],
        orphans=orphans,
        fresh=urgencies[Urgency.FRESH],
        normal=urgencies[Urgency.NORMAL],
        warning=urgencies[Urgency.WARNING],
        critical=urgencies[Urgency.CRITICAL],
        oldest_verified_age_seconds=max(ages, default=None),
    )


def _cut(judged: Iterable[tuple[Row, Listed]], limit: int) -> Page:
    """The first of these, and where the next ones begin."""
    found: list[tuple[Row, Listed]] = []
    for pair in judged:
        if len(found) == limit:
            last, _ = found[-1]
            return Page(orders=[one for _, one in found], next=_place(last))
        found.append(pair)
    return Page(orders=[one for _, one in found])


def _may_fit(claim: Claim, wanted: Wanted) -> bool:
    """Whether the row itself speaks against it: what only the truth knows is looked at later."""
    made = claim.created_at
    return (
        wanted.owner in {None, claim.owner}
        and (wanted.since is None or (made is not None and made >= wanted.since))
        and (wanted.until is None or (made is not None and made < wanted.until))
        and (wanted.symbol is None or claim.symbol in {None, wanted.symbol})
    )


def _rank(row: Row) -> tuple[bool, int, str]:
    """By what open rows are sorted: their keys; numbers before texts."""
    key = row.claim.row_id
    return (False, key, "") if isinstance(key, int) else (True, 0, key)


def _place(row: Row) -> Place:
    key = row.claim.row_id
    return ("number" if isinstance(key, int) else "text", str(key))


def _is_after(row: Row, after: Place | None) -> bool:
    if after is None:
        return True
    kind, key = after
    return _rank(row) > ((False, int(key), "") if kind == "number" else (True, 0, key))


def _nameless(claim: Claim) -> Known:
    return Known(key=f"r:{claim.row_id}", truth=None, version=0, claims=(claim,))


def _sources_text(own: OwnStatements) -> str:
    """Which way the last change of each of these orders came."""
    spelling, at = own.spelling, own.spelling.param
    last = (
        f"SELECT e.body FROM {own.table('events')} AS e WHERE e.account = {at('account')}"
        " AND e.order_key = j.value ORDER BY e.log_id DESC, e.n DESC LIMIT 1"
    )
    source = spelling.json_text("s.body", "source")
    return (
        f"SELECT s.value, {source} FROM"
        f" (SELECT j.value, ({last}) AS body FROM {spelling.each_key('keys')}) AS s"
        " WHERE s.body IS NOT NULL"
    )
