"""What is listed: rows beside what the exchange says, as data, and the port that lists them.

Beside `ports`. These are the shapes that REST answers with: the JSON of an `Order` there is a
`Listed` here, field by field.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec
from msgspec import Meta

from ordersync.archived import Archived
from ordersync.truth.urgency import Discrepancy, Urgency

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Place = tuple[str, ...]
"""How far a walk through a list has come: what its last order is sorted by, as text."""


class State(StrEnum):
    """How a row stands, as far as those who wait for it are concerned."""

    OPEN = "open"  # the row says open, and somebody vouches for that
    STALE = "stale"  # it says so for long, and nobody does
    SUSPECT = "suspect"  # absent at the exchange, not proven
    UNKNOWN = "unknown"  # absent at the exchange, proven
    FINAL = "final"  # it has ended


class Listed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the bot's table beside what the exchange says of its order.

    Times are RFC 3339 in UTC, quantities and money plain digits as text; null where not known.
    """

    account: Annotated[str, Meta(description="The account of the configuration.")]
    row_id: Annotated[str | None, Meta(description="The row's key in the bot's table, as text.")]
    venue_order_id: Annotated[str | None, Meta(description="The exchange's id.")]
    client_order_id: Annotated[str | None, Meta(description="The bot's own id, where mapped.")]
    owner: Annotated[str | None, Meta(description="Whose order it is, where mapped.")]
    symbol: Annotated[str | None, Meta(description="The product or pair.")]
    side: Annotated[str | None, Meta(description="Which side it is on: buy or sell.")]
    quantity: Annotated[str | None, Meta(description="The order's size in base units.")]
    filled_qty: Annotated[str | None, Meta(description="How much of it is filled.")]
    avg_price: Annotated[str | None, Meta(description="The average price of its fills.")]
    fee: Annotated[str | None, Meta(description="All fees, in quote units.")]
    row_word: Annotated[str | None, Meta(description="The status word in the bot's row.")]
    true_word: Annotated[
        str | None, Meta(description="The word that the row should hold; null: it holds it.")
    ]
    exchange_status: Annotated[
        str | None,
        Meta(description="What the exchange says, as a FIX word; null: it never said anything."),
    ]
    state: Annotated[State, Meta(description="How the row stands.")]
    created_at: Annotated[
        datetime | None, Meta(description="When the row says the order was made.")
    ]
    age_seconds: Annotated[
        float | None, Meta(description="Since then, or since ordersync first saw the order.")
    ]
    last_verified_at: Annotated[
        datetime | None, Meta(description="When the exchange last vouched for what is said here.")
    ]
    verified_age_seconds: Annotated[float | None, Meta(description="Seconds since then.")]
    source: Annotated[
        str | None,
        Meta(description="Which way its last change came: stream, poll, webhook, demand, …"),
    ]
    stale: Annotated[
        bool,
        Meta(description="Whether its state is stale: it says open for long, nobody vouches."),
    ]
    discrepancy: Annotated[
        Discrepancy | None, Meta(description="How row and exchange differ, null: they agree.")
    ]
    urgency: Annotated[Urgency, Meta(description="What a person should make of it.")]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders are wanted. `since` and `until` are of `created_at`, of final ones the end."""

    state: State | None = None
    owner: str | None = None
    account: str | None = None
    symbol: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a list, and where the next one begins; None: this was the last."""

    orders: list[Listed]
    next: Place | None = None


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """All open rows that were asked for, counted; not just those of one page."""

    open: Annotated[int, Meta(description="Rows that are not final, all of them.")] = 0
    stale: Annotated[
        int, Meta(description="Of these, rows that say open for long, and nobody vouches.")
    ] = 0
    suspect: Annotated[int, Meta(description="Of these, absent at the exchange, not proven.")] = 0
    unknown: Annotated[int, Meta(description="Of these, absent at the exchange, proven.")] = 0
    orphans: Annotated[int, Meta(description="Orders at the exchange that have no row.")] = 0
    fresh: Annotated[int, Meta(description="By urgency: young, and nothing is wrong.")] = 0
    normal: Annotated[int, Meta(description="By urgency: older, and vouched for.")] = 0
    warning: Annotated[int, Meta(description="By urgency: stale, or untrue now.")] = 0
    critical: Annotated[int, Meta(description="By urgency: a person is needed.")] = 0
    oldest_verified_age_seconds: Annotated[
        float | None, Meta(description="How long ago the one was verified that waits longest.")
    ] = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the open rows, and the totals of all."""

    page: Page
    totals: Totals


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a text named, and the key under which its truth is stored."""

    order: Listed
    key: str


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """Events of an order as JSON texts, oldest first, and what moved out of the database."""

    events: list[str]
    archived: list[Archived]
    next: Place | None = None


class OwnerShown(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the owner column, and the rows that it waits for."""

    owner: Annotated[str | None, Meta(description="The value; null: rows without one.")]
    blocked: Annotated[bool, Meta(description="Whether any of its rows says open.")]
    open_orders: Annotated[int, Meta(description="How many do.")]
    blocked_since: Annotated[
        datetime | None, Meta(description="When the oldest of these was made.")
    ]
    untruly_blocked_seconds_today: Annotated[
        float,
        Meta(
            description="For how long today, in UTC, a row said open although the exchange had "
            "finished; what overlaps counts once."
        ),
    ]
    orders: Annotated[list[str], Meta(description="The keys of its open rows, at most 20.")]


class OrderLists(Protocol):
    """Lists of rows, for those who ask over HTTP. Raises StoreBusy or StoreRefused.

    Nothing here writes, nothing waits for a commit. Whatever the history holds, a page costs what
    a page costs; of open rows that are filtered or counted, what all open rows cost.
    """

    async def list_orders(self, wanted: Wanted, *, after: Place | None, limit: int) -> Page:
        """Rows in the order of their keys; final ones by their end, the latest first."""

    async def list_orphans(self, account: str | None, *, after: Place | None, limit: int) -> Page:
        """Orders at the exchange that have no row, as they are counted; the oldest first."""

    async def count_open(self, wanted: Wanted, *, after: Place | None, limit: int) -> Status:
        """The same of open rows, with the totals of all that are wanted."""

    async def each_open(self, account: str, take: Callable[[Listed], None]) -> None:
        """Give each open row of an account to `take`, on another thread; none of them is kept."""

    async def verified_at(self) -> Mapping[str, datetime | None]:
        """By account when all of it was last verified, as it is stored."""

    async def match(self, text: str, account: str | None = None) -> Sequence[Found]:
        """The orders that a text names: by row id, else by venue id, else by client id."""

    async def past(self, account: str, key: str, *, after: Place | None, limit: int) -> Past:
        """The events of an order, and where else something about it is."""

    async def owners(self) -> Sequence[OwnerShown]:
        """Every owner who waits, or waited untruly today."""
