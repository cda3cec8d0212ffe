"""What `ordersync.toml` and the environment say, checked for shape.

Precedence: flag, then environment (`ORDERSYNC_ACCOUNTS__MAIN__REST_URL`), then file. Whether
a named table, column or key file exists is for the part that uses it to say; here is only
what can be seen from the text. Secrets are never in here: a key file is a path.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ordersync.errors import ConfigError
from ordersync.secret_files import read_line

DEFAULT_PATH = "ordersync.toml"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LOOPBACK = re.compile(r"^(localhost|127(\.\d+){3}|::1)$")


def parse_duration(text: object) -> timedelta:
    """`"10s"`, `"5m"`, `"24h"`, `"7d"` as a timedelta. Raises ValueError on anything else."""
    if isinstance(text, timedelta):
        return text
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is not a duration. Write it as "10s", "5m", "24h" or "7d".')
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Database(_Section):
    """`[database]`: where the user's table is. The URL may be named by `url_env` instead.

    A server's password comes from the environment, from PGPASSFILE, or from `password_file`.
    """

    url: str | None = None
    url_env: str | None = None
    password_file: str | None = None


class AccountColumn(_Section):
    """`account = { column, values }`: a column tells which account a row belongs to."""

    column: str
    values: dict[str, str]


class Orders(_Section):
    """`[orders]`: the user's table and the meaning of its columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


VENUES = ("alpaca", "coinbase")


class Account(_Section):
    """`[accounts.<name>]`: one set of credentials at a venue."""

    venue: str
    key_file: str
    paper: bool | None = Field(default=None, validate_default=True)
    rest_url: str | None = None
    ws_url: str | None = None

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
        if parts.scheme in {"http", "ws"} and not _LOOPBACK.match(parts.hostname):
            raise ValueError(
                f"{url!r} is not encrypted, and {parts.hostname} is not this machine. "
                f"Use {parts.scheme}s:// (plain {parts.scheme} is only for 127.0.0.1)."
            )
        return url.rstrip("/")


class Absence(_Section):
    """`absence = { … }`: how much absence proves that an order is not there."""

    count: int = Field(default=3, ge=1)
    endpoints: int = Field(default=2, ge=1)
    spread: Duration = timedelta(seconds=10)
    spread_sighted: Duration = timedelta(hours=1)


class Sync(_Section):
    """`[sync]`: how often, and when an order counts as stale or unknown."""

    interval: Duration = timedelta(seconds=30)
    stale_after: Duration = timedelta(minutes=5)
    unknown_after: Duration = timedelta(hours=24)
    verify_recent: Duration = timedelta(hours=24)
    absence: Absence = Absence()


LEAST_RETENTION = timedelta(days=2)
"""What is younger can still be verified: an order is asked for until its fees have settled."""


class Retention(_Section):
    """`[retention]`: how old what ended has to be to move out of the database, and where to."""

    after: Duration = timedelta(days=90)
    folder: str = Field(default="ordersync-archive", min_length=1)
    batch: int = Field(default=500, ge=1, le=10_000)


class Webhooks(_Section):
    """`[webhooks]`: where webhooks are taken, and the file of their secrets by account."""

    listen: str = "127.0.0.1:8643"
    secret_file: str = "webhooks.json"  # noqa: S105 - its name

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        if not host.strip("[]") or not port.isdecimal() or int(port) not in range(65_536):
            raise ValueError(f"{listen!r} is no host and port. Write it as 127.0.0.1:8643.")
        return listen

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; of IPv6 without the brackets."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_exposed(self) -> bool:
        """Whether other machines may reach it."""
        return _LOOPBACK.match(self.address[0]) is None


