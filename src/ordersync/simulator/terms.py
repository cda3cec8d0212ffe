"""What an order asks for: reading and writing Coinbase's `order_configuration`.

An order configuration is an object with one key, which names the kind of order, and the sizes
and prices as strings below it. Where the sizes are missing or senseless this says which of the
exchange's refusal reasons applies.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPE_AND_DURATION = {
    "market_market_ioc": ("MARKET", "IMMEDIATE_OR_CANCEL"),
    "market_market_fok": ("MARKET", "FILL_OR_KILL"),
    "sor_limit_ioc": ("LIMIT", "IMMEDIATE_OR_CANCEL"),
    "limit_limit_gtc": ("LIMIT", "GOOD_UNTIL_CANCELLED"),
    "limit_limit_gtd": ("LIMIT", "GOOD_UNTIL_DATE_TIME"),
    "limit_limit_fok": ("LIMIT", "FILL_OR_KILL"),
    "twap_limit_gtd": ("TWAP", "GOOD_UNTIL_DATE_TIME"),
    "stop_limit_stop_limit_gtc": ("STOP_LIMIT", "GOOD_UNTIL_CANCELLED"),
    "stop_limit_stop_limit_gtd": ("STOP_LIMIT", "GOOD_UNTIL_DATE_TIME"),
    "trigger_bracket_gtc": ("BRACKET", "GOOD_UNTIL_CANCELLED"),
    "trigger_bracket_gtd": ("BRACKET", "GOOD_UNTIL_DATE_TIME"),
    "scaled_limit_gtc": ("SCALED", "GOOD_UNTIL_CANCELLED"),
}


class TermsRefusedError(ValueError):
    """The configuration is none. `reason` is the exchange's word for why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The one key and what it says. Exactly one of the sizes is set."""

    kind: str
    order_type: str
    time_in_force: str
    base_size: Decimal | None
    quote_size: Decimal | None
    limit_price: Decimal | None
    end_time: datetime | None


def read_terms(configuration: Mapping[str, object]) -> Terms:
    """Read what a configuration asks for. Raises TermsRefusedError."""
    if len(configuration) != 1 or next(iter(configuration)) not in _TYPE_AND_DURATION:
        raise TermsRefusedError(
            "UNSUPPORTED_ORDER_CONFIGURATION",
            f"one key of {', '.join(_TYPE_AND_DURATION)} is needed, not {list(configuration)}",
        )
    kind, fields = next(iter(configuration.items()))
    if not isinstance(fields, dict):
        raise TermsRefusedError("UNSUPPORTED_ORDER_CONFIGURATION", f"{kind} is not an object")
    order_type, time_in_force = _TYPE_AND_DURATION[kind]
    base_size = _positive(fields, "base_size", "INVALID_SIZE_PRECISION")
    quote_size = _positive(fields, "quote_size", "INVALID_SIZE_PRECISION")
    if (base_size is None) == (quote_size is None):
        raise TermsRefusedError(
            "INVALID_SIZE_PRECISION", "exactly one of base_size and quote_size is needed"
        )
    limit_price = _positive(fields, "limit_price", "INVALID_PRICE_PRECISION")
    if limit_price is None and order_type != "MARKET":
        raise TermsRefusedError("INVALID_LIMIT_PRICE", f"{kind} needs a limit_price")
    return Terms(
        kind=kind,
        order_type=order_type,
        time_in_force=time_in_force,
        base_size=base_size,
        quote_size=quote_size,
        limit_price=limit_price,
        end_time=_end_time(fields, time_in_force),
    )


def _positive(fields: Mapping[str, object], name: str, reason: str) -> Decimal | None:
    text = fields.get(name)
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise TermsRefusedError(reason, f"{name} must be a string, not {text!r}")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise TermsRefusedError(reason, f"{name} is not a number: {text!r}") from None
    if not number.is_finite() or number <= 0:
        raise TermsRefusedError(reason, f"{name} must be greater than zero, not {text!r}")
    return number


def _end_time(fields: Mapping[str, object], time_in_force: str) -> datetime | None:
    if time_in_force != "GOOD_UNTIL_DATE_TIME":
        return None
    text = fields.get("end_time")
    try:
        end = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        end = None
    if end is None or end.tzinfo is None:
        raise TermsRefusedError("INVALID_REQUEST", f"end_time is not RFC 3339: {text!r}")
    return end.astimezone(UTC)


def market(*, base_size: str | None = None, quote_size: str | None = None) -> dict[str, object]:
    """Write a market order, sized in the base or in the quote currency."""
    sizes = {"base_size": base_size, "quote_size": quote_size}
    return {"market_market_ioc": {name: size for name, size in sizes.items() if size is not None}}


def limit_gtc(base_size: str, limit_price: str, *, post_only: bool = False) -> dict[str, object]:
    """Write a limit order, good until canceled."""
    terms = {"base_size": base_size, "limit_price": limit_price, "post_only": post_only}
    return {"limit_limit_gtc": terms}


def limit_gtd(
    base_size: str, limit_price: str, end_time: datetime, *, post_only: bool = False
) -> dict[str, object]:
    """Write a limit order, good until `end_time`."""
    terms = {
        "base_size": base_size,
        "limit_price": limit_price,
        "end_time": end_time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "post_only": post_only,
    }
    return {"limit_limit_gtd": terms}


def limit_fok(base_size: str, limit_price: str) -> dict[str, object]:
    """Write a limit order, to fill at once and completely, or not at all."""
    return {"limit_limit_fok": {"base_size": base_size, "limit_price": limit_price}}


def stop_limit_gtc(
    base_size: str,
    limit_price: str,
    stop_price: str,
    *,
    stop_direction: str = "STOP_DIRECTION_STOP_DOWN",
) -> dict[str, object]:
    """Write a limit order that waits for `stop_price`."""
    terms = {
        "base_size": base_size,
        "limit_price": limit_price,
        "stop_price": stop_price,
        "stop_direction": stop_direction,
    }
    return {"stop_limit_stop_limit_gtc": terms}
