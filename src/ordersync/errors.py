"""Errors, split by what to do about them.

    OrdersyncError
    ├── AskAgain         a passing condition: the same request may succeed later
    │   ├── StoreBusy        the database is locked or away
    │   ├── LeaseLost        another ordersync serves the account now
    │   └── VenueSilent      the venue gave no usable answer
    ├── GiveUp           asking again will not help: a person has to mend something
    │   ├── ConfigError      the configuration; says what, where, and the mend
    │   ├── StoreRefused     the database refuses (rights, read-only, not a database)
    │   ├── ArchiveRefused   a file of the archive cannot be written or is damaged
    │   ├── ActRefused       what a person wants to say of an order cannot be so
    │   └── VenueRefused     the venue refuses the key or the request
    └── NotUnderstood    an answer that cannot be read; the raw text is kept

None of them ever says anything about an order: silence is not absence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


class OrdersyncError(Exception):
    """Something ordersync can explain: what was wrong, where, and what to do.

    `what` is one sentence, `where` a file, key, URL or column, `mend` the next step.
    """

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        step = f" {self.mend}" if self.mend else ""
        return f"{place}{self.what}{step}"


class AskAgain(OrdersyncError):
    """A passing condition: the same request may succeed later.

    To do: nothing. `run` tries it again.
    """


class StoreBusy(AskAgain):
    """The database is locked or away for now."""


class LeaseLost(AskAgain):
    """Another ordersync serves the account now; nothing was written."""

    def __init__(self) -> None:
        super().__init__("another ordersync serves the account now; nothing was written.")


class VenueSilent(AskAgain):
    """The venue gave no usable answer; nothing is known from it about any order.

    `pause` is how long it asked us to wait, None where it did not.
    """

    pause: timedelta | None = None


class GiveUp(OrdersyncError):
    """Asking again will not help; a person has to mend something.

    To do: mend something.
    """


class ConfigError(GiveUp):
    """The configuration cannot be used.

    To do: mend it; file and key are named.
    """


class StoreRefused(GiveUp):
    """The database refuses what is asked of it, and will go on refusing.

    To do: mend rights or schema of the database.
    """


class ArchiveRefused(GiveUp):
    """The archive's folder or a file in it cannot be used; what was to move stays.

    To do: mend the folder or the file.
    """


class ActRefused(GiveUp):
    """What a person wants to say of an order does not apply to it, or cannot be so.

    To do: say something else.
    """


class VenueRefused(GiveUp):
    """The venue refuses the key or the request, and will go on refusing.

    To do: mend the key.
    """


class NotUnderstood(OrdersyncError):
    """A message that cannot be read. `raw` keeps it, so that nothing is lost.

    To do: report it.
    """

    def __init__(self, what: str, *, where: str = "", mend: str = "", raw: str = "") -> None:
        super().__init__(what, where=where, mend=mend)
        self.raw = raw
