"""`[orphans]`: orders at the exchange that have no row, and which of them are nobody's business."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from pydantic import field_validator

from ordersync.settings.values import Duration, Section


class Orphans(Section):
    """Which orders without a row are told of, and after how long.

    `ignore_client_ids` are beginnings of client ids. A time without a zone is UTC, a day its start.
    """

    grace: Duration = timedelta(minutes=1)
    """how long your bot may take to write its row: a fill is often told before

    Error when: less than a second
    """
    look_every: Duration = timedelta(hours=1)
    """how often the exchange is asked for all that is open; the first time ten minutes after the
    start, or earlier where this is less

    Error when: less than a second
    """
    ignore_symbols: tuple[str, ...] = ()
    """markets whose orders are nobody's business"""
    ignore_client_ids: tuple[str, ...] = ()
    """how the client ids of orders begin that are nobody's business: of another program, or of
    trades by hand

    Error when: an empty text
    """
    ignore_placed_before: datetime | None = None
    """orders placed before then are nobody's business; without a zone it is UTC

    Type: time or day

    Error when: it is neither
    """

    @field_validator("grace", "look_every")
    @classmethod
    def _lasts(cls, span: timedelta) -> timedelta:
        if span < timedelta(seconds=1):
            raise ValueError('it is too short. Write at least "1s".')
        return span

    @field_validator("ignore_client_ids")
    @classmethod
    def _begin_with_something(cls, beginnings: tuple[str, ...]) -> tuple[str, ...]:
        if "" in beginnings:
            raise ValueError("an empty beginning fits every client id. Leave it out.")
        return beginnings

    @field_validator("ignore_placed_before", mode="before")
    @classmethod
    def _whole_days(cls, moment: object) -> object:
        if isinstance(moment, date) and not isinstance(moment, datetime):
            return datetime.combine(moment, time(), UTC)
        return moment

    @field_validator("ignore_placed_before")
    @classmethod
    def _has_a_zone(cls, moment: datetime | None) -> datetime | None:
        if moment is not None and moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment
