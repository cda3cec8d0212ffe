"""Hours in milliseconds: an asyncio loop on virtual time, with a network that is in memory.

What belongs here: the loop, its network and their faults, and the clock that reads the loop.
What does not: anything that knows orders, venues or stores. The service, its HTTP client and
its server run in it unmodified.

Everything happens in one thread, so nothing real may be waited for: real sockets, worker
threads, subprocesses, or a database driver that brings its own input and output.
"""

from tests.virtual.clock import EPOCH, VirtualClock
from tests.virtual.loop import DeadlockError, OvertimeError, VirtualLoop
from tests.virtual.network import Happening, MemoryServer, Network
from tests.virtual.run import LeftoverError, run_virtually, virtually
from tests.virtual.transport import Direction, MemoryTransport

__all__ = [
    "EPOCH",
    "DeadlockError",
    "Direction",
    "Happening",
    "LeftoverError",
    "MemoryServer",
    "MemoryTransport",
    "Network",
    "OvertimeError",
    "VirtualClock",
    "VirtualLoop",
    "run_virtually",
    "virtually",
]
