"""Reading what a client asks for, as strictly as the real exchange reads it.

Every rule about a query parameter lives here: what may be repeated, what excludes what, what a
page may hold, what a cursor looks like. Unknown parameters are ignored, as over there.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from ordersync.simulator.answers import invalid_argument

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
MOST_IDS = 100  # not published; what clients are known to use

STATUSES = frozenset(
    [
        "PENDING",
        "OPEN",
        "FILLED",
        "CANCELLED",
        "EXPIRED",
        "FAILED",
        "UNKNOWN_ORDER_STATUS",
        "QUEUED",
        "CANCEL_QUEUED",
        "EDIT_QUEUED",
    ]
)
ORDER_TYPES = frozenset(
    [
        "UNKNOWN_ORDER_TYPE",
        "MARKET",
        "LIMIT",
        "STOP",
        "STOP_LIMIT",
        "BRACKET",
        "TWAP",
        "ROLL_OPEN",
        "ROLL_CLOSE",
        "LIQUIDATION",
        "SCALED",
    ]
)
TIMES_IN_FORCE = frozenset(
    [
        "UNKNOWN_TIME_IN_FORCE",
        "GOOD_UNTIL_DATE_TIME",
        "GOOD_UNTIL_CANCELLED",
        "IMMEDIATE_OR_CANCEL",
        "FILL_OR_KILL",
    ]
)
SORTS = frozenset(("UNKNOWN_SORT_BY", "LIMIT_PRICE", "LAST_FILL_TIME", "LAST_UPDATE_TIME"))
FILL_SORTS = frozenset(("UNKNOWN_SORT_BY", "PRICE", "TRADE_TIME"))
SOURCES = frozenset(("UNKNOWN_PLACEMENT_SOURCE", "RETAIL_SIMPLE", "RETAIL_ADVANCED"))
PRODUCT_TYPES = frozenset(("UNKNOWN_PRODUCT_TYPE", "SPOT", "FUTURE"))
SIDES = frozenset(("UNKNOWN_ORDER_SIDE", "BUY", "SELL"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderQuery:
    """A request for a list of orders. Empty sets and None mean: any."""

    order_ids: tuple[str, ...]
    product_ids: frozenset[str]
    statuses: frozenset[str]
    order_types: frozenset[str]
    times_in_force: frozenset[str]
    product_type: str | None
    side: str | None
    source: str
    start: datetime | None
    end: datetime | None
    sort_by: str
    limit: int
    cursor: tuple[str, str] | None

    @property
    def open_only(self) -> bool:
        """A request for open orders follows rules of its own."""
        return self.statuses == {"OPEN"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FillQuery:
    """A request for a list of fills."""

    order_ids: frozenset[str]
    trade_ids: frozenset[str]
    product_ids: frozenset[str]
    start: datetime | None
    end: datetime | None
    sort_by: str
    limit: int
    cursor: tuple[str, str] | None


def read_order_query(params: QueryParams) -> OrderQuery:
    """Read what a list request asks for. Raises RefusedError."""
    statuses = _words(params, "order_status", STATUSES)
    if "OPEN" in statuses and len(statuses) > 1:
        raise invalid_argument("order_status OPEN cannot be combined with other statuses")
    if statuses == {"PENDING"}:
        raise invalid_argument("order_status PENDING is not supported")
    product_type = _word(params, "product_type", PRODUCT_TYPES)
    if params.get("contract_expiry_type") and product_type != "FUTURE":
        raise invalid_argument("contract_expiry_type needs product_type FUTURE")
    return OrderQuery(
        order_ids=_ids(params, "order_ids"),
        product_ids=_products(params),
        statuses=statuses,
        order_types=_words(params, "order_types", ORDER_TYPES),
        times_in_force=_words(params, "time_in_forces", TIMES_IN_FORCE),
        product_type=None if product_type == "UNKNOWN_PRODUCT_TYPE" else product_type,
        side=_word(params, "order_side", SIDES - {"UNKNOWN_ORDER_SIDE"}),
        source=_word(params, "order_placement_source", SOURCES) or "RETAIL_ADVANCED",
        start=_moment(params, "start_date"),
        end=_moment(params, "end_date"),
        sort_by=_word(params, "sort_by", SORTS) or "UNKNOWN_SORT_BY",
        limit=_limit(params),
        cursor=read_cursor(params.get("cursor", "")),
    )


def read_fill_query(params: QueryParams) -> FillQuery:
    """Read what a request for fills asks for. Raises RefusedError."""
    return FillQuery(
        order_ids=frozenset((*_ids(params, "order_ids"), *_ids(params, "order_id"))),
        trade_ids=frozenset(params.getlist("trade_ids")),
        product_ids=_products(params),
        start=_moment(params, "start_sequence_timestamp"),
        end=_moment(params, "end_sequence_timestamp"),
        sort_by=_word(params, "sort_by", FILL_SORTS) or "UNKNOWN_SORT_BY",
        limit=_limit(params),
        cursor=read_cursor(params.get("cursor", "")),
    )


def write_cursor(sort_value: str, last_id: str) -> str:
    """Write down the last thing on a page, so that new orders do not shift the next one."""
    return base64.urlsafe_b64encode(f"1|{sort_value}|{last_id}".encode()).decode()


def read_cursor(cursor: str) -> tuple[str, str] | None:
    """Sort value and id that the next page begins behind. Raises RefusedError."""
    if not cursor:
        return None
    try:
        version, sort_value, last_id = (
            base64.b64decode(cursor, altchars=b"-_", validate=True).decode().split("|")
        )
    except (binascii.Error, UnicodeDecodeError, ValueError):
        version = sort_value = last_id = ""
    if version != "1":
        raise invalid_argument(f"invalid cursor: {cursor}")
    return sort_value, last_id


def read_order_id(text: str) -> str:
    """Read an order id as the world knows it. Raises RefusedError where it is no UUID."""
    try:
        return str(UUID(text))
    except ValueError:
        raise invalid_argument(f"invalid order id: {text}") from None


def _ids(params: QueryParams, name: str) -> tuple[str, ...]:
    ids = params.getlist(name)
    if len(ids) > MOST_IDS:
        raise invalid_argument(f"too many {name}: {len(ids)}, at most {MOST_IDS}")
    return tuple(dict.fromkeys(read_order_id(text) for text in ids))


def _products(params: QueryParams) -> frozenset[str]:
    # The singular is the older spelling, which ccxt still sends.
    return frozenset((*params.getlist("product_ids"), *params.getlist("product_id")))


def _words(params: QueryParams, name: str, allowed: frozenset[str]) -> frozenset[str]:
    words = frozenset(params.getlist(name))
    if not words <= allowed:
        raise invalid_argument(f"invalid {name}: {', '.join(sorted(words - allowed))}")
    return words


def _word(params: QueryParams, name: str, allowed: frozenset[str]) -> str | None:
    word = params.get(name)
    if not word:
        return None
    if word not in allowed:
        raise invalid_argument(f"invalid {name}: {word}")
    return word


def _limit(params: QueryParams) -> int:
    text = params.get("limit")
    if not text:
        return DEFAULT_LIMIT
    if not text.isdecimal() or not text.isascii() or not 1 <= int(text) <= LARGEST_LIMIT:
        raise invalid_argument(f"limit must be between 1 and {LARGEST_LIMIT}, not {text}")
    return int(text)


def _moment(params: QueryParams, name: str) -> datetime | None:
    text = params.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in text.upper():
        raise invalid_argument(f"invalid {name}: {text}")
    return moment.astimezone(UTC)
