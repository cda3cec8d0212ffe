"""Orders that somebody waits to hear about: asked for at once, together, beside the passes.

All who wait share the next question, and about one order one question at a time is enough. The
calls take their turns in the account's budget like those of a pass, which goes on meanwhile.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from ordersync.asked import Told
from ordersync.errors import OrdersyncError
from ordersync.ports import OrderName, Overlay
from ordersync.sync.cases import is_settled
from ordersync.sync.parcels import key_of
from ordersync.sync.work import Work
from ordersync.truth.model import Source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from ordersync.ports import Clock, Known, OrderStore, Venue
    from ordersync.sync.demand import Demand
    from ordersync.sync.ingest import Ingest
    from ordersync.sync.work import PassReport

TOGETHER = timedelta(milliseconds=25)
"""For how long those who come after the first may join his question: less than one call takes."""

ORDERS_AT_ONCE = 1_000
"""About how many orders one round asks: who comes meanwhile waits for its end."""

NOT_RUNNING = "the orders of this account are not being verified here"


class Wanted:
    """Implements `asked.Verifier` for one account; `run` ends only by cancellation.

    `verify` is how the account's reconciler verifies orders.
    """

    def __init__(
        self,
        account: str,
        *,
        venue: Venue,
        store: OrderStore,
        ingest: Ingest,
        demand: Demand,
        clock: Clock,
        verify: Callable[[Work], Awaitable[PassReport]],
    ) -> None:
        self.account = account
        self._venue = venue
        self._store = store
        self._ingest = ingest
        self._demand = demand
        self._clock = clock
        self._verify = verify
        self._waiting: dict[str, OrderName] = {}
        self._told: dict[str, asyncio.Future[Told]] = {}
        self._in_hand: dict[str, asyncio.Future[Told]] = {}
        self._began_at = venue.now()
        self._arrived = asyncio.Event()

    # --- what those who wait call ------------------------------------------------------------

    def now(self) -> datetime:
        """The venue's clock."""
        return self._venue.now()

    def verified_at(self, known: Known) -> datetime | None:
        """Since when the order is vouched for, as far as it is known here, stored or not."""
        absent = known.absent
        if absent is not None:
            is_certain = absent.overlay in {Overlay.UNKNOWN, Overlay.RESOLVED}
            return absent.asked_at if is_certain else None
        moments = [self._ingest.vouched_at(self.account, known)]
        if known.truth is not None and known.key[0] == "v":
            moments.append(self._demand.vouched(known.key[2:]))
        return max((at for at in moments if at is not None), default=None)

    async def verify(self, names: Sequence[OrderName], since: datetime) -> Mapping[str, Told]:
        """Ask about these, or share a question that was asked since then."""
        answers: dict[str, asyncio.Future[Told]] = {}
        for name in names:
            key = key_of(name)
            if key in self._in_hand and self._began_at >= since:
                answers[key] = self._in_hand[key]
                continue
            if key not in self._waiting:
                self._told[key] = asyncio.get_running_loop().create_future()
            # The venue's id may be known to one of them and not to the other.
            self._waiting[key] = name
            answers[key] = self._told[key]
        self._arrived.set()
        if answers:
            await asyncio.wait(answers.values())
        return {key: answer.result() for key, answer in answers.items()}

    # --- for as long as the service runs -----------------------------------------------------

    async def run(self) -> None:
        """Ask about whatever is waited for, for ever."""
        try:
            while True:
                await self._arrived.wait()
                await self._clock.sleep(TOGETHER)
                self._arrived.clear()
                while self._waiting:
                    await self._ask()
        finally:
            self._settle({}, Told(why=NOT_RUNNING))
            self._in_hand, self._told, self._waiting = self._told, {}, {}
            self._settle({}, Told(why=NOT_RUNNING))

    async def _ask(self) -> None:
        """One round: a question for all who wait, and their answers."""
        names = {key: self._waiting.pop(key) for key in list(self._waiting)[:ORDERS_AT_ONCE]}
        self._in_hand = {key: self._told.pop(key) for key in names}
        self._began_at = self._venue.now()
        try:
            report = await self._look_up(list(names.values()))
        except OrdersyncError as error:
            # Ask again or give up: whoever waits decides that.
            self._settle({}, Told(why=str(error)))
            return
        told = {key: _told(report, key, self._began_at) for key in names}
        self._settle(told, Told(why=NOT_RUNNING))

    async def _look_up(self, names: Sequence[OrderName]) -> PassReport:
        read, now = await self._store.read(self.account, names), self._clock.now()
        watched = {k.key: k for k in read if k.claims and not is_settled(k, now)}
        # Whatever is known of the others: somebody wants them asked about all the same.
        due = tuple(OrderName(k.key[2:]) for k in read if k.key[0] == "v" and k.key not in watched)
        return await self._verify(Work(known=watched, due=due, source=Source.DEMAND))

    def _settle(self, told: Mapping[str, Told], otherwise: Told) -> None:
        """Answer those whose orders were in hand."""
        for key, waiter in self._in_hand.items():
            if not waiter.done():
                waiter.set_result(told.get(key, otherwise))
        self._in_hand = {}


def _told(report: PassReport, key: str, began_at: datetime) -> Told:
    """What the report of a round says of one order."""
    name = key[2:]
    if name in report.sighted:
        return Told(began_at, report.failed.get(name, ""))
    if name in report.not_found:
        return Told(began_at)
    trouble = next(iter(report.troubles), "")
    return Told(why=report.failed.get(name) or report.doubt or trouble or "no answer")
