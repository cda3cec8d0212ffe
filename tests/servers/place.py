"""Where a server is, and what every test may do with it, whoever started it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a process needs to know of a server that another process started."""

    url: str  # of the database that an administrator connects to
    version: str
    folder: str | None = None  # None: a server of somebody's, not of ours

    def to(self, database: str) -> str:
        """The URL of another database there."""
        return urlsplit(self.url)._replace(path="/" + database).geturl()


class Server(Protocol):
    """A server that others may be using too: nobody can stop it."""

    @property
    def place(self) -> Place:
        """Where it is."""

    @property
    def version(self) -> str:
        """Its version, digits and dots."""

    def url(self, database: str) -> str:
        """The URL of one of its databases."""

    def new_database(self) -> str:
        """Make an empty database, and give its URL."""

    def drop_database(self, url: str) -> None:
        """Remove one that was made here, whoever is connected: it takes 8 MB of disk."""

    def log_text(self) -> str:
        """What it has written so far."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The common part of a server as its visitors see it."""

    place: Place
    made: list[str] = field(default_factory=list)

    @property
    def version(self) -> str:
        return self.place.version

    def url(self, database: str) -> str:
        return self.place.to(database)

    def log_text(self) -> str:
        log = Path(self.place.folder, "log") if self.place.folder else None
        return log.read_text(errors="replace") if log else ""

    def name(self) -> str:
        """A name that no database has yet."""
        self.made.append(f"test_{uuid.uuid4().hex[:12]}")
        return self.made[-1]

    def forget(self, url: str) -> str:
        """The name of a database that we made; it is ours to drop no longer."""
        name = urlsplit(url).path.lstrip("/")
        self.made.remove(name)
        return name
