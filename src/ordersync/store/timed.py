"""A store that tells how long it takes, and how often another writer was first."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ordersync.metered import Count, Span
from ordersync.ports import Result
from ordersync.store.line import Line
from ordersync.store.table_store import TableStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from ordersync.hinted import Receipt
    from ordersync.metered import Meter
    from ordersync.ports import Advance, Clock, Decide, OrderName, Outcome
    from ordersync.settings import Orders
    from ordersync.store.database import Database

_T = TypeVar("_T")


class TimedLine(Line):
    """A line that tells how long each request took, its turn on the thread included."""

    def __init__(self, database: Database, name: str, clock: Clock, meter: Meter) -> None:
        super().__init__(database, name)
        self._meter = meter
        self._monotonic = clock.monotonic

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run on the line's thread, and tell how long it took."""
        began = self._monotonic()
        try:
            return await super().run(work)
        finally:
            self._meter.observe(Span.DATABASE, "", self._monotonic() - began)


class TimedStore(TableStore):
    """A TableStore that counts through a Meter. What it is asked, it does as any other."""

    def __init__(
        self,
        database: Database,
        orders: Orders,
        clock: Clock,
        *,
        where: str,
        contested_pause: timedelta,
        writes_rows: bool,
        meter: Meter,
    ) -> None:
        super().__init__(
            database,
            orders,
            clock,
            where=where,
            contested_pause=contested_pause,
            writes_rows=writes_rows,
        )
        self.line = TimedLine(database, "ordersync-store", clock, meter)
        self._meter = meter

    async def advance(
        self, account: str, steps: Sequence[Advance], receipts: Sequence[Receipt] = ()
    ) -> list[Outcome]:
        """Write these; count those that were lost."""
        return self._counted(account, await super().advance(account, steps, receipts))

    async def carry(
        self, account: str, names: Sequence[OrderName], decide: Decide
    ) -> list[Outcome]:
        """Read, decide and write; count those that were lost."""
        return self._counted(account, await super().carry(account, names, decide))

    def _counted(self, account: str, outcomes: list[Outcome]) -> list[Outcome]:
        for outcome in outcomes:
            if outcome.result is Result.LOST:
                self._meter.count(Count.LOST, account)
        return outcomes
