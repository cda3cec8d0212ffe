"""What must hold after every commit, told from what really happened at the exchange.

No state that the exchange never had; no fill lost, none invented, none counted twice; nothing
that was final is open again; nobody is called gone who is there; where nobody lies, nobody is
even suspected; what the bot wrote meanwhile stands. And how late a row was true.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from tests.system.house import OPEN, House, Placed, Premises, word_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.house import Truth


STATUSES = {
    "PENDING": {"pending_new"},
    "QUEUED": {"accepted"},
    "OPEN": {"new", "partially_filled", "pending_cancel"},
    "EDIT_QUEUED": {"pending_replace"},
    "CANCEL_QUEUED": {"pending_cancel"},
    "FILLED": {"filled"},
    "CANCELLED": {"canceled"},
    "EXPIRED": {"expired"},
    "FAILED": {"rejected"},
}
CLOCK_STEP = timedelta(milliseconds=2)
FINAL = {"filled", "canceled", "expired", "rejected"}


@dataclass
class Known:
    """An order that the bot placed, what its row was ever set to by it, and when it was there."""

    placed: Placed
    wrote: set[str]
    since: datetime
    is_meddled: bool = False


@dataclass
class Seen:
    """A row as it was from a commit on."""

    at: datetime
    word: str
    filled: float
    filled_at: str | None = None


@dataclass
class Witness:
    """Looks at the database whenever the service has committed, and remembers what it saw."""

    house: Premises
    known: dict[int, Known] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    may_suspect: bool = True
    looks: int = 0
    scribbled: dict[int, str] = field(default_factory=dict)
    rows: dict[int, list[Seen]] = field(default_factory=dict)
    _filled: dict[str, Decimal] = field(default_factory=dict)
    _ended: dict[str, str] = field(default_factory=dict)
    _states: dict[str, str] = field(default_factory=dict)
    _events: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, placed: Placed, word: str = OPEN) -> Known:
        """The bot has placed this order, and its row is there."""
        known = Known(placed, {word}, self.house.clock.now())
        self.known[placed.row_id] = known
        return known

    def look(self) -> None:
        """After a commit. What is found is kept: the store would take it for a driver's error."""
        self.looks += 1
        with contextlib.closing(sqlite3.connect(self.house.database)) as connection:
            try:
                self._look(connection)
            except AssertionError as error:
                self.failures.append(f"{self.house.clock.now():%H:%M:%S.%f}: {error}")

    def conclude(self) -> None:
        """Fail where anything was seen that must not be."""
        assert not self.failures, "\n".join(self.failures[:5])

    def _look(self, connection: sqlite3.Connection) -> None:
        now = self.house.clock.now()
        text = "SELECT id, status, filled_size, filled_at FROM trades"
        found = connection.execute(text).fetchall()
        scribbled, self.scribbled = self.scribbled, {}
        for row_id, word, filled, filled_at in found:
            if row_id in scribbled:
                written = scribbled[row_id]
                assert word == written, f"the bot wrote {written} into row {row_id}, it is {word}"
            seen = self.rows.setdefault(row_id, [])
            row = Seen(now, word, filled or 0.0, filled_at)
            if seen and replace(seen[-1], at=now) == row:
                continue
            seen.append(row)
            if row_id in self.known:
                self._check_row(self.known[row_id], word, filled or 0.0)
            elif row_id in self.gone.values():
                assert word in {OPEN, "unknown"}, f"row {row_id} is gone, it is {word}"
        has_tables = connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'ordersync_absences'"
        ).fetchone()
        if has_tables:
            self._check_ours(connection)

    def _check_row(self, known: Known, word: str, filled: float) -> None:
        """A row holds what the bot wrote, or what was the case at some moment."""
        truths = self.truths(known.placed.order_id)
        words = {word_of(truth) for truth in truths} | known.wrote
        assert word in words, f"row {known.placed.row_id} is {word}, was {words}"
        quantities = {float(truth.filled_qty) for truth in truths}
        assert filled in quantities | {0.0}, f"{filled} filled, was {quantities}: {known.placed}"
        before = self.rows[known.placed.row_id][:-1]
        assert not before or filled >= before[-1].filled, f"fills shrank: {known.placed}"

    def _check_ours(self, connection: sqlite3.Connection) -> None:
        found = connection.execute(
            "SELECT order_key, status, state, version FROM ordersync_orders"
        ).fetchall()
        for key, status, state, _ in found:
            if self._states.get(key) != state:
                self._states[key] = state
                self._check_truth(key[2:], status, msgspec.json.decode(state))
        overlays = connection.execute("SELECT order_key, overlay FROM ordersync_absences")
        for key, overlay in overlays.fetchall():
            if key[2:] in self.gone:
                continue
            assert overlay != "unknown", f"{key} lives"
            assert self.may_suspect, f"nobody said that {key} is not there"
        # One version of a truth, one change told, in the same transaction.
        versions = {key: version for key, _, _, version in found}
        told = dict(
            connection.execute(
                "SELECT order_key, count(DISTINCT log_id) FROM ordersync_events"
                " WHERE kind IN ('changed', 'confirmed', 'corrected') GROUP BY order_key"
            ).fetchall()
        )
        assert told == versions, f"told {told}, stored {versions}"

    def _check_truth(self, order_id: str, status: str, state: dict[str, Any]) -> None:
        """No state that never was, no fill that never was or was lost, no end that was undone."""
        truths = self.truths(order_id)
        possible = set().union(*(self.words_for(truth) for truth in truths))
        if any(truth.filled_qty for truth in truths):
            possible.add("partially_filled")
        assert status in possible, f"{order_id} is said to be {status}, was {possible}"
        filled = Decimal(state.get("filled_qty") or 0)
        quantities = {truth.filled_qty for truth in truths}
        assert filled in quantities | {Decimal(0)}, f"{order_id}: {filled} filled, {quantities}"
        assert self._filled.get(order_id, Decimal(0)) <= filled, f"{order_id}: fills were lost"
        self._filled[order_id] = filled
        before = self._ended.get(order_id, status)
        assert before == status, f"{order_id} was {before} and is {status}"
        if status in FINAL:
            self._ended[order_id] = status
        told_at = datetime.fromisoformat(state["as_of"]) - self.house.clock.now()
        assert told_at <= CLOCK_STEP, f"{order_id} is vouched for {told_at} from now"

    def words_for(self, truth: Truth) -> set[str]:
        """Our statuses for an order that is so at the exchange."""
        return STATUSES[truth.status]

    def moments(self, order_id: str) -> list[datetime]:
        """When something happened to it, so far."""
        assert isinstance(self.house, House)
        order, now = self.house.world.order(order_id), self.house.clock.now()
        assert order is not None, f"nobody placed {order_id}"
        moments: list[datetime] = [order.created_at, *(mark.at for mark in order.marks)]
        for asked in order.cancels:
            moments += [asked, asked + order.life.cancel_lag]
        return sorted(moment for moment in moments if moment <= now)

    def truths(self, order_id: str) -> list[Truth]:
        """How the order stood after each thing that happened to it so far."""
        now = self.house.clock.now()
        return [self.house.truth_of(order_id, at) for at in (*self.moments(order_id), now)]

    # --- how late ----------------------------------------------------------------------------

    def late(self, start: datetime, end: datetime, bound: timedelta) -> Iterator[str]:
        """Changes of orders within these times that were not in their row within the bound."""
        for known in self.known.values():
            if known.is_meddled:
                continue
            for at in self.moments(known.placed.order_id):
                due = max(at, known.since) + bound
                if not (start <= at and due <= end):
                    continue
                truth = self.house.truth_of(known.placed.order_id, at)
                row = self.row_at(known.placed.row_id, due)
                row = row or Seen(due, OPEN, 0.0)
                later = self.house.truth_of(known.placed.order_id, due)
                if _is_behind(row, truth, later):
                    yield f"at {due:%H:%M:%S.%f} {known.placed} is {row}: {truth}"

    def row_at(self, row_id: int, at: datetime) -> Seen | None:
        """The row as the last commit up to then left it."""
        return next((s for s in reversed(self.rows.get(row_id, [])) if s.at <= at), None)


def _is_behind(row: Seen, truth: Truth, later: Truth) -> bool:
    """Whether a row says less than what was the case; an end also by when it was filled."""
    if row.filled < float(truth.filled_qty):
        return True
    if not truth.final:
        return False
    return row.word != word_of(later) or (bool(truth.filled_qty) and row.filled_at is None)
