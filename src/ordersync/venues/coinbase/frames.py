"""Coinbase's user channel to Reports. Pure: one message in, what it says out.

Facts of the channel (API reference "WebSocket Channels", user and heartbeats; what other clients
observed): every order is cumulative; there is no time of an order's own, only the envelope's;
that of an update stands for when it changed; names differ from REST (order_side,
cumulative_quantity, avg_price, creation_time); OPEN with
nothing left comes shortly before FILLED; leaves_quantity is 0 at every end, and in quote where
the order was sized in quote, so the order's size is not read from it; `orders` may be null; an
error has no channel. One counter numbers all messages of a connection from 0.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from ordersync.truth.evidence import Sighting, Silence
from ordersync.truth.model import Report, Status
from ordersync.venues.answers import UNREADABLE, excerpt
from ordersync.venues.coinbase.parse import NO_INFORMATION, STATUSES, id_in
from ordersync.venues.wire import Number, check_names, decoder_of, moment, number

ENDPOINT = "user_channel"
"""How evidence names this source."""

_REFUSALS = ("auth", "jwt", "token", "permission", "credential", "api key")


class Kind(StrEnum):
    """What a message is for."""

    ORDERS = "orders"
    HEARTBEAT = "heartbeat"
    SUBSCRIPTIONS = "subscriptions"
    ERROR = "error"
    OTHER = "other"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the venue. `number` is its place in the connection, None where it has none.

    `beat` is a heartbeat's counter, `channels` what is subscribed to, `text` an error's words.
    """

    kind: Kind
    number: int | None = None
    at: datetime | None = None
    sightings: tuple[Sighting, ...] = ()
    silences: tuple[Silence, ...] = ()
    is_snapshot: bool = False
    beat: int | None = None
    channels: frozenset[str] = frozenset()
    text: str = ""


class WireOrder(msgspec.Struct, frozen=True, gc=False):
    """An order as the user channel tells it; only what is read here."""

    order_id: str
    status: str
    cumulative_quantity: Number
    product_id: str | None = None
    client_order_id: str | None = None
    order_side: str | None = None
    avg_price: Number = None
    total_fees: Number = None
    creation_time: str | None = None
    cancel_reason: str | None = None
    reject_reason: str | None = None
    retail_portfolio_id: str | None = None


class _Envelope(msgspec.Struct, frozen=True):
    channel: str | None = None
    type: str | None = None
    message: str | None = None
    timestamp: str | None = None
    sequence_num: int | None = None
    events: list[msgspec.Raw] | None = None


class _OrdersEvent(msgspec.Struct, frozen=True):
    type: str | None = None
    orders: list[msgspec.Raw] | None = None


class _Beat(msgspec.Struct, frozen=True):
    heartbeat_counter: int | str | None = None


class _Subscriptions(msgspec.Struct, frozen=True):
    subscriptions: dict[str, Any] | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_EVENT = msgspec.json.Decoder(_OrdersEvent)
_BEAT = msgspec.json.Decoder(_Beat)
_SUBSCRIPTIONS = msgspec.json.Decoder(_Subscriptions)
_ORDER = decoder_of(WireOrder)


def parse_message(raw: bytes, portfolio: str | None) -> Message | Silence:
    """One message of the stream; Silence with its beginning where it cannot be read at all."""
    try:
        raw.decode()  # what is no text may hide a key in it, and a key that is hidden is no key
        return _message(_ENVELOPE.decode(raw), portfolio)
    except (*UNREADABLE, ValueError) as error:
        why = f"a message that cannot be read: {error}"
        return Silence(endpoint=ENDPOINT, why=why, raw=excerpt(raw), garbled=True)


def is_refusal(text: str) -> bool:
    """Whether an error's words speak of the key, and not of the request or of the venue."""
    return any(word in text.lower() for word in _REFUSALS)


