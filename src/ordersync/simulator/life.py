"""The life of one order, written down before it happens.

A life is a list of steps, each at a time after the order's creation. Because it is written down,
the state of an order is a function of time: nothing ticks, and an answer as of five seconds ago
is as easy as an answer as of now. Only a cancel request changes a life, and only its end.

Nothing in here knows a clock, a network or a venue's words.
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
NOTHING = Decimal(0)

# How often a random life does what.
QUEUES, FAILS, REFUSES_CANCEL, DETOURS, RESTS = 0.3, 0.1, 0.1, 0.15, 0.7


class What(StrEnum):
    """What a step does. Every order starts as pending."""

    QUEUED = "queued"  # accepted, waiting for the matching engine
    OPEN = "open"  # resting; also: a queued cancel or edit was refused
    FILL = "fill"  # an execution, after which the order goes on
    EDIT_QUEUED = "edit_queued"  # an edit waits; the old terms are still live
    CANCEL_QUEUED = "cancel_queued"  # someone else (the web site, say) asked to cancel
    FILLED = "filled"  # the last execution
    CANCELED = "canceled"
    EXPIRED = "expired"
    FAILED = "failed"


FINAL = frozenset({What.FILLED, What.CANCELED, What.EXPIRED, What.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happens to an order.

    A fill says how much either as `qty` (base currency) or as `share` of the order's own size;
    `filled` without either takes the rest. Without a price it trades at the order's limit, or at
    the product's price where there is no limit.
    """

    after: timedelta
    what: What
    qty: Decimal | None = None
    share: Decimal | None = None
    price: Decimal | None = None
    maker: bool = True
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Everything that will happen to an order, unless somebody cancels it.

    `settle_lag`: the last fill's fee and `settled` appear this long after the fill.
    `fills_lag`: a fill shows in the list of fills this long after it shows in the order.
    `cancel_lag`: a cancel request is queued for this long; the life goes on meanwhile.
    `refuses_cancel`: a queued cancel is refused in the end, and the order works on.
    """

    steps: tuple[Step, ...] = ()
    settle_lag: timedelta = AT_ONCE
    fills_lag: timedelta = AT_ONCE
    cancel_lag: timedelta = timedelta(milliseconds=300)
    refuses_cancel: bool = False

    def __post_init__(self) -> None:
        if any(lag < AT_ONCE for lag in (self.settle_lag, self.fills_lag, self.cancel_lag)):
            raise ValueError("A lag cannot be negative.")
        before: Step | None = None
        for step in self.steps:
            if before is not None and step.after < before.after:
                raise ValueError(f"Steps must be in order of time: {step} comes after {before}.")
            if before is not None and before.what in FINAL:
                raise ValueError(f"Nothing happens after {before.what}: {step}.")
            before = step

    @property
    def ends(self) -> bool:
        """Whether the order reaches its end without anybody's help."""
        return bool(self.steps) and self.steps[-1].what in FINAL

    @classmethod
    def pending(cls) -> Life:
        """Let it be accepted, and never heard of again."""
        return cls()

    @classmethod
    def queued(cls, after: timedelta = AT_ONCE) -> Life:
        """Let it be queued, and never heard of again."""
        return cls(steps=(Step(after=after, what=What.QUEUED),))

    @classmethod
    def open(
        cls,
        after: timedelta = SHORTLY,
        *,
        fills: Sequence[tuple[timedelta, Decimal]] = (),
        price: Decimal | None = None,
        refuses_cancel: bool = False,
    ) -> Life:
        """Let it rest on the book from `after` on, with partial `fills` as (after, share)."""
        return cls(
            steps=(Step(after=after, what=What.OPEN), *_parts(fills, price)),
            refuses_cancel=refuses_cancel,
        )

    @classmethod
    def filled(
        cls,
        after: timedelta = timedelta(seconds=1),
        *,
        fills: Sequence[tuple[timedelta, Decimal]] = (),
        price: Decimal | None = None,
        opens: timedelta = SHORTLY,
        settle_lag: timedelta = AT_ONCE,
        fills_lag: timedelta = AT_ONCE,
    ) -> Life:
        """Let it fill completely `after` its creation, with earlier `fills` as (after, share)."""
        return cls(
            steps=(
                Step(after=min(opens, after), what=What.OPEN),
                *_parts(fills, price),
                Step(after=after, what=What.FILLED, price=price),
            ),
            settle_lag=settle_lag,
            fills_lag=fills_lag,
        )

    @classmethod
    def canceled(
        cls,
        after: timedelta = timedelta(seconds=1),
        *,
        share: Decimal = NOTHING,
        price: Decimal | None = None,
        message: str = "User requested cancel",
    ) -> Life:
        """Cancel it `after` its creation, with `share` of it filled half way there."""
        end = Step(after=after, what=What.CANCELED, message=message)
        return cls(steps=(*_opening(after, share, price), end))

    @classmethod
    def expired(
        cls,
        after: timedelta = timedelta(seconds=1),
        *,
        share: Decimal = NOTHING,
        price: Decimal | None = None,
    ) -> Life:
        """Let it expire `after` its creation, with `share` of it filled half way there."""
        end = Step(after=after, what=What.EXPIRED)
        return cls(steps=(*_opening(after, share, price), end))

    @classmethod
    def failed(
        cls,
        after: timedelta = timedelta(milliseconds=100),
        *,
        message: str = "Insufficient balance in source account",
    ) -> Life:
        """Let the matching engine refuse it: it never was on the book."""
        return cls(steps=(Step(after=after, what=What.FAILED, message=message),))

    @classmethod
    def random(cls, rng: Random, *, span: timedelta = timedelta(minutes=2)) -> Life:
        """Draw any life that can happen to an order whose size is known, within `span`."""
        times = sorted(span * rng.random() for _ in range(rng.randint(2, 6)))
        steps = [Step(after=min(times[0], SHORTLY), what=What.OPEN)]
        if rng.random() < QUEUES:
            steps.insert(0, Step(after=min(times[0], SHORTLY) / 2, what=What.QUEUED))
        steps += [_random_middle(rng, after, len(times)) for after in times[1:-1]]
        end = rng.choice(
            (What.FILLED, What.FILLED, What.FILLED, What.CANCELED, What.EXPIRED, What.OPEN)
        )
        steps.append(Step(after=times[-1], what=end))
        if rng.random() < FAILS:
            steps = [Step(after=times[0], what=What.FAILED, message="Insufficient balance")]
        return cls(
            steps=tuple(steps),
            settle_lag=timedelta(seconds=rng.choice((0, 0, 1, 10))),
            fills_lag=timedelta(seconds=rng.choice((0, 0, 0.5, 3))),
            cancel_lag=timedelta(seconds=rng.choice((0.1, 0.3, 2))),
            refuses_cancel=rng.random() < REFUSES_CANCEL,
        )


def _random_middle(rng: Random, after: timedelta, steps: int) -> Step:
    """Draw a step that neither starts nor ends a life; fills never exceed the whole."""
    if rng.random() < DETOURS:
        return Step(after=after, what=rng.choice((What.CANCEL_QUEUED, What.EDIT_QUEUED)))
    if rng.random() < DETOURS:
        return Step(after=after, what=What.OPEN)
    share = Decimal(rng.randint(1, 99)) / 100 / steps
    return Step(after=after, what=What.FILL, share=share, maker=rng.random() < RESTS)


def _parts(fills: Sequence[tuple[timedelta, Decimal]], price: Decimal | None) -> list[Step]:
    return [Step(after=after, what=What.FILL, share=share, price=price) for after, share in fills]


def _opening(end: timedelta, share: Decimal, price: Decimal | None) -> list[Step]:
    opening = Step(after=min(SHORTLY, end / 4), what=What.OPEN)
    if not share:
        return [opening]
    return [opening, Step(after=end / 2, what=What.FILL, share=share, price=price)]
