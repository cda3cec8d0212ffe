"""A server of one's own: whoever made it may end it, kill it and start it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.daemon import Daemon
    from tests.servers.place import Place, Server


class Owned:
    """A private server. Implements `Server`."""

    def __init__(self, daemon: Daemon, visit: Callable[[], Server], *prepare: list[str]) -> None:
        """Run what prepares it, start it, and look at it."""
        self.daemon = daemon
        try:
            for command in prepare:
                daemon.run_once(*command)
            daemon.start()
            self._databases = visit()
        except BaseException:
            self.close()
            raise

    @property
    def place(self) -> Place:
        return self._databases.place

    @property
    def version(self) -> str:
        return self.place.version

    def url(self, database: str) -> str:
        return self._databases.url(database)

    def new_database(self) -> str:
        return self._databases.new_database()

    def drop_database(self, url: str) -> None:
        self._databases.drop_database(url)

    def log_text(self) -> str:
        return self.daemon.log_text()

    def start(self) -> None:
        """Start it again, on the same data and the same port."""
        self.daemon.start()

    def stop(self) -> None:
        """End it in good order, whoever is connected; its data stay."""
        self.daemon.stop()

    def kill(self) -> None:
        """End it and all its processes with kill -9; its data stay as they are."""
        self.daemon.kill()

    def close(self) -> None:
        """End it for good, and remove what it wrote."""
        self.daemon.close()
