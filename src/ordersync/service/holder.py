"""Who this process is to the others on the same database, and by which settings it serves.

A holder that was killed would keep its accounts waiting until its lease ends. On the same machine
it can be seen to be dead: that may be wrong only where two machines were cloned while they ran,
and then costs a lease that its holder asks for again, never an order.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ordersync.leased import Holder

if TYPE_CHECKING:
    from ordersync.settings import Settings

_SERVICES = itertools.count(1)
NAME_LIMIT = 190
_STARTED_AT = 19
"""Which of the words behind the command's name in /proc/…/stat is when the process started."""

_ENDED = frozenset({"Z", "X"})


def this_holder(settings: Settings, accounts: list[str]) -> dict[str, Holder]:
    """This process, as a holder of the leases of these accounts. New with every call."""
    process = this_process()
    return {
        account: msgspec.structs.replace(process, config=marks_of(settings, account))
        for account in accounts
    }


def this_process() -> Holder:
    """This process, as a holder of a lease for which no setting matters. New with every call."""
    pid = os.getpid()
    return Holder(
        name=f"{socket.gethostname()}:{pid}"[-NAME_LIMIT:],
        process=f"{_place()} {pid} {_stat(pid)[1] or '?'} {next(_SERVICES)}",
    )


def is_dead(holder: Holder) -> bool:
    """Whether the holder is a process that is known to have ended; False where nobody knows."""
    place, _, rest = holder.process.rpartition("|")
    words = rest.split()
    if not place or f"{place}|" != _place() or len(words) < 2 or not words[0].isdecimal():  # noqa: PLR2004 - id and start
        return False
    pid, started = int(words[0]), words[1]
    try:
        os.kill(pid, 0)  # sends nothing; it is asked, for /proc may hide the processes of others
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is another user's: it lives
    state, started_now = _stat(pid)
    return state in _ENDED or (bool(started_now) and started not in {"?", started_now})


@functools.cache
def _place() -> str:
    """Where a process id names one process: this boot of this machine, this namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # Two containers share a boot, and each has a process 1.
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "|"  # nobody can tell: then a lease ends by itself
    return f"{socket.gethostname()[:60]} {boot} {space}|"


def _stat(pid: int) -> tuple[str, str]:
    """State and start of a process, empty where they cannot be read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", ""
    # The command's name, in parentheses, may hold anything.
    words = text.rpartition(")")[2].split()
    return (words[0], words[_STARTED_AT]) if len(words) > _STARTED_AT else ("", "")


def marks_of(settings: Settings, account: str) -> dict[str, str]:
    """A mark of each setting on which all who serve the account have to agree, by its name.

    What only says how often or where from is everybody's own. No value can be read out of it.
    """
    orders = settings.orders.model_dump()
    kept = orders["account"]
    if isinstance(kept, dict):
        ours = sorted(word for word, name in kept["values"].items() if name == account)
        orders["account"] = {"column": kept["column"], "values": ours}
    else:
        orders["account"] = "all"
    venue = settings.accounts[account].model_dump(include={"venue", "paper", "rest_url"})
    named = {f"orders.{key}": value for key, value in orders.items()}
    named |= {f"accounts.{account}.{key}": value for key, value in venue.items()}
    return {
        key: hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:16]
        for key, value in named.items()
        if value is not None
    }
