"""How each account is kept, as it is told: stream, passes, lease, budget. Shapes only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class StreamState(StrEnum):
    """How far the account's stream can be relied on."""

    LIVE = "live"  # nothing is known to be missing
    CONNECTING = "connecting"  # not live yet
    FAILED = "failed"  # closed, refused or mute: everything is asked for instead
    OFF = "off"  # there is none, or another process keeps it


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which the stream could not be relied on."""

    at: Annotated[datetime, Meta(description="When it began.")]
    why: Annotated[str, Meta(description="What was wrong.")]
    seconds: Annotated[float, Meta(description="How long until all was asked for.")]
    orders: Annotated[int, Meta(description="How many rows were written by that.")]


class StreamShown(msgspec.Struct, frozen=True, kw_only=True):
    """Push, as far as it can be relied on."""

    state: Annotated[StreamState, Meta(description="How far it can be relied on.")]
    since: Annotated[datetime | None, Meta(description="Since when.")] = None
    last_gap: Annotated[Gap | None, Meta(description="When last it could not be.")] = None


class PollingShown(msgspec.Struct, frozen=True, kw_only=True):
    """The last pass over all of the account's orders, by this process."""

    last_pass_at: Annotated[datetime | None, Meta(description="When it began.")] = None
    lasted_seconds: Annotated[float | None, Meta(description="How long it took.")] = None
    asked: Annotated[int | None, Meta(description="How many orders it asked about.")] = None
    failed: Annotated[
        int | None, Meta(description="Of how many of these it learned nothing that counts.")
    ] = None
    why: Annotated[str | None, Meta(description="Why, of the first of them.")] = None


class ExchangeShown(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the exchange answers this process at all; null where that is not known."""

    answers: Annotated[
        bool | None,
        Meta(description="false: it has left calls unanswered, so that no fill can be seen."),
    ] = None
    last_answer_at: Annotated[
        datetime | None, Meta(description="When it answered a call last.")
    ] = None
    silent_seconds: Annotated[
        float | None, Meta(description="For how long it has owed an answer; null: it owes none.")
    ] = None
    unanswered_calls: Annotated[
        int | None, Meta(description="How many calls it has let pass since its last answer.")
    ] = None


class LeaseShown(msgspec.Struct, frozen=True, kw_only=True):
    """Which of several processes keeps the account."""

    holder: Annotated[str, Meta(description="Host and process.")]
    until: Annotated[datetime, Meta(description="Until when, by the database's clock.")]
    mine: Annotated[bool, Meta(description="Whether it is the one that answers here.")]


class BudgetShown(msgspec.Struct, frozen=True, kw_only=True):
    """How often the exchange may be asked; null where it is not known."""

    share: Annotated[float | None, Meta(description="Which part of its limit is used.")] = None
    left: Annotated[int | None, Meta(description="How many calls could be made at once.")] = None
    limit: Annotated[int | None, Meta(description="Calls a minute, in the long run.")] = None
    calls_last_minute: Annotated[int | None, Meta(description="How many were made.")] = None
    paused_until: Annotated[
        datetime | None, Meta(description="The exchange asked for a pause until then.")
    ] = None


class AccountShown(msgspec.Struct, frozen=True, kw_only=True):
    """How one account is kept."""

    account: Annotated[str, Meta(description="Its name in the configuration.")]
    venue: Annotated[str, Meta(description="The exchange.")]
    stream: Annotated[StreamShown, Meta(description="Push.")]
    polling: Annotated[PollingShown, Meta(description="Asking.")]
    lease: Annotated[
        LeaseShown | None, Meta(description="Who keeps it; null while that is not known.")
    ]
    budget: Annotated[BudgetShown, Meta(description="How often it may ask.")]
    exchange: Annotated[ExchangeShown, Meta(description="Whether it answers.")]
    shadow: Annotated[
        bool,
        Meta(description="Whether this process only watches: it records, and writes no row."),
    ]
    last_verified_at: Annotated[
        datetime | None, Meta(description="When all of its orders were last verified.")
    ]
    degraded: Annotated[str | None, Meta(description="Why it is not kept as well as it could.")]
