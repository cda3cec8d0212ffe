"""Ends a server that nobody holds any longer, and removes its folder.

Run as a program, with the folder as its argument; standard library only. Whoever uses the server
has a shared lock on the file `users`, which the system takes back however the user ends: by
returning, by Ctrl-C, by kill -9. Thus no server outlives its tests, and no count can go wrong.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import sys
from pathlib import Path

USERS = "users"
PID = "pid"
PATIENCE = 100  # twentieths of a second


def gone(pid: int) -> bool:
    """Whether a process of ours or of a stranger has ended."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    # A child whose parent does not look after it keeps its number, and answers signals.
    status = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        return status.read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def end(pid: int) -> None:
    """End a server, whose data nobody wants any more."""
    # SIGQUIT lets PostgreSQL give its shared memory back; it is quick with all of them. Who does
    # not heed it cannot end what it started: all of its group goes.
    for send, deed in ((os.kill, signal.SIGQUIT), (os.killpg, signal.SIGKILL)):
        with contextlib.suppress(ProcessLookupError):
            send(pid, deed)
        for _ in range(PATIENCE):
            if gone(pid):
                return
            select.select([], [], [], 0.05)


def bury(folder: Path) -> None:
    """Wait until nobody holds it; then end the server, and remove what it wrote."""
    with (folder / USERS).open() as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        if (folder / PID).exists():
            end(int((folder / PID).read_text()))
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__" and os.fork() == 0:
    bury(Path(sys.argv[1]))
