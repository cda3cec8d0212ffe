"""The makes of database that a user's table can be in; each implements `database.Database`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ordersync.errors import ConfigError
from ordersync.store.makes.sqlite import SqliteFile, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ordersync.store.database import Database

_SERVERS = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
}


def database_at(url: str, base: Path, password: str | None = None) -> Database:
    """The database at a URL; a relative file starts at `base`. Raises ConfigError.

    `password` is that of the file which the configuration names; it beats one in the URL.
    """
    path = sqlite_path(url, base)
    if path is not None:
        return SqliteFile(path)
    scheme = url.partition("://")[0].partition("+")[0]
    extra = _SERVERS.get(scheme)
    if extra is None or "://" not in url:
        raise ConfigError(
            f"{_without_password(url)!r} is no database that ordersync can open.",
            where="database.url",
            mend="Write it as sqlite:///bot.db (three slashes and a path), as "
            "postgresql://user@host/database or as mysql://user@host/database.",
        )
    return _server(extra)(url, password)


def _server(extra: str) -> Callable[[str, str | None], Database]:
    """The make of a server, whose driver is an extra of its own."""
    try:
        if extra == "postgres":
            from ordersync.store.makes.postgres import PostgresServer  # noqa: PLC0415 - an extra

            return PostgresServer
        from ordersync.store.makes.mysql import MysqlServer  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            f"the driver for this database is not installed ({error.name}).",
            where="database.url",
            mend=f"pip install 'ordersync[{extra}]'",
        ) from error
    else:
        return MysqlServer


def _without_password(url: str) -> str:
    """What was written, without all that may be a password: before the last @, and the query."""
    return re.sub(r"^([a-z0-9+]*://)?.*@", r"\1…@", url.partition("?")[0], flags=re.IGNORECASE)
