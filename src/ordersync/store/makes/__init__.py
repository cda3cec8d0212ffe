"""The makes of database that a user's table can be in; each implements `database.Database`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ordersync.errors import ConfigError
from ordersync.store.makes.sqlite import SqliteFile, sqlite_path

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.store.database import Database


def database_at(url: str, base: Path) -> Database:
    """The database at a URL; a relative file starts at `base`. Raises ConfigError."""
    path = sqlite_path(url, base)
    if path is not None:
        return SqliteFile(path)
    raise ConfigError(
        f"{_without_password(url)!r} is no database that ordersync can open.",
        where="database.url",
        mend="Write it as sqlite:///bot.db (three slashes and a path).",
    )


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)
