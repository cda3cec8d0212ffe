"""How a pass reads a venue: what to ask at all, which way is cheaper, what was shown. Pure."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import msgspec

from ordersync.truth.evidence import Reading
from ordersync.truth.merge import order_of
from ordersync.truth.namesake import is_namesake

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ordersync.ports import Known, Venue
    from ordersync.truth.evidence import Sighting
    from ordersync.truth.model import Order


EARLIER_ORDER = (
    "the order that has this client id was made before the row: write its exchange's id into the"
    " row where it is the row's order"
)
SEVERAL_ORDERS = "several orders have this client id: write the exchange's id of one into the row"


def list_pays(venue: Venue, orders: int, open_at_venue: int) -> bool:
    """Whether the pages of one list, and a call for what it lacks, save as many calls by id."""
    if open_at_venue >= venue.open_list_cap:
        return False
    pages = max(1, ceil(open_at_venue / venue.list_page_size))
    return orders // venue.batch_size >= pages + 1


def shown(reading: Reading) -> set[str]:
    """The orders that an answer showed, in new words or in the same."""
    return ids_of(reading.sightings).union(*(said.orders for said in reading.said_again))


def ids_of(sightings: Iterable[Sighting]) -> set[str]:
    """The venue's ids of these."""
    return {s.report.venue_order_id for s in sightings if s.report.venue_order_id}


def named_by_venue(sightings: Iterable[Sighting], known: Mapping[str, Known]) -> dict[str, Known]:
    """What was known by client id before the question, under the name that the venue told.

    Read after the answer, a word that says final would count as younger than it; and a row whose
    id has blanks around it would not be found by what the venue calls it. That there is no truth
    under the venue's name yet is checked when it is written.
    """
    named = {}
    for sighting in sightings:
        order, found = sighting.report.venue_order_id, known[sighting.report.client_order_id or ""]
        if order and found.truth is None and found.archived is None:
            named[f"v:{order}"] = msgspec.structs.replace(found, key=f"v:{order}")
    return named


def without_namesakes(known: Known, truth: Order) -> Known:
    """The same without rows that were found by their client id and are about a later order."""
    rows = tuple(claim for claim in known.claims if not is_namesake(truth, claim))
    same = len(rows) == len(known.claims)
    return known if same else msgspec.structs.replace(known, claims=rows)


def told_apart(
    sightings: Iterable[Sighting], known: Mapping[str, Known], *, dated: bool = True
) -> tuple[list[Sighting], dict[str, str]]:
    """Of what was found by client id, what is about the orders of these rows; of the others, why.

    A client id may be given again. `dated` False: the rows' times do not agree with the venue's,
    and tell no earlier order from the row's own.
    """
    found: dict[str, list[Sighting]] = {}
    unclear: dict[str, str] = {}
    for sighting in sightings:
        client = sighting.report.client_order_id or ""
        if client not in known:
            continue
        order = order_of(sighting.report)
        if dated and all(is_namesake(order, claim) for claim in known[client].claims):
            unclear[client] = EARLIER_ORDER
        else:
            found.setdefault(client, []).append(sighting)
    for client, several in found.items():
        unclear.pop(client, None)
        if len(ids_of(several)) > 1:
            unclear[client] = SEVERAL_ORDERS
    return [s for client in found.keys() - unclear.keys() for s in found[client]], unclear


def lacks_fill_facts(sighting: Sighting) -> bool:
    """Whether an order ended with fills of which the price or the time is not told."""
    report = sighting.report
    return bool(
        report.status is not None
        and report.status.is_final
        and report.filled_qty
        and (report.last_fill_at is None or report.avg_price is None)
    )


def is_mute(reading: Reading) -> bool:
    """Whether nobody answered, or the key was refused: whoever asks on hears the same."""
    said = reading.sightings or reading.said_again or reading.absences
    return (
        not said
        and bool(reading.silences)
        and all(not s.garbled and (s.barred or not s.refused) for s in reading.silences)
    )


def spread(reading: Reading, orders: Sequence[str]) -> Reading:
    """The same, with its silence about these orders too, which were not asked for."""
    also = msgspec.structs.replace(reading.silences[0], orders=tuple(orders))
    return reading + Reading(silences=(also,) if orders else ())
