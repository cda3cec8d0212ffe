"""How orders that ended long ago leave our tables: what may go, its lines, the deletion.

Reading and deleting are two requests to the store; in between the lines are made safe in files.
So nothing is deleted that was not archived as it stands: the truths are locked in the order of
their keys, as every writer does, and their versions and numbers of events compared.
"""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import msgspec

from ordersync.archived import Batch, LogSize, Movable, Reach, place_of
from ordersync.ports import Meaning, OrderName
from ordersync.store.database import all_or_nothing
from ordersync.store.plan import side_of, spell
from ordersync.store.statement import Ask, Upsert, keys_of
from ordersync.truth.model import Side

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ordersync.ports import Known
    from ordersync.store.database import Session
    from ordersync.store.lookup import Lookup
    from ordersync.store.mapping import Mapping
    from ordersync.store.own import OwnStatements

COUNTED = 50_000
"""Up to how many events are counted; how many more there are is not worth the reading."""

_AT_REST = frozenset({Meaning.FINAL, Meaning.UNMAPPED})
_NOTES = ("kind", "digest", "times", "first_at", "last_at")
_FACTS = ("venue_order_id", "client_order_id", "row_id", "version", "status", "first_seen_at")

_ARCHIVED = Upsert(
    table="archived",
    columns={
        "account": False,
        "order_key": False,
        "place": False,
        "venue_order_id": False,
        "client_order_id": False,
        "moved_at": False,
        "side": False,
    },
    key=("account", "order_key", "place"),
    updates=("moved_at", "side"),
)

_encode = msgspec.json.Encoder().encode


