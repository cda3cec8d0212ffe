"""The exchange on 127.0.0.1, in whatever loop is running.

uvicorn does the HTTP and the WebSocket. It is given no signals, no log and no lifespan: it is a
guest in somebody else's process, and may run in virtual time on a network in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from ordersync.simulator.answers import ABORT, BINARY, DEAFEN, HANG_UP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn._types import ASGISendEvent

HOST = "127.0.0.1"


class _HangingUp(H11Protocol):
    """HTTP/1.1 that lets the application close the connection instead of answering."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner = self.app

        async def with_hang_up(scope: Scope, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), HANG_UP: {"close": transport.close}}
            # Cancelled means that the server leaves: the client gets no answer, and uvicorn,
            # which would log this as the application's error, need not hear of it.
            with contextlib.suppress(asyncio.CancelledError):
                await inner({**scope, "extensions": extensions}, receive, send)

        self.app = with_hang_up


class _Streaming(WebSocketsSansIOProtocol):
    """A WebSocket whose line the application may cut, and on which it may fall deaf.

    What is sent as bytes leaves as a text frame of just these bytes, unless the message says
    otherwise: that is how text that is not UTF-8 gets on the wire.
    """

    _deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        inner = self.app

        async def with_line(scope: Scope, receive: Receive, send: Send) -> None:
            line = {ABORT: {"abort": self.transport.abort}, DEAFEN: {"deafen": self._deafen}}
            extensions = {**scope.get("extensions", {}), **line}
            with contextlib.suppress(asyncio.CancelledError):  # as above: the server leaves
                await inner({**scope, "extensions": extensions}, receive, send)
            # A refusal completes it as well; uvicorn would report it as the application's error.
            self.handshake_complete = self.handshake_complete or bool(self.initial_response)

        self.app = with_line

    def data_received(self, data: bytes) -> None:
        # Unread, a closing or pinging client gets no answer; its end of the line is still noticed.
        if not self._deaf:
            super().data_received(data)

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.send" and self.handshake_complete and not self.close_sent:
            data = message.get("bytes")
            if data is not None and not message.get(BINARY):
                await self._send_text(data)
                return
        await super().send(message)

    async def _send_text(self, data: bytes) -> None:
        await self.writable.wait()
        if self.disconnected:
            raise ClientDisconnected
        try:
            self.conn.send_text(data)
        except InvalidState:  # the client is about to leave
            raise ClientDisconnected from None
        self.transport.write(b"".join(self.conn.data_to_send()))

    def _deafen(self) -> None:
        self._deaf = True


def _is_not_raised(record: logging.LogRecord) -> bool:
    """Whether a line is uvicorn's to tell: of a port that is refused who started it is told."""
    return not isinstance(record.msg, OSError)


class _Guest(uvicorn.Server):
    """A server that announces its port and keeps its hands off the process' signals."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[str], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: object = None) -> None:
        del sockets
        log = logging.getLogger("uvicorn.error")
        log.addFilter(_is_not_raised)
        try:
            await super().startup()
        except SystemExit as ended:
            # uvicorn ends the process here; a guest must not.
            # Before the reason stand the address and, from Python 3.13 on, a number in brackets.
            why = re.sub(r".*[:\]] ", "", str(ended.__context__))
            raise OSError(
                f"{HOST}:{self.config.port} cannot be listened on ({why}); "
                "name another port, or 0 for any that is free."
            ) from None
        finally:
            log.removeFilter(_is_not_raised)
        port = self.config.port
        for server in self.servers:
            for socket in server.sockets:
                port = socket.getsockname()[1]
        self._ready(f"http://{HOST}:{port}")

    async def main_loop(self) -> None:
        # Served until cancelled; uvicorn's own loop wakes ten times a second to see whether
        # somebody wants it to end, which would fill virtual time with nothing.
        await asyncio.get_running_loop().create_future()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(
    application: ASGIApp, *, port: int = 0, ready: Callable[[str], object] = lambda _: None
) -> None:
    """Serve until cancelled. `ready` is told the base URL as soon as it accepts connections."""
    config = uvicorn.Config(
        application,
        host=HOST,
        port=port,
        http=_HangingUp,
        ws=_Streaming,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )
    server = _Guest(config, ready)
    try:
        await server.serve()
    finally:
        await _leave(server)


async def _leave(server: _Guest) -> None:
    """Close every connection at once; a client that still waits for an answer gets none."""
    for listener in getattr(server, "servers", []):
        listener.close()
    for connection in list(server.server_state.connections):
        transport = getattr(connection, "transport", None)
        if transport is not None:
            transport.close()
    await asyncio.sleep(0)  # let every connection notice that it is closed
    tasks = list(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


@contextlib.asynccontextmanager
async def serving(application: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """Serve the application while the block runs; gives the base URL."""
    urls: list[str] = []
    started = asyncio.Event()

    def announce(url: str) -> None:
        urls.append(url)
        started.set()

    task = asyncio.ensure_future(serve(application, port=port, ready=announce))
    # A server that cannot start never says that it is ready; its error is the answer then.
    task.add_done_callback(lambda _: started.set())
    try:
        await started.wait()
        if not urls:
            await task
        yield urls[0]
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
