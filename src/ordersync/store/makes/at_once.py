"""What a session does at once that has no round trips to save."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from ordersync.errors import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ordersync.store.statement import Ask, Upsert


class AtOnce(ABC):
    """That part of `database.Session` which only a pipeline gains by."""

    sends_together = False
    held: Ask | None = None

    @abstractmethod
    def fetch(self, ask: Ask) -> list[tuple[Any, ...]]:
        """The rows of one statement."""

    @abstractmethod
    def upsert(self, upsert: Upsert, rows: Sequence[tuple[object, ...]]) -> Sequence[bool]:
        """Write these; for each whether it was written."""

    def check_held(self) -> None:
        """Look, right before the commit, whether the lease is still there. Raises LeaseLost."""
        if self.held is not None and not self.fetch(self.held):
            raise LeaseLost

    def stream(self, ask: Ask) -> Iterable[tuple[Any, ...]]:
        """All rows at once."""
        return self.fetch(ask)

    def expect_log_id(self, log_ids: str) -> None:
        """Counted when it is needed."""
        del log_ids

    def upsert_soon(
        self, upsert: Upsert, rows: Sequence[tuple[object, ...]]
    ) -> Callable[[], Sequence[bool]]:
        """Write these now."""
        won = self.upsert(upsert, rows)
        return lambda: won
