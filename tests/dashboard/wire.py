"""A wire between the browser and the service, which a test can cut and mend."""

from __future__ import annotations

import asyncio
import contextlib

HOST = "127.0.0.1"


class Wire:
    """Passes bytes on, both ways, while it is whole."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_whole = True
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; gives the port."""
        self._server = await asyncio.start_server(self._join, HOST)
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Every connection ends now, and none is made until `mend`."""
        self._is_whole = False
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Connections are made again."""
        self._is_whole = True

    async def close(self) -> None:
        """End it."""
        self.cut()
        if self._server is not None:
            self._server.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_whole:
            writer.transport.abort()
            return
        with contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(HOST, self._port)
            self._open |= {writer, there_writer}
            await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))
            self._open -= {writer, there_writer}

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        writer.close()
