"""Who serves an account, and what those who stand by want of him: two tables of ours.

Every time in them is the database's own (SQLite's is on our machine, so there it is our clock's).
A renewal is one statement and no more: a process that is stopped between two would leave a row
locked that the next holder needs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.leased import DueRequest, Holder, Lease
from ordersync.store.plan import spell
from ordersync.store.schema import WITH_LEASES, version_of
from ordersync.store.statement import Ask, Upsert, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ordersync.ports import Clock
    from ordersync.store.database import Session
    from ordersync.store.line import Line
    from ordersync.store.own import OwnStatements

_NEVER = spell(datetime.min.replace(tzinfo=UTC))

# Whoever is first puts a lease that nobody holds; then all of them may try to take it.
_UNHELD = Upsert(
    table="leases",
    columns={
        "account": False,
        "holder": False,
        "process": False,
        "token": True,
        "until_at": False,
        "config": False,
    },
    key=("account",),
)
_MICROSECOND = timedelta(microseconds=1)

TERM = timedelta(seconds=4)
LOOK_EVERY = timedelta(milliseconds=250)

TERM_IN_A_FILE = timedelta(seconds=60)
LOOK_EVERY_IN_A_FILE = timedelta(seconds=1)
"""Where all are on one machine a dead holder is seen to be dead; and each renewal is a write that
the bot may have to wait for, and goes to the disk."""


TERMS_AT_MOST = 10
"""How many of our terms another's lease may last: older and newer programs may have others."""


class LeaseTexts:
    """The statements for one database."""

    def __init__(self, own: OwnStatements) -> None:
        at, now, later = own.spelling.param, own.spelling.moment(), own.spelling.moment("term")
        leases, requests = own.table("leases"), own.table("requests")
        self.now = f"SELECT {now}"
        self.unheld = msgspec.structs.replace(_UNHELD, table=leases)
        self.list = f"SELECT account, holder, process, token, until_at, config, {now} FROM {leases}"
        self.one = f"{self.list} WHERE account = {at('account')}"
        held = (
            f"account = {at('account')} AND token = {at('token')}"
            f" AND holder = {at('holder')} AND process = {at('process')}"
        )
        self.renew = f"UPDATE {leases} SET until_at = {later} WHERE {held}"
        self.give_back = f"UPDATE {leases} SET until_at = {now} WHERE {held}"
        # Of two who read the same one wins: the token it was read with is gone for the other.
        self.take = (
            f"UPDATE {leases} SET holder = {at('holder')}, process = {at('process')},"
            f" config = {at('config')}, token = token + 1, until_at = {later}"
            f" WHERE account = {at('account')} AND token = {at('token')}"
            f" AND (until_at <= {now} OR token = {at('over')})"
        )
        self.held = own.spelling.held(
            f"SELECT token FROM {leases} WHERE {held} AND until_at > {now}"
        )
        this = f"request_id = {at('request_id')}"
        self.put = (
            f"INSERT INTO {requests} (request_id, account, put_at, kind, body)"
            f" VALUES ({at('request_id')}, {at('account')}, {now}, {at('kind')}, {at('body')})"
        )
        self.due = (
            f"SELECT o.request_id, o.account, o.kind, o.body FROM {own.spelling.each_key('keys')}"
            f" {own.spelling.joined} {requests} AS o ON o.account = j.value"
            " WHERE o.answer IS NULL ORDER BY o.put_at, o.request_id"
        )
        self.answer = f"UPDATE {requests} SET answer = {at('answer')} WHERE {this}"
        self.answered = f"SELECT answer FROM {requests} WHERE {this} AND answer IS NOT NULL"
        self.drop = f"DELETE FROM {requests} WHERE {this}"
        self.drop_old = f"DELETE FROM {requests} WHERE put_at < {own.spelling.moment('term')}"