class Settings(BaseSettings):
    """All of the configuration. `path` is the file it came from; relative paths start there."""

    model_config = SettingsConfigDict(
        env_prefix="ORDERSYNC_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
    )

    path: Path = Path(DEFAULT_PATH)
    database: Database
    orders: Orders
    accounts: dict[str, Account] = Field(min_length=1)
    sync: Sync = Sync()
    retention: Retention | None = None
    webhooks: Webhooks | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before file; nothing else speaks."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @property
    def served_accounts(self) -> dict[str, Account]:
        """The accounts that rows of the table belong to; others are configured but idle."""
        account = self.orders.account
        named = [account] if isinstance(account, str) else list(account.values.values())
        return {name: self.accounts[name] for name in dict.fromkeys(named)}

    def resolve(self, path: str) -> Path:
        """A path of the configuration: `~` works, relative ones start at the file's folder."""
        return (self.path.parent / Path(path).expanduser()).absolute()

    def database_url(self) -> str:
        """The database's URL, from the file or from the variable that the file names."""
        if self.database.url_env:
            url = os.environ.get(self.database.url_env)
            if not url:
                raise ConfigError(
                    f"the variable {self.database.url_env} is not set.",
                    where=f"{self.path}: database.url_env",
                    mend=f"Export {self.database.url_env} with the database's URL.",
                )
            return url
        if not self.database.url:
            raise ConfigError(
                "there is no database.",
                where=f"{self.path}: database.url",
                mend='Write url = "sqlite:///bot.db" below [database].',
            )
        return self.database.url

    def database_password(self) -> str | None:
        """The password of `database.password_file`, None where none is named."""
        named = self.database.password_file
        where = f"{self.path}: database.password_file"
        return read_line(self.resolve(named), where=where) if named else None


_KNOWN_SECTIONS = {"database", "orders", "accounts", "sync", "retention", "webhooks"}


def load(path: Path | None = None) -> Settings:
    """Read and check the configuration. Raises ConfigError naming file, key and mend."""
    path = path or Path(os.environ.get("ORDERSYNC_CONFIG") or DEFAULT_PATH)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            "there is no such file.",
            where=str(path),
            mend="Make one with: ordersync init --database sqlite:///bot.db",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"it cannot be read ({error}).", where=str(path), mend="Mend the file or its rights."
        ) from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"it is not TOML: {error}.", where=str(path), mend="Mend that line."
        ) from error
    for section in content:
        if section not in _KNOWN_SECTIONS:
            raise ConfigError(
                "there is no such section.",
                where=f"{path}: [{section}]",
                mend=f"Known sections: {', '.join(sorted(_KNOWN_SECTIONS))}.",
            )
    return build(path, content)


def build(path: Path, content: dict[str, Any]) -> Settings:
    """Settings from TOML content and the environment. Raises ConfigError."""
    try:
        settings = Settings(**{**content, "path": path})
    except ValidationError as error:
        raise _explain(path, error) from None
    _check_accounts(settings)
    if settings.retention is not None:
        check_age(settings, settings.retention.after, where=f"{path}: retention.after")
    return settings


def check_age(settings: Settings, age: timedelta, *, where: str) -> None:
    """Raise ConfigError where what is this old may still be verified."""
    least = max(LEAST_RETENTION, settings.sync.verify_recent + timedelta(days=1))
    if age < least:
        raise ConfigError(
            "what is younger may still be verified, and stays.",
            where=where,
            mend=f'Write at least "{math.ceil(least / timedelta(hours=1))}h": two days, and a day '
            "more than sync.verify_recent.",
        )


def _check_accounts(settings: Settings) -> None:
    account = settings.orders.account
    named = [account] if isinstance(account, str) else account.values.values()
    for name in named:
        if name not in settings.accounts:
            raise ConfigError(
                f"there is no account {name!r}.",
                where=f"{settings.path}: orders.account",
                mend=f"Add [accounts.{name}], or name one of: {', '.join(settings.accounts)}.",
            )


def _explain(path: Path, error: ValidationError) -> ConfigError:
    """All that pydantic found, as sentences; the first one names the place."""
    found: list[tuple[str, str, str]] = []
    for item in error.errors(include_url=False, include_context=False):
        parts = [str(part) for part in item["loc"] if part not in {"str", "AccountColumn"}]
        what, mend = _SENTENCES.get(item["type"], ("", ""))
        if not what:
            text = item["msg"].removeprefix("Value error, ").rstrip(".")
            what, _, mend = text.rpartition(". ")
            what, mend = (what, mend) if what else (mend, "Mend that value")
        found.append((_place(path, parts), f"{what}.", f"{mend}."))
    where, what, mend = found[0]
    rest = "".join(f"\n{place}: {text} {step}" for place, text, step in found[1:])
    return ConfigError(what, where=where, mend=mend + rest)


_SENTENCES = {
    "missing": ("it is missing", "Add it"),
    "extra_forbidden": ("there is no such key", "Mend its spelling or take it out"),
}


def _place(path: Path, parts: list[str]) -> str:
    """Where a value came from: the variable that overrides it, else the key in the file."""
    variable = "ORDERSYNC_" + "__".join(parts).upper()
    set_there = next((name for name in os.environ if name.upper() == variable), None)
    return f"environment: {set_there}" if set_there else f"{path}: {'.'.join(parts)}"
