"""The life that the exchange gives to an order nobody wrote a life for.

An order that came through the protocol has to do something: a market order fills within the
second, a limit order waits for a seeded while, and some rest for ever.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from ordersync.simulator.life import Life, Step, What

if TYPE_CHECKING:
    from random import Random

    from ordersync.simulator.terms import Terms

RESTS_FOR_EVER = 0.2
FILLS_IN_PARTS = 0.5
KILLED = 0.2


def natural_life(terms: Terms, rng: Random, created_at: datetime) -> Life:
    """Draw what happens to an order with these terms."""
    if terms.time_in_force in {"IMMEDIATE_OR_CANCEL", "FILL_OR_KILL"}:
        return _immediate(terms, rng)
    life = _resting(rng)
    if terms.end_time is None:
        return life
    return _until(terms.end_time - created_at, life)


def _immediate(terms: Terms, rng: Random) -> Life:
    opens = timedelta(milliseconds=rng.randint(20, 80))
    done = opens + timedelta(milliseconds=rng.randint(50, 800))
    settle_lag = timedelta(milliseconds=rng.choice((0, 0, 500, 3000)))
    if terms.order_type != "MARKET" and rng.random() < KILLED:
        return Life.canceled(done, message="Order could not be filled")
    fills = ((opens, Decimal("0.4")),) if rng.random() < FILLS_IN_PARTS else ()
    return Life.filled(done, opens=opens, fills=fills, settle_lag=settle_lag)


def _resting(rng: Random) -> Life:
    opens = timedelta(milliseconds=rng.randint(50, 400))
    done = timedelta(seconds=rng.uniform(5, 120))
    if rng.random() < RESTS_FOR_EVER:
        return Life.open(opens)
    fills = []
    if rng.random() < FILLS_IN_PARTS:
        shares = [Decimal(rng.randint(1, 40)) / 100 for _ in range(2)]
        fills = [(done * part / 3, share) for part, share in enumerate(shares, start=1)]
    return Life.filled(
        done, opens=opens, fills=fills, settle_lag=timedelta(seconds=rng.choice((0, 2)))
    )


def _until(left: timedelta, life: Life) -> Life:
    """Cut the life at the order's own end time."""
    if life.ends and life.steps[-1].after < left:
        return life
    left = max(left, timedelta())
    steps = [step for step in life.steps if step.after < left]
    return Life(
        steps=(*steps, Step(after=left, what=What.EXPIRED)),
        settle_lag=life.settle_lag,
        fills_lag=life.fills_lag,
        cancel_lag=life.cancel_lag,
    )
