"""What a source brings, by order: the form in which everything reaches ingest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from ordersync.hinted import Receipt
from ordersync.ports import Claim, Known, Meaning, Note, OrderName
from ordersync.sync.acts import Act
from ordersync.truth.evidence import Absence, Sighting, Silence
from ordersync.truth.model import Source

NOTHING_ASKED = datetime.min.replace(tzinfo=UTC)
"""Before any row was read: an open truth that is merely shown overwrites no final word."""


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What one source brings for one account.

    `asked_at` is when the question was asked, on our clock, `venue_now` the venue's clock.
    `known` is what the caller has just read, by order key; the rest is read here. `absences`
    are those that may count: the account has proved itself in the same pass. `garbled` are
    answers about an order that could not be read. `restate` names orders whose row is to be
    compared with the truth that is known already. `receipts` are of the webhooks that led to it.
    `vouched` are the moments, by order key, since which an order was said again in the same words.
    `acts` are what an operator says of orders that are restated, by order key; `rowless` what is
    to be told of them where they have no row.
    """

    account: str
    source: Source
    asked_at: datetime
    venue_now: datetime
    sightings: Sequence[Sighting] = ()
    absences: Sequence[Absence] = ()
    garbled: Sequence[Silence] = ()
    restate: Sequence[Known] = ()
    known: Mapping[str, Known] = {}
    receipts: Sequence[Receipt] = ()
    ages_from_rows: bool = True
    vouched: Mapping[str, datetime] = {}
    acts: Mapping[str, Act] = {}
    rowless: Mapping[str, Note] = {}

    @property
    def was_asked_for(self) -> bool:
        """Whether the venue was asked, rather than spoke by itself or is only quoted."""
        return self.source is not Source.STREAM and self.asked_at > NOTHING_ASKED


class Said(msgspec.Struct, gc=False):
    """Everything a parcel says about one order."""

    name: OrderName
    sightings: list[Sighting] = []
    absences: list[Absence] = []
    garbled: list[Silence] = []


def key_of(name: OrderName) -> str:
    """The key of an order's truth: the venue's id where it is known, else the client's."""
    return f"v:{name.venue_order_id}" if name.venue_order_id else f"c:{name.client_order_id}"


def by_order(parcel: Parcel) -> dict[str, Said]:
    """What the parcel says, by order key."""
    said: dict[str, Said] = {}

    def about(name: OrderName) -> Said:
        return said.setdefault(key_of(name), Said(name))

    for sighting in parcel.sightings:
        report = sighting.report
        about(OrderName(report.venue_order_id, report.client_order_id)).sightings.append(sighting)
    for absence in parcel.absences:
        about(OrderName(absence.venue_order_id, absence.client_order_id)).absences.append(absence)
    for silence in parcel.garbled:
        for order in silence.orders:
            # A row that knows its client id alone was asked for by that.
            by_client = f"v:{order}" not in parcel.known and f"c:{order}" in parcel.known
            name = OrderName(None, order) if by_client else OrderName(order)
            about(name).garbled.append(silence)
    return said


def name_of(key: str) -> OrderName:
    """By what an order is known, from its key."""
    kind, _, text = key.partition(":")
    return OrderName(text) if kind == "v" else OrderName(None, text)


def is_watched(claim: Claim) -> bool:
    """Whether a row is one to verify: it names its order and its word is understood."""
    named = claim.venue_order_id is not None or claim.client_order_id is not None
    return named and claim.meaning is not Meaning.UNMAPPED
