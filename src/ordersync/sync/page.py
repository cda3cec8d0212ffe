"""What is read of the event log at once, and kept in one piece for all who listen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.truth.model import EventOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.logged import Logged, Place
    from ordersync.sync.marks import Marks


class _Heading(msgspec.Struct, frozen=True, gc=False):
    order: EventOrder


_decode = msgspec.json.Decoder(_Heading).decode


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events somebody wants: of each kind of name any, where none is given.

    `orders` are row ids, venue ids or client ids.
    """

    accounts: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()
    orders: frozenset[str] = frozenset()

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return not (self.accounts or self.owners or self.kinds or self.symbols or self.orders)

    def fits(self, message: Message) -> bool:
        """Whether this event is wanted."""
        logged = message.logged
        if self.accounts and logged.account not in self.accounts:
            return False
        if self.kinds and logged.kind not in self.kinds:
            return False
        if not (self.owners or self.symbols or self.orders):
            return True
        order = message.order
        names = (order.row_id, order.venue_order_id, order.client_order_id)
        return (
            (not self.owners or order.owner in self.owners)
            and (not self.symbols or order.symbol in self.symbols)
            and (not self.orders or any(name in self.orders for name in names))
        )


class Message:
    """One event of the log; what is made of it is made once."""

    __slots__ = ("_made", "_order", "logged")

    def __init__(self, logged: Logged) -> None:
        self.logged = logged
        self._order: EventOrder | None = None
        self._made: bytes | None = None

    @property
    def order(self) -> EventOrder:
        """The names of its order."""
        if self._order is None:
            self._order = _decode(self.logged.body).order
        return self._order

    def once(self, make: Callable[[Logged], bytes]) -> bytes:
        """What `make` makes of it; all callers make the same."""
        if self._made is None:
            self._made = make(self.logged)
        return self._made


class Page:
    """Whole commits, and the marks of who has read up to here. `is_last`: no more was there."""

    __slots__ = ("_made", "_messages", "is_last", "marks", "read", "size")

    def __init__(self, read: Sequence[Logged], marks: Marks, *, is_last: bool) -> None:
        self.read = read
        self.marks = marks
        self.is_last = is_last
        self.size = sum(len(logged.body) for logged in read)
        self._made: bytes | None = None
        self._messages: list[Message] | None = None

    @property
    def messages(self) -> list[Message]:
        """Each by itself: made where somebody wants some of them, and kept with the page."""
        if self._messages is None:
            self._messages = [Message(logged) for logged in self.read]
        return self._messages

    @property
    def place(self) -> Place | None:
        """Where its last event stands."""
        return self.read[-1].place if self.read else None

    def once(self, make: Callable[[Logged], bytes]) -> bytes:
        """What `make` makes of all of it, joined; all callers make the same."""
        if self._made is None:
            self._made = b"".join(make(logged) for logged in self.read)
        return self._made


class Heard:
    """What one listener gets of a page: all of it where `messages` is None."""

    __slots__ = ("messages", "page")

    def __init__(self, page: Page, messages: Sequence[Message] | None = None) -> None:
        self.page = page
        self.messages = messages

    def as_bytes(self, make: Callable[[Logged], bytes]) -> bytes:
        """What `make` makes of it; made once for all listeners, who all give the same."""
        if self.messages is None:
            return self.page.once(make)
        return b"".join(message.once(make) for message in self.messages)
