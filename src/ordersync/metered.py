"""What is counted, timed and measured, and the port by which those below `web` tell of it.

Pure: names, bounds and a protocol. `sync/tally` keeps the figures, `web/metrics` shows them to
Prometheus. Labels are bounded: an account, and a kind out of few; never an order, never an owner.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.truth.model import Event

LATENCY_BOUNDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0),
    *(60.0, 120.0, 300.0, 900.0, 3_600.0),
)
"""Upper bounds, in seconds, of the buckets of how late the truth was; the last bucket has none.

Whole milliseconds, as latency is told in them. Another may be added only before the first: counts
that are stored have no bounds with them, and are read from the last bucket on.
"""

DATABASE_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

KINDS_LIMIT = 100
"""How many kinds of one thing are told apart; what comes beyond is counted as `other`."""


class CallEnd(StrEnum):
    """How a question to the exchange ended."""

    ANSWERED = "answered"
    NOT_FOUND = "not_found"
    LIMITED = "limited"  # 429
    KEY_REFUSED = "key_refused"  # 401, 403
    REFUSED = "refused"  # 400, 422
    FAILED = "failed"  # no answer, 5xx, or none that can be read


class Delivery(StrEnum):
    """How a message to a person ended."""

    DELIVERED = "delivered"
    FAILED = "failed"


class Count(StrEnum):
    """What only counts up; what `kind` tells apart stands beside it."""

    CALLS = "calls"  # a CallEnd
    EVENTS = "events"  # the event's kind
    LOST = "lost"  # compare-and-sets that another writer won
    ACCURACY_SAMPLED = "accuracy_sampled"
    ACCURACY_WRONG = "accuracy_wrong"
    BLOCKED = "blocked"  # seconds
    UNTRULY_BLOCKED = "untruly_blocked"  # seconds
    ALERTS = "alerts"  # the channel, and a Delivery


class Span(StrEnum):
    """What takes time; each with the bounds of its buckets."""

    LATENCY = "latency"  # from the venue's own time of a change to our commit; by source
    GAP = "gap"  # from a loss in the stream until all of it was asked for
    DATABASE = "database"  # one request to the store

    @property
    def bounds(self) -> tuple[float, ...]:
        """The upper bounds of its buckets, in seconds."""
        return DATABASE_BOUNDS if self is Span.DATABASE else LATENCY_BOUNDS


class Level(StrEnum):
    """What goes up and down."""

    OPEN = "open"
    STALE = "stale"
    SUSPECT = "suspect"
    UNKNOWN = "unknown"
    DISCREPANCIES = "discrepancies"  # the kind of discrepancy
    VERIFIED_AT = "verified_at"  # seconds since 1970: the order that waits longest for it
    OWNERS_BLOCKED = "owners_blocked"
    BUDGET_LEFT = "budget_left"
    CALL_LIMIT = "call_limit"  # a minute
    PAUSED_UNTIL = "paused_until"  # seconds since 1970
    ANSWERED_AT = "answered_at"  # seconds since 1970: the exchange's last answer
    ASKED_AT = "asked_at"  # seconds since 1970: the first call since then; 0: all are answered
    UNANSWERED = "unanswered"  # calls since then that had no answer
    STREAM = "stream"  # 1 of the state that it is in
    QUEUE = "queue"  # orders that a stream told of and nobody has written yet
    LEASE = "lease"  # 1 where this process keeps the account


class Meter(Protocol):
    """Takes figures. Never waits, never raises; what it is told costs next to nothing."""

    def count(self, what: Count, account: str, kind: str = "", times: float = 1) -> None:
        """So many more of these."""

    def observe(self, what: Span, account: str, seconds: float, kind: str = "") -> None:
        """This took so long."""

    def set(self, what: Level, account: str, value: float, kind: str = "") -> None:
        """It stands so now."""

    def committed(self, events: Sequence[Event]) -> None:
        """These were committed: what they say of kinds and of how late the truth was."""


class Unmetered:
    """Nobody watches: a command that ends by itself. Implements `Meter`."""

    def count(self, what: Count, account: str, kind: str = "", times: float = 1) -> None:
        """Nothing is kept."""

    def observe(self, what: Span, account: str, seconds: float, kind: str = "") -> None:
        """Nothing is kept."""

    def set(self, what: Level, account: str, value: float, kind: str = "") -> None:
        """Nothing is kept."""

    def committed(self, events: Sequence[Event]) -> None:
        """Nothing is kept."""


class AccountMeter:
    """A Meter for one account, for those who know no account: a venue's reader."""

    def __init__(self, meter: Meter, account: str) -> None:
        self._meter = meter
        self._account = account

    def count(self, what: Count, kind: str = "") -> None:
        """One more of these."""
        self._meter.count(what, self._account, kind)

    def set(self, what: Level, value: float) -> None:
        """It stands so now."""
        self._meter.set(what, self._account, value)


UNMETERED = AccountMeter(Unmetered(), "")
