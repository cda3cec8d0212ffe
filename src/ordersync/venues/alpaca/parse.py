"""Alpaca's wire format to Reports. Pure: bytes in, Sightings and Silences out.

Traps of the format (OpenAPI of the Trading API, streaming pages, other clients' notes): numbers
are strings or null, here and there bare; `qty` is null for an order placed by amount; an order
of several legs has an empty symbol and side, and its legs are orders of their own; `filled_at`
is only set when all is filled; `updated_at` moves with everything; times have nanoseconds, on
the stream also other offsets. Nothing in an order tells whose account it is of. A status word
may be new. One order that cannot be read never takes the others of its page with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from ordersync.pushed import Heard
from ordersync.truth.evidence import LONGEST_NAME, Sighting, Silence, mark_of
from ordersync.truth.model import Report, Status
from ordersync.venues.answers import UNREADABLE, excerpt
from ordersync.venues.wire import Number, check_names, decoder_of, moment, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

STATUSES = {str(status): status for status in Status if status is not Status.UNKNOWN}
"""Ours are Alpaca's words; any other is no guess but a Silence."""

STREAM = "stream"
FILLS = frozenset({"fill", "partial_fill"})
TAKEN_BACK = frozenset({"trade_bust", "trade_correct", "restated"})
"""Events that may lower what was filled, which a join of snapshots cannot say."""

NO_SUCH_ORDER = 40410000

_WITH_LEGS = re.compile(rb'"legs"\s*:\s*\[\s*\{')


class WireOrder(msgspec.Struct, frozen=True, gc=False):
    """An order as REST and stream give it; only what is read here."""

    id: str
    status: str
    filled_qty: Number
    client_order_id: str | None = None
    symbol: str | None = None
    side: str | None = None
    qty: Number = None
    filled_avg_price: Number = None
    commission: Number = None
    created_at: str | None = None
    updated_at: str | None = None
    filled_at: str | None = None
    replaced_by: str | None = None
    replaces: str | None = None


class Account(msgspec.Struct, frozen=True):
    """Whose account a key opens. What the account may do is for the venue to mind, not for us."""

    id: str


class MarketClock(msgspec.Struct, frozen=True):
    """The venue's clock, with an offset of its own."""

    timestamp: str

    @property
    def moment(self) -> datetime | None:
        """It as a time; None where it is none."""
        try:
            return moment(self.timestamp)
        except ValueError:
            return None


class Activity(msgspec.Struct, frozen=True, gc=False):
    """One fill of the account's activities. `cum_qty` counts all of its order so far."""

    id: str
    order_id: str
    cum_qty: Number
    transaction_time: str


class Frame(msgspec.Struct, frozen=True):
    """One message of the stream: which stream speaks, and what it says."""

    stream: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class Authorization(msgspec.Struct, frozen=True):
    """The answer to the key, here and there with a reason."""

    status: str
    message: str = ""

    @property
    def is_granted(self) -> bool:
        """Whether the key may listen."""
        return self.status == "authorized"

    def __str__(self) -> str:
        return f"{self.status} ({self.message})" if self.message else self.status


class Listening(msgspec.Struct, frozen=True):
    """The streams that are on from now on."""

    streams: list[str] = []


class Update(msgspec.Struct, frozen=True, gc=False):
    """A trade update: what happened, with the whole order as it is then."""

    event: str = ""
    order: msgspec.Raw = msgspec.Raw(b"null")
    timestamp: str | None = None
    at: str | None = None
    execution_id: str | None = None


class _ErrorBody(msgspec.Struct, frozen=True):
    code: int | None = None
    message: str | None = None


class _Place(msgspec.Struct, frozen=True):
    id: str
    submitted_at: str | None = None


class _Legs(msgspec.Struct, frozen=True):
    legs: list[msgspec.Raw] | None = None


PAGE = msgspec.json.Decoder(list[msgspec.Raw])
ONE = msgspec.json.Decoder(msgspec.Raw)
ACTIVITIES = decoder_of(list[Activity])
ACCOUNT = msgspec.json.Decoder(Account)
CLOCK = msgspec.json.Decoder(MarketClock)
FRAME = msgspec.json.Decoder(Frame)
AUTHORIZATION = msgspec.json.Decoder(Authorization)
LISTENING = msgspec.json.Decoder(Listening)
_UPDATE = msgspec.json.Decoder(Update | None)
_ORDER = decoder_of(WireOrder)
_ERROR = msgspec.json.Decoder(_ErrorBody)
_PLACE = msgspec.json.Decoder(_Place)
_LEGS = msgspec.json.Decoder(_Legs)
_ID = msgspec.json.Decoder(dict[str, Any])


def parse_order(raw: bytes, endpoint: str, as_of: datetime) -> Sighting | Silence:
    """One order. Silence with the raw text where it cannot be read."""
    text = excerpt(raw)
    try:
        report = _report(_ORDER.decode(raw), as_of)
    except (*UNREADABLE, ValueError) as error:
        why = f"an order that cannot be read: {error}"
        return Silence(endpoint=endpoint, why=why, orders=_order_id(raw), raw=text, garbled=True)
    return Sighting(report=report, endpoint=endpoint, raw=text, mark=mark_of(raw))


