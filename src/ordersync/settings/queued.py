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
    broker_url_env: str | None = None
    password_file: str | None = None
    queue: str | None = Field(default=None, min_length=1)
    every: Duration = timedelta(minutes=1)
    cleanup_every: Duration = timedelta(days=1)
    audit_every: Duration = timedelta(days=1)
    batch: int = Field(default=1, ge=1, le=1_000)
    accounts_kept: int = Field(default=100, ge=1, le=10_000)

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
