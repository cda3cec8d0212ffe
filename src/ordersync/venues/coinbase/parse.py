"""Coinbase's wire format to Reports. Pure: bytes in, Sightings and Silences out.

Traps of the format (API reference "List Orders", official client, other clients' notes):
numbers are strings and may be "" or "0"; there is no status for a partial fill (it is OPEN
with filled_size); the order's size is inside order_configuration, in base or in quote; a time
that does not apply is null or in the year 1; a status word may be new. One order that cannot
be read never takes the others of its page with it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

import msgspec

from ordersync.truth.evidence import LONGEST_NAME, Sighting, Silence, mark_of
from ordersync.truth.model import Report, Status
from ordersync.venues.answers import UNREADABLE, Blame, Unusable, excerpt
from ordersync.venues.wire import Number, check_names, decoder_of, moment, number

STATUSES: dict[str, Status] = {
    "PENDING": Status.PENDING_NEW,
    "QUEUED": Status.ACCEPTED,
    "OPEN": Status.NEW,
    "EDIT_QUEUED": Status.PENDING_REPLACE,
    "CANCEL_QUEUED": Status.PENDING_CANCEL,
    "FILLED": Status.FILLED,
    "CANCELLED": Status.CANCELED,
    "EXPIRED": Status.EXPIRED,
    "FAILED": Status.REJECTED,
}
NO_INFORMATION = "UNKNOWN_ORDER_STATUS"
"""The zero value of the enum: the venue says nothing of the order's state."""

_TENTH_DIGIT = Decimal("1e-10")


class WireOrder(msgspec.Struct, frozen=True, gc=False):
    """An order as REST gives it; only what is read here."""

    order_id: str
    status: str
    filled_size: Number
    product_id: str | None = None
    client_order_id: str | None = None
    side: str | None = None
    average_filled_price: Number = None
    total_fees: Number = None
    settled: bool | None = None
    pending_cancel: bool | None = None
    size_in_quote: bool | None = None
    order_configuration: dict[str, Any] | None = None
    created_time: str | None = None
    last_fill_time: str | None = None
    last_update_time: str | None = None
    reject_reason: str | None = None
    reject_message: str | None = None
    cancel_message: str | None = None
    retail_portfolio_id: str | None = None


class Page(msgspec.Struct, frozen=True):
    """One page of a list of orders. `has_next` must be there: without it nothing is complete."""

    orders: list[msgspec.Raw]
    has_next: bool
    cursor: str | None = None

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page, None on the last one."""
        return (self.cursor or None) if self.has_next else None


class One(msgspec.Struct, frozen=True):
    """The answer to a look-up by id."""

    order: msgspec.Raw


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One fill of a fills listing."""

    order_id: str
    price: str
    size: str
    trade_time: str
    entry_id: str | None = None
    trade_id: str | None = None
    commission: Number = None
    trade_type: str | None = None
    size_in_quote: bool | None = None


class FillsPage(msgspec.Struct, frozen=True):
    """One page of fills; an empty cursor ends them (there is no has_next)."""

    fills: list[Fill]
    cursor: str | None = None


class KeyPermissions(msgspec.Struct, frozen=True):
    """What a key may do, and whose portfolio it opens."""

    can_view: bool
    can_trade: bool
    can_transfer: bool
    portfolio_uuid: str