def _message(envelope: _Envelope, portfolio: str | None) -> Message:
    number, events = envelope.sequence_num, envelope.events or []
    if envelope.channel is not None and envelope.events is None:
        raise ValueError(f"a message of the channel {envelope.channel} without events")
    if envelope.type == "error":
        return Message(kind=Kind.ERROR, number=number, text=envelope.message or "no reason given")
    at = moment(envelope.timestamp)
    if envelope.channel == "user":
        return _orders_message(envelope, events, at, portfolio)
    if envelope.channel == "heartbeats":
        beats = [_count(_BEAT.decode(event).heartbeat_counter) for event in events]
        return Message(kind=Kind.HEARTBEAT, number=number, at=at, beat=beats[-1] if beats else None)
    if envelope.channel == "subscriptions":
        told = (_SUBSCRIPTIONS.decode(event).subscriptions or {} for event in events)
        channels = frozenset(channel for one in told for channel in one)
        return Message(kind=Kind.SUBSCRIPTIONS, number=number, at=at, channels=channels)
    why = f"a message of an unknown channel: {envelope.channel}"
    silence = Silence(endpoint=ENDPOINT, why=why, garbled=True)
    return Message(kind=Kind.OTHER, number=number, at=at, silences=(silence,))


def _orders_message(
    envelope: _Envelope, events: list[msgspec.Raw], at: datetime | None, portfolio: str | None
) -> Message:
    if at is None:
        raise ValueError("orders without the time at which they stood so")
    sightings: list[Sighting] = []
    silences: list[Silence] = []
    decoded = [_EVENT.decode(event) for event in events]
    for event in decoded:
        for raw in event.orders or ():
            one = parse_order(bytes(raw), at, portfolio, is_change=event.type == "update")
            if isinstance(one, Sighting):
                sightings.append(one)
            else:
                silences.append(one)
    return Message(
        kind=Kind.ORDERS,
        number=envelope.sequence_num,
        at=at,
        sightings=tuple(sightings),
        silences=tuple(silences),
        is_snapshot=all(event.type == "snapshot" for event in decoded),
    )


def parse_order(
    raw: bytes, as_of: datetime, portfolio: str | None, *, is_change: bool
) -> Sighting | Silence:
    """One order of a message. It never takes the others with it where it cannot be read."""
    try:
        wire = _ORDER.decode(raw)
        report = _report(wire, as_of, portfolio, changed_at=as_of if is_change else None)
    except (*UNREADABLE, ValueError) as error:
        why = f"an order that cannot be believed: {error}"
        return Silence(
            endpoint=ENDPOINT, why=why, orders=id_in(raw), raw=excerpt(raw), garbled=True
        )
    return Sighting(report=report, endpoint=ENDPOINT, raw=excerpt(raw))


def _report(
    wire: WireOrder, as_of: datetime, portfolio: str | None, *, changed_at: datetime | None
) -> Report:
    if portfolio and wire.retail_portfolio_id and wire.retail_portfolio_id != portfolio:
        raise ValueError(f"it is of another account (portfolio {wire.retail_portfolio_id})")
    status = STATUSES.get(wire.status)
    if not wire.order_id:
        raise ValueError("it has no id")
    check_names(wire.order_id, wire.client_order_id, wire.product_id)
    if status is None and wire.status != NO_INFORMATION:
        raise ValueError(f"unknown status word {wire.status!r}")
    filled_qty = number(wire.cumulative_quantity)
    if status is Status.FILLED and not filled_qty:
        raise ValueError("FILLED without a cumulative_quantity")
    has_fills = bool(filled_qty)
    price = number(wire.avg_price)
    return Report(
        as_of=as_of,
        venue_order_id=wire.order_id,
        client_order_id=wire.client_order_id or None,
        symbol=wire.product_id or None,
        side=wire.order_side.lower() if wire.order_side else None,
        # The zero value of the enum says nothing of the state; the fills beside it stand.
        status=status,
        venue_status=wire.status,
        filled_qty=filled_qty,
        avg_price=price if has_fills and price else None,
        fee=number(wire.total_fees),
        created_at=moment(wire.creation_time),
        changed_at=changed_at,
        reason=_reason(wire, status),
    )


def _reason(wire: WireOrder, status: Status | None) -> str | None:
    if status is Status.REJECTED:
        words = wire.reject_reason or ""
        return None if "UNSPECIFIED" in words else words or None
    if status in {Status.CANCELED, Status.EXPIRED}:
        return wire.cancel_reason or None
    return None


def _count(counter: int | str | None) -> int | None:
    if isinstance(counter, str):
        return int(counter) if counter.isascii() and counter.isdigit() else None
    return counter
