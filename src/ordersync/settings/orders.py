"""`[database]` and `[orders]`: where the user's table is, and what its columns mean."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator

from ordersync.settings.values import Section


class Database(Section):
    """`[database]`: where the user's table is. The URL may be named by `url_env` instead.

    A server's password comes from the environment, from PGPASSFILE, or from `password_file`.
    """

    url: str | None = None
    url_env: str | None = None
    password_file: str | None = None


class AccountColumn(Section):
    """`account = { column, values }`: a column tells which account a row belongs to."""

    column: str
    values: dict[str, str]


class Orders(Section):
    """`[orders]`: the user's table and the meaning of its columns."""

    table: str
    id: str
    venue_order_id: str
    status: str
    client_order_id: str | None = None
    symbol: str | None = None
    side: str | None = None
    quantity: str | None = None
    created_at: str | None = None
    filled_at: str | None = None
    updated_at: str | None = None
    filled_qty: str | None = None
    avg_price: str | None = None
    fee: str | None = None
    reason: str | None = None
    owner: str | None = None
    account: str | AccountColumn
    where: str | None = None
    follow_replace: bool = False
    timezone: str = "UTC"
    status_words: dict[str, list[str]]

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is no time zone. Write it as in Europe/Berlin.") from error
        return name
