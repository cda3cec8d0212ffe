"""`[accounts.<name>]`: one set of credentials at a venue."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - pydantic reads the annotations
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from ordersync.settings.values import LOOPBACK, Section

VENUES = ("alpaca", "coinbase")


class Account(Section):
    """`[accounts.<name>]`: one set of credentials at a venue.

    `key_expires` is a day by which the key has to be another: no exchange tells it.
    """

    venue: str
    """`coinbase` or `alpaca`

    Error when: there is no such venue
    """
    key_file: str
    """the key's JSON file: [Coinbase](coinbase.md#key), [Alpaca](alpaca.md#key)

    Error when: it is missing or malformed; others may read it (mode 0600 is demanded)
    """
    paper: bool | None = Field(default=None, validate_default=True)
    """Alpaca: paper trading or the live account. Required there

    Error when: it is missing at Alpaca, or there at Coinbase
    """
    rest_url: str | None = None
    """another host, for a simulator or a proxy

    Default: the exchange's

    Error when: not a URL; plain `http` to another machine; a user or password in it
    """
    ws_url: str | None = None
    """another host for push. Where `rest_url` is set and this is not, everything is asked for at
    Coinbase: a key's token is not sent to a host that you did not name

    Default: the exchange's; at Coinbase none where `rest_url` is set

    Error when: not a URL; plain `ws` to another machine; a user or password in it
    """
    key_expires: date | None = None
    """by when the key has to be another, as `2026-12-31`: no exchange tells it. From 14 days
    before, a person is reminded

    Error when: no day
    """
    share: float = Field(default=0.5, ge=0.05, le=1.0)
    """how much of the exchange's limit of calls ordersync may use; the rest is your bot's. Where
    others with the same key use more than the rest, ordersync uses less

    Type: number from 0.05 to 1

    Error when: less than 0.05 or more than 1
    """

    @field_validator("venue")
    @classmethod
    def _is_a_venue(cls, venue: str) -> str:
        if venue not in VENUES:
            known = ", ".join(VENUES)
            raise ValueError(f"there is no venue {venue!r}. Known venues: {known}.")
        return venue

    @field_validator("paper")
    @classmethod
    def _is_said_where_it_matters(cls, paper: bool | None, info: ValidationInfo) -> bool | None:  # noqa: FBT001 - pydantic calls it so
        venue = info.data.get("venue")
        if venue == "alpaca" and paper is None:
            raise ValueError(
                "it is missing: nobody guesses whose money it is. "
                "Write paper = true for paper trading, paper = false for the live account."
            )
        if venue == "coinbase" and paper is not None:
            raise ValueError("there is no paper trading at coinbase. Take it out.")
        return paper

    @field_validator("rest_url", "ws_url")
    @classmethod
    def _is_safe(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
            raise ValueError(f"{url!r} is no URL. Write it as https://host or wss://host.")
        if parts.username or parts.password:
            raise ValueError("a URL must not hold a user or a password. Take them out.")
        if parts.scheme in {"http", "ws"} and not LOOPBACK.match(parts.hostname):
            raise ValueError(
                f"{url!r} is not encrypted, and {parts.hostname} is not this machine. "
                f"Use {parts.scheme}s:// (plain {parts.scheme} is only for 127.0.0.1)."
            )
        return url.rstrip("/")
