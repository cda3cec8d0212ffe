"""A TCP network in memory, with seeded latency and with faults by port.

It keeps the promises of TCP and asyncio that programs lean on: bytes stay in order, a paused
reader slows its writer down, a write to a peer that is gone is answered with a reset, and a
reset is noticed only by those who read or write. Every host is this machine, so a server is
known by its port alone.

Each connection draws its latencies from its own generators: what one does, in whatever order,
leaves the times of the others as they were.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import hashlib
import os
import random
from typing import TYPE_CHECKING, NamedTuple

from tests.virtual.clock import VirtualClock
from tests.virtual.transport import Address, Direction, MemorySocket, MemoryTransport

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    ProtocolFactory = Callable[[], asyncio.BaseProtocol]
    Listening = socket.socket | MemorySocket

# A kernel asks again after these pauses, doubled each time, and gives up after two minutes.
_CONNECT_PAUSES_SECONDS = (1, 2, 4, 8, 16, 32, 64)
_FIRST_SERVER_PORT = 40_000
_FIRST_CLIENT_PORT = 49_152
_CLIENT_PORTS = 65_536 - _FIRST_CLIENT_PORT


class Happening(NamedTuple):
    """One line of the trace. Sizes, not contents: WebSocket frames are masked at random."""

    at_seconds: float
    connection: int
    direction: Direction
    what: str
    size: int


class MemoryServer(asyncio.AbstractServer):
    """What `create_server` returns."""

    def __init__(
        self, network: Network, port: int, factory: ProtocolFactory, sock: Listening
    ) -> None:
        self.sockets: tuple[Listening, ...] = (sock,)
        self.factory = factory
        self.context = contextvars.copy_context()
        self.clients: dict[MemoryTransport, None] = {}
        self._network = network
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._serving = False
        self._closed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._serving

    async def start_serving(self) -> None:
        self._serving = True

    async def serve_forever(self) -> None:
        await self.start_serving()
        try:
            await self._loop.create_future()
        finally:
            self.close()
            await self.wait_closed()

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._serving = False
            self._network.unlisten(self._port)
            for sock in self.sockets:
                sock.close()
            self.sockets = ()

    async def wait_closed(self) -> None:
        await self._closed.wait()
        await self._idle.wait()

    def close_clients(self) -> None:
        for transport in list(self.clients):
            transport.close()

    def abort_clients(self) -> None:
        for transport in list(self.clients):
            transport.abort()

    def attach(self, transport: MemoryTransport) -> None:
        self.clients[transport] = None
        self._idle.clear()

    def detach(self, transport: MemoryTransport) -> None:
        del self.clients[transport]
        if not self.clients:
            self._idle.set()


class Network:
    """The connections of one virtual loop, and what is wrong with them.

    `latency` is the least and the most seconds that anything takes in one direction; `names`
    are what host names lead to where that is not themselves.
    Faults hold for a port until it is healed, for connections old and new.
    """

    def __init__(self, seed: int = 0, *, latency: tuple[float, float] = (0.0005, 0.0015)) -> None:
        self.seed = seed
        self.latency = latency
        self.trace: list[Happening] = []
        self.names: dict[str, list[str]] = {}
        self._connections = 0
        self._accepted: dict[int, int] = {}
        self._servers: dict[int, MemoryServer] = {}
        # Dictionaries, not sets: their order is that of the connections, in every run.
        self._transports: dict[MemoryTransport, None] = {}
        self._held_back: dict[MemoryTransport, None] = {}
        self._refused: set[int] = set()
        self._holding: set[tuple[int, Direction]] = set()
        self._losing: set[tuple[int, Direction]] = set()
        self._pipe: tuple[int, int] | None = None

    # --- Faults ----------------------------------------------------------------------------

    def refuse(self, port: int) -> None:
        """Refuse new connections; those that are open stay."""
        self._refused.add(port)

    def cut(self, port: int) -> None:
        """Reset the connections that are open; new ones can be made."""
        for transport in list(self._transports):
            if transport.port == port:
                transport.cut()

    def hold(self, port: int, *directions: Direction) -> None:
        """Let bytes wait until the port is healed, then arrive: a network that is away."""
        self._holding.update((port, direction) for direction in directions or Direction)

    def stall(self, port: int, *directions: Direction) -> None:
        """Let bytes vanish. A connection that lost any stays silent when the port is healed.

        Its end may come in silence too: close one end meanwhile, and the other is half-open.
        """
        self._losing.update((port, direction) for direction in directions or Direction)

    def heal(self, port: int) -> None:
        """End every fault of the port."""
        self._refused.discard(port)
        for faults in (self._holding, self._losing):
            faults.difference_update([(port, direction) for direction in Direction])
        for transport in [held for held in self._held_back if held.port == port]:
            del self._held_back[transport]
            transport.release()

    # --- What happened ---------------------------------------------------------------------

    def accepted(self, port: int) -> int:
        """How many connections the port took so far."""
        return self._accepted.get(port, 0)

    def left_open(self) -> list[str]:
        """The servers and ends of connections that somebody could have closed, and did not."""
        servers = [f"<server on port {port}>" for port in self._servers]
        return servers + [repr(end) for end in self._transports if not end.is_orphan()]

    def digest(self) -> str:
        """A mark of the whole trace: equal for equal seeds.

        Sorted, because who comes first within an instant may hang on the addresses of objects.
        """
        return hashlib.sha256(repr(sorted(self.trace)).encode()).hexdigest()

    # --- What the loop calls ---------------------------------------------------------------

    async def connect(
        self,
        protocol_factory: ProtocolFactory,
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: object = None,
        sock: object = None,
        local_addr: Address | None = None,
        **_options: object,
    ) -> tuple[MemoryTransport, asyncio.BaseProtocol]:
        if ssl or sock or not port:
            raise NotImplementedError("only plain connections by host and port are made in memory")
        self._connections += 1
        number = self._connections
        local_port = _FIRST_CLIENT_PORT + number % _CLIENT_PORTS
        local = (local_addr[0] if local_addr else "127.0.0.1", local_port)
        latencies = random.Random(f"{self.seed}/{number}")  # noqa: S311 - dice
        await self._reach(port, latencies)
        server = self._servers.get(port)
        if server is None or not server.is_serving() or port in self._refused:
            await VirtualClock().sleep(latencies.uniform(*self.latency))
            self.record(number, Direction.TO_CLIENT, f"refused by {port}", 0)
            msg = f"Connect call failed ('{host}', {port})"
            raise ConnectionRefusedError(errno.ECONNREFUSED, msg)
        client = self._accept(server, number, local, (host or "127.0.0.1", port))
        try:
            await VirtualClock().sleep(latencies.uniform(*self.latency))
            protocol = protocol_factory()
            client.start(protocol)
        except BaseException:
            client.abort()
            raise
        return client, protocol

    async def listen(
        self,
        protocol_factory: ProtocolFactory,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        ssl: object = None,
        sock: Listening | None = None,
        start_serving: bool = True,
        **_options: object,
    ) -> MemoryServer:
        if ssl:
            raise NotImplementedError("only plain connections are served in memory")
        if sock is None:
            name = host if isinstance(host, str) else next(iter(host or ()), "")
            sock = MemorySocket((name or "127.0.0.1", port or self._free_port()), None, lambda: -1)
        port = sock.getsockname()[1]
        if port in self._servers:
            raise OSError(errno.EADDRINUSE, f"port {port} is in use")
        server = MemoryServer(self, port, protocol_factory, sock)
        self._servers[port] = server
        if start_serving:
            await server.start_serving()
        return server

    def close_everything(self) -> None:
        for server in list(self._servers.values()):
            server.close()
        for transport in list(self._transports):
            transport.abort()

    def close(self) -> None:
        if self._pipe is not None:
            for end in self._pipe:
                os.close(end)
            self._pipe = None

    # --- What transports and servers call --------------------------------------------------

    def holds_back(self, transport: MemoryTransport) -> bool:
        held = (transport.port, transport.direction) in self._holding
        if held:
            self._held_back[transport] = None
        return held

    def loses(self, transport: MemoryTransport) -> bool:
        return (transport.port, transport.direction) in self._losing

    def record(self, connection: int, direction: Direction, what: str, size: int) -> None:
        now = asyncio.get_running_loop().time()
        self.trace.append(Happening(now, connection, direction, what, size))

    def quiet_fileno(self) -> int:
        """A real descriptor that never has anything to read, for those who poll one."""
        self._pipe = self._pipe or os.pipe()
        return self._pipe[0]

    def unlisten(self, port: int) -> None:
        del self._servers[port]

    def _free_port(self) -> int:
        return next(p for p in range(_FIRST_SERVER_PORT, 65_536) if p not in self._servers)

    async def _reach(self, port: int, latencies: random.Random) -> None:
        """Come as far as the server's machine."""
        for pause in _CONNECT_PAUSES_SECONDS:
            await VirtualClock().sleep(latencies.uniform(*self.latency))
            faults = self._holding | self._losing
            if not any((port, direction) in faults for direction in Direction):
                return
            await VirtualClock().sleep(pause)
        raise TimeoutError(errno.ETIMEDOUT, f"Connect call to port {port} timed out")

    def _accept(
        self, server: MemoryServer, number: int, local: Address, remote: Address
    ) -> MemoryTransport:
        """Join two ends, start the server's, and return the client's."""
        port = remote[1]

        def end(direction: Direction, context: contextvars.Context) -> MemoryTransport:
            at_client = direction is Direction.TO_SERVER
            return MemoryTransport(
                self,
                connection=number,
                port=port,
                direction=direction,
                local=local if at_client else remote,
                remote=remote if at_client else local,
                context=context,
                on_lost=self._transports.pop if at_client else lost_by_server,
            )

        def lost_by_server(transport: MemoryTransport) -> None:
            del self._transports[transport]
            server.detach(transport)

        client = end(Direction.TO_SERVER, contextvars.copy_context())
        served = end(Direction.TO_CLIENT, server.context.copy())
        client.peer, served.peer = served, client
        self._transports |= {client: None, served: None}
        server.attach(served)
        self._accepted[port] = self.accepted(port) + 1
        self.record(number, Direction.TO_SERVER, f"accepted by {port}", 0)
        # In the server's own context, as if its socket had become readable.
        asyncio.get_running_loop().call_soon(
            lambda: served.start(server.factory()), context=server.context.copy()
        )
        return client
