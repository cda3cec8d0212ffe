"""The port for what is asked about an order just before somebody is answered.

Whoever verifies an account answers here for its orders: the process itself, or the one that has
the account's lease.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from ordersync.ports import Known, OrderName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Told(msgspec.Struct, frozen=True, gc=False):
    """What came of asking about one order.

    `at` is since when its truth is vouched for, on the venue's clock; None where it is not, and
    then `why` says the reason. Beside a moment, `why` tells what else is wrong: an unwritten row.
    """

    at: datetime | None = None
    why: str = ""


class Verifier(Protocol):
    """Verifies the orders of one account while somebody waits."""

    def now(self) -> datetime:
        """The venue's clock, as well as it is known here."""

    def verified_at(self, known: Known) -> datetime | None:
        """Since when what is stored of an order is vouched for, on the venue's clock."""

    async def verify(self, names: Sequence[OrderName], since: datetime) -> Mapping[str, Told]:
        """Ask about these now, or share a question that was asked since then; by order key.

        Whoever asks at the same time shares the questions. Waits as long as it takes: the caller
        has the patience. What was asked goes on when the caller leaves.
        """


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an order that somebody asked for, and whether that is as fresh as wanted.

    `known` is None where nothing has this name. `verified_at` is since when the truth is vouched
    for, on the venue's clock, None for never. Where `is_verified` is False `why` says the reason,
    in words for a person; where it is True, what else is wrong, or nothing.
    """

    name: OrderName
    known: Known | None = None
    verified_at: datetime | None = None
    is_verified: bool = False
    why: str = ""
