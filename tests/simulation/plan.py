"""What a seed decides before a story begins, and what it must not meet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ordersync.simulator import Fault, Kind, StreamKind

if TYPE_CHECKING:
    from random import Random


class Channel(StrEnum):
    """Which way reports come. Alone, because one channel hides that the other is broken."""

    BOTH = "both"
    PUSH = "push"
    POLL = "poll"


LIES = {Kind.STALE, Kind.NOT_FOUND, Kind.FORGETFUL, Kind.LOST_PAGE, Kind.SHIFTING_PAGE}
"""An exchange that says less than is so, in an honest form: then an order may be suspected."""

UNTOLD = {StreamKind.NEVER_SENT, StreamKind.MUTE}
UNTOLD_GARBAGE = {"unknown_channel", "other_account", "orders_null"}
"""What leaves no trace on the stream; without polling, nobody can know."""

REFUSED = {Kind.UNAUTHORIZED, Kind.FORBIDDEN}
OF_ONE_ORDER = {Kind.UNKNOWN_STATUS, Kind.MISSING_FIELD, Kind.WRONG_TYPE, Kind.NAN}
OF_ONE_ORDER |= {Kind.HUGE_NUMBER, Kind.FUTURE_TIME}
"""Answers that are complete but for an order: asked again by the next pass, not at once."""

STATED = timedelta(seconds=2)
NOTICED = timedelta(seconds=5)
ATTEMPTS = 3
"""How often one question is asked before its answer is given up."""


class Mishap(NamedTuple):
    """One thing that goes wrong on the stream; within how long a row has to be true all the same.

    `rest` goes wrong with the question that should make up for it.
    """

    kind: StreamKind | None
    value: str | int | None = None
    bound: timedelta = STATED
    rest: Kind | None = None


MISHAPS = (
    Mishap(None),
    Mishap(StreamKind.DROP),
    Mishap(StreamKind.REORDER),
    Mishap(StreamKind.DELAY, 4),
    Mishap(StreamKind.DUPLICATE),
    Mishap(StreamKind.REPEAT_OLD),
    Mishap(StreamKind.MISSING_HEARTBEAT),
    Mishap(StreamKind.GARBAGE, "not_json"),
    Mishap(StreamKind.GARBAGE, "truncated_utf8"),
    Mishap(StreamKind.HALF_OPEN, None, NOTICED),
    Mishap(StreamKind.SILENCE, None, NOTICED),
    Mishap(StreamKind.CLOSE, 1000, NOTICED),
    Mishap(StreamKind.CLOSE, 1006, NOTICED),
    Mishap(StreamKind.LOGOUT, None, NOTICED),
    Mishap(StreamKind.DROP, None, NOTICED, Kind.SERVER_ERROR),
    Mishap(StreamKind.GARBAGE, "not_json", NOTICED, Kind.HTML),
)
"""What goes wrong once in the calm, and within how long a row has to be true all the same."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed decides before the story begins."""

    channel: Channel
    interval: int
    lies: bool
    skew: timedelta
    slowest: float
    mishap: Mishap
    page: int | None
    wrong: float
    odd: float

    @classmethod
    def drawn(cls, dice: Random, channel: Channel | None) -> Plan:
        drawn = dice.choice((Channel.BOTH, Channel.BOTH, Channel.PUSH, Channel.POLL))
        return cls(
            channel=channel or drawn,
            interval=dice.choice((20, 30)),
            lies=dice.random() < 0.5,
            skew=timedelta(hours=dice.choice((0, 0, 0, 1, -1))),
            slowest=dice.choice((0.0015, 0.01, 0.05)),
            mishap=dice.choice(MISHAPS),
            page=dice.choice((None, 2, 3)),
            wrong=dice.choice((0.0, 0.05, 0.15)),
            odd=dice.choice((0.0, 0.0, 0.3)),
        )

    @property
    def bound(self) -> timedelta:
        """How late a row may be in the calm."""
        if self.channel is Channel.POLL:
            return timedelta(seconds=self.interval + 3)
        return self.mishap.bound

    def allows(self, fault: Fault) -> bool:
        """Whether a fault belongs into this story."""
        if fault.kind in LIES:
            return self.lies and self.channel is not Channel.PUSH
        if self.channel is Channel.PUSH:
            untold = fault.kind in UNTOLD or fault.value in UNTOLD_GARBAGE
            return not untold and fault.kind not in REFUSED | OF_ONE_ORDER
        return True
