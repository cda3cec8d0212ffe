"""An HTTP listener in whatever loop is running: uvicorn, as a guest in somebody's process.

It is given no signals, no log and no lifespan. What a stranger may cost is bounded here: the size
of a request's head, the time in which it has to come, the number of connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from typing import TYPE_CHECKING

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

HEAD_LIMIT = 16 * 1024
HEAD_WITHIN_SECONDS = 10.0
"""In this time a connection has to bring the head of its first request, or is closed."""

TAKEN_EVERY_SECONDS = 10.0
TAKEN_LEAST = 16 * 1024
"""A client that is sent more than it takes has to take so much in this time, or is dropped."""

IDLE_SECONDS = 30
CONNECTIONS_LIMIT = 2_000
ROUNDS_TO_CONNECT = 3
"""After so many rounds of the loop whoever was just let in is among the server's connections."""

NO_HTTP = {
    "type": "urn:ordersync:problem:bad-request",
    "title": "Bad request",
    "status": 400,
    "detail": "the request is no HTTP/1.1.",
    "mend": "One header Host is needed, no line may be broken, and the head is bounded.",
}
"""What is said to a request that is not even one: a problem (RFC 9457), as all errors are."""

ABORT = "ordersync.abort"
"""The ASGI extension by which an application drops a connection: its "abort" is to be called."""


class _Impatient(H11Protocol):
    """HTTP/1.1 that does not wait for ever for a head, and closes what is cancelled."""

    _waiting: asyncio.TimerHandle | None = None
    _slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()
        inner = self.app

        async def in_time(scope: Scope, receive: Receive, send: Send) -> None:
            self._stop_waiting()
            # For who sends for long: a client that takes nothing would keep what waits for it.
            scope.setdefault("extensions", {})[ABORT] = {"abort": self.transport.abort}
            # Cancelled means that the server leaves: the client gets no answer, and sends again.
            with contextlib.suppress(asyncio.CancelledError):
                await inner(scope, receive, send)

        self.app = in_time

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Of a later request on the same connection too: its head must not trickle in.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and cycle.response_complete and self._waiting is None:
            self._await_head()

    def send_400_response(self, msg: str) -> None:
        del msg
        body = json.dumps(NO_HTTP).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body)):
            self.transport.write(self.conn.send(event) or b"")
        self.conn.send(h11.EndOfMessage())
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_minding()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._mind(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._stop_minding()
        super().resume_writing()

    def _mind(self, size: int) -> None:
        """Look later how much of what waits was taken."""
        self._slow = self.loop.call_later(TAKEN_EVERY_SECONDS, self._look, size)

    def _look(self, before: int) -> None:
        size = self.transport.get_write_buffer_size()
        if before - size < TAKEN_LEAST:
            self.transport.abort()
        else:
            self._mind(size)

    def _stop_minding(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _await_head(self) -> None:
        self._waiting = self.loop.call_later(HEAD_WITHIN_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


@contextlib.asynccontextmanager
async def listening(application: ASGIApp, host: str, port: int) -> AsyncIterator[int]:
    """Serve the application while the block runs; gives the port. Raises OSError."""
    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        http=_Impatient,
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        log_level="error",  # it warns of each request that is no HTTP: strangers would fill the log
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        h11_max_incomplete_event_size=HEAD_LIMIT,
        limit_concurrency=CONNECTIONS_LIMIT,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    log = logging.getLogger("uvicorn.error")
    log.addFilter(_is_not_raised)
    try:
        # Its own loop of ten looks a second is left out: connections are served without it.
        await server.startup()
    except SystemExit as ended:
        # uvicorn ends the process here; a guest must not.
        # Before the reason stand the address and, from Python 3.13 on, a number in brackets.
        why = re.sub(r".*[:\]] ", "", str(ended.__context__))
        raise OSError(f"{host}:{port} cannot be listened on ({why}).") from None
    finally:
        log.removeFilter(_is_not_raised)
    try:
        yield next(s.getsockname()[1] for one in server.servers for s in one.sockets)
    finally:
        await _leave(server)


def _is_not_raised(record: logging.LogRecord) -> bool:
    """Whether a line is uvicorn's to tell: of an address that is refused we tell ourselves."""
    return not isinstance(record.msg, OSError)


async def _leave(server: uvicorn.Server) -> None:
    """Close every connection at once; a client that still waits for an answer gets none."""
    for listener in server.servers:
        listener.close()
    for _ in range(ROUNDS_TO_CONNECT):
        _close_all(server)
        await asyncio.sleep(0)  # noqa: TID251 - a round, no time
    tasks = list(server.server_state.tasks)
    if tasks:
        # One round, in which every connection notices that it is closed; uvicorn would log the
        # missing answers as the application's error otherwise.
        await asyncio.wait(tasks, timeout=0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _close_all(server: uvicorn.Server) -> None:
    for connection in list(server.server_state.connections):
        transport = connection.transport
        if transport is None:
            continue
        if transport.get_write_buffer_size():
            transport.abort()  # closing would wait until the client takes what is written
        else:
            transport.close()
