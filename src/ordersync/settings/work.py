"""`[sync]`, `[retention]` and `[webhooks]`: how ordersync works on the orders."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from ordersync.settings.values import Duration, Listening, Section


class Absence(Section):
    """`absence = { … }`: how much absence proves that an order is not there."""

    count: int = Field(default=3, ge=1)
    """so many complete answers must lack the order"""
    endpoints: int = Field(default=2, ge=1)
    """from so many endpoints. Readings 10 minutes apart stand for the second where one alone can
    answer
    """
    spread: Duration = timedelta(seconds=10)
    """from the first such answer to the last, for an order that was never seen"""
    spread_sighted: Duration = timedelta(hours=1)
    """the same for an order that the exchange has shown before"""


class Sync(Section):
    """`[sync]`: how often, and when an order counts as stale or unknown."""

    interval: Duration = timedelta(seconds=30)
    """how often every open order is verified. Young orders are asked for more often: after 0.5, 1,
    2, 4 … seconds, up to this
    """
    stale_after: Duration = timedelta(minutes=5)
    """from this age a person hears of an order that the exchange does not show (`suspect`). Also
    how long a row that somebody keeps undoing is left alone
    """
    unknown_after: Duration = timedelta(hours=24)
    """a younger order is never called `unknown`"""
    verify_recent: Duration = timedelta(hours=24)
    """rows that say they are final, this young, are verified once"""
    absence: Absence = Absence()


LEAST_RETENTION = timedelta(days=2)
"""What is younger can still be verified: an order is asked for until its fees have settled."""


class Retention(Section):
    """`[retention]`: how old what ended has to be to move out of the database, and where to."""

    after: Duration = timedelta(days=90)
    """so long ago an order has to have ended, or an event to have happened

    Error when: less than two days, or less than a day more than `sync.verify_recent`: such
    orders may still be verified
    """
    folder: str = Field(default="ordersync-archive", min_length=1)
    """the folder of the files; made, for this user alone, where there is none

    Type: path

    Error when: it cannot be made or written (`run`, `archive`, `doctor`)
    """
    batch: int = Field(default=500, ge=1, le=10_000)
    """how many orders are read and written into files at a time; a hundred at a time are deleted

    Error when: not from 1 to 10,000
    """


class Webhooks(Listening):
    """`[webhooks]`: where webhooks are taken, and the file of their secrets by account."""

    listen: str = "127.0.0.1:8643"
    """host and port, of IPv6 in brackets; plain http

    Error when: no host or port; somebody else listens there (`run`)
    """
    secret_file: str = "webhooks.json"  # noqa: S105 - its name
    """a JSON file of mode 0600: by account a list of secrets, `{"main": ["whsec_…"]}`, each of 24
    bytes or more

    Type: path

    Error when: it cannot be read; others may read it; not JSON; no such account; no secret, or
    none that can be used (`run`, `doctor`)
    """
