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
    """`sqlite:///bot.db` (`sqlite:////srv/bot.db` for an absolute path),
    `postgresql://user@host:5432/name` or `mysql://user@host:3306/name`

    Error when: neither this nor `url_env`; another kind; no such file; not a database; no
    driver; the server does not let the user in
    """
    url_env: str | None = None
    """the name of an environment variable that holds the URL; goes before `url`

    Error when: that variable is not set
    """
    password_file: str | None = None
    """a file of mode 0600 with the server's password on one line. Without it: `PGPASSWORD`,
    `PGPASSFILE` or `MYSQL_PWD`, or the URL in the variable of `url_env`

    Type: path

    Error when: it cannot be read; others may read it; not one line
    """


class AccountColumn(Section):
    """`account = { column, values }`: a column tells which account a row belongs to."""

    column: str
    """the column that tells the account

    Error when: no such column
    """
    values: dict[str, str]
    """what the column holds = the name of the account

    Error when: no such account
    """


class Orders(Section):
    """`[orders]`: the user's table and the meaning of its columns."""

    table: str
    """the table of orders

    Error when: there is none; it is a view
    """
    id: str
    """reads: the row's key, an integer or a text

    Error when: it is neither primary key nor UNIQUE
    """
    venue_order_id: str
    """reads: the exchange's id. Writes it where it was empty and the order was found by client id

    Error when: no such column
    """
    status: str
    """reads and writes: the status

    Error when: no such column
    """
    client_order_id: str | None = None
    """reads: the id that your bot gave the order; finds orders whose exchange id was never written
    down

    Error when: no such column
    """
    symbol: str | None = None
    """reads: the market, for people

    Error when: no such column
    """
    side: str | None = None
    """reads: buy or sell, for people, where the exchange has not said it

    Error when: no such column
    """
    quantity: str | None = None
    """kept for later; not used yet

    Error when: no such column
    """
    created_at: str | None = None
    """reads: when the row was made. Without it an order's age counts from our first sight of it

    Error when: no such column
    """
    filled_at: str | None = None
    """writes: the exchange's time of the last fill, once the order has ended

    Error when: no such column; generated column
    """
    updated_at: str | None = None
    """writes: when ordersync wrote the row

    Error when: the same
    """
    filled_qty: str | None = None
    """writes: the filled quantity, in base units

    Error when: the same
    """
    avg_price: str | None = None
    """writes: the average price of the fills

    Error when: the same
    """
    fee: str | None = None
    """writes: all fees, in quote units

    Error when: the same
    """
    reason: str | None = None
    """writes: why the order ended, in the exchange's words

    Error when: the same
    """
    owner: str | None = None
    """reads: whose order it is (a bot's name); shown in events

    Error when: no such column
    """
    account: str | AccountColumn
    """the account that all rows belong to, or a column that says it (below)

    Error when: no such account
    """
    where: str | None = None
    """one SQL condition: only these rows exist for ordersync. Only in the file

    Error when: the database refuses it
    """
    follow_replace: bool = False
    """whether a row's `venue_order_id` moves along when its order is replaced by another"""
    timezone: str = "UTC"
    """the zone of times that are stored without one

    Error when: no such zone
    """
    status_words: dict[str, list[str]]
    """your words = what they stand for: [status words](status-words.md)

    Error when: a status without a word; an unknown status; a word for open and final at once
    """

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is no time zone. Write it as in Europe/Berlin.") from error
        return name
