"""The vocabulary: Status, Report, Order, Event.

Statuses are FIX OrdStatus (tag 39) words as Alpaca spells them. Quantities follow FIX:
`filled_qty` is CumQty, `avg_price` AvgPx, `leaves_qty` LeavesQty. Money and quantity are
Decimal, times are aware UTC.

`gc=False`: none of these can ever be part of a cycle, and with many of them the collector's walks
cost a fifth of the time that a report takes.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec


class Status(StrEnum):
    """Where an order stands. Declared in the order of an order's life."""

    HELD = "held"  # kept back until another order has filled
    PENDING_REVIEW = "pending_review"  # being looked at before it is accepted
    PENDING_NEW = "pending_new"  # received, not yet accepted
    ACCEPTED_FOR_BIDDING = "accepted_for_bidding"  # accepted, waiting for its price to be set
    ACCEPTED = "accepted"  # accepted, not yet in the book
    NEW = "new"  # working, nothing filled
    SUSPENDED = "suspended"  # on hold, may work again
    PARTIALLY_FILLED = "partially_filled"  # working, filled in part
    STOPPED = "stopped"  # a fill is guaranteed, not yet made
    CALCULATED = "calculated"  # done, final figures to come
    DONE_FOR_DAY = "done_for_day"  # resumes on the next day
    PENDING_REPLACE = "pending_replace"  # a change was asked for
    PENDING_CANCEL = "pending_cancel"  # a cancel was asked for; it can still fill
    REJECTED = "rejected"  # never worked
    REPLACED = "replaced"  # another order took its place
    EXPIRED = "expired"  # ran out of time
    CANCELED = "canceled"  # canceled, by whomever
    FILLED = "filled"  # filled completely
    UNKNOWN = "unknown"  # proven to be gone; the only one that needs no word

    @property
    def is_final(self) -> bool:
        """Whether an order that stands so has no more life before it (LeavesQty is 0)."""
        return self in FINAL_PRECEDENCE

    @property
    def is_intention(self) -> bool:
        """Whether the word only says what somebody has asked for, not what happened."""
        return self in _INTENTIONS


FINAL_PRECEDENCE: dict[Status, int] = {
    Status.REJECTED: 1,
    Status.REPLACED: 2,
    Status.EXPIRED: 3,
    Status.CANCELED: 4,
    Status.FILLED: 5,
}
"""FIX precedence among final standings: the greater wins whatever the time (FIX app. D)."""

OPEN_RANK: dict[Status, int] = {
    status: rank
    for rank, status in enumerate(Status)
    if status not in FINAL_PRECEDENCE and status is not Status.UNKNOWN
}
"""A rank without ties among open standings said at the same moment: later in life wins."""

_INTENTIONS = frozenset({Status.PENDING_CANCEL, Status.PENDING_REPLACE})

_BEFORE_FILLS = frozenset(
    {
        Status.HELD,
        Status.PENDING_REVIEW,
        Status.PENDING_NEW,
        Status.ACCEPTED_FOR_BIDDING,
        Status.ACCEPTED,
        Status.NEW,
    }
)
"""Open standings that FIX ranks below Partially Filled: with fills they read as that."""