class Retention:
    """The statements, and what is done with them; all of it on the store's own thread."""

    def __init__(self, own: OwnStatements, lookup: Lookup, mapping: Mapping) -> None:
        self._own = own
        self._lookup = lookup
        self._mapping = mapping
        self._archived = msgspec.structs.replace(_ARCHIVED, table=own.table("archived"))
        spelling, at = own.spelling, own.spelling.param
        orders, events, notes = own.table("orders"), own.table("events"), own.table("notes")
        keys, joined = spelling.each_key("keys"), spelling.joined
        of_account = f"o.account = {at('account')}"
        held = spelling.by_index("ordersync_orders_final") if lookup.has_archive else ""
        self._ended = (
            f"SELECT order_key, {', '.join(_FACTS)}, final_since, state FROM {orders} AS o{held}"
            f" WHERE {of_account} AND final_since >= {at('since')} AND final_since < {at('before')}"
            f" AND (final_since > {at('since')} OR order_key > {at('after')})"
            f" ORDER BY final_since, order_key LIMIT {at('limit')}"
        )
        here = f"FROM {keys} {joined} {events} AS o ON {of_account} AND o.order_key = j.value"
        told = "SELECT o.order_key, o.at, o.log_id, o.n, o.body"
        self._events = f"{told} {here} ORDER BY o.log_id, o.n"
        until = f"WHERE o.log_id <= {at('last')}"
        self._events_until = f"{told} {here} {until} ORDER BY o.log_id, o.n"
        counted = "SELECT o.order_key, count(*), max(o.log_id)"
        self._count = f"{counted} {here} GROUP BY o.order_key"
        self._count_until = f"{counted} {here} {until} GROUP BY o.order_key"
        self._newest = f"SELECT max(log_id) FROM {events}"
        # The newest commit stays: SQLite numbers the next one by it.
        self._old_events = (
            f"SELECT log_id, n, at, account, order_key FROM {events}"
            f" WHERE log_id >= {at('log_id')} AND (log_id > {at('log_id')} OR n > {at('n')})"
            f" AND log_id < {at('newest')} ORDER BY log_id, n LIMIT {at('limit')}"
        )
        self._present = (
            f"SELECT o.order_key FROM {keys} {joined} {orders} AS o"
            f" ON {of_account} AND o.order_key = j.value"
        )
        self._notes = (
            f"SELECT o.order_key, {', '.join(f'o.{name}' for name in _NOTES)}"
            f" FROM {keys} {joined} {notes} AS o ON {of_account} AND o.order_key = j.value"
        )
        these = f"account = {at('account')} AND order_key IN (SELECT j.value FROM {keys})"
        self._drop_orders = f"DELETE FROM {orders} WHERE {these}"
        self._drop_notes = f"DELETE FROM {notes} WHERE {these}"
        self._drop_events = f"DELETE FROM {events} WHERE {these}"
        self._drop_events_until = f"{self._drop_events} AND log_id <= {at('last')}"
        self._oldest = f"SELECT at FROM {events} ORDER BY log_id, n LIMIT 1"
        self._is_large = f"SELECT n FROM {events} ORDER BY log_id, n LIMIT 1 OFFSET {COUNTED}"
        self._how_many = f"SELECT count(*) FROM {events}"

    # --- what may go -----------------------------------------------------------------------

    def ended(
        self, session: Session, account: str, before: datetime, after: Reach, limit: int
    ) -> Batch:
        """Of the next orders that ended before then, those that may move."""
        about = {"since": after[0], "after": after[1], "before": spell(before), "limit": limit}
        rows = session.fetch(Ask(self._ended, {"account": account, **about}))
        if not rows:
            return Batch()
        names = [OrderName(_venue_id(row[0]), row[2] or _client_id(row[0])) for row in rows]
        known = {k.key: k for k in self._lookup.read(session, account, names)}
        fit = [row for row in rows if self._may_move(known.get(row[0]), row, before)]
        keys = {"account": account, "keys": keys_of(row[0] for row in fit)}
        told, noted = session.fetch_each([Ask(self._events, keys), Ask(self._notes, keys)])
        events, notes = _by_key(told), _by_key(noted)
        movable = tuple(
            self._movable(
                account, row, known[row[0]], events.get(row[0], ()), notes.get(row[0], ())
            )
            for row in fit
        )
        last = rows[-1]
        return Batch(movable=movable, reach=(last[-2], last[0]) if len(rows) == limit else None)

    def _may_move(self, known: Known | None, row: Sequence[Any], before: datetime) -> bool:
        """Whether nothing can lead back to this order: no time, no case, no row that is open."""
        if known is None or known.truth is None or known.version != row[4]:
            return False
        if known.due_at is not None or known.absent is not None or known.truth.epoch:
            return False
        return known.truth.is_final and all(
            claim.meaning in _AT_REST and self._mapping.newest_time(claim) < before
            for claim in known.claims
        )

    def _movable(
        self,
        account: str,
        row: Sequence[Any],
        known: Known,
        events: Sequence[Sequence[Any]],
        notes: Sequence[Sequence[Any]],
    ) -> Movable:
        key, *facts, final_since, state = row
        place = place_of(final_since)
        order = {
            "account": account,
            "order_key": key,
            **dict(zip(_FACTS, facts, strict=True)),
            "final_since": final_since,
            "state": msgspec.Raw(state.encode()),
            "notes": [dict(zip(_NOTES, note[1:], strict=True)) for note in notes],
        }
        return Movable(
            key=key,
            place=place,
            version=known.version,
            order=_encode(order),
            side=side_of(known.truth, None, None),
            events=tuple((place, _line(key, event[-1])) for event in events),
            venue_order_id=row[1],
            client_order_id=row[2],
        )

    def old_events(
        self, session: Session, account: str, before: datetime, after: Reach, limit: int
    ) -> Batch:
        """Of the next events from before then, those of orders without truth and case."""
        ((newest,),) = session.fetch(Ask(self._newest))
        about = {"log_id": after[0], "n": after[1], "newest": newest or 0, "limit": limit}
        seen = session.fetch(Ask(self._old_events, about))
        until = spell(before)
        rows = list(takewhile(lambda row: row[2] < until, seen))
        if not rows:
            return Batch()
        last = rows[-1][0]
        keys = {row[4] for row in rows if row[3] == account}
        movable = self._without_truth(session, account, keys, last)
        reach = (last, rows[-1][1]) if len(rows) == limit else None
        return Batch(movable=movable, reach=reach, last_log_id=last)

    def _without_truth(
        self, session: Session, account: str, keys: Collection[str], last: int
    ) -> tuple[Movable, ...]:
        kept = self._kept(session, account, keys)
        loose = {"account": account, "keys": keys_of(key for key in keys if key not in kept)}
        rows = session.fetch(Ask(self._events_until, {**loose, "last": last}))
        return tuple(
            Movable(
                key=key,
                place=place_of(events[0][1]),
                events=tuple((place_of(row[1]), _line(key, row[-1])) for row in events),
                venue_order_id=_venue_id(key),
                client_order_id=_client_id(key),
            )
            for key, events in _by_key(rows).items()
        )

    def _kept(self, session: Session, account: str, keys: Iterable[str]) -> set[str]:
        """The keys that have a truth or a case of absence."""
        about = {"account": account, "keys": keys_of(keys)}
        asks = [Ask(self._present, about), Ask(self._own.absences, about)]
        return {row[0] for rows in session.fetch_each(asks) for row in rows}

    # --- going -----------------------------------------------------------------------------

    def move_out(
        self, session: Session, account: str, batch: Batch, now: datetime
    ) -> list[Movable]:
        """One short transaction: compare, delete, note where it is; what moved comes back."""
        # What is written to the file and still here moves out once more; half gone is never.
        with all_or_nothing(session):
            moved = self._unchanged(session, account, batch)
            if moved:
                self._delete(session, account, [one.key for one in moved], batch.last_log_id)
                session.upsert(self._archived, _notes_of(account, moved, spell(now)))
        return moved

    def _unchanged(self, session: Session, account: str, batch: Batch) -> list[Movable]:
        """What still stands as it was archived. The truths are locked from here on."""
        keys = {"account": account, "keys": keys_of(one.key for one in batch.movable)}
        versions = dict(session.fetch(Ask(self._own.versions, keys)))
        last = batch.last_log_id
        count = (
            Ask(self._count, keys)
            if last is None
            else Ask(self._count_until, {**keys, "last": last})
        )
        due, absent, counted, newest = session.fetch_each(
            [
                Ask(self._own.due_times, keys),
                Ask(self._own.absences, keys),
                count,
                Ask(self._newest),
            ]
        )
        awaited = {row[0] for row in (*due, *absent)}
        told = {key: (number, log_id) for key, number, log_id in counted}
        return [
            one
            for one in batch.movable
            if versions.get(one.key, 0) == one.version
            and one.key not in awaited
            and told.get(one.key, (0, 0))[0] == len(one.events)
            and (one.key not in told or told[one.key][1] < newest[0][0])
        ]

    def _delete(
        self, session: Session, account: str, keys: Sequence[str], last: int | None
    ) -> None:
        these = {"account": account, "keys": keys_of(keys)}
        if last is not None:
            session.run(Ask(self._drop_events_until, {**these, "last": last}))
            return
        for text in (self._drop_events, self._drop_notes, self._drop_orders):
            session.run(Ask(text, these))

    # --- how much there is -----------------------------------------------------------------

    def log_size(self, session: Session) -> LogSize:
        """How many events there are; counted only while that is cheap."""
        oldest = session.fetch(Ask(self._oldest))
        if not oldest:
            return LogSize()
        oldest_at = datetime.fromisoformat(oldest[0][0])
        if session.fetch(Ask(self._is_large)):
            return LogSize(events=COUNTED, or_more=True, oldest_at=oldest_at)
        ((events,),) = session.fetch(Ask(self._how_many))
        return LogSize(events=events, oldest_at=oldest_at)


def _notes_of(account: str, moved: Sequence[Movable], at: str) -> list[tuple[object, ...]]:
    """One row for each file that holds something of an order."""
    rows: list[tuple[object, ...]] = []
    for one in sorted(moved, key=lambda one: one.key):
        for place in sorted({one.place, *(place for place, _ in one.events)}):
            side = _encode(one.side).decode() if isinstance(one.side, Side) else None
            names = (one.venue_order_id, one.client_order_id)
            rows.append((account, one.key, place, *names, at, side))
    return rows


def _line(key: str, body: str) -> bytes:
    """An event as it is everywhere, with the key of its order before it."""
    return b'{"order_key":' + _encode(key) + b"," + body.encode()[1:]


def _venue_id(key: str) -> str | None:
    return key[2:] if key.startswith("v:") else None


def _client_id(key: str) -> str | None:
    return key[2:] if key.startswith("c:") else None


def _by_key(rows: Iterable[Sequence[Any]]) -> dict[str, list[Sequence[Any]]]:
    found: dict[str, list[Sequence[Any]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return found
