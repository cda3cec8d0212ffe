"""One end of a connection in memory: what asyncio calls a transport.

Bytes travel from the writer's buffer, through the flight, into the reader's inbox. What is in
flight or in an inbox is what kernels would hold; a writer's buffer grows, and its protocol is
paused, only when that is full.
"""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Iterable

    from tests.virtual.network import Network

Address = tuple[str, int]

# What the kernels of both ends hold of one direction. A real default is of this size.
_WINDOW_BYTES = 65_536
# How long Linux sends lost bytes again before it gives a connection up.
_GIVE_UP_SECONDS = 924.6


class Direction(StrEnum):
    """Which way bytes travel."""

    TO_SERVER = "to_server"
    TO_CLIENT = "to_client"


class Ending(StrEnum):
    """What ends a stream, in its place behind the bytes."""

    FIN = "fin"
    RST = "rst"
    GIVEN_UP = "given up"


_ERRORS: dict[bytes | Ending, Callable[[], OSError]] = {
    Ending.RST: lambda: ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    Ending.GIVEN_UP: lambda: TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
}


class MemorySocket:
    """As much of a socket as servers and clients ask of `get_extra_info("socket")`."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, local: Address, remote: Address | None, fileno: Callable[[], int]) -> None:
        self._local = local
        self._remote = remote
        self.fileno = fileno

    def getsockname(self) -> Address:
        return self._local

    def getpeername(self) -> Address:
        if self._remote is None:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return self._remote

    def setsockopt(self, *option: object) -> None:
        """Do nothing: no option changes anything here."""

    def close(self) -> None:
        """Do nothing: a server that closes forgets its port by itself."""


class MemoryTransport(asyncio.Transport):
    """One of the two ends; `peer` is the other. `direction` is the one in which it writes."""

    peer: MemoryTransport

    def __init__(
        self,
        network: Network,
        *,
        connection: int,
        port: int,
        direction: Direction,
        local: Address,
        remote: Address,
        context: contextvars.Context,
        on_lost: Callable[[MemoryTransport], object],
    ) -> None:
        sock = MemorySocket(local, remote, self._fileno)
        super().__init__({"sockname": local, "peername": remote, "socket": sock})
        self.connection = connection
        self.port = port
        self.direction = direction
        self._network = network
        self._loop = asyncio.get_running_loop()
        # Not that of whoever writes to us: callbacks must not inherit the peer's variables.
        self._context = context
        self._on_lost = on_lost
        self._random = random.Random(  # noqa: S311 - dice
            f"{network.seed}/{connection}/{direction}"
        )
        self._protocol: asyncio.Protocol | None = None
        self._buffer = bytearray()  # written, and more than the kernels take
        self._flight: deque[bytes | Ending] = deque()  # sent to the peer
        self._inbox: deque[bytes | Ending] = deque()  # arrived from the peer, not yet read
        self._unread_bytes = 0  # of ours, in flight or in the peer's inbox
        self._late = 0  # how much of the flight was due while the network held it back
        self._low, self._high = 16_384, 65_536
        self._reading = True
        self._writing = True
        self._closing = False
        self._gone = False  # the application is done with it; what was sent still travels
        self._eof_written = False
        self._fin_sent = False
        self._eof_read = False
        self._broken = False  # reset by the peer, or given up
        self._gap = False  # something was lost: like TCP, deliver nothing that follows
        self._giving_up = False

    def __repr__(self) -> str:
        return f"<connection {self.connection} to port {self.port}, {self.direction} end>"

    def start(self, protocol: asyncio.BaseProtocol) -> None:
        """Introduce the protocol and begin to read. What came before then has waited."""
        self.set_protocol(protocol)
        protocol.connection_made(self)
        self._loop.call_soon(self._read, context=self._context)

    # --- What protocols call ---------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        if self._protocol is None:
            raise RuntimeError("the connection is not made yet, or lost")
        return self._protocol

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            # Not at once: a protocol is never called back from within its own call.
            self._loop.call_soon(self._read, context=self._context)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data must be bytes-like, not {type(data).__name__}")
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing:
            return
        if self._broken:
            self._finish(BrokenPipeError(errno.EPIPE, "Broken pipe"))
            return
        self._buffer += data
        self._send()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._closing:
            self._eof_written = True
            self._send()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = 65_536 if low is None else 4 * low
        self._low, self._high = high // 4 if low is None else low, high
        self._pause_or_resume_writing()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._send()

    def abort(self) -> None:
        self._finish(None)

    # --- Sending ---------------------------------------------------------------------------

    def _send(self) -> None:
        while self._buffer and (room := _WINDOW_BYTES - self._unread_bytes) > 0:
            chunk = bytes(self._buffer[:room])
            del self._buffer[:room]
            self._unread_bytes += len(chunk)
            self._post(chunk)
        if not self._buffer and self._eof_written and not self._fin_sent:
            self._fin_sent = True
            self._post(Ending.FIN)
        if not self._buffer and self._closing:
            self._finish(None)
        self._pause_or_resume_writing()

    def _post(self, item: bytes | Ending) -> None:
        self._flight.append(item)
        self._travel()

    def _travel(self) -> None:
        delay = self._random.uniform(*self._network.latency)
        self._loop.call_later(delay, self._land, context=self.peer._context)  # noqa: SLF001

    def _land(self) -> None:
        """Let the first of the flight arrive: with one call for each, none overtakes another."""
        if not self._flight:  # cut off
            return
        if self._network.holds_back(self):
            self._late += 1
            return
        item = self._flight.popleft()
        if self._network.loses(self):
            self._lose_item(item)
        elif self.peer._gone:  # noqa: SLF001 - both ends are of this class
            if isinstance(item, bytes):
                self._record("unwanted", item)
                self.peer._post(Ending.RST)  # noqa: SLF001
        elif self._gap and item is not Ending.RST:
            self._lose_item(item)
        else:
            self._record("arrived", item)
            self.peer._receive(item)  # noqa: SLF001

    def _lose_item(self, item: bytes | Ending) -> None:
        self._record("lost", item)
        self._gap = True
        if isinstance(item, bytes) and not self._giving_up:
            self._giving_up = True
            self._loop.call_later(
                _GIVE_UP_SECONDS, self._receive, Ending.GIVEN_UP, context=self._context
            )

    def is_orphan(self) -> bool:
        """Whether the peer has gone, and the network swallowed the news or our last bytes."""
        return self.peer._gone and (self._gap or self.peer._gap)  # noqa: SLF001

    def release(self) -> None:
        """Send again what the network held back, as TCP does when its path has healed."""
        late, self._late = self._late, 0
        for _ in range(late):
            self._travel()

    def cut(self) -> None:
        """Lose what is in flight, and find the connection reset."""
        self._flight.clear()
        if not self._gone:
            self._loop.call_soon(self._receive, Ending.RST, context=self._context)

    def _record(self, what: str, item: bytes | Ending) -> None:
        size = len(item) if isinstance(item, bytes) else 0
        kind = "data" if isinstance(item, bytes) else item
        self._network.record(self.connection, self.direction, f"{kind} {what}", size)

    def _pause_or_resume_writing(self) -> None:
        if self._protocol is None:
            return
        if self._writing and len(self._buffer) > self._high:
            self._writing = False
            self._call(self._protocol.pause_writing)
        elif not self._writing and len(self._buffer) <= self._low:
            self._writing = True
            self._call(self._protocol.resume_writing)

    # --- Receiving -------------------------------------------------------------------------

    def _receive(self, item: bytes | Ending) -> None:
        self._inbox.append(item)
        fatal = not isinstance(item, bytes) and item in _ERRORS
        self._broken |= fatal
        self._read()
        if fatal and self._buffer:  # who waits to write notices, even one who reads no more
            self._finish(_ERRORS[item]())

    def _read(self) -> None:
        while (
            self._inbox and self._protocol is not None and self.is_reading() and not self._eof_read
        ):
            item = self._inbox.popleft()
            if isinstance(item, bytes):
                self.peer._taken(len(item))  # noqa: SLF001
                self._call(self._protocol.data_received, item)
            elif item is Ending.FIN:
                self._eof_read = True
                if not self._call(self._protocol.eof_received):
                    self.close()
            else:
                self._finish(_ERRORS[item]())

    def _taken(self, size: int) -> None:
        self._unread_bytes -= size
        if not self._gone:
            self._send()

    # --- Ending ----------------------------------------------------------------------------

    def _finish(self, error: Exception | None) -> None:
        if self._gone:
            return
        self._closing = self._gone = True
        self._buffer.clear()
        # A kernel that closes a socket with bytes unread says so with a reset.
        unread = any(isinstance(item, bytes) for item in self._inbox)
        self._inbox.clear()
        if not self._broken and (unread or not self._fin_sent):
            self._post(Ending.RST if unread else Ending.FIN)
        self._loop.call_soon(self._lose, error, context=self._context)

    def _lose(self, error: Exception | None) -> None:
        protocol, self._protocol = self._protocol, None
        try:
            if protocol is not None:
                protocol.connection_lost(error)
        finally:
            self._on_lost(self)

    def _call(self, callback: Callable[..., Any], *args: object) -> object:
        """Call the protocol; where it fails, report and end the connection, as asyncio does."""
        try:
            return callback(*args)
        except Exception as error:  # noqa: BLE001 - whatever the protocol under test raises
            self._loop.call_exception_handler(
                {"message": f"{self!r}: protocol failed", "exception": error, "transport": self}
            )
            self._finish(error)
            return None

    def _fileno(self) -> int:
        """Serve those who poll: -1 counts as readable, the other is a pipe nobody writes to."""
        readable = self._inbox or self._eof_read or self._gone
        return -1 if readable else self._network.quiet_fileno()