def arguments(clock: Clock, term: timedelta = timedelta(0)) -> dict[str, object]:
    """What a moment may be made of: a span in microseconds, or where we are the clock, itself."""
    now = clock.now()
    return {"now": spell(now), "later": spell(now + term), "term": term // _MICROSECOND}


def held_by(lease: Lease) -> dict[str, object]:
    """By what a lease is known to be still the same."""
    holder = lease.holder
    return {
        "account": lease.account,
        "token": lease.token,
        "holder": holder.name,
        "process": holder.process,
    }


class TableLeases:
    """Implements `leased.Leases` on a store's tables, once that is open.

    `is_shared` tells that the line is the store's own, and everybody is on this machine.
    """

    def __init__(
        self,
        line: Callable[[], Line],
        own: Callable[[], OwnStatements],
        clock: Clock,
        *,
        is_shared: bool,
    ) -> None:
        self._open_line = line
        self._own = own
        self._clock = clock
        self._is_shared = is_shared
        self._opened: tuple[Line, LeaseTexts] | None = None
        self.term = TERM_IN_A_FILE if is_shared else TERM
        self.look_every = LOOK_EVERY_IN_A_FILE if is_shared else LOOK_EVERY

    @property
    def _texts(self) -> LeaseTexts:
        return self._open()[1]

    @property
    def _line(self) -> Line:
        return self._open()[0]

    def _open(self) -> tuple[Line, LeaseTexts]:
        if self._opened is None:
            self._opened = self._open_line(), LeaseTexts(self._own())
        return self._opened

    async def close(self) -> None:
        """Give back the line, where it is not the store's."""
        if self._opened is not None and not self._is_shared:
            await self._line.close()

    # --- leases ------------------------------------------------------------------------------

    async def claim_lease(
        self, account: str, holder: Holder, term: timedelta, *, over: int | None = None
    ) -> Lease:
        """Take it where nobody has it; whose it is now."""
        texts, about = self._texts, {"account": account}

        def claim(session: Session) -> Lease:
            read = Ask(texts.one, {**arguments(self._clock), **about})
            rows = session.fetch(read)
            if not rows:
                session.upsert(texts.unheld, [(account, "", "", 0, _NEVER, "{}")])
                rows = session.fetch(read)
            lease = _lease(rows[0])
            # No holder's own renewal reaches so far: the clock was set back since.
            reaches_too_far = lease.left > TERMS_AT_MOST * term
            if lease.is_live and lease.token != over and not reaches_too_far:
                return lease
            beyond = lease.token if reaches_too_far else over
            wanted = {**about, "token": lease.token, "over": -1 if beyond is None else beyond}
            wanted |= {"holder": holder.name, "process": holder.process}
            wanted["config"] = msgspec.json.encode(holder.config).decode()
            session.run(Ask(texts.take, {**arguments(self._clock, term), **wanted}))
            return _lease(session.fetch(read)[0])

        return await self._line.with_session(claim)

    async def renew_lease(self, lease: Lease, term: timedelta) -> bool:
        """Let it last for `term` from now; whether it is still ours."""
        text = self._texts.renew

        def renew(session: Session) -> bool:
            return session.run(Ask(text, {**arguments(self._clock, term), **held_by(lease)})) == 1

        return await self._line.with_session(renew)

    async def give_back_lease(self, lease: Lease) -> None:
        """Let the next one have it at once."""
        text = self._texts.give_back

        def give_back(session: Session) -> None:
            session.run(Ask(text, {**arguments(self._clock), **held_by(lease)}))

        await self._line.with_session(give_back)

    async def list_leases(self) -> list[Lease]:
        """All there are, by account."""
        own = self._own()

        def fetch(session: Session) -> list[Lease]:
            if version_of(session, own) < WITH_LEASES:
                return []
            rows = session.fetch(Ask(self._texts.list, arguments(self._clock)))
            return sorted(map(_lease, rows), key=lambda lease: lease.account)

        return await self._line.with_session(fetch)

    async def read_clock(self) -> datetime:
        """The database's clock; where it has none, ours."""
        ask = Ask(self._texts.now, arguments(self._clock))
        ((now,),) = await self._line.with_session(lambda session: session.fetch(ask))
        return datetime.fromisoformat(now)

    # --- requests ----------------------------------------------------------------------------

    async def put_request(self, request: DueRequest) -> None:
        """Leave it for the owner."""
        about = {**arguments(self._clock), **msgspec.structs.asdict(request)}
        await self._run(self._texts.put, about)

    async def list_requests(self, accounts: Sequence[str]) -> list[DueRequest]:
        """Those not answered yet, the oldest first."""
        ask = Ask(self._texts.due, {"keys": keys_of(accounts)})
        rows = await self._line.with_session(lambda session: session.fetch(ask))
        return [
            DueRequest(request_id=request_id, account=account, kind=kind, body=body)
            for request_id, account, kind, body in rows
        ]

    async def answer_request(self, request_id: str, answer: str) -> None:
        """Leave the answer for who asked."""
        await self._run(self._texts.answer, {"request_id": request_id, "answer": answer})

    async def take_answer(self, request_id: str) -> str | None:
        """The answer, None where there is none yet."""
        texts, this = self._texts, {"request_id": request_id}

        def take(session: Session) -> str | None:
            rows = session.fetch(Ask(texts.answered, this))
            if not rows:
                return None
            session.run(Ask(texts.drop, this))
            return str(rows[0][0])

        return await self._line.with_session(take)

    async def drop_request(self, request_id: str) -> None:
        """Nobody waits for it any more."""
        await self._run(self._texts.drop, {"request_id": request_id})

    async def drop_old_requests(self, older_than: timedelta) -> int:
        """Forget those whose asker went without a word."""
        return await self._run(self._texts.drop_old, arguments(self._clock, -older_than))

    async def _run(self, text: str, about: Mapping[str, object]) -> int:
        return await self._line.with_session(lambda session: session.run(Ask(text, about)))


def _lease(row: Sequence[object]) -> Lease:
    account, name, process, token, until, config, now = row
    ends = datetime.fromisoformat(str(until))
    return Lease(
        account=str(account),
        holder=Holder(
            name=str(name),
            process=str(process),
            config=msgspec.json.decode(str(config), type=dict[str, str]),
        ),
        token=int(str(token)),
        until=ends,
        left=ends - datetime.fromisoformat(str(now)),
    )
