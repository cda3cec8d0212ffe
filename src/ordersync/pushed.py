"""What a venue says unasked: the data of a stream, and the ports for it.

A stream is one more way in which reports come. It proves no absence: what it does not say may
have been lost on the way. `ports` has the rest of what a venue is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from ordersync.truth.evidence import Sighting, Silence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime, timedelta


class Heard(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one message of a stream brought; nothing at all where it only shows that it lives.

    `missed` is why something said before it may not have arrived ("" where nothing speaks for
    that): a jump in the numbering, a message that could not be read. `is_snapshot` tells how
    orders stand, where every other message tells of a change just made.
    """

    sightings: tuple[Sighting, ...] = ()
    silences: tuple[Silence, ...] = ()
    missed: str = ""
    is_snapshot: bool = False


class Subscription(Protocol):
    """A stream of one account that the venue has confirmed."""

    async def hear(self) -> Heard:
        """The next message. What cannot be read is a Silence in it, and something missed.

        Raises VenueSilent when the stream has ended, however cleanly (subscribe anew), and
        VenueRefused when the venue says that it will not serve this key.
        """


class Push(Protocol):
    """A venue's stream of one account's orders.

    `quiet_limit` is how long a stream that lives says nothing at all: beyond it is dead,
    whatever its socket says. `safety_poll` is how often to ask all the same while it is
    healthy, None where the numbering of its messages shows every loss.
    """

    quiet_limit: timedelta

    @property
    def safety_poll(self) -> timedelta | None:
        """How often to ask while it is healthy; it may change with what there is to ask for."""

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """Connect and subscribe; it is entered when the venue has confirmed, left by closing.

        Entering raises VenueSilent (ask again) or VenueRefused (the key; a person has to mend it).
        """

    async def tell_again(self, since: datetime) -> Sequence[Heard]:
        """What it told since then (the venue's clock), where it tells again; else nothing.

        It may be incomplete, and never raises: how orders stand is asked for all the same.
        """
