"""`[sync]`, `[retention]` and `[webhooks]`: how ordersync works on the orders."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from ordersync.settings.values import Duration, Listening, Section


class Absence(Section):
    """`absence = { … }`: how much absence proves that an order is not there."""

    count: int = Field(default=3, ge=1)
    endpoints: int = Field(default=2, ge=1)
    spread: Duration = timedelta(seconds=10)
    spread_sighted: Duration = timedelta(hours=1)


class Sync(Section):
    """`[sync]`: how often, and when an order counts as stale or unknown."""

    interval: Duration = timedelta(seconds=30)
    stale_after: Duration = timedelta(minutes=5)
    unknown_after: Duration = timedelta(hours=24)
    verify_recent: Duration = timedelta(hours=24)
    absence: Absence = Absence()


LEAST_RETENTION = timedelta(days=2)
"""What is younger can still be verified: an order is asked for until its fees have settled."""


class Retention(Section):
    """`[retention]`: how old what ended has to be to move out of the database, and where to."""

    after: Duration = timedelta(days=90)
    folder: str = Field(default="ordersync-archive", min_length=1)
    batch: int = Field(default=500, ge=1, le=10_000)


class Webhooks(Listening):
    """`[webhooks]`: where webhooks are taken, and the file of their secrets by account."""

    listen: str = "127.0.0.1:8643"
    secret_file: str = "webhooks.json"  # noqa: S105 - its name
