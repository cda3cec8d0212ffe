"""Commands that begin with everything loaded: a process that forks itself for each of them.

To load Python, the database library and the rest takes a command ten times as long as its work,
and hundreds of commands run here. Each is a process all the same, with arguments, folder,
environment, streams, signals and exit status of its own; only what Python reads before it runs
anything is the same for all. Started as a program it serves; the tests `start` commands.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LARGEST: Final = 1 << 17
PASSED: Final = 4
"""Stdin, stdout, stderr, and where the number and the end of the process are told."""


class Child(Protocol):
    """What is asked of a process that was started; a Popen has all of it."""

    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def kill(self) -> None: ...


class Forked:
    """A command that was forked: it is not our child, so the server tells us of it."""

    def __init__(self, told: int) -> None:
        self.returncode: int | None = None
        self._told = os.fdopen(told, "rb", buffering=0)
        self._pid = int(self._told.readline())

    def _ended(self, within: float | None) -> bool:
        if self.returncode is None and select.select([self._told], [], [], within)[0]:
            line = self._told.readline()
            self._told.close()
            assert line, "the fork server was killed"
            self.returncode = os.waitstatus_to_exitcode(int(line))
        return self.returncode is not None

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        self._ended(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        if not self._ended(timeout):
            raise subprocess.TimeoutExpired("ordersync", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self._pid, sig)

    def kill(self) -> None:
        """End it with kill -9."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The server, from the side of the tests; it ends when they do."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Start it; what Python itself reads from the environment is read here, for all."""
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the tests
            )

    def start(
        self, arguments: Sequence[str], folder: Path, environment: dict[str, str], *streams: int
    ) -> Forked:
        """Start a command on these three streams."""
        told, tells = os.pipe()
        wanted = json.dumps([list(arguments), str(folder), environment]).encode()
        try:
            socket.send_fds(self._ours, [wanted], [*streams, tells])
        finally:
            os.close(tells)
        return Forked(told)

    def close(self) -> None:
        """End it; what it has started goes on."""
        self._ours.close()
        self._server.wait()


def serve(asked: socket.socket) -> tuple[list[str], str, dict[str, str], list[int]]:
    """Return in each command's own process, with what is to be run and on which streams."""
    while True:
        wanted, (*streams, tells) = receive(asked)
        if os.fork() == 0:
            asked.close()
            keep(tells, streams)
            return (*json.loads(wanted), streams)
        for number in (*streams, tells):
            os.close(number)


def receive(asked: socket.socket) -> tuple[bytes, list[int]]:
    """What is wanted, and the descriptors passed with it; end with the tests."""
    wanted, numbers, *_ = socket.recv_fds(asked, LARGEST, PASSED)
    if not wanted:
        sys.exit()
    return wanted, numbers


def keep(tells: int, streams: list[int]) -> None:
    """Return in a child; its parent, our own process, tells of it and ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the server does not wait for us, we do for it
    pid = os.fork()
    if pid == 0:
        os.close(tells)
        return
    for stream in streams:
        os.close(stream)
    os.write(tells, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(tells, f"{status}\n".encode())
    os._exit(0)


def become(folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """Be as if Python had just been started there."""
    for own, stream in enumerate(streams):
        os.dup2(stream, own)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unbuffered = "PYTHONUNBUFFERED" in environment
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - Python's own never end either
    for own, name, errors in ((1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        said = open(own, "w", errors=errors, closefd=False)  # noqa: SIM115 - the same
        is_prompt = name == "stderr" or said.isatty()
        said.reconfigure(line_buffering=is_prompt, write_through=unbuffered)
        setattr(sys, name, said)
        setattr(sys, f"__{name}__", said)
    sys.path[0] = folder  # as with python -m


def load() -> None:
    """Import all that a command may need: everything of ordersync's, in any order."""
    import ordersync  # noqa: PLC0415 - only the server needs it

    for module in pkgutil.walk_packages(ordersync.__path__, "ordersync."):
        if not module.name.startswith(("ordersync.celery_app", "ordersync.__main__")):
            __import__(module.name)


def main() -> None:
    """Serve; in each process that is forked, run the command."""
    load()
    gc.collect()
    gc.freeze()  # what all share is not copied by looking whether it is in use
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    asked = socket.socket(fileno=int(sys.argv[1]))
    arguments, folder, environment, streams = serve(asked)
    become(folder, environment, streams)
    sys.argv = ["ordersync", *arguments]
    runpy.run_module("ordersync", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
