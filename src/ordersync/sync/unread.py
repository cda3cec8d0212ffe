"""Orders of which only their row's key is known so far: read just before they are asked for.

A pass from nothing over a hundred thousand open orders would hold all their rows and truths at
once. Read in parts, what a pass needs does not grow with the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import Known
from ordersync.sync.cases import is_settled, waits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from ordersync.ports import Claim, Clock, OrderStore, RowId, Scan


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Some orders: `ask` are the ids to ask for, `known` what was read of those by key.

    `settled` are only compared with their row; `dropped` neither: they wait for their time, or
    their row is another's by now.
    """

    ask: list[str]
    known: dict[str, Known] = {}
    settled: list[Known] = []
    dropped: list[str] = []


class Unread:
    """The orders of one pass whose rows are not read yet, by venue id."""

    def __init__(
        self, account: str, rows: Mapping[str, RowId], store: OrderStore, clock: Clock
    ) -> None:
        self.rows = rows
        self._account = account
        self._store = store
        self._clock = clock
        self._read: list[str] = []

    async def read(self, ids: Iterable[str]) -> Part:
        """What is known of these; ids of other orders are to be asked for as they are."""
        ids = list(ids)
        rows = [self.rows[order] for order in ids if order in self.rows]
        if not rows:
            return Part(ask=ids)
        now = self._clock.now()
        found = {k.key: k for k in await self._store.read_rows(self._account, rows)}
        part = Part(ask=[], known={}, settled=[], dropped=[])
        for order in ids:
            known = found.get(f"v:{order}") if order in self.rows else None
            if order not in self.rows:
                part.ask.append(order)
            elif known is None or waits(known, now):
                part.dropped.append(order)
            elif is_settled(known, now):
                part.settled.append(known)
            else:
                part.ask.append(order)
                part.known[known.key] = known
        self._read += part.known
        return part

    def forget(self, sighted: AbstractSet[str], *places: dict[str, Known]) -> None:
        """Take out of these what was read here and is written now: it is needed no more."""
        for key in self._read:
            if key[2:] in sighted:
                for known in places:
                    known.pop(key, None)
        self._read.clear()


def as_last_read(claims: Iterable[Claim]) -> list[Claim]:
    """Each row once, as it was read last: one whose word moves meanwhile is found by two looks."""
    latest: dict[RowId, Claim] = {}
    for claim in claims:
        before = latest.get(claim.row_id)
        if before is None or before.read_at <= claim.read_at:
            latest[claim.row_id] = claim
    return list(latest.values())


async def with_all_rows(
    store: OrderStore,
    account: str,
    scan: Scan,
    resting: AbstractSet[str],
    claims: list[Claim],
) -> list[Claim]:
    """These, with the rows of orders that rested and do no more, in the order of the table.

    Of an order that has another row here, the first of all is not left unread.
    """

    async def rows_of(keys: Iterable[RowId]) -> dict[RowId, Claim]:
        read = await store.read_rows(account, list(keys))
        return {claim.row_id: claim for known in read for claim in known.claims}

    # Not as the difference of two sets: where all rest it would be built of all of them.
    if woken := [order for order in scan.unmoved if order not in resting]:
        rows = await rows_of(scan.unmoved[order] for order in woken)
        ours = enumerate(scan.unmoved.items())
        placed = [(p, 0, c) for p, c in zip(scan.places, scan.moved, strict=True)]
        placed += [(n, 1, rows[row]) for n, (o, row) in ours if o not in resting and row in rows]
        claims[: len(scan.moved)] = [c for *_, c in sorted(placed, key=lambda one: one[:2])]
    if scan.unread:
        twice = scan.unread.keys() & {c.venue_order_id for c in claims}
        claims[:0] = (await rows_of(scan.unread.pop(order) for order in twice)).values()
    return claims
