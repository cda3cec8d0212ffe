"""A wire between the browser and the service, which a test can cut and mend."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOST = "127.0.0.1"


class Wire:
    """Passes bytes on, both ways, while it is whole."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_whole = True
        self._open: set[asyncio.StreamWriter] = set()
        self._joined: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen; gives the port."""
        self._server = await asyncio.start_server(self._accept, HOST)
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
        """End it, and wait until nothing of it is open."""
        self.cut()
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._joined)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        joining = self._join(reader, writer)
        task = asyncio.create_task(joining)  # noqa: TID251 - `close` waits for it
        self._joined.add(task)
        task.add_done_callback(self._joined.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._until_closed(writer):
            if not self._is_whole:
                return
            # A browser comes anew at any time, also when the service is gone already.
            with contextlib.suppress(OSError):
                there_reader, there_writer = await asyncio.open_connection(HOST, self._port)
                async with self._until_closed(there_writer):
                    if self._is_whole:
                        await asyncio.gather(
                            self._pass(reader, there_writer), self._pass(there_reader, writer)
                        )

    @contextlib.asynccontextmanager
    async def _until_closed(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """While it is open `cut` can cut it; it is not left before it is closed."""
        self._open.add(writer)
        try:
            yield
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._open.discard(writer)

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        writer.close()
