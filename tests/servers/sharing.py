"""One server of a kind for all workers of a test run: the first that wants it starts it.

Each worker holds the server's folder. When the last has let go, the undertaker ends the server;
so it does not matter which worker started it, nor how the workers end.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.daemon import Hold
from tests.servers.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.owned import Owned


@contextlib.contextmanager
def shared(root: Path, name: str, launch: Callable[[], Owned]) -> Iterator[Place]:
    """The place of the server with this name; `root` is common to all workers."""
    with (root / f"{name}.lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        place, hold = found(root / f"{name}.json") or launched(root / f"{name}.json", launch)
    try:
        yield place
    finally:
        hold.release()


def found(note: Path) -> tuple[Place, Hold] | None:
    """The server that another worker started, if it is still there."""
    with contextlib.suppress(OSError):  # no note; or its server has just been given up
        place = Place(**json.loads(note.read_text()))
        assert place.folder is not None
        return place, Hold(Path(place.folder))
    return None


def launched(note: Path, launch: Callable[[], Owned]) -> tuple[Place, Hold]:
    """A server just started, and noted for the other workers."""
    server = launch()
    note.write_text(json.dumps(asdict(server.place)))
    return server.place, server.daemon.folder.hold
