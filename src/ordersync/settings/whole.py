"""The whole configuration: every section, from the file and the environment."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ordersync.errors import ConfigError
from ordersync.secret_files import read_line
from ordersync.settings.accounts import Account
from ordersync.settings.alerts import Alerts
from ordersync.settings.log import Log
from ordersync.settings.orders import Database, Orders
from ordersync.settings.orphans import Orphans
from ordersync.settings.queued import Celery, with_password
from ordersync.settings.subscriptions import Subscriptions
from ordersync.settings.web import Web
from ordersync.settings.work import Retention, Sync, Webhooks

DEFAULT_PATH = "ordersync.toml"


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
    orphans: Orphans = Orphans()
    retention: Retention | None = None
    """what moves out of the database, and where to

    Error when: an unknown key
    """
    webhooks: Webhooks | None = None
    """whether, and where, webhooks are taken by `run`

    Error when: an unknown key
    """
    subscriptions: Subscriptions = Subscriptions()
    web: Web = Web()
    celery: Celery | None = None
    """how work is put on queues

    Error when: an unknown key
    """
    alerts: Alerts = Alerts()
    log: Log = Log()

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

    def broker_url(self) -> str:
        """The URL of Celery's broker, with its password where one is known: never to be shown."""
        section, where = self.celery or Celery(), f"{self.path}: celery"
        url = section.broker_url
        if section.broker_url_env:
            url = os.environ.get(section.broker_url_env, "")
            if not url:
                raise ConfigError(
                    f"the variable {section.broker_url_env} is not set.",
                    where=f"{where}.broker_url_env",
                    mend=f"Export {section.broker_url_env} with the broker's URL.",
                )
        if section.password_file:
            path = self.resolve(section.password_file)
            url = with_password(url, read_line(path, where=f"{where}.password_file"))
        return url
