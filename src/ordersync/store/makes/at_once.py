"""What a session does at once that has no round trips to save."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.store.statement import Upsert


class AtOnce(ABC):
    """That part of `database.Session` which only a pipeline gains by."""

    sends_together = False

    @abstractmethod
    def upsert(self, upsert: Upsert, rows: Sequence[tuple[object, ...]]) -> Sequence[bool]:
        """Write these; for each whether it was written."""

    def expect_log_id(self, log_ids: str) -> None:
        """Counted when it is needed."""
        del log_ids

    def upsert_soon(
        self, upsert: Upsert, rows: Sequence[tuple[object, ...]]
    ) -> Callable[[], Sequence[bool]]:
        """Write these now."""
        won = self.upsert(upsert, rows)
        return lambda: won
