"""What a list may be asked for, and what names an order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import unquote

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from ordersync.listed import State, Wanted

LIMIT = 1_000
DAY_SECONDS = 86_400


def _in_every_zone(at: datetime) -> datetime:
    """Refuse what is beyond the calendar when told in UTC."""
    try:
        at.astimezone(UTC)
    except OverflowError:
        raise ValueError("is beyond the years 1 to 9999 in UTC") from None
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_in_every_zone)]
Text = Annotated[str, Field(min_length=1, max_length=190, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str, Field(max_length=4_000)]

Segment = Annotated[Text, BeforeValidator(unquote)]
"""A part of a path, which the guard leaves escaped: a / in it is no border."""

Identity = Annotated[
    Segment,
    Path(
        alias="id",
        description="A row's key, else the exchange's id, else the bot's own id of the order.",
        examples=["1234"],
    ),
]
"""What names an order in a path."""

AccountQuery = Annotated[
    Text | None, Query(description="Only of this account: where several orders have one name.")
]

MaxAge = Annotated[
    float | None,
    Query(
        ge=0,
        le=DAY_SECONDS,
        allow_inf_nan=False,
        description="How old, in seconds, the exchange's word may be; where it is older, the "
        "exchange is asked first. Without it nobody is asked.",
        examples=[2],
    ),
]


class OpenFilters(BaseModel):
    """Which open orders, and how many at once."""

    model_config = ConfigDict(extra="forbid")

    owner: Text | None = Field(default=None, description="Only of this owner.")
    account: Text | None = Field(default=None, description="Only of this account.")
    symbol: Text | None = Field(default=None, description="Only of this product or pair.")
    since: Moment | None = Field(
        default=None, description="Only made at or after then; of final ones: ended. With a zone."
    )
    until: Moment | None = Field(default=None, description="Only before then.")
    limit: int = Field(default=100, ge=1, le=LIMIT, description="How many at most.")
    cursor: Cursor | None = Field(
        default=None, description="`next` of the page before, with the same other parameters."
    )

    def wanted(self, state: State | None) -> Wanted:
        """What is asked for, without how much of it."""
        return Wanted(
            state=state,
            owner=self.owner,
            account=self.account,
            symbol=self.symbol,
            since=self.since,
            until=self.until,
        )


class Filters(OpenFilters):
    """The same, of any state."""

    state: State | None = Field(
        default=None,
        description="open: every row that is not final (as without it); or only those that are "
        "stale, suspect or unknown; or final, the latest end first.",
    )


class OrphanFilters(BaseModel):
    """Which orders without a row, and how many at once."""

    model_config = ConfigDict(extra="forbid")

    account: Text | None = Field(default=None, description="Only of this account.")
    limit: int = Field(default=100, ge=1, le=LIMIT, description="How many at most.")
    cursor: Cursor | None = Field(
        default=None, description="`next` of the page before, with the same account."
    )


class HistoryFilters(BaseModel):
    """How much of an order's past."""

    model_config = ConfigDict(extra="forbid")

    account: Text | None = Field(default=None, description="Only of this account.")
    limit: int = Field(default=100, ge=1, le=LIMIT, description="How many events at most.")
    cursor: Cursor | None = Field(default=None, description="`next` of the page before.")
