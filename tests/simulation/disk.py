"""A database file that can be away, and of whose commits nobody knows whether they happened.

The file and every statement are real. What goes wrong does so where it would: at the driver, so
that store, ingest and stream meet it as they would meet a disk that is full or a server that is
gone in the middle of a COMMIT.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from ordersync.store.makes.sqlite import SqliteFile
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ordersync.store.database import Session
    from ordersync.store.shape import TableShape

BUSY = "database is locked"
BROKEN = "disk I/O error"
ASKED = frozenset({"fetch", "fetch_each", "run", "upsert", "write_rows", "revision"})


class Doubt(StrEnum):
    """What really became of a commit that the client was told has failed."""

    HAPPENED = "happened"
    UNDONE = "undone"


@dataclass
class Disk:
    """What is wrong with a file now; `before` and `after` are called around every transaction.

    `doubts` are the next commits that fail, each as it says; `why` is the driver's text. `fuse` is
    how many more statements of transactions succeed before one fails in the middle of its own.
    """

    is_away: bool = False
    why: str = BUSY
    doubts: list[Doubt] = field(default_factory=list)
    fuse: int | None = None
    before: Callable[[], object] = int
    after: Callable[[], object] = int

    def check(self) -> None:
        """Fail as the driver does while the file is away."""
        if self.is_away:
            raise sqlite3.OperationalError(self.why)

    def burn(self) -> None:
        """One more statement of a transaction."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise sqlite3.OperationalError(self.why)


class FrailFile(SqliteFile):
    """A SQLite file on such a disk."""

    def __init__(self, path: Path, disk: Disk) -> None:
        super().__init__(path)
        self._disk = disk

    def connect(self, *, writes: bool, table: TableShape | None = None) -> Session:
        self._disk.check()
        session = super().connect(writes=writes, table=table)
        # Nothing here cuts the power, and a simulated minute has hundreds of commits.
        session.run(Ask("PRAGMA synchronous = OFF"))
        return cast("Session", FrailSession(session, self._disk))


class FrailSession:
    """A connection to it: all that is not here is the real one's."""

    def __init__(self, session: Session, disk: Disk) -> None:
        self._session = session
        self._disk = disk

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the session has there
        if name in ASKED:
            self._disk.check()
            if self._session.in_transaction:
                self._disk.burn()
        return getattr(self._session, name)

    @property
    def held(self) -> Ask | None:
        """By what the real one knows, when it commits, that the lease is held."""
        return self._session.held

    @held.setter
    def held(self, ask: Ask | None) -> None:
        self._session.held = ask

    def begin(self, how: str | None = None) -> None:
        self._disk.check()
        self._disk.before()
        self._session.begin(how)

    def commit(self) -> None:
        disk = self._disk
        doubt = disk.doubts.pop(0) if disk.doubts else None
        if disk.is_away or doubt is Doubt.UNDONE:
            self._session.rollback()
            raise sqlite3.OperationalError(disk.why)
        self._session.commit()
        disk.after()
        if doubt is not None:
            raise sqlite3.OperationalError(disk.why)
