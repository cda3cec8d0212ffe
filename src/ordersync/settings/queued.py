"""`[celery]`: work on queues, and how often it is put there."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, field_validator

from ordersync.settings.values import Duration, Section

BROKERS = ("redis", "rediss", "redis+socket", "sentinel", "amqp", "amqps")


class Celery(Section):
    """`[celery]`: where messages go, and what is due how often; a duration of zero means never.

    The broker's password comes from `password_file`, or from the variable that `broker_url_env`
    names. `batch` is how many accounts a message names, `queue` where the messages wait.
    """

    broker_url: str = "redis://127.0.0.1:6379/0"
    """Redis or Valkey (`redis`, `rediss`, `redis+socket`, `sentinel`), RabbitMQ (`amqp`, `amqps`);
    for the ready-made app

    Error when: another kind; a password in it
    """
    broker_url_env: str | None = None
    """the name of an environment variable that holds the URL, with a password where it needs one;
    goes before `broker_url`

    Error when: that variable is not set
    """
    password_file: str | None = None
    """a file of mode 0600 with the broker's password on one line

    Type: path

    Error when: it cannot be read; others may read it; not one line
    """
    queue: str | None = Field(default=None, min_length=1)
    """where the messages wait

    Default: `ordersync` in the ready-made app, else the app's own
    """
    every: Duration = timedelta(minutes=1)
    """how often every account is verified

    Error when: below `"1s"`
    """
    cleanup_every: Duration = timedelta(days=1)
    """how often old open rows are looked up once more; `"0s"`: never"""
    audit_every: Duration = timedelta(days=1)
    """how often every account is compared, and what differs is logged; `"0s"`: never"""
    batch: int = Field(default=1, ge=1, le=1_000)
    """how many accounts one message names; more of them make fewer messages, and less goes on at
    the same time

    Error when: below 1, above 1,000
    """
    accounts_kept: int = Field(default=100, ge=1, le=10_000)
    """of how many accounts a worker process keeps the connection to the exchange

    Error when: below 1, above 10,000
    """

    @field_validator("broker_url")
    @classmethod
    def _is_a_broker(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in BROKERS:
            known = "redis://127.0.0.1:6379/0, rediss://… or amqp://user@host:5672//"
            raise ValueError(f"{parts.scheme or url!r} is no broker. Write {known}.")
        if parts.password:
            raise ValueError(
                "a URL in this file must not hold a password. "
                "Name a file with it as password_file, or a variable as broker_url_env."
            )
        return url

    @field_validator("every")
    @classmethod
    def _is_not_too_often(cls, every: timedelta) -> timedelta:
        if every < timedelta(seconds=1):
            raise ValueError('it is too often. Write at least "1s".')
        return every


def with_password(url: str, password: str) -> str:
    """The broker's URL with this password in it: for who connects, never to be shown."""
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")
    login = f"{parts.username or ''}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{host}"))