def flatten(orders: Sequence[msgspec.Raw]) -> Iterator[bytes]:
    """Every order of a page, each followed by its legs: a leg is an order of its own."""
    for order in orders:
        raw = bytes(order)
        yield raw
        if _WITH_LEGS.search(raw) is not None:
            try:
                legs = _LEGS.decode(raw).legs or []
            except UNREADABLE:
                continue  # the order around them cannot be read either, and says so
            yield from flatten(legs)


def place_of(order: msgspec.Raw) -> tuple[str, datetime | None] | None:
    """The id of an order in a list and when it was submitted: where a next page may begin."""
    try:
        place = _PLACE.decode(bytes(order))
        submitted_at = moment(place.submitted_at)
    except (*UNREADABLE, ValueError):
        return None
    return (place.id, submitted_at) if place.id else None


def says_not_found(body: bytes) -> bool:
    """Whether a 404 is the venue's own word that there is no such order: its code, not its text.

    A proxy's 404 page, or one for a path that does not exist, is no such word.
    """
    try:
        return _ERROR.decode(body).code == NO_SUCH_ORDER
    except UNREADABLE:
        return False


def parse_fill(fill: Activity, endpoint: str, as_of: datetime) -> Sighting:
    """The last fill of an order as a Report without standing. Raises ValueError."""
    filled_qty = number(fill.cum_qty)
    if filled_qty is None:
        raise ValueError("a fill without a cum_qty")
    report = Report(
        as_of=as_of,
        venue_order_id=fill.order_id,
        filled_qty=filled_qty,
        last_fill_at=moment(fill.transaction_time),
    )
    return Sighting(report=report, endpoint=endpoint)


def parse_update(data: bytes, now: datetime) -> Heard:
    """What a trade update brought, whatever its event is called: the order in it counts.

    `now` is the venue's clock, for an update that does not say when it was made: the time of the
    order's own last change is not the moment at which the venue vouched for it.
    """
    try:
        update = _UPDATE.decode(data)
    except UNREADABLE as error:
        return unreadable(data, f"an update that cannot be read ({error})")
    if update is None:
        return Heard()
    if bytes(update.order) == b"null":
        return unreadable(data, "an update without an order")
    said_at = _time_of(update)
    read = [parse_order(raw, STREAM, said_at or now) for raw in flatten([update.order])]
    sightings = [one for one in read if isinstance(one, Sighting)]
    silences = [one for one in read if isinstance(one, Silence)]
    if sightings and said_at and update.event in FILLS and sightings[0].report.filled_qty:
        report = msgspec.structs.replace(sightings[0].report, last_fill_at=said_at)
        sightings[0] = msgspec.structs.replace(sightings[0], report=report)
    missed = "an order on the stream that cannot be read" if silences else ""
    if update.event in TAKEN_BACK:
        why = f"{update.event} of the execution {update.execution_id}: see to it by hand"
        ids = _order_id(bytes(update.order))
        silences.append(
            Silence(endpoint=STREAM, why=why, orders=ids, raw=excerpt(data), garbled=True)
        )
    return Heard(sightings=tuple(sightings), silences=tuple(silences), missed=missed)


def unreadable(frame: bytes, why: str) -> Heard:
    """A message of the stream that says nothing that could be understood."""
    silence = Silence(endpoint=STREAM, why=why, orders=(), raw=excerpt(frame), garbled=True)
    return Heard(silences=(silence,), missed=why)


def _time_of(update: Update) -> datetime | None:
    try:
        return moment(update.timestamp) or moment(update.at)
    except ValueError:
        return None


def _report(wire: WireOrder, as_of: datetime) -> Report:
    """The Report of a wire order. Raises ValueError."""
    status = STATUSES.get(wire.status)
    if status is None:
        raise ValueError(f"unknown status word {wire.status!r}")
    filled_qty = number(wire.filled_qty)
    if status is Status.FILLED and not filled_qty:
        raise ValueError("filled without a filled_qty")
    if not wire.id:
        raise ValueError("an order without an id")
    check_names(wire.id, wire.client_order_id, wire.symbol, wire.replaced_by, wire.replaces)
    has_fills = bool(filled_qty)
    return Report(
        as_of=as_of,
        venue_order_id=wire.id,
        client_order_id=wire.client_order_id or None,
        symbol=wire.symbol or None,
        side=wire.side or None,
        status=status,
        venue_status=wire.status,
        filled_qty=filled_qty,
        avg_price=number(wire.filled_avg_price) if has_fills else None,
        fee=number(wire.commission) if has_fills else None,
        quantity=number(wire.qty) or None,  # no order is of nothing: 0 says no size
        created_at=moment(wire.created_at),
        changed_at=moment(wire.updated_at),
        # What is canceled or expired after fills keeps the time of its last fill to itself.
        last_fill_at=moment(wire.filled_at) if status is Status.FILLED else None,
        replaces=wire.replaces or None,
        replaced_by=wire.replaced_by or None,
    )


def _order_id(raw: bytes) -> tuple[str, ...]:
    """The id in an order that cannot be read otherwise, if there is one."""
    try:
        found = _ID.decode(raw).get("id")
    except UNREADABLE:
        return ()
    return (found,) if isinstance(found, str) and len(found) <= LONGEST_NAME else ()
