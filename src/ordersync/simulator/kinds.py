"""What can go wrong, by name: at a call of the REST API, and on the stream.

A kind has a default for everything that its fault does not say, and rules for its `value`. When
a fault strikes is the schedule's affair, what it does that of `damage` and of `stream_faults`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

Value: TypeAlias = "str | int | float | list[str] | None"


class Kind(StrEnum):
    """What goes wrong. The comment says what `value` is, and what it is when left out."""

    # No answer, or a late one
    LATENCY = "latency"  # seconds (1)
    TIMEOUT = "timeout"  # seconds until the connection is closed (the client has to leave)
    DROP = "drop"  # nothing

    # Another answer
    TOO_MANY = "429"  # seconds of a retry-after header (no such header)
    SERVER_ERROR = "500"  # the status (500)
    HTML = "html"  # the status (502)
    UNAUTHORIZED = "unauthorized"  # nothing
    FORBIDDEN = "forbidden"  # nothing
    GARBAGE = "garbage"  # the body
    EMPTY = "empty"  # nothing

    # An honest answer about a false view of the world
    STALE = "stale"  # seconds that the view is old (5)
    NOT_FOUND = "not_found"  # seconds for which a new order is invisible (5)
    FORGETFUL = "forgetful"  # order id or ids that are forgotten (all)

    # A true answer, damaged
    TRUNCATED_PAGE = "truncated_page"  # nothing
    LOST_PAGE = "lost_page"  # nothing: half of the page is missing, and no next page is admitted
    SHIFTING_PAGE = "shifting_page"  # "missed" or "twice": the order between two pages ("missed")
    UNKNOWN_STATUS = "unknown_status"  # the word (SETTLING)
    MISSING_FIELD = "missing_field"  # the field (status)
    WRONG_TYPE = "wrong_type"  # the field (filled_size)
    NAN = "nan"  # the field (filled_size)
    HUGE_NUMBER = "huge_number"  # the field (filled_size)
    FUTURE_TIME = "future_time"  # the field (last_fill_time)


SECONDS = frozenset((Kind.LATENCY, Kind.TIMEOUT, Kind.TOO_MANY, Kind.STALE, Kind.NOT_FOUND))
STATUSES = frozenset((Kind.SERVER_ERROR, Kind.HTML))
OF_AN_ORDER = frozenset(
    (
        Kind.UNKNOWN_STATUS,
        Kind.MISSING_FIELD,
        Kind.WRONG_TYPE,
        Kind.NAN,
        Kind.HUGE_NUMBER,
        Kind.FUTURE_TIME,
    )
)


class StreamKind(StrEnum):
    """What goes wrong on the stream. The comment says what `value` is, as above."""

    # A frame about an order
    DROP = "drop"  # nothing: its number is used, so that a gap shows
    NEVER_SENT = "never_sent"  # nothing: no number is used, so that nothing shows
    DUPLICATE = "duplicate"  # nothing
    REORDER = "reorder"  # nothing: it leaves after the next frame, whatever that is about
    DELAY = "delay"  # seconds that it is late (1); others overtake it
    GARBAGE = "garbage"  # how it is damaged (not_json)
    MUTE = "mute"  # seconds without frames about orders (as long as `for`, else for ever)
    REPEAT_OLD = "repeat_old"  # nothing: after FILLED comes an old OPEN, as if it were news

    # A snapshot, a heartbeat
    STALE_SNAPSHOT = "stale_snapshot"  # seconds that it is old (5)
    MISSING_HEARTBEAT = "missing_heartbeat"  # nothing: the counter skips one

    # The line
    SILENCE = "silence"  # seconds with no frame at all (as long as `for`, else for ever)
    HALF_OPEN = "half_open"  # nothing: neither sends nor hears, until the client leaves
    CLOSE = "close"  # the code: 1000, 1001, 1011; 1006 cuts the line (1000)
    LOGOUT = "logout"  # nothing: an authentication failure, and the end
    REFUSE = "refuse"  # the status of the refused handshake: 401, 403, 406, 429, 503 (503)


AnyKind: TypeAlias = "Kind | StreamKind"


class Occasion(StrEnum):
    """What the schedule of a stream fault counts."""

    UPDATE = "update"  # a frame about a change of an order
    FILLED = "filled"  # one of these that says FILLED
    SNAPSHOT = "snapshot"  # a subscription to the user channel
    HEARTBEAT = "heartbeat"
    MESSAGE = "message"  # anything with a sequence number
    CONNECTION = "connection"  # a handshake


OCCASION_OF = {
    StreamKind.REPEAT_OLD: Occasion.FILLED,
    StreamKind.STALE_SNAPSHOT: Occasion.SNAPSHOT,
    StreamKind.MISSING_HEARTBEAT: Occasion.HEARTBEAT,
    StreamKind.SILENCE: Occasion.MESSAGE,
    StreamKind.HALF_OPEN: Occasion.MESSAGE,
    StreamKind.CLOSE: Occasion.MESSAGE,
    StreamKind.LOGOUT: Occasion.MESSAGE,
    StreamKind.REFUSE: Occasion.CONNECTION,
}

CLOSE_CODES = (1000, 1001, 1006, 1011)
REFUSALS = (401, 403, 406, 429, 503)
GARBAGE = (
    "not_json",
    "wrong_types",
    "huge",
    "unknown_channel",
    "truncated_utf8",
    "unknown_status",
    "other_account",
    "future_time",
    "orders_null",
    "data_null",
    "unknown_event",
    "naked_numbers",
)
CHOICES: dict[StreamKind, tuple[str | int, ...]] = {
    StreamKind.CLOSE: CLOSE_CODES,
    StreamKind.REFUSE: REFUSALS,
    StreamKind.GARBAGE: GARBAGE,
}
STREAM_SECONDS = frozenset(
    (
        StreamKind.DELAY,
        StreamKind.MUTE,
        StreamKind.STALE_SNAPSHOT,
        StreamKind.SILENCE,
    )
)


def in_seconds(kind: AnyKind) -> bool:
    """Whether the value of a kind is a number of seconds."""
    return kind in (STREAM_SECONDS if isinstance(kind, StreamKind) else SECONDS)


def check_value(kind: AnyKind, value: Value) -> None:
    """Raise ValueError where a fault of this kind cannot have this value."""
    if value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if in_seconds(kind) and not (is_number and float(str(value)) >= 0):
        raise ValueError(f"value of {kind} is {value!r}; write a number of seconds.")
    if isinstance(kind, StreamKind):
        choices = CHOICES.get(kind)
        if choices is not None and value not in choices:
            allowed = ", ".join(map(str, choices))
            raise ValueError(f"value of {kind} is {value!r}; write one of {allowed}.")
        return
    if kind in STATUSES and value not in range(500, 600):
        raise ValueError(f"value of {kind} is {value!r}; write a status from 500 to 599.")
    if kind is Kind.SHIFTING_PAGE and value not in {"missed", "twice"}:
        raise ValueError(f'value of {kind} is {value!r}; write "missed" or "twice".')
    if kind in OF_AN_ORDER and not isinstance(value, str):
        raise ValueError(f"value of {kind} is {value!r}; write a word.")
