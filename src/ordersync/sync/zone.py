"""Whether the table's creation times are the venue's, or of another zone."""

from __future__ import annotations

import statistics
from datetime import timedelta
from typing import TYPE_CHECKING

from ordersync.ports import Finding, OrderName, Severity

if TYPE_CHECKING:
    from datetime import datetime

    from ordersync.ports import OrderStore, Venue

CLOCKS_AGREE = timedelta(minutes=5)
ODD_TIMES = 3
SAMPLE = 25
_QUARTER = 900.0


class TimesCompared:
    """In how many of a pass's orders row and venue tell the same creation time."""

    def __init__(self) -> None:
        self.agree = self.disagree = 0

    def compare(self, claimed: datetime | None, created: datetime | None) -> bool | None:
        """Count one order; None where nothing can be compared."""
        if created is None or claimed is None:
            return None
        agrees = abs(created - claimed) <= CLOCKS_AGREE
        self.agree += agrees
        self.disagree += not agrees
        return agrees

    @property
    def ages_from_rows(self) -> bool:
        """Whether the rows' times tell an order's age: not where several are of another zone."""
        return self.disagree < ODD_TIMES or self.agree >= self.disagree


async def compare_times(account: str, *, venue: Venue, store: OrderStore) -> Finding | None:
    """A finding about `created_at`, from the newest rows; None where nothing can be compared."""
    newest = await store.list_witnesses(account, SAMPLE)
    reading = await venue.ask_ids(newest) if newest else None
    if reading is None or not reading.sightings:
        return None
    created = {s.report.venue_order_id: s.report.created_at for s in reading.sightings}
    offsets = [
        (claim.created_at - at).total_seconds()
        for known in await store.read(account, [OrderName(i) for i in created])
        for claim in known.claims
        if claim.created_at and (at := created.get(claim.venue_order_id))
    ]
    if not offsets:
        return None
    offset = statistics.median(offsets)
    if abs(offset) <= CLOCKS_AGREE.total_seconds():
        what = "the table's creation times agree with the venue's."
        return Finding(severity=Severity.OK, about="created_at", what=what)
    zone = _zone(offset)
    return Finding(
        severity=Severity.WARNING,
        about="created_at",
        what=f"the table's creation times are {offset / 60:+.0f} min off the venue's{zone}.",
        mend="Set orders.timezone to the zone that your bot writes (as in Europe/Berlin)."
        if zone
        else "That is no time zone: map the column that tells when the order was sent, or set the "
        "clock of the machine that writes it. Until then the age of a row is not trusted.",
    )


def _zone(offset: float) -> str:
    """The zone that such an offset looks like, "" where it looks like none."""
    quarters = round(offset / _QUARTER)
    if abs(offset - quarters * _QUARTER) > CLOCKS_AGREE.total_seconds() or abs(quarters) <= 1:
        return ""
    hours, quarter = divmod(abs(quarters), 4)
    return f", as in UTC{'+' if offset > 0 else '-'}{hours:02d}:{quarter * 15:02d}"
