"""What an answer is about. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordersync.truth.evidence import Reading, Sighting


def shown(reading: Reading) -> set[str]:
    """The orders that an answer showed, in new words or in the same."""
    return ids_of(reading.sightings).union(*(said.orders for said in reading.said_again))


def ids_of(sightings: Iterable[Sighting]) -> set[str]:
    """Whose sightings these are."""
    return {s.report.venue_order_id for s in sightings if s.report.venue_order_id}


def lacks_fill_facts(sighting: Sighting) -> bool:
    """Whether an ended order was shown without the price or the time of its fills."""
    report = sighting.report
    return bool(
        report.status is not None
        and report.status.is_final
        and report.filled_qty
        and (report.last_fill_at is None or report.avg_price is None)
    )
