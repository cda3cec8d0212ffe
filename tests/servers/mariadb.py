"""MariaDB, as Debian has it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import pymysql

from tests.servers.daemon import LOOPBACK, Daemon, Folder, free_port, program
from tests.servers.owned import Owned
from tests.servers.place import Place, Visitor

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = "mariadb-server"
USER = "ordersync"
PASSWORD = "p@ss/word"  # noqa: S105 - of a server that lives for a minute; a URL must quote it
SWIFT = {"innodb_flush_log_at_trx_commit": "0"}
LOG_SIZE = "16M"  # the usual 96 are written out at every start anew
# What Debian's own settings say; MariaDB 10.11 without settings would speak latin1.
DEBIAN = {
    "character_set_server": "utf8mb4",
    "collation_server": "utf8mb4_general_ci",
}


def connect(url: str, **more: Any) -> pymysql.Connection[pymysql.cursors.Cursor]:  # noqa: ANN401
    """A connection to the database that a URL names."""
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path.lstrip("/") or None,
        **more,
    )


class Databases(Visitor):
    """A MariaDB server, as its visitors see it. Implements `Server`."""

    __slots__ = ()

    def new_database(self) -> str:
        name = self.name()
        with contextlib.closing(connect(self.place.url)) as connection:
            connection.cursor().execute(f"CREATE DATABASE `{name}`")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        with contextlib.closing(connect(self.place.url)) as connection:
            connection.cursor().execute(f"DROP DATABASE `{self.forget(url)}`")


class MariaDb(Owned):
    """A private MariaDB server."""

    def __init__(self, *, swift: bool = False, settings: Mapping[str, str] | None = None) -> None:
        """Make its data and start it. A swift one does not wait for the disk."""
        server, makes_data = program("mariadbd", PACKAGE), program("mariadb-install-db", PACKAGE)
        folder = Folder(swift=swift)
        port = free_port()
        url = f"mysql://{USER}:{quote(PASSWORD, safe='')}@{LOOPBACK}:{port}/mysql"
        first = folder.write(
            "first.sql",
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n",
        )
        both = ["--no-defaults", f"--datadir={folder.path / 'data'}", "--skip-name-resolve"]
        chosen = {
            **DEBIAN,
            "bind_address": LOOPBACK,
            "port": str(port),
            "socket": str(folder.path / "socket"),
            "pid_file": str(folder.path / "mariadb.pid"),
            "init_file": str(first),
            "innodb_log_file_size": LOG_SIZE,
            "innodb_buffer_pool_size": "32M",
            **(SWIFT if swift else {}),
            **(settings or {}),
        }
        super().__init__(
            Daemon(
                folder,
                [str(server), *both, *(f"--{k}={v}" for k, v in chosen.items())],
                ready=lambda: answers(url),
            ),
            lambda: Databases(Place(url=url, version=version(url), folder=str(folder.path))),
            [
                str(makes_data),
                *both,
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                f"--innodb_log_file_size={LOG_SIZE}",
            ],
        )


def answers(url: str) -> bool:
    """Whether the server at this URL lets us in."""
    with contextlib.suppress(pymysql.OperationalError):
        connect(url, connect_timeout=5).close()
        return True
    return False


def version(url: str) -> str:
    """The version of the server at this URL."""
    with contextlib.closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version()")
        row = cursor.fetchone()
    assert row is not None
    return str(row[0]).partition("-")[0]
