"""The port for orders at the exchange that have no row: what the store knows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Rowless(NamedTuple):
    """An order that was seen at the exchange and has no row; `seen_at` is when first, as text."""

    seen_at: str
    key: str


class OrphanStore(Protocol):
    """Raises StoreBusy (ask again) or StoreRefused (give up) from every method."""

    async def list_rowless(
        self, account: str, *, before: datetime, after: Rowless | None, limit: int
    ) -> list[Rowless]:
        """Orders without a row that nobody was told of, first seen before then; the oldest first.

        `after` is where an earlier list ended.
        """

    async def list_open_orphans(self, account: str, limit: int) -> list[str]:
        """Venue ids of open orders without a row that were told of."""
