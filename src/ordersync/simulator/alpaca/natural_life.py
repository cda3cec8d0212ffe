"""The life that the broker gives to an order nobody wrote a life for.

An order that came through the protocol has to do something: a market order fills within the
second, a limit order waits for a seeded while, and some rest until they expire, or for ever. The
stock exchange's hours decide only when a day order ends.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from ordersync.simulator.alpaca.life import Event, Life, Step

if TYPE_CHECKING:
    from random import Random

    from ordersync.simulator.alpaca.terms import Terms

RESTS = 0.2
FILLS_IN_PARTS = 0.5
KILLED = 0.2


def natural_life(
    terms: Terms, rng: Random, created_at: datetime, expires_at: datetime | None
) -> Life:
    """Draw what happens to an order with these terms."""
    if terms.type == "market" or terms.time_in_force in {"ioc", "fok"}:
        return _immediate(terms, rng)
    life = _resting(rng)
    if expires_at is None or any(step.event is Event.FILL for step in life.steps):
        return life
    return Life(
        steps=(*life.steps, Step(after=expires_at - created_at, event=Event.EXPIRED)),
        cancel_lag=life.cancel_lag,
    )


def _immediate(terms: Terms, rng: Random) -> Life:
    opens = timedelta(milliseconds=rng.randint(20, 80))
    done = opens + timedelta(milliseconds=rng.randint(50, 800))
    if terms.type != "market" and rng.random() < KILLED:
        return Life.canceled(done)
    fills = ((opens, Decimal("0.4")),) if rng.random() < FILLS_IN_PARTS else ()
    return Life.filled(done, opens=opens, fills=fills)


def _resting(rng: Random) -> Life:
    opens = timedelta(milliseconds=rng.randint(50, 400))
    done = timedelta(seconds=rng.uniform(5, 120))
    if rng.random() < RESTS:
        return Life.open(opens)
    fills = []
    if rng.random() < FILLS_IN_PARTS:
        shares = [Decimal(rng.randint(1, 40)) / 100 for _ in range(2)]
        fills = [(done * part / 3, share) for part, share in enumerate(shares, start=1)]
    return Life.filled(done, opens=opens, fills=fills)