class ServerTime(msgspec.Struct, frozen=True):
    """The venue's clock."""

    epochMillis: str | int  # noqa: N815 - the wire's own spelling

    @property
    def moment(self) -> datetime | None:
        """It as a time; None where it is none."""
        try:
            return datetime.fromtimestamp(int(self.epochMillis) / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            return None


class _ErrorBody(msgspec.Struct, frozen=True):
    error: str | None = None
    message: str | None = None
    error_details: str | None = None


PAGE = msgspec.json.Decoder(Page)
ONE = msgspec.json.Decoder(One)
FILLS = decoder_of(FillsPage)
PERMISSIONS = msgspec.json.Decoder(KeyPermissions)
SERVER_TIME = msgspec.json.Decoder(ServerTime)
_ORDER = decoder_of(WireOrder)
_ERROR = msgspec.json.Decoder(_ErrorBody)
_ID = msgspec.json.Decoder(dict[str, Any])


def parse_order(
    raw: bytes, endpoint: str, as_of: datetime, portfolio: str | None
) -> Sighting | Silence:
    """One order. Silence with the raw text where it cannot be read or is not this account's."""
    text = excerpt(raw)
    try:
        wire = _ORDER.decode(raw)
        report = _report(wire, as_of)
    except (*UNREADABLE, ValueError) as error:
        why = f"an order that cannot be read: {error}"
        return Silence(endpoint=endpoint, why=why, orders=id_in(raw), raw=text, garbled=True)
    if portfolio and wire.retail_portfolio_id and wire.retail_portfolio_id != portfolio:
        why = f"an order of another account (portfolio {wire.retail_portfolio_id})"
        return Silence(endpoint=endpoint, why=why, orders=id_in(raw), raw=text, garbled=True)
    if report is None:
        why = "the venue says nothing of the order's state"
        return Silence(endpoint=endpoint, why=why, orders=id_in(raw))
    # Before it is known whose account this is, the same words may yet come to be another's.
    mark = mark_of(raw) if portfolio else 0
    return Sighting(report=report, endpoint=endpoint, raw=text, mark=mark)


def says_not_found(body: bytes) -> bool:
    """Whether a 404 is the venue's own word that there is no such order.

    Two spellings are known: error "NOT_FOUND", and error "unknown" with the message "order
    with this orderID was not found". A proxy's 404 page is neither.
    """
    try:
        said = _ERROR.decode(body)
    except UNREADABLE:
        return False
    words = f"{said.message or ''} {said.error_details or ''}".lower()
    return (said.error or "").upper() == "NOT_FOUND" or (
        said.error is not None and "order" in words and "not found" in words
    )


def parse_fills(fills: list[Fill], endpoint: str, as_of: datetime) -> list[Sighting] | Unusable:
    """A listing of fills as Reports without standing: what was filled at least."""
    by_order: dict[str, list[Fill]] = {}
    # Pages shift while they are turned: what comes twice was filled once.
    named = {(fill.order_id, fill.entry_id, fill.trade_id): fill for fill in fills if _name(fill)}
    for fill in [*named.values(), *(fill for fill in fills if not _name(fill))]:
        if (fill.trade_type or "FILL") != "FILL":
            # Reversals and corrections make the sum something else than CumQty.
            return Unusable(why=f"a fill of type {fill.trade_type}", blame=Blame.GARBLED)
        by_order.setdefault(fill.order_id, []).append(fill)
    try:
        return [
            Sighting(report=_fills_report(order_id, listed, as_of), endpoint=endpoint)
            for order_id, listed in by_order.items()
        ]
    except (ValueError, ArithmeticError) as error:
        return Unusable(why=f"fills that cannot be read ({error})", blame=Blame.GARBLED)


def _report(wire: WireOrder, as_of: datetime) -> Report | None:
    """The Report of a wire order; None where it says nothing. Raises ValueError."""
    if wire.status == NO_INFORMATION:
        return None
    status = STATUSES.get(wire.status)
    if status is None:
        raise ValueError(f"unknown status word {wire.status!r}")
    if wire.pending_cancel and not status.is_final:
        status = Status.PENDING_CANCEL
    filled_qty = number(wire.filled_size)
    if status is Status.FILLED and not filled_qty:
        raise ValueError("FILLED without a filled_size")
    if not wire.order_id:
        raise ValueError("an order without an id")
    check_names(wire.order_id, wire.client_order_id, wire.product_id)
    has_fills = bool(filled_qty)
    price = number(wire.average_filled_price)
    return Report(
        as_of=as_of,
        venue_order_id=wire.order_id,
        client_order_id=wire.client_order_id or None,
        symbol=wire.product_id or None,
        side=wire.side.lower() if wire.side else None,
        status=status,
        venue_status=wire.status,
        filled_qty=filled_qty,
        # "0" without fills is the venue's way to say that there is no price.
        avg_price=price if has_fills and price else None,
        fee=number(wire.total_fees),
        # A canceled order without fills says settled: false for ever; there is nothing to settle.
        settled=wire.settled if status.is_final and has_fills else None,
        quantity=_quantity(wire),
        created_at=moment(wire.created_time),
        changed_at=moment(wire.last_update_time),
        last_fill_at=moment(wire.last_fill_time) if has_fills else None,
        reason=_reason(wire, status),
    )


def _quantity(wire: WireOrder) -> Decimal | None:
    """The order's size in base units; None where it was sized in quote."""
    if wire.size_in_quote:
        return None
    for terms in (wire.order_configuration or {}).values():
        if isinstance(terms, dict) and isinstance(terms.get("base_size"), str):
            return number(terms["base_size"]) or None  # no order is of nothing: "0" says no size
    return None


def _reason(wire: WireOrder, status: Status) -> str | None:
    if status is Status.REJECTED:
        words = wire.reject_message or wire.reject_reason or ""
        return None if "UNSPECIFIED" in words else words or None
    if status in {Status.CANCELED, Status.EXPIRED}:
        return wire.cancel_message or None
    return None


def _name(fill: Fill) -> str | None:
    return fill.entry_id or fill.trade_id


def _fills_report(order_id: str, fills: list[Fill], as_of: datetime) -> Report:
    qty = cost = fee = Decimal(0)
    last: datetime | None = None
    for fill in fills:
        price, size = number(fill.price), number(fill.size)
        if price is None or size is None:
            raise ValueError("a fill without price or size")
        # Rounded down: what a listing says of the quantity is a lower bound.
        base = (size / price).quantize(_TENTH_DIGIT, ROUND_DOWN) if fill.size_in_quote else size
        qty, cost, fee = qty + base, cost + base * price, fee + (number(fill.commission) or 0)
        at = moment(fill.trade_time)
        last = max(last, at) if last and at else at or last
    return Report(
        as_of=as_of,
        venue_order_id=order_id,
        filled_qty=qty,
        avg_price=cost / qty,
        fee=fee,
        last_fill_at=last,
    )


def id_in(raw: bytes) -> tuple[str, ...]:
    """The id in an order that cannot be read otherwise, if there is one."""
    try:
        found = _ID.decode(raw).get("order_id")
    except UNREADABLE:
        return ()
    return (found,) if isinstance(found, str) and len(found) <= LONGEST_NAME else ()
