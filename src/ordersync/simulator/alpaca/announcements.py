"""What trade updates will announce and have announced, in one order for each account.

The list is written ahead, like the lives that it is made of, and rewritten with them. A mark that
is written later for the same moment is announced later.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from ordersync.simulator.alpaca.life import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordersync.simulator.alpaca.condition import PlacedOrder

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_EXECUTIONS = frozenset((Event.FILL, Event.PARTIAL_FILL, Event.TRADE_BUST, Event.TRADE_CORRECT))


@dataclass(frozen=True, slots=True, order=True)
class Announcement:
    """A mark of an order that a trade update announces."""

    at: datetime
    serial: int
    order_id: str
    number: int

    @property
    def event_id(self) -> str:
        """A ULID: its first ten letters are the time, the rest keeps the order of writing."""
        microseconds = round(self.at.timestamp() * 1_000_000)
        milliseconds, rest = divmod(microseconds, 1000)
        return _base32(milliseconds, 10) + _base32((rest << 70) | self.serial, 16)


class Announcements:
    """The announcements of every account."""

    def __init__(self, orders: Mapping[str, PlacedOrder]) -> None:
        self._orders = orders
        self.serial = 0  # of the last mark that was written down
        self._of: dict[str, list[Announcement]] = {}
        self._positions: dict[tuple[str, str], _Position] = {}

    def rewrite(self, before: PlacedOrder | None, order: PlacedOrder) -> None:
        """Take note of what is written down about an order now."""
        known = () if before is None else before.marks
        same = 0
        while same < min(len(known), len(order.marks)) and known[same] == order.marks[same]:
            same += 1
        listed = self._of.setdefault(order.account_id, [])
        if same < len(known):
            # Only the order's own future goes, and nothing of it lies before this moment.
            start = bisect_left(listed, known[same].at, key=lambda each: each.at)
            listed[start:] = [
                each
                for each in listed[start:]
                if each.order_id != order.order_id or each.number < same
            ]
        for number in range(same, len(order.marks)):
            if order.marks[number].event is not None:
                self.serial += 1
                at = order.marks[number].at
                self._forget_positions(order, at)
                insort(listed, Announcement(at, self.serial, order.order_id, number))

    def _forget_positions(self, order: PlacedOrder, at: datetime) -> None:
        """Count anew where an order was placed with a past."""
        asset = order.terms.asset
        key = (order.account_id, asset.symbol if asset else "")
        if key in self._positions and at < self._positions[key].upto.at:
            del self._positions[key]

    def of(self, account_id: str) -> Sequence[Announcement]:
        """List everything that is written down by now, the future as well."""
        return tuple(self._of.get(account_id, ()))

    def written_by(self, now: datetime) -> tuple[datetime, int]:
        """Say behind what the news begin: what was written down, and has happened, by now."""
        return now, self.serial

    def next_behind(self, account_id: str, last: tuple[datetime, int]) -> Announcement | None:
        """Give the next one behind (moment, serial)."""
        listed = self._of.get(account_id, [])
        index = bisect_right(listed, last, key=lambda each: (each.at, each.serial))
        return listed[index] if index < len(listed) else None

    def position(self, account_id: str, symbol: str, upto: Announcement) -> Decimal:
        """How much of an asset the account holds after an announcement."""
        known = self._positions.get((account_id, symbol))
        if known is None or known.upto > upto:
            known = _Position(upto=Announcement(_LONG_AGO, 0, "", 0))
            self._positions[account_id, symbol] = known
        listed = self._of.get(account_id, [])
        for each in listed[bisect_right(listed, known.upto) : bisect_right(listed, upto)]:
            order = self._orders[each.order_id]
            asset = order.terms.asset
            if asset is not None and asset.symbol == symbol:
                known.take(each, order)
        known.upto = upto
        return known.held


@dataclass(slots=True)
class _Position:
    """What is held after an announcement; the next question goes on from there."""

    upto: Announcement
    held: Decimal = Decimal(0)
    executed: dict[tuple[str, int], Decimal] = field(default_factory=dict)

    def take(self, announcement: Announcement, order: PlacedOrder) -> None:
        mark = order.marks[announcement.number]
        if mark.event not in _EXECUTIONS:
            return
        number = announcement.number if mark.execution is None else mark.execution
        key = (announcement.order_id, number)
        sign = 1 if order.terms.side == "buy" else -1
        qty = Decimal(0) if mark.event is Event.TRADE_BUST else sign * mark.qty
        self.held += qty - self.executed.get(key, Decimal(0))
        self.executed[key] = qty


def _base32(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        letters.append(_LETTERS[digit])
    return "".join(reversed(letters))
