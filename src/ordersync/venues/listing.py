"""The pages of one list of orders, put together: what was read, and what was said again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ordersync.truth.evidence import SaidAgain, Sighting, Silence, mark_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    import msgspec

    from ordersync.venues.answers import Unusable


class ReadOrder(Protocol):
    """How a venue reads one order of a page that was asked for at `as_of`."""

    def __call__(self, raw: bytes, endpoint: str, as_of: datetime) -> Sighting | Silence:
        """A Sighting, or a Silence with the raw text."""


class Listing:
    """All pages of a list, and why it stopped early (`trouble`), if it did.

    `heard` are orders by the mark of words that need not be read again: an order object that
    is byte for byte one of those is recognised by its hash, before anything of it is decoded.
    """

    def __init__(self, endpoint: str, read: ReadOrder, heard: Mapping[int, str]) -> None:
        self.trouble: Unusable | None = None
        self._endpoint = endpoint
        self._read_order = read
        self._heard = heard
        self._read: dict[str, Sighting | Silence] = {}
        self._again: dict[str, datetime] = {}
        self._pages = 0

    def add(self, orders: Sequence[msgspec.Raw | bytes], as_of: datetime) -> bool:
        """One more page, as it was asked for at `as_of`; whether it names an order that is new.

        Pages shift while they are turned: an order may come twice, the later one was said later.
        """
        known, again, read = self._heard.get, self._again, self._read
        before, nameless = len(self), 0
        self._pages += 1
        for n, raw in enumerate(orders):
            words = bytes(raw)
            order = known(mark_of(words))
            if order is not None:
                again[order] = as_of
                if read:
                    read.pop(order, None)
                continue
            one = self._read_order(words, self._endpoint, as_of)
            name = _name(one)
            if name is None:
                name, nameless = f"{self._pages} {n}", nameless + 1
            read[name] = one
            again.pop(name, None)
        return len(self) > before + nameless

    def __len__(self) -> int:
        """How many orders were listed, whether they could be read or not."""
        return len(self._read) + len(self._again)

    def lacks(self, wanted: AbstractSet[str]) -> AbstractSet[str]:
        """Those of these ids that were not listed so far."""
        return wanted - self._again.keys() - self._read.keys()

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """The orders that were read."""
        return tuple(r for r in self._read.values() if isinstance(r, Sighting))

    @property
    def silences(self) -> tuple[Silence, ...]:
        """The orders that could not be read."""
        return tuple(r for r in self._read.values() if isinstance(r, Silence))

    @property
    def repeated(self) -> AbstractSet[str]:
        """The orders that were said again."""
        return self._again.keys()

    def said_again(self, among: AbstractSet[str] | None = None) -> tuple[SaidAgain, ...]:
        """Those of these ids (None: all) that were said again, by the moment of their page."""
        if self._pages == 1 and (among is None or self.repeated <= among):
            orders = tuple(self._again)
            return (SaidAgain(orders=orders, as_of=self._again[orders[0]]),) if orders else ()
        by_moment: dict[datetime, list[str]] = {}
        for order, at in self._again.items():
            if among is None or order in among:
                by_moment.setdefault(at, []).append(order)
        return tuple(SaidAgain(orders=tuple(o), as_of=at) for at, o in by_moment.items())


def _name(read: Sighting | Silence) -> str | None:
    if isinstance(read, Sighting):
        return read.report.venue_order_id
    return read.orders[0] if read.orders else None
