"""What every server needs: a folder, a port, a process, and someone who ends it.

As root a server runs as `nobody`: PostgreSQL and PgBouncer refuse to run as root, and rightly.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from tests.servers import undertaker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOPBACK = "127.0.0.1"
# Below what the system gives to outgoing connections: a port stays free while its server is down.
PORTS = range(15_000, 32_000)
ENOUGH = 60.0
# A new database takes a tenth of the time there. A container's own has 64 MB: too little.
MEMORY = Path("/dev/shm")  # noqa: S108 - the same as with /tmp
PLENTY = 4 << 30


class Missing(Exception):
    """This machine cannot run such a server; the message says what to do."""


def until(holds: Callable[[], bool], what: str, within: float = ENOUGH) -> None:
    """Wait until something holds."""
    end = time.monotonic() + within
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within} s: {what}")
        select.select([], [], [], 0.01)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    while True:
        port = random.choice(PORTS)  # noqa: S311 - not a secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


def listens(port: int) -> bool:
    """Whether somebody answers on this port of the loopback."""
    try:
        socket.create_connection((LOOPBACK, port), 1).close()
    except OSError:
        return False
    return True


def servant() -> pwd.struct_passwd | None:
    """The user that servers run as; None is the user that we are."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def open_to_all(path: Path) -> bool:
    """Whether any user may come to this place."""
    return all(folder.stat().st_mode & 0o001 for folder in [path, *path.resolve().parents])


class Folder:
    """A folder that a server may write to; it is removed when nobody holds it any longer."""

    def __init__(self, *, swift: bool = False) -> None:
        """Make it, in memory where it is to be swift and there is plenty."""
        # Not inside pytest's own: that is closed to others. A short path: it will hold a socket.
        parent = Path(tempfile.gettempdir())
        if servant() and not open_to_all(parent):
            parent = Path("/tmp")  # noqa: S108 - mkdtemp makes a folder of its own there
        if swift and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > PLENTY:
            parent = MEMORY
        self.path = Path(tempfile.mkdtemp(prefix="ordersync-", dir=parent))
        (self.path / undertaker.USERS).touch()
        self.hold = Hold(self.path)
        self.give(self.path)
        subprocess.run(
            [sys.executable, "-I", undertaker.__file__, self.path],
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def give(self, path: Path) -> Path:
        """Let the server's user have a file."""
        user = servant()
        if user:
            os.chown(path, user.pw_uid, user.pw_gid)
        return path

    def write(self, name: str, text: str) -> Path:
        """Write a file for the server's eyes only."""
        path = self.path / name
        path.touch(0o600)
        path.write_text(text)
        return self.give(path)

    def remove(self) -> None:
        """Let go, and wait until it is gone."""
        self.hold.release()
        until(lambda: not self.path.exists(), f"the removal of {self.path}")


class Hold:
    """As long as it lasts, the server of this folder is left alone."""

    def __init__(self, folder: Path) -> None:
        """Raise OSError where the folder is gone, or is about to be removed."""
        self._file = (folder / undertaker.USERS).open()
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            (folder / undertaker.USERS).stat()  # it may have gone between the two
        except OSError:
            self._file.close()
            raise

    def release(self) -> None:
        """The end of it."""
        self._file.close()


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    if not Path("/proc/self/stat").exists():
        words = subprocess.check_output(["/bin/ps", "-Ao", "pid=,ppid="], text=True).split()
        pairs = zip(map(int, words[::2]), map(int, words[1::2]), strict=True)
        return [child for child, parent in pairs if parent == pid]
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
    return found


class Manner(TypedDict):
    """How a server's programs are run."""

    cwd: Path
    env: dict[str, str]
    stdin: int
    start_new_session: bool
    user: int | None
    group: int | None
    extra_groups: list[int] | None


class Daemon:
    """A server process, by its number: it may outlive the process that started it."""

    def __init__(
        self,
        folder: Folder,
        command: Sequence[str],
        *,
        ready: Callable[[], bool],
        stop_by: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.folder = folder
        self.log = folder.path / "log"
        self._command = command
        self._ready = ready
        self._stop_by = stop_by
        self._pid: int | None = None

    def run_once(self, *command: str) -> None:
        """Run a helper to its end, as the server's user."""
        with self.log.open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=log, check=False, **self._manner())
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{self.log_text()}")

    def _manner(self) -> Manner:
        user = servant()
        return {
            "cwd": self.folder.path,
            "env": {"PATH": os.defpath, "HOME": str(self.folder.path), "LC_ALL": "C"},
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
            "user": user and user.pw_uid,
            "group": user and user.pw_gid,
            "extra_groups": [] if user else None,
        }

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._pid is None, "it runs already"
        with self.log.open("ab") as log:
            process = subprocess.Popen(self._command, stdout=log, stderr=log, **self._manner())
        # Only the number is kept. Without this its object would warn that nobody waited.
        process.returncode = 0
        self._pid = process.pid
        (self.folder.path / undertaker.PID).write_text(str(process.pid))

        def up() -> bool:
            if undertaker.gone(process.pid):
                self._ended()
                raise RuntimeError(f"{self._command[0]} ended:\n{self.log_text()}")
            return self._ready()

        until(up, f"an answer of {self._command[0]}\n{self.log_text()}")

    def stop(self) -> None:
        """End it in good order; its data stay."""
        self._end(self._stop_by)

    def kill(self) -> None:
        """End it and all its children with kill -9; its data stay as they are."""
        assert self._pid is not None, "it does not run"
        os.kill(self._pid, signal.SIGSTOP)  # it starts no more children while we look
        brood = children(self._pid)
        for child in brood:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._end(signal.SIGKILL)
        until(lambda: all(map(undertaker.gone, brood)), "the end of its children")

    def _end(self, deed: signal.Signals) -> None:
        assert self._pid is not None, "it does not run"
        pid = self._pid
        os.kill(pid, deed)
        until(lambda: undertaker.gone(pid), f"the end of {self._command[0]}")
        self._ended()

    def _ended(self) -> None:
        self._pid = None
        (self.folder.path / undertaker.PID).unlink()

    def log_text(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        """Give back all that it holds: process, files, memory."""
        if self._pid is not None:
            undertaker.end(self._pid)
            self._ended()
        self.folder.remove()


def program(name: str, package: str) -> Path:
    """The path of an installed program; a server often stands where only root looks."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if not found:
        raise Missing(f"{name} is not on this machine; on Debian: apt-get install {package}")
    return Path(found)
