"""What a fault does to an answer of Alpaca's: answer in its stead, or spoil a good one.

The same harm as at Coinbase, in this broker's shapes: pages are bare arrays, an order is the
whole answer, and the fields have other names.
"""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from ordersync.simulator.alpaca.answers import (
    forbidden,
    gateway_page,
    internal_error,
    too_many_requests,
    unauthorized,
)
from ordersync.simulator.answers import Answer
from ordersync.simulator.kinds import OF_AN_ORDER, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.simulator.answers import Json
    from ordersync.simulator.faults import Fault


def instead(faults: Sequence[Fault]) -> Answer | None:
    """Answer for whatever a fault has put before the broker, if one has."""
    for fault in faults:
        stand_in = _STAND_INS.get(fault.kind)
        if stand_in is not None:
            return stand_in(fault)
    return None


def _too_many(fault: Fault) -> Answer:
    headers = {"retry-after": f"{fault.seconds(1):g}"} if fault.value else {}
    return replace(too_many_requests(), headers=headers)


_STAND_INS: dict[str, Callable[[Fault], Answer]] = {
    Kind.TOO_MANY: _too_many,
    Kind.SERVER_ERROR: lambda fault: internal_error(fault.status(500)),
    Kind.HTML: lambda fault: gateway_page(fault.status(502)),
    Kind.UNAUTHORIZED: lambda _: unauthorized(),
    Kind.FORBIDDEN: lambda _: forbidden("forbidden.").answer,
    Kind.GARBAGE: lambda fault: Answer(
        text=fault.text("<!doctype html><title>Just a moment...</title>"),
        content_type="application/json",
    ),
    Kind.EMPTY: lambda _: Answer(text="", content_type="application/json"),
}


def damaged(
    answer: Answer, faults: Sequence[Fault], *, turn: int, page_before: Sequence[Json]
) -> Answer:
    """Spoil a good answer by these faults. `turn` chooses the victim; errors are left alone.

    `page_before` is the end of the page before this one, for the order that shows up twice.
    """
    payload = answer.payload
    if answer.status != HTTPStatus.OK or payload is None:
        return answer
    for fault in faults:
        if fault.kind is Kind.LOST_PAGE and isinstance(payload, list):
            payload = payload[: len(payload) // 2]
        elif fault.kind is Kind.SHIFTING_PAGE and isinstance(payload, list) and page_before:
            twice = fault.value == "twice"
            payload = [*page_before[-1:], *payload] if twice else payload[1:]
        elif fault.kind in OF_AN_ORDER:
            payload = _spoil_one(payload, fault, turn)
    if any(fault.kind is Kind.TRUNCATED_PAGE for fault in faults):
        text = json.dumps(payload)
        return Answer(text=text[: len(text) // 2], content_type="application/json")
    return replace(answer, payload=payload)


def _spoil_one(payload: Json, fault: Fault, turn: int) -> Json:
    """Spoil one field of one object: the order asked for, or one of a page."""
    if isinstance(payload, list):
        victims = _victims(payload, fault, turn)
        return [
            spoiled(row, fault) if index in victims and isinstance(row, dict) else row
            for index, row in enumerate(payload)
        ]
    if not isinstance(payload, dict) or (fault.order_ids and not _is_about(payload, fault)):
        return payload
    return spoiled(payload, fault)


def _victims(rows: Sequence[Json], fault: Fault, turn: int) -> set[int]:
    if not fault.order_ids:
        return {turn % len(rows)} if rows else set()
    return {
        index for index, row in enumerate(rows) if isinstance(row, dict) and _is_about(row, fault)
    }


def _is_about(row: dict[str, Json], fault: Fault) -> bool:
    # A fill names its order as order_id, an order itself as id.
    return row.get("order_id", row.get("id")) in fault.order_ids


def spoiled(row: dict[str, Json], fault: Fault) -> dict[str, Json]:
    """Spoil one field of an order or of a fill."""
    match fault.kind:
        case Kind.UNKNOWN_STATUS:
            return {**row, "status": fault.text("settling")}
        case Kind.MISSING_FIELD:
            return {name: value for name, value in row.items() if name != fault.text("status")}
        case Kind.WRONG_TYPE:
            return {**row, fault.text("filled_qty"): {"value": [1, None]}}
        case Kind.NAN:
            return {**row, fault.text("filled_qty"): "NaN"}
        case Kind.HUGE_NUMBER:
            return {**row, fault.text("filled_qty"): "1" + "0" * 400}
        case Kind.FUTURE_TIME:
            return {**row, fault.text("updated_at"): "2999-12-31T23:59:59.999999Z"}
        case _:
            return row
