"""RabbitMQ, as Debian has it: the other broker that Celery is at home with."""

from __future__ import annotations

from pathlib import Path

from tests.servers.daemon import LOOPBACK, Daemon, Folder, Missing, free_port, listens, program
from tests.servers.owned import Owned
from tests.servers.place import Place, Visitor

PACKAGE = "rabbitmq-server"
# Debian's own program in the path would change to another user, and to a folder of the system's.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
VERSION = "3"

# Its nodes find each other by a daemon of Erlang's. That is private as well, and ends with it.
SCRIPT = """\
export HOME={folder} ERL_EPMD_PORT={names} ERL_EPMD_ADDRESS={host}
export RABBITMQ_NODENAME=rabbit{port}@localhost RABBITMQ_NODE_IP_ADDRESS={host}
export RABBITMQ_NODE_PORT={port} RABBITMQ_DIST_PORT={peers}
export RABBITMQ_MNESIA_BASE={folder}/data RABBITMQ_LOG_BASE={folder}/logs
export RABBITMQ_ENABLED_PLUGINS_FILE={folder}/plugins RABBITMQ_CONFIG_FILE={folder}/no
export RABBITMQ_CONF_ENV_FILE={folder}/no RUNNING_UNDER_SYSTEMD=1
trap 'kill -9 0' QUIT TERM
{epmd} -address {host} -port {names} &
{server} &
wait
"""


class Hosts(Visitor):
    """A RabbitMQ server, as its visitors see it; it has one host for all. Implements `Server`."""

    __slots__ = ()

    def new_database(self) -> str:
        return self.place.url

    def drop_database(self, url: str) -> None:
        """There is nothing to drop: it goes with the server."""


class RabbitMq(Owned):
    """A private RabbitMQ, whose guest may come from this machine."""

    def __init__(self) -> None:
        """Start it; that takes some seconds."""
        if not SERVER.exists():
            raise Missing(f"{SERVER} is not on this machine; on Debian: apt-get install {PACKAGE}")
        epmd = program("epmd", PACKAGE)
        folder = Folder()
        port = free_port()
        (plugins := folder.path / "plugins").write_text("[].\n")
        folder.give(plugins)
        text = SCRIPT.format(
            folder=folder.path,
            host=LOOPBACK,
            port=port,
            peers=free_port(),
            names=free_port(),
            epmd=epmd,
            server=SERVER,
        )
        script = folder.write("start.sh", text)
        # Tests in the background ignore SIGQUIT, and a shell that inherits that cannot trap it.
        command = ["/usr/bin/env", "--default-signal=QUIT", "/bin/sh", str(script)]
        super().__init__(
            Daemon(folder, command, ready=lambda: listens(port)),
            lambda: Hosts(Place(url=f"amqp://guest:guest@{LOOPBACK}:{port}//", version=VERSION)),
        )
