"""The life of one Alpaca order, written down before it happens.

A life is the list of what trade_updates would announce, each at a time after the order's
creation, and of the few changes that are never announced. Because it is written down, the state
of an order is a function of time: nothing ticks. Requests (cancel, replace) and what a test makes
happen rewrite the future, never the past.

Nothing in here knows a clock or a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

AT_ONCE = timedelta()
SHORTLY = timedelta(milliseconds=200)
OVERNIGHT = timedelta(hours=17, minutes=30)
NOTHING = Decimal(0)

# How often a random life does what.
REJECTS, REFUSES, DETOURS, SLEEPS = 0.1, 0.1, 0.15, 0.1


class Event(StrEnum):
    """What a trade update announces. Those without a comment are at the same time a status."""

    PENDING_NEW = "pending_new"
    ACCEPTED = "accepted"
    NEW = "new"
    PARTIAL_FILL = "partial_fill"  # partially_filled
    FILL = "fill"  # filled
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"
    DONE_FOR_DAY = "done_for_day"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    CALCULATED = "calculated"
    HELD = "held"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    ORDER_CANCEL_REJECTED = "order_cancel_rejected"  # whatever it was before pending_cancel
    ORDER_REPLACE_REJECTED = "order_replace_rejected"  # whatever it was before pending_replace
    RESTATED = "restated"  # no other status, perhaps another qty
    TRADE_BUST = "trade_bust"  # an execution never was
    TRADE_CORRECT = "trade_correct"  # an execution was another one


# Statuses that come without any announcement.
SILENT_STATUSES = frozenset(("accepted_for_bidding", "pending_review"))
FINAL = frozenset((Event.FILL, Event.CANCELED, Event.EXPIRED, Event.REJECTED, Event.REPLACED))
_AFTERMATH = frozenset(
    (Event.CALCULATED, Event.RESTATED, Event.TRADE_BUST, Event.TRADE_CORRECT, None)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happens to an order.

    A fill says how much either as `qty` or as `share` of the order's own size; `fill` without
    either takes the rest. Without a price it trades at the order's limit, or at the asset's
    price. A step without an event is not announced: it changes the `status`, or only the time of
    the last update.
    """

    after: timedelta
    event: Event | None
    status: str | None = None
    qty: Decimal | None = None
    share: Decimal | None = None
    price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Everything that will happen to an order, unless somebody interferes.

    `fills_lag`: a fill shows among the activities this long after it shows in the order.
    `cancel_lag`, `replace_lag`: a request is pending for this long; the life goes on meanwhile.
    `refuses_cancel`, `refuses_replace`: it is refused in the end, and the order works on.
    """

    steps: tuple[Step, ...] = ()
    fills_lag: timedelta = AT_ONCE
    cancel_lag: timedelta = timedelta(milliseconds=300)
    replace_lag: timedelta = timedelta(milliseconds=300)
    refuses_cancel: bool = False
    refuses_replace: bool = False

    def __post_init__(self) -> None:
        if any(lag < AT_ONCE for lag in (self.fills_lag, self.cancel_lag, self.replace_lag)):
            raise ValueError("A lag cannot be negative.")
        before: Step | None = None
        for step in self.steps:
            if before is not None and step.after < before.after:
                raise ValueError(f"Steps must be in order of time: {step} comes after {before}.")
            if before is not None and before.event in FINAL and step.event not in _AFTERMATH:
                raise ValueError(f"Nothing happens after {before.event}: {step}.")
            before = step

    @classmethod
    def of(cls, *happenings: tuple[float, str | Event]) -> Life:
        """Write a life as (seconds after creation, event or silent status); no quantities."""
        return cls(steps=tuple(_step(seconds, word) for seconds, word in happenings))

    @classmethod
    def pending(cls) -> Life:
        """Let it be pending_new, and never heard of again."""
        return cls()

    @classmethod
    def accepted(cls) -> Life:
        """Let it be accepted, waiting for the market to open."""
        return cls(steps=(Step(after=AT_ONCE, event=Event.ACCEPTED),))

    @classmethod
    def open(
        cls,
        after: timedelta = SHORTLY,
        *,
        fills: Sequence[tuple[timedelta, Decimal]] = (),
        price: Decimal | None = None,
        refuses_cancel: bool = False,
        refuses_replace: bool = False,
    ) -> Life:
        """Let it work from `after` on, with partial `fills` as (after, share)."""
        return cls(
            steps=(Step(after=after, event=Event.NEW), *_parts(fills, price)),
            refuses_cancel=refuses_cancel,
            refuses_replace=refuses_replace,
        )

    @classmethod
    def filled(
        cls,
        after: timedelta = timedelta(seconds=1),
        *,
        fills: Sequence[tuple[timedelta, Decimal]] = (),
        price: Decimal | None = None,
        opens: timedelta = SHORTLY,
        fills_lag: timedelta = AT_ONCE,
    ) -> Life:
        """Let it fill completely `after` its creation, with earlier `fills` as (after, share)."""
        return cls(
            steps=(
                Step(after=min(opens, after), event=Event.NEW),
                *_parts(fills, price),
                Step(after=after, event=Event.FILL, price=price),
            ),
            fills_lag=fills_lag,
        )

    @classmethod
    def canceled(cls, after: timedelta = timedelta(seconds=1), *, share: Decimal = NOTHING) -> Life:
        """Cancel it `after` its creation, with `share` of it filled half way there."""
        return cls(steps=(*_opening(after, share), Step(after=after, event=Event.CANCELED)))

    @classmethod
    def expired(cls, after: timedelta = timedelta(seconds=1), *, share: Decimal = NOTHING) -> Life:
        """Let it expire `after` its creation, with `share` of it filled half way there."""
        return cls(steps=(*_opening(after, share), Step(after=after, event=Event.EXPIRED)))

    @classmethod
    def rejected(cls, after: timedelta = timedelta(milliseconds=100)) -> Life:
        """Let the venue refuse it: it never worked."""
        return cls(steps=(Step(after=after, event=Event.REJECTED),))

    @classmethod
    def overnight(
        cls,
        after: timedelta = timedelta(seconds=2),
        *,
        share: Decimal = NOTHING,
        sleeps: timedelta = OVERNIGHT,
    ) -> Life:
        """Let it be done for the day, resume on the next, and fill a second later."""
        resumes = after + sleeps
        return cls(
            steps=(
                *_opening(after, share),
                Step(after=after, event=Event.DONE_FOR_DAY),
                Step(after=resumes, event=Event.NEW),
                Step(after=resumes + timedelta(seconds=1), event=Event.FILL),
            )
        )

    @classmethod
    def random(cls, rng: Random, *, span: timedelta = timedelta(minutes=2)) -> Life:
        """Draw any life that can happen to a single order, within `span`."""
        times = sorted(span * rng.random() for _ in range(rng.randint(2, 6)))
        begins = rng.choice((Event.PENDING_NEW, Event.ACCEPTED))
        steps = [
            Step(after=AT_ONCE, event=begins),
            Step(after=min(times[0], SHORTLY), event=Event.NEW),
        ]
        for after in times[1:-1]:
            steps += _random_middle(rng, after, len(times))
        end = rng.choice(
            (Event.FILL, Event.FILL, Event.FILL, Event.CANCELED, Event.EXPIRED, Event.RESTATED)
        )
        steps.append(Step(after=times[-1], event=end))
        if rng.random() < REJECTS:
            steps = [Step(after=times[0], event=Event.REJECTED)]
        return cls(
            steps=tuple(steps),
            fills_lag=timedelta(seconds=rng.choice((0, 0, 0.5, 3))),
            cancel_lag=timedelta(seconds=rng.choice((0.1, 0.3, 2))),
            replace_lag=timedelta(seconds=rng.choice((0.1, 0.3, 2))),
            refuses_cancel=rng.random() < REFUSES,
            refuses_replace=rng.random() < REFUSES,
        )


def _step(seconds: float, word: str | Event) -> Step:
    after = timedelta(seconds=seconds)
    if word in SILENT_STATUSES:
        return Step(after=after, event=None, status=str(word))
    return Step(after=after, event=Event(word))


def _random_middle(rng: Random, after: timedelta, steps: int) -> list[Step]:
    """Draw what neither starts nor ends a life; fills never exceed the whole."""
    if rng.random() < SLEEPS:
        return [
            Step(after=after, event=Event.DONE_FOR_DAY),
            Step(after=after, event=Event.NEW),
        ]
    if rng.random() < DETOURS:
        event = rng.choice((Event.SUSPENDED, Event.STOPPED, Event.PENDING_CANCEL, Event.RESTATED))
        return [Step(after=after, event=event)]
    share = Decimal(rng.randint(1, 99)) / 100 / steps
    return [Step(after=after, event=Event.PARTIAL_FILL, share=share)]


def _parts(fills: Sequence[tuple[timedelta, Decimal]], price: Decimal | None) -> list[Step]:
    return [
        Step(after=after, event=Event.PARTIAL_FILL, share=share, price=price)
        for after, share in fills
    ]


def _opening(end: timedelta, share: Decimal) -> list[Step]:
    opening = Step(after=min(SHORTLY, end / 4), event=Event.NEW)
    if not share:
        return [opening]
    return [opening, Step(after=end / 2, event=Event.PARTIAL_FILL, share=share)]
