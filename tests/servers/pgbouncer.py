"""PgBouncer in transaction mode, as hosted poolers run it, before a PostgreSQL server.

One server connection serves many clients, each for one transaction: what a client sets for its
session, it may not find again, and a statement prepared in one may be unknown in the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tests.servers.daemon import LOOPBACK, Daemon, Folder, free_port, listens, program
from tests.servers.owned import Owned
from tests.servers.place import Place
from tests.servers.postgres import Databases

if TYPE_CHECKING:
    from tests.servers.place import Server


def settings(server: Place, port: int, folder: Folder) -> str:
    """The pooler's settings, and a file with its users beside them."""
    parts = urlsplit(server.url)
    password = unquote(parts.password or "")
    users = folder.write("users.txt", f'"{parts.username}" "{password}"\n')
    return f"""\
[databases]
* = host={parts.hostname} port={parts.port}
[pgbouncer]
listen_addr = {LOOPBACK}
listen_port = {port}
unix_socket_dir =
auth_type = {"scram-sha-256" if password else "trust"}
auth_file = {users}
pool_mode = transaction
max_client_conn = 200
default_pool_size = 20
ignore_startup_parameters = extra_float_digits
"""


class PgBouncer(Owned):
    """A private pooler. What it says is `Server`, too: its databases are those of the other."""

    def __init__(self, server: Server) -> None:
        """Start it before this server."""
        pooler = program("pgbouncer", "pgbouncer")
        folder = Folder()
        port = free_port()
        parts = urlsplit(server.place.url)
        login = parts.netloc.rpartition("@")[0]
        url = parts._replace(netloc=f"{login}@{LOOPBACK}:{port}").geturl()
        file = folder.write("pgbouncer.ini", settings(server.place, port, folder))
        super().__init__(
            Daemon(folder, [str(pooler), str(file)], ready=lambda: listens(port)),
            lambda: Databases(Place(url=url, version=server.version, folder=str(folder.path))),
        )
