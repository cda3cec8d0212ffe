"""`[alerts]`: who is told what, and when nobody is."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Self
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field, field_validator, model_validator

from ordersync.alerted import Alert, Loudness
from ordersync.settings.values import Duration, Section


class Channel(Section):
    """`[[alerts.channels]]`: one way to a person, and what goes there.

    `url_file` is a file of mode 0600, `url_env` a variable: each holds an address as apprise
    writes them. `webhook` is an https address that gets the message as JSON, signed as every
    webhook of ours is, by the secret in `secret_file`.
    """

    name: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.-]+$")
    """by which log, metrics and `status` call it

    Error when: longer than 40; anything but letters, digits, `_`, `.`, `-`
    """
    url_file: str | None = None
    """a file of mode 0600 with one line: an address as
    [apprise](https://github.com/caronc/apprise) writes them (`mailto://…`, `slack://…`)

    Type: path

    Error when: two addresses, or none. A file that cannot be used ends nothing: log, `status`
    and `alert test` say so
    """
    url_env: str | None = None
    """a variable that holds such an address

    Error when: the same
    """
    webhook: str | None = None
    """an https address that gets the message as JSON, signed by Standard Webhooks

    Error when: the same; inside your network unless `subscriptions.allow` has it
    """
    secret_file: str | None = None
    """a file of mode 0600 with `whsec_` and 24 bytes or more as base64: what signs the webhook

    Type: path

    Error when: one of `webhook` and `secret_file` without the other
    """
    least: Loudness = Loudness.INFO
    """nothing goes there that is less loud

    Error when: another word
    """
    kinds: tuple[Alert, ...] = ()
    """only these go there; empty: all. `all_well` always does

    Type: list of [kinds](alerts.md)

    Error when: no such kind
    """
    accounts: tuple[str, ...] = ()
    """only of these accounts; empty: all"""

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        named = [one for one in (self.url_file, self.url_env, self.webhook) if one is not None]
        if len(named) != 1:
            raise ValueError(
                f"channel {self.name!r} needs one address. "
                "Write url_file, url_env or webhook, and only one of them."
            )
        if (self.webhook is None) != (self.secret_file is None):
            raise ValueError(
                f"channel {self.name!r} has webhook without secret_file, or the other way round. "
                "Write both: what is sent there is signed."
            )
        return self

    @field_validator("webhook")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError("it is no address of a webhook. Write it as https://host/path.")
        return url

    def wants(self, kind: Alert, account: str) -> bool:
        """Whether this goes here."""
        return (
            kind.loudness.rank >= self.least.rank
            and (not self.kinds or kind in self.kinds or kind in {Alert.ALL_WELL, Alert.TEST})
            and (not self.accounts or account in self.accounts)
        )

    def address(self) -> str | None:
        """The address in the variable that is named, None where none is or it is not set."""
        return os.environ.get(self.url_env) if self.url_env else None


class Silence(Section):
    """`[[alerts.silences]]`: nobody is told of what fits all that is written here."""

    kinds: tuple[Alert, ...] = ()
    """the rule covers only these; empty: all. It silences what fits all that is written in it

    Type: list of kinds

    Error when: no such kind
    """
    accounts: tuple[str, ...] = ()
    """the same of accounts"""
    owners: tuple[str, ...] = ()
    """the same of owners"""
    symbols: tuple[str, ...] = ()
    """the same of products or pairs"""
    until: AwareDatetime | None = None
    """until then; without it for good

    Error when: no time zone in it
    """
    why: str = ""
    """for people"""

    def covers(
        self, kind: Alert, account: str, owner: str | None, symbol: str | None, now: datetime
    ) -> bool:
        """Whether nobody is to be told of this now."""
        return (
            (self.until is None or now < self.until)
            and (not self.kinds or kind in self.kinds)
            and (not self.accounts or account in self.accounts)
            and (not self.owners or owner in self.owners)
            and (not self.symbols or symbol in self.symbols)
        )


class Alerts(Section):
    """`[alerts]`: without a channel nobody is told.

    `link` is where the dashboard is seen from outside. A channel gets no more than `per_hour`
    messages an hour: what comes beyond waits and goes together.
    """

    link: str = "http://127.0.0.1:8642"
    """where the dashboard is seen from outside; messages link to orders there

    Error when: no http or https address
    """
    degraded_after: Duration = timedelta(minutes=1)
    """so long a stream has to be unreliable before anybody hears of it

    Error when: no duration
    """
    repeat_after: Duration = timedelta(hours=4)
    """how often a person is reminded of what lasts

    Error when: no duration
    """
    per_hour: int = Field(default=20, ge=1, le=1_000)
    """no channel gets more messages an hour; what comes beyond waits and goes together

    Error when: not from 1 to 1,000
    """
    channels: tuple[Channel, ...] = ()
    """the ways to a person: `[[alerts.channels]]`, each with the keys below

    Error when: two of one name
    """
    silences: tuple[Silence, ...] = ()
    """rules by which nobody is told: `[[alerts.silences]]`"""

    @field_validator("link")
    @classmethod
    def _is_a_link(cls, link: str) -> str:
        parts = urlsplit(link)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.password:
            raise ValueError(f"{link!r} is no address. Write it as https://host/path.")
        return link.rstrip("/")

    @field_validator("channels")
    @classmethod
    def _have_names_of_their_own(cls, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
        names = [channel.name for channel in channels]
        if len(names) != len(set(names)):
            raise ValueError("two channels have one name. Give each a name of its own.")
        return channels
