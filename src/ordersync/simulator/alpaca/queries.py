"""Reading what a client asks for, as strictly as the real one reads it.

Every rule about a query parameter lives here: what excludes what, what a page may hold, what a
time looks like. Unknown parameters are ignored, as over there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from ordersync.simulator.alpaca.answers import malformed, unprocessable
from ordersync.simulator.alpaca.assets import NEW_YORK

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

DEFAULT_LIMIT, LARGEST_LIMIT = 50, 500
LARGEST_PAGE = 100
STATUSES = frozenset(("open", "closed", "all"))
DIRECTIONS = frozenset(("asc", "desc"))
_ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderQuery:
    """A request for a list of orders. Empty sets and None mean: any."""

    status: str
    limit: int
    after: datetime | None
    until: datetime | None
    before_order_id: str | None
    after_order_id: str | None
    descending: bool
    nested: bool
    symbols: frozenset[str]
    side: str | None
    asset_classes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FillQuery:
    """A request for the activities of type FILL."""

    page_size: int
    page_token: str | None
    after: datetime | None
    until: datetime | None
    descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """A request for events: between two moments or two ids, both inclusive. None: open."""

    since: datetime | None
    until: datetime | None
    since_id: str | None
    until_id: str | None

    @property
    def replays(self) -> bool:
        """Whether it asks for the past at all."""
        return self.since is not None or self.since_id is not None


def read_order_query(params: QueryParams) -> OrderQuery:
    """Read what a list request asks for. Raises RefusedError."""
    query = OrderQuery(
        status=_word(params, "status", STATUSES) or "open",
        limit=_count(params, "limit", DEFAULT_LIMIT, LARGEST_LIMIT),
        after=_moment(params, "after"),
        until=_moment(params, "until"),
        before_order_id=_id(params, "before_order_id"),
        after_order_id=_id(params, "after_order_id"),
        descending=_word(params, "direction", DIRECTIONS) != "asc",
        nested=read_flag(params, "nested"),
        symbols=_list(params, "symbols"),
        side=_word(params, "side", frozenset(("buy", "sell"))),
        asset_classes=_list(params, "asset_class") - {"all"},
    )
    if query.before_order_id and query.after_order_id:
        raise unprocessable("before_order_id and after_order_id are mutually exclusive")
    by_id = query.before_order_id or query.after_order_id
    if by_id and (query.after or query.until):
        raise unprocessable("before_order_id and after_order_id cannot be used with after or until")
    return query


def read_fill_query(params: QueryParams) -> FillQuery:
    """Read what a request for fills asks for. Raises RefusedError."""
    after, until = _moment(params, "after"), _moment(params, "until")
    day = _day(params, "date")
    if day is not None:
        if after is not None or until is not None:
            raise unprocessable("date cannot be used with after or until")
        after = day - timedelta.resolution
        until = day + timedelta(days=1)
    return FillQuery(
        page_size=_count(params, "page_size", LARGEST_PAGE, LARGEST_PAGE),
        page_token=params.get("page_token") or None,
        after=after,
        until=until,
        descending=_word(params, "direction", DIRECTIONS) != "asc",
    )


def read_event_query(params: QueryParams) -> EventQuery:
    """Read what a request for events asks for. Raises RefusedError."""
    query = EventQuery(
        since=_moment(params, "since"),
        until=_moment(params, "until"),
        since_id=_ulid(params, "since_id"),
        until_id=_ulid(params, "until_id"),
    )
    if (query.since or query.until) and (query.since_id or query.until_id):
        raise unprocessable("since and until cannot be used with since_id or until_id")
    if (query.until or query.until_id) and not query.replays:
        raise unprocessable("until requires since")
    return query


def read_order_id(text: str) -> str:
    """Read an order id as the world knows it. Raises RefusedError where it is no UUID."""
    try:
        return str(UUID(text))
    except ValueError:
        # In these words, although it is there: as the real one says it.
        raise malformed("order_id is missing") from None


def read_flag(params: QueryParams, name: str) -> bool:
    """Read a boolean, in any spelling that Go takes for one. Raises RefusedError."""
    text = params.get(name)
    if not text or text in _FALSE:
        return False
    if text in _TRUE:
        return True
    raise malformed(f"invalid {name}: {text}")


def read_moment(text: str, name: str) -> datetime:
    """Read a time with its zone, or a day. Raises RefusedError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is not None and moment.tzinfo is None and "T" not in text.upper():
        moment = moment.replace(tzinfo=UTC)
    if moment is None or moment.tzinfo is None:
        raise malformed(f"invalid {name}: {text}")
    return moment.astimezone(UTC)


def _moment(params: QueryParams, name: str) -> datetime | None:
    text = params.get(name)
    return read_moment(text, name) if text else None


def _day(params: QueryParams, name: str) -> datetime | None:
    text = params.get(name)
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise malformed(f"invalid {name}: {text}") from None
    return datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)


def _id(params: QueryParams, name: str) -> str | None:
    text = params.get(name)
    if not text:
        return None
    try:
        return str(UUID(text))
    except ValueError:
        raise malformed(f"invalid {name}: {text}") from None


def _ulid(params: QueryParams, name: str) -> str | None:
    text = params.get(name)
    if not text:
        return None
    if _ULID.fullmatch(text) is None:
        raise malformed(f"invalid {name}: {text}")
    return text


def _word(params: QueryParams, name: str, allowed: frozenset[str]) -> str | None:
    word = params.get(name)
    if not word:
        return None
    if word not in allowed:
        raise malformed(f"invalid {name}: {word}")
    return word


def _list(params: QueryParams, name: str) -> frozenset[str]:
    return frozenset(word for word in params.get(name, "").split(",") if word)


def _count(params: QueryParams, name: str, otherwise: int, most: int) -> int:
    text = params.get(name)
    if not text:
        return otherwise
    if not text.isdecimal() or not text.isascii() or not 1 <= int(text) <= most:
        raise unprocessable(f"{name} must be between 1 and {most}")
    return int(text)
