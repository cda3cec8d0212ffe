"""What webhooks need of a store: the data that cross the port, and the port for them.

A webhook is a hint: it names orders to ask the venue about. What remains of it is its receipt,
so that the same one does nothing when it comes again. `ports` puts its own protocols on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

WEBHOOK_ID_LIMIT = 190
"""So many letters of an id are told apart: as many as MySQL can index of each of our keys."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """That a webhook was taken, to be committed with its effect.

    `orders` are the keys of those it led to: while the step of one is lost, so is the receipt.
    """

    webhook_id: str
    orders: tuple[str, ...] = ()


Receipts = Sequence[Receipt]


class ReceiptStore(Protocol):
    """The part of an OrderStore that webhooks need. Raises what an OrderStore raises."""

    async def drop_receipts(self, account: str, *, before: datetime, limit: int) -> int:
        """Forget the oldest webhooks of before then, so many of them; how many there were."""

    async def find_venue_ids(self, account: str, client_ids: Sequence[str]) -> Mapping[str, str]:
        """By client id the venue's, where a row tells both, or the venue did before its row."""
