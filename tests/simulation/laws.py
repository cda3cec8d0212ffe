"""The laws of the merge, on random reports about one order.

Order and repetition change nothing; a correction stands against all that was said before it.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from ordersync.truth.merge import merge
from ordersync.truth.model import FINAL_PRECEDENCE, Facts, Order, Report, Statement, Status
from ordersync.truth.operator import correct, facts_of
from tests.virtual import EPOCH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

WORDS = [status for status in Status if status is not Status.UNKNOWN]
TELLINGS = 3


def check(dice: Random) -> None:
    """Tell some reports in several orders, some of them twice; one truth has to come of it."""
    reports = [_report(dice) for _ in range(dice.randint(2, 7))]
    first = _told(reports)
    for _ in range(TELLINGS):
        again = reports + dice.sample(reports, dice.randint(0, len(reports)))
        dice.shuffle(again)
        assert _told(again) == first, f"another truth of the same reports: {again}"
    epoch = max(report.epoch for report in reports)
    counted = [report for report in reports if report.epoch == epoch]
    filled = [report.filled_qty for report in counted if report.filled_qty is not None]
    assert first.filled_qty == max(filled, default=None), f"{first.filled_qty} of {filled}"
    ends = [FINAL_PRECEDENCE[r.status] for r in counted if r.status in FINAL_PRECEDENCE]
    stands = first.standing and FINAL_PRECEDENCE.get(first.standing.status)
    assert stands == max(ends, default=None) or first.standing is None, f"{first} of {counted}"


def check_correction(dice: Random) -> None:
    """A person takes fills back; what was said before is no news, whenever it comes."""
    truth = _told([_report(dice) for _ in range(dice.randint(1, 4))])
    at = EPOCH + timedelta(seconds=10)
    word = Statement(at=at, by="anna", reason="busted", facts=Facts(filled_qty=Decimal(0)))
    corrected = after = correct(truth, word)
    for _ in range(3):
        after = merge(after, msgspec.structs.replace(_report(dice), epoch=0))
    assert facts_of(after) == facts_of(corrected), f"{word} became {facts_of(after)}"
    later = Report(as_of=at + timedelta(seconds=10), venue_order_id="1", filled_qty=Decimal(9))
    assert merge(after, later).filled_qty == Decimal(9), "nothing counts after a correction"


def _told(reports: Sequence[Report]) -> Order:
    truth = None
    for report in reports:
        truth = merge(truth, report)
    assert truth is not None
    return truth


def _report(dice: Random) -> Report:
    return Report(
        as_of=EPOCH + timedelta(seconds=dice.randint(0, 5)),
        venue_order_id="1",
        status=dice.choice([*WORDS, None]),
        filled_qty=dice.choice([None, *map(Decimal, range(4))]),
        epoch=int(dice.random() < 0.15),
    )
