"""A way to the server that can be cut at the moment when a COMMIT is on it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

PIECE = 1 << 16


class Proxy:
    """Passes bytes on; `cut` "before" the server hears of the next COMMIT, or "after" it did."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.cut = ""
        self.was_cut = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self._door)
        for one in self._open:
            self._end(one)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                for source, target, mark in (
                    (client, server, b"COMMIT\0"),
                    (server, client, b"COMMIT\0Z"),
                ):
                    work = (source, target, mark, client, server)
                    threading.Thread(target=self._carry, args=work, daemon=True).start()

    def _carry(
        self,
        source: socket.socket,
        target: socket.socket,
        mark: bytes,
        client: socket.socket,
        server: socket.socket,
    ) -> None:
        how = "before" if source is client else "after"
        with suppress(OSError):
            while piece := source.recv(PIECE):
                if self.cut == how and mark in piece:
                    self.cut = ""
                    self.was_cut.set()
                    break
                target.sendall(piece)
        self._end(client)
        self._end(server)

    @staticmethod
    def _end(one: socket.socket) -> None:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
