"""What others want of an account's reconciler: one place where they leave it, and it looks.

Level-triggered like all of its work: what is wanted says what to ask about, never what happened,
and wanting it twice is wanting it once.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.sync.parcels import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ordersync.ports import OrderName
    from ordersync.sync.work import PassReport


class Passed(msgspec.Struct, frozen=True):
    """A full pass over the account: when it began, how long it took, how many orders it asked.

    Of `failed` of these nothing was learned that counts; `why` is what was wrong with the first.
    """

    at: datetime
    lasted: timedelta
    asked: int
    failed: int = 0
    why: str = ""


class Demand:
    """For one account. Made in the service's loop; nothing in it is remembered over a restart."""

    def __init__(self) -> None:
        self._pace: Callable[[], timedelta | None] = lambda: None
        self.stirred: set[str] = set()
        self.vouched: Callable[[str], datetime | None] = lambda _: None
        """Since when an order was surely said again, though nothing of that was written."""
        self.filled: Callable[[float], None] = lambda _: None
        """Hears within how many seconds a gap was read."""
        self._look_ups: dict[str, OrderName] = {}
        self._gap_readers: list[asyncio.Future[PassReport]] = []
        self._nudged = asyncio.Event()
        self.passed: Passed | None = None

    # --- what others leave -------------------------------------------------------------------

    def watch(self, pace: Callable[[], timedelta | None]) -> None:
        """From now on verify everything this often; None: as often as the settings say."""
        self._pace = pace
        self._nudged.set()

    def ask_soon(self, names: Iterable[OrderName]) -> None:
        """Ask about these orders, those of them that have a row, as soon as may be."""
        for name in names:
            self._look_ups[key_of(name)] = name
        if self._look_ups:
            self._nudged.set()

    async def read_gap(self) -> PassReport:
        """The report of the first full pass that begins from now on: it is wanted at once."""
        loop = asyncio.get_running_loop()
        reader: asyncio.Future[PassReport] = loop.create_future()
        began = loop.time()
        self._gap_readers.append(reader)
        self._nudged.set()
        report = await reader
        if report.was_answered:
            self.filled(loop.time() - began)
        return report

    def stir(self, orders: Iterable[str]) -> None:
        """Something was written about these orders (venue ids): what is remembered is old."""
        self.stirred.update(orders)

    # --- what the reconciler takes -----------------------------------------------------------

    @property
    def pace(self) -> timedelta | None:
        """How often everything is to be verified, where others than the settings say it."""
        return self._pace()

    @property
    def has_gap(self) -> bool:
        """Whether somebody waits for a full pass."""
        return bool(self._gap_readers)

    def take_gap_readers(self) -> list[asyncio.Future[PassReport]]:
        """Those who wait for the full pass that begins now; they have to be answered."""
        readers, self._gap_readers = self._gap_readers, []
        return readers

    def put_back(self, readers: list[asyncio.Future[PassReport]]) -> None:
        """The pass broke off: they wait for the next one."""
        self._gap_readers[:0] = readers

    def take_look_ups(self, limit: int) -> list[OrderName]:
        """The orders that were wanted first; no more than this, since a gap may come."""
        return [self._look_ups.pop(key) for key in list(self._look_ups)[:limit]]

    async def wait(self, pause: timedelta) -> None:
        """Until something is left here, or for this long."""
        if self._look_ups:
            return
        # Four times a second, for every account: a timer that nudges costs less than a time-out.
        timer = asyncio.get_running_loop().call_later(pause.total_seconds(), self._nudged.set)
        try:
            await self._nudged.wait()
        finally:
            timer.cancel()
        self._nudged.clear()
