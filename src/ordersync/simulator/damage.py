"""What a fault does: to the connection, to the view of the world, to a finished answer.

Three kinds of harm, in the order in which they happen. Something before the exchange answers in
its stead, or nobody does; the exchange answers honestly about a false view of the world; a true
answer is damaged on its way. The last two are the dangerous ones: they look like success.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from ordersync.simulator.answers import (
    Answer,
    gateway_page,
    internal_error,
    missing_scopes,
    too_many_requests,
    unauthorized,
)
from ordersync.simulator.kinds import OF_AN_ORDER, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.simulator.answers import Json
    from ordersync.simulator.faults import Fault

_NEVER = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Blindness:
    """How the exchange's view of its own orders is false for one request."""

    stale_by: timedelta = _NEVER
    blind_for: timedelta = _NEVER  # an order younger than this is not seen
    forgets_all: bool = False
    forgotten: frozenset[str] = frozenset()


def blindness_of(faults: Sequence[Fault]) -> Blindness:
    """Put together the false view that these faults make."""
    view = Blindness()
    for fault in faults:
        match fault.kind:
            case Kind.STALE:
                view = replace(view, stale_by=timedelta(seconds=fault.seconds(5)))
            case Kind.NOT_FOUND:
                view = replace(view, blind_for=timedelta(seconds=fault.seconds(5)))
            case Kind.FORGETFUL if fault.forgotten:
                view = replace(view, forgotten=view.forgotten | fault.forgotten)
            case Kind.FORGETFUL:
                view = replace(view, forgets_all=True)
            case _:
                pass
    return view


def instead(faults: Sequence[Fault]) -> Answer | None:
    """Answer for whatever a fault has put before the exchange, if one has."""
    for fault in faults:
        stand_in = _STAND_INS.get(fault.kind)
        if stand_in is not None:
            return stand_in(fault)
    return None


def _too_many(fault: Fault) -> Answer:
    headers = {"retry-after": f"{fault.seconds(1):g}"} if fault.value else {}
    return replace(too_many_requests(), headers=headers)


def _garbage(fault: Fault) -> Answer:
    text = fault.text("<!doctype html><title>Just a moment...</title>")
    return Answer(text=text, content_type="application/json")


_STAND_INS: dict[str, Callable[[Fault], Answer]] = {
    Kind.TOO_MANY: _too_many,
    Kind.SERVER_ERROR: lambda fault: internal_error(fault.status(500)),
    Kind.HTML: lambda fault: gateway_page(fault.status(502)),
    Kind.UNAUTHORIZED: lambda _: unauthorized(),
    Kind.FORBIDDEN: lambda _: missing_scopes().answer,
    Kind.GARBAGE: _garbage,
    Kind.EMPTY: lambda _: Answer(text="", content_type="application/json"),
}


def damaged(
    answer: Answer, faults: Sequence[Fault], *, turn: int, page_before: Sequence[Json]
) -> Answer:
    """Spoil a good answer by these faults. `turn` chooses the victim; errors are left alone.

    `page_before` is the end of the page before this one, for the order that shows up twice.
    """
    payload = answer.payload
    if answer.status != HTTPStatus.OK or not isinstance(payload, dict):
        return answer
    for fault in faults:
        if fault.kind is Kind.LOST_PAGE:
            payload = _lose_half(payload)
        elif fault.kind is Kind.SHIFTING_PAGE:
            payload = _shift(payload, twice=fault.value == "twice", page_before=page_before)
        elif fault.kind in OF_AN_ORDER:
            payload = _spoil_one(payload, fault, turn)
    if any(fault.kind is Kind.TRUNCATED_PAGE for fault in faults):
        text = json.dumps(payload)
        return Answer(text=text[: len(text) // 2], content_type="application/json")
    return replace(answer, payload=payload)


def _rows(payload: dict[str, Json]) -> tuple[str, list[Json]] | None:
    """Find the key and the rows of a page, where the payload is one."""
    for key in ("orders", "fills"):
        rows = payload.get(key)
        if isinstance(rows, list):
            return key, rows
    return None


def _lose_half(payload: dict[str, Json]) -> dict[str, Json]:
    page = _rows(payload)
    if page is None:
        return payload
    key, rows = page
    ended: dict[str, Json] = {"has_next": False} if "has_next" in payload else {}
    return {**payload, key: rows[: len(rows) // 2], "cursor": "", **ended}


def _shift(
    payload: dict[str, Json], *, twice: bool, page_before: Sequence[Json]
) -> dict[str, Json]:
    """Let an order cross the border between two pages while a client turns the page.

    It either goes to the page that the client has already read, and is missed, or comes from
    there, and is seen twice. The first page has no border behind it.
    """
    page = _rows(payload)
    if page is None or not page_before:
        return payload
    key, rows = page
    return {**payload, key: [*page_before[-1:], *rows] if twice else rows[1:]}


def _spoil_one(payload: dict[str, Json], fault: Fault, turn: int) -> dict[str, Json]:
    """Spoil one field of one object: the order asked for, or one of a page."""
    spoil = _SPOILERS[fault.kind]
    page = _rows(payload)
    if page is not None:
        key, rows = page
        victims = _victims(rows, fault, turn)
        spoiled: list[Json] = [
            spoil(dict(row), fault) if index in victims and isinstance(row, dict) else row
            for index, row in enumerate(rows)
        ]
        return {**payload, key: spoiled}
    order = payload.get("order")
    if isinstance(order, dict):
        if fault.order_ids and order.get("order_id") not in fault.order_ids:
            return payload
        return {**payload, "order": cast("Json", spoil(dict(order), fault))}
    return spoil(dict(payload), fault)


def _victims(rows: Sequence[Json], fault: Fault, turn: int) -> set[int]:
    if not fault.order_ids:
        return {turn % len(rows)} if rows else set()
    return {
        index
        for index, row in enumerate(rows)
        if isinstance(row, dict) and row.get("order_id") in fault.order_ids
    }


def _unknown_status(row: dict[str, Json], fault: Fault) -> dict[str, Json]:
    return {**row, "status": fault.text("SETTLING")}


def _missing_field(row: dict[str, Json], fault: Fault) -> dict[str, Json]:
    row.pop(fault.text("status"), None)
    return row


def _wrong_type(row: dict[str, Json], fault: Fault) -> dict[str, Json]:
    return {**row, fault.text("filled_size"): {"value": [1, None]}}


def _nan(row: dict[str, Json], fault: Fault) -> dict[str, Json]:
    return {**row, fault.text("filled_size"): "NaN"}


def _huge_number(row: dict[str, Json], fault: Fault) -> dict[str, Json]:
    return {**row, fault.text("filled_size"): "1" + "0" * 400}


def _future_time(row: dict[str, Json], fault: Fault) -> dict[str, Json]:
    return {**row, fault.text("last_fill_time"): "2999-12-31T23:59:59.999999Z"}


_SPOILERS: dict[str, Callable[[dict[str, Json], Fault], dict[str, Json]]] = {
    Kind.UNKNOWN_STATUS: _unknown_status,
    Kind.MISSING_FIELD: _missing_field,
    Kind.WRONG_TYPE: _wrong_type,
    Kind.NAN: _nan,
    Kind.HUGE_NUMBER: _huge_number,
    Kind.FUTURE_TIME: _future_time,
}
