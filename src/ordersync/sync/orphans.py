"""Orders at the exchange that have no row: told of once each, after time for the bot to write it.

Streams and lists bring them as truths without a row. Where a row appears in time nobody hears of
it; where one appears later, it is written as ever.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ordersync.errors import AskAgain, OrdersyncError
from ordersync.ports import Note, OrderName
from ordersync.sync.chains import Chains
from ordersync.sync.parcels import Parcel, name_of
from ordersync.truth.evidence import Reading
from ordersync.truth.model import EventEvidence, EventKind, Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ordersync.orphaned import Rowless
    from ordersync.ports import Clock, Known, OrderStore, Venue
    from ordersync.settings import Orphans as Rules
    from ordersync.sync.ingest import Ingest

AT_A_TIME = 500
FIRST_LOOK = timedelta(minutes=10)
"""How long after the start the exchange is asked for the first time: the passes come first."""

ASKED_AT_MOST = 200
"""Of how many orders without a row it is asked how they go on."""

TOLD = EventEvidence(answer="rows", endpoint="row", raw="no row of the table names this order")

log = structlog.get_logger("ordersync")


class Orphans:
    """Looks after one account's; `run` ends only by cancellation."""

    def __init__(
        self,
        account: str,
        *,
        venue: Venue,
        store: OrderStore,
        ingest: Ingest,
        clock: Clock,
        rules: Rules,
    ) -> None:
        self.account = account
        self._venue = venue
        self._store = store
        self._ingest = ingest
        self._clock = clock
        self._rules = rules
        self._chains = Chains(store)
        self._reached: Rowless | None = None

    async def run(self) -> None:
        """Tell of orphans, and look for them at the exchange, for ever."""
        first = min(FIRST_LOOK, self._rules.look_every)
        next_look = self._clock.monotonic() + first.total_seconds()
        while True:
            # Twice in the time that a bot has: told of when that is over, and half of it later.
            await self._clock.sleep(min(self._rules.grace / 2, first))
            try:
                if (now := self._clock.monotonic()) >= next_look:
                    next_look = now + self._rules.look_every.total_seconds()
                    await self.look()
                await self.tell()
            except OrdersyncError as error:
                if not isinstance(error, AskAgain):
                    log.error(f"Failed to look for orphans: {error}", account=self.account)  # noqa: TRY400

    async def look(self) -> None:
        """Ask for all that is open, and keep what has no row; how told ones go on, too."""
        asked_at = self._clock.now()
        reading = await self._venue.ask_open()
        listed = {s.report.venue_order_id: s for s in reading.sightings}
        names = [OrderName(order) for order in listed if order]
        rows = {k.key[2:] for k in await self._read(names) if k.claims}
        found = [s for order, s in listed.items() if order not in rows]
        told = await self._store.list_open_orphans(self.account, ASKED_AT_MOST)
        if missing := [order for order in told if order not in listed]:
            found += (await self._venue.ask_ids(missing)).sightings
        if found:
            # Silence and absence say nothing here: nobody's row depends on it.
            await self._take(Reading(sightings=tuple(found)), asked_at)

    async def tell(self) -> None:
        """Tell of those that were first seen longer ago than a bot may take to write its row."""
        before = self._clock.now() - self._rules.grace
        while True:
            page = await self._store.list_rowless(
                self.account, before=before, after=self._reached, limit=AT_A_TIME
            )
            if not page:
                return
            known = await self._read([name_of(one.key) for one in page])
            orphans = [k for k in known if await self._is_orphan(k)]
            if orphans:
                note = Note(kind=EventKind.ORPHAN, digest="", evidence=TOLD)
                await self._take(Reading(), self._clock.now(), orphans, note)
            self._reached = page[-1]
            if len(page) < AT_A_TIME:
                return

    async def _take(
        self,
        reading: Reading,
        asked_at: datetime,
        orphans: Sequence[Known] = (),
        note: Note | None = None,
    ) -> None:
        await self._ingest.take(
            Parcel(
                account=self.account,
                source=Source.POLL,
                asked_at=asked_at,
                venue_now=self._venue.now(),
                sightings=reading.sightings,
                restate=orphans,
                rowless={k.key: note for k in orphans} if note else {},
            )
        )

    async def _read(self, names: Sequence[OrderName]) -> list[Known]:
        found: list[Known] = []
        for n in range(0, len(names), AT_A_TIME):
            found += await self._store.read(self.account, names[n : n + AT_A_TIME])
        return found

    async def _is_orphan(self, known: Known) -> bool:
        """Whether nobody's row is this order, and no rule says that it is nobody's business."""
        truth = known.truth
        if truth is None or known.claims or known.row_id is not None:
            return False
        if is_ignored(
            self._rules, truth.symbol, truth.client_order_id, truth.created_at or truth.as_of
        ):
            return False
        # The row of an order that this one replaced follows it.
        return not (truth.replaces and await self._chains.roots(self.account, [truth]))


def is_ignored(
    rules: Rules, symbol: str | None, client_order_id: str | None, placed_at: datetime
) -> bool:
    """Whether an order without a row is nobody's business."""
    return (
        symbol in rules.ignore_symbols
        or bool(client_order_id and client_order_id.startswith(rules.ignore_client_ids))
        or (rules.ignore_placed_before is not None and placed_at < rules.ignore_placed_before)
    )