class Report(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a venue said about one order: a whole snapshot, cumulative, never a delta.

    `as_of` is when the venue vouched for this state, on the venue's clock: a frame's own
    timestamp, or the moment at which the answer was asked for; never the order's own update
    time, which is `changed_at`. None means that the venue did not say. A fills listing has no
    `status`: its `filled_qty` is a lower bound. `venue_status` is the venue's own word.
    `quantity` and `filled_qty` are in base units; an order sized in quote has no `quantity`.
    `epoch` is 0 but for what an operator corrected, and what counts of reports that were said after
    that (see `merge.heed`).
    """

    as_of: datetime
    venue_order_id: str | None = None
    client_order_id: str | None = None
    symbol: str | None = None
    side: str | None = None
    status: Status | None = None
    venue_status: str = ""
    filled_qty: Decimal | None = None
    avg_price: Decimal | None = None
    fee: Decimal | None = None
    settled: bool | None = None
    quantity: Decimal | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    last_fill_at: datetime | None = None
    reason: str | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    epoch: int = 0


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A status with the moment at which the venue vouched for it, and its own word."""

    status: Status
    as_of: datetime
    word: str = ""


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A number that settles late, with what it was said of: the fills, settled or not, when."""

    value: Decimal
    filled_qty: Decimal
    settled: bool
    as_of: datetime


class Moment(msgspec.Struct, frozen=True, gc=False):
    """A time that belongs to a filled quantity."""

    value: datetime
    filled_qty: Decimal


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """Whether fills and fees are booked for good, said of a filled quantity."""

    settled: bool
    filled_qty: Decimal


class Dated(msgspec.Struct, frozen=True, gc=False):
    """A quantity that an edit may change, with the moment at which it was said."""

    value: Decimal
    as_of: datetime


class Reason(msgspec.Struct, frozen=True, gc=False):
    """A venue's words for why an order ended, with the standing that they explain."""

    text: str
    status: Status
    as_of: datetime


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a person may say of an order; None: nothing is said of that.

    `filled_qty` is in base units, `avg_price` and `fee` in quote units.
    """

    status: Status | None = None
    filled_qty: Decimal | None = None
    avg_price: Decimal | None = None
    fee: Decimal | None = None


class Statement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a person said of an order: when (on the venue's clock), who, and why."""

    at: datetime
    by: str
    reason: str
    facts: Facts


class Correction(msgspec.Struct, frozen=True, gc=False):
    """What opened an epoch: when (on the venue's clock), and what it and earlier ones overruled."""

    at: datetime
    overruled: tuple[Facts, ...] = ()


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The truth about one order: the merge of all reports about it.

    What is stored are facts with what is needed to compare them (see `merge`); labels such as
    `partially_filled` are derived from the facts. `corrected` is what opened its epoch.
    """

    epoch: int = 0
    venue_order_id: str | None = None
    client_order_id: str | None = None
    symbol: str | None = None
    side: str | None = None
    created_at: datetime | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    as_of: datetime
    standing: Standing | None = None
    filled_qty: Decimal | None = None
    booked: Settlement | None = None
    priced: Mark | None = None
    charged: Mark | None = None
    filled: Moment | None = None
    sized: Dated | None = None
    ended_because: Reason | None = None
    changed_at: datetime | None = None
    corrected: Correction | None = None

    @property
    def status(self) -> Status | None:
        """The FIX word for this order, None while only fills of it are known."""
        has_fills = self.filled_qty is not None and self.filled_qty > 0
        if self.standing is None:
            return Status.PARTIALLY_FILLED if has_fills else None
        if has_fills and self.standing.status in _BEFORE_FILLS:
            return Status.PARTIALLY_FILLED
        return self.standing.status

    @property
    def is_final(self) -> bool:
        """Whether the order has no more life before it."""
        return self.standing is not None and self.standing.status.is_final

    @property
    def quantity(self) -> Decimal | None:
        """The order's own size in base units, None where it is not known."""
        return self.sized.value if self.sized else None

    @property
    def leaves_qty(self) -> Decimal | None:
        """FIX LeavesQty: what may still fill; 0 when final, None where it is not known."""
        if self.is_final:
            return Decimal(0)
        if self.sized is None or self.filled_qty is None:
            return None
        return max(self.sized.value - self.filled_qty, Decimal(0))

    @property
    def settled(self) -> bool | None:
        """Whether what is filled is booked for good; None where the venue never speaks of it."""
        if self.booked is None:
            return None
        return self.booked.settled and self.booked.filled_qty >= (self.filled_qty or 0)

    @property
    def avg_price(self) -> Decimal | None:
        """The average price that was last said, in quote units for one base unit."""
        return self.priced.value if self.priced else None

    @property
    def fee(self) -> Decimal | None:
        """All fees that were last said, in quote units."""
        return self.charged.value if self.charged else None

    @property
    def last_fill_at(self) -> datetime | None:
        """The venue's time of the last fill."""
        return self.filled.value if self.filled else None

    @property
    def reason(self) -> str | None:
        """Why the order stands as it does, in the venue's words."""
        because, standing = self.ended_because, self.standing
        if because is None or standing is None or because.status is not standing.status:
            return None
        return because.text


class EventKind(StrEnum):
    """What happened. New kinds are only added."""

    CHANGED = "changed"
    """the truth went on, and the row with it where there is one
    To do: nothing"""
    CONFIRMED = "confirmed"
    """the exchange said more of the order (that it is settled, the exact time of its fill); status,
    fills, price and fee are as they were
    To do: nothing"""
    REPAIRED = "repaired"
    """the row was untrue although the truth was known: somebody had written it
    To do: nothing, unless it goes on"""
    CONFLICT = "conflict"
    """the exchange contradicts what it had called final, or says that less was filled. Told once
    for each content
    To do: look at the order"""
    CONTESTED = "contested"
    """somebody has undone the row three times within an hour; repairs now wait for `stale_after`
    To do: find out what writes it"""
    UNWRITABLE = "unwritable"
    """the database refuses what is true (a CHECK, a trigger, a policy). Told once for each reason;
    tried again every ten minutes
    To do: mend the schema or the mapping"""
    DUPLICATE_ROWS = "duplicate_rows"
    """two rows carry one order id: both get the status, neither the quantities
    To do: remove one"""
    UNMAPPED_WORD = "unmapped_word"
    """reserved: a row's word is outside the mapping. For now `doctor`, `sync` and `audit` list
    them"""
    SUSPECT = "suspect"
    """the exchange does not show the order, and that is not proven
    To do: wait; check the key"""
    UNKNOWN = "unknown"
    """it is proven that the exchange does not have the order
    To do: find out what became of it"""
    MISSING_ORDER = "missing_order"
    """the same, of a row that says it is final; the row is left alone
    To do: look at the row"""
    QUARANTINED = "quarantined"
    """an answer about the order cannot be read or believed; it changed nothing. `raw` has the
    reason and the text
    To do: report it"""
    ORPHAN = "orphan"
    """the exchange has an order without a row, and your bot had time to write one
    (`orphans.grace`). Told once
    To do: find out who placed it; or [ignore it by rule](configuration.md#orphans)"""
    RESOLVED = "resolved"
    """a suspect, unknown or resolved order was seen after all; or, from the source `operator`, a
    person said what became of it
    To do: nothing; from `operator` the row, where it differed"""
    CORRECTED = "corrected"
    """a person overruled what the exchange says
    To do: the row, where it differed"""


class Source(StrEnum):
    """Which way a report came."""

    STREAM = "stream"
    POLL = "poll"
    WEBHOOK = "webhook"
    DEMAND = "demand"
    OPERATOR = "operator"


class EventOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which order an event is about. `row_id` is the row's key in the user's table, as text."""

    row_id: str | None = None
    venue_order_id: str | None = None
    client_order_id: str | None = None
    owner: str | None = None
    symbol: str | None = None


class EventEvidence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an event rests on: the answer, where it came from, when, and its raw text."""

    answer: str
    endpoint: str
    venue_time: datetime | None = None
    raw: str | None = None


class Side(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One side of a change: the row's word and the truth's facts.

    Numbers are plain digits, never with an exponent: not every reader of an event knows those.
    """

    word: str | None = None
    status: str | None = None
    filled_qty: str | None = None
    avg_price: str | None = None
    fee: str | None = None


def digits(number: Decimal | None) -> str | None:
    """A number in plain digits."""
    text = None if number is None else str(number)  # a third of what format() costs
    return format(number, "f") if text and "E" in text else text


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of truth or row, with its cause; append-only.

    `id` is `<log id>-<n>`: the commit, and the event's place in it. `latency_ms` counts from
    the venue's own time of the change to our commit, None where the venue gave no such time, or
    neither the status, nor what is filled, nor the row's word changed.
    """

    id: str = ""
    at: datetime
    account: str
    order: EventOrder
    kind: EventKind
    source: Source
    evidence: EventEvidence
    before: Side
    after: Side
    latency_ms: int | None = None
