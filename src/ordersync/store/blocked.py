"""Which owners wait for orders, and for how long they waited untruly today.

Untruly: the row said open although the exchange had finished. How long that was, the log tells:
an event that ends a row has the time from the exchange's own change to our commit.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.listed import OwnerShown
from ordersync.ports import Meaning
from ordersync.store.statement import Ask
from ordersync.truth.model import FINAL_PRECEDENCE
from ordersync.truth.urgency import Discrepancy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ordersync.listed import Listed
    from ordersync.store.database import Session
    from ordersync.store.mapping import Mapping
    from ordersync.store.own import OwnStatements

ROWS_SHOWN = 20
READ_AT_A_TIME = 2_000

COMMITTED_LATE = 1_000
"""How many log ids back is looked again: of two commits the later number may be there first."""

Spell = tuple[datetime, datetime]


class _Order(msgspec.Struct, frozen=True, gc=False):
    owner: str | None = None


class _Side(msgspec.Struct, frozen=True, gc=False):
    word: str | None = None
    status: str | None = None


class _Event(msgspec.Struct, frozen=True, gc=False):
    """As much of an event as this needs."""

    at: datetime
    order: _Order
    before: _Side
    after: _Side
    latency_ms: int | None = None


_decode = msgspec.json.Decoder(_Event).decode


class Blocked:
    """Remembers what today's log said, so that each look reads only what came since."""

    def __init__(self, mapping: Mapping, own: OwnStatements) -> None:
        self._mapping = mapping
        at = own.spelling.param
        events = own.table("events")
        self._newest = f"SELECT coalesce(max(log_id), 0) FROM {events}"
        self._back = (
            f"SELECT log_id, n, at, account, body FROM {events} WHERE log_id <= {at('from')}"
            f" AND log_id > {at('mark')} AND (log_id < {at('from')} OR n < {at('n')})"
            f" ORDER BY log_id DESC, n DESC LIMIT {at('limit')}"
        )
        self._day: datetime | None = None
        self._mark = 0
        self._spells: dict[tuple[int, int], tuple[str, str | None, Spell]] = {}

    def look(self, session: Session, now: datetime, *, has_tables: bool) -> None:
        """Read what today's log says that was not read yet."""
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if day != self._day:
            self._day, self._mark, self._spells = day, 0, {}
        if not has_tables:
            return
        ((newest,),) = session.fetch(Ask(self._newest))
        mark, below, n = max(self._mark - COMMITTED_LATE, 0), int(newest), 2**31 - 1
        while True:
            about = {"from": below, "n": n, "mark": mark, "limit": READ_AT_A_TIME}
            rows = session.fetch(Ask(self._back, about))
            today = [row for row in rows if datetime.fromisoformat(row[2]) >= day]
            for log_id, place, _, account, body in today:
                self._take(int(log_id), int(place), account, body, day)
            if len(rows) < READ_AT_A_TIME or len(today) < len(rows):
                break
            below, n = int(rows[-1][0]), int(rows[-1][1])
        self._mark = int(newest)

    def _take(self, log_id: int, n: int, account: str, body: str, day: datetime) -> None:
        event = _decode(body)
        ended = (event.after.status or "").partition("+")[0] in FINAL_PRECEDENCE
        if event.latency_ms is None or not ended or event.before.word == event.after.word:
            return
        if self._mapping.words.meaning(event.before.word) is not Meaning.OPEN:
            return
        begun = event.at - timedelta(milliseconds=event.latency_ms)
        spell = (max(begun, day), event.at)
        self._spells[log_id, n] = (account, event.order.owner, spell)

    def owners(
        self,
        rows: Iterable[tuple[Listed, datetime | None]],
        accounts: Collection[str],
        now: datetime,
    ) -> list[OwnerShown]:
        """Every owner with open rows, or who waited untruly today.

        Each row with when its order was known to have ended, if it has.
        """
        waiting: dict[str | None, list[Listed]] = defaultdict(list)
        spells: dict[str | None, list[Spell]] = defaultdict(list)
        day = self._day or now
        for account, owner, spell in self._spells.values():
            if account in accounts:
                spells[owner].append(spell)
        for row, ended_at in rows:
            waiting[row.owner].append(row)
            if ended_at is not None and row.discrepancy is Discrepancy.STATUS:
                spells[row.owner].append((max(ended_at, day), now))
        names = sorted({*waiting, *spells}, key=lambda name: (name is None, name or ""))
        return [_shown(name, waiting[name], spells[name]) for name in names]


def _shown(owner: str | None, rows: Sequence[Listed], spells: Sequence[Spell]) -> OwnerShown:
    made = [row.created_at for row in rows if row.created_at is not None]
    return OwnerShown(
        owner=owner,
        blocked=bool(rows),
        open_orders=len(rows),
        blocked_since=min(made, default=None),
        untruly_blocked_seconds_today=round(_together(spells).total_seconds(), 3),
        orders=[row.row_id for row in rows[:ROWS_SHOWN] if row.row_id is not None],
    )


def _together(spells: Sequence[Spell]) -> timedelta:
    """How long at least one of them lasted: what overlaps counts once."""
    total = timedelta(0)
    until: datetime | None = None
    for begun, ended in sorted(spells):
        begun_anew = begun if until is None else max(begun, until)
        if ended > begun_anew:
            total += ended - begun_anew
        until = ended if until is None else max(until, ended)
    return total
