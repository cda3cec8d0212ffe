"""Verify before answering: an order's truth no older than the one who asks can bear.

What is fresh is answered from the database, with one read and no call; for the rest the exchange
is asked, once for all who ask at the same time. Where it is silent the answer says so, and shows
what was known before: never a guess.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, TypeGuard

from ordersync.asked import Answer, Told, Verifier
from ordersync.ports import Known, OrderName
from ordersync.sync.cases import is_settled
from ordersync.sync.parcels import key_of, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ordersync.ports import Clock, OrderStore

__all__ = ["Answer", "Answering"]

PATIENCE = timedelta(seconds=4)
"""How long whoever asks is kept waiting for the exchange."""

NOTHING_KNOWN = "no row and no record of an order has this name"


class Answering:
    """Answers for the orders of all accounts; `verifiers` ask about them, by account."""

    def __init__(self, store: OrderStore, clock: Clock, verifiers: Mapping[str, Verifier]) -> None:
        self._clock = clock
        self._verifiers = verifiers
        self._reads = {account: _Reads(account, store) for account in verifiers}

    async def fresh(
        self, account: str, names: Sequence[OrderName], max_age: timedelta
    ) -> list[Answer]:
        """What is known of these orders, vouched for no longer ago than that; in their order.

        What ended and was looked at for the last time does not age, unless `max_age` is zero:
        then everything is asked about. Raises KeyError for an account that is not served, and
        what the store raises; a venue's failures are in the answers.
        """
        verifier = self._verifiers[account]
        since, ages = verifier.now() - max_age, max_age <= timedelta(0)
        keys = {key_of(name): name for name in names}
        known = await self._reads[account].read(list(keys.values()))
        stale = [
            name
            for key, name in keys.items()
            if _exists(what := known.get(key))
            and (ages or not self._is_at_rest(what))
            and not _is_since(verifier.verified_at(what), since)
        ]
        told: Mapping[str, Told] = {}
        if stale:
            asked = await self._ask(verifier, [name_of(known[key_of(n)].key) for n in stale], since)
            told = {key_of(n): asked[known[key_of(n)].key] for n in stale}
            known |= await self._reads[account].read(stale)
        return [
            self._answer(name, known.get(key_of(name)), told.get(key_of(name)), verifier, since)
            for name in names
        ]

    async def _ask(
        self, verifier: Verifier, names: Sequence[OrderName], since: datetime
    ) -> Mapping[str, Told]:
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                return await verifier.verify(names, since)
        except TimeoutError:
            why = f"the exchange has not answered within {PATIENCE.seconds} s"
            return {key_of(name): Told(why=why) for name in names}

    def _answer(
        self,
        name: OrderName,
        known: Known | None,
        told: Told | None,
        verifier: Verifier,
        since: datetime,
    ) -> Answer:
        if not _exists(known):
            return Answer(name=name, why=NOTHING_KNOWN)
        moments = (verifier.verified_at(known), told.at if told else None)
        verified_at = max((at for at in moments if at is not None), default=None)
        if told is None:
            return Answer(name=name, known=known, verified_at=verified_at, is_verified=True)
        is_verified = _is_since(verified_at, since)
        return Answer(
            name=name,
            known=known,
            verified_at=verified_at,
            is_verified=is_verified,
            why="" if is_verified and told.at is None else told.why,
        )

    def _is_at_rest(self, known: Known) -> bool:
        """Whether nothing more will be heard of it: it ended, and was looked at since."""
        if known.truth is None:
            return known.archived is not None
        return is_settled(known, self._clock.now()) and known.due_at is None


class _Job:
    """Orders that somebody wants to be read, and what came of it."""

    def __init__(self, names: Sequence[OrderName]) -> None:
        self.names = names
        self.found: dict[str, Known] | None = None
        self.error: Exception | None = None


class _Reads:
    """The reads of one account: who comes while one is under way shares the next."""

    def __init__(self, account: str, store: OrderStore) -> None:
        self._account = account
        self._store = store
        self._waiting: list[_Job] = []
        self._turn = asyncio.Lock()

    async def read(self, names: Sequence[OrderName]) -> dict[str, Known]:
        """What is stored of these, by the key of the name. Raises what the store raises."""
        job = _Job(names)
        self._waiting.append(job)
        async with self._turn:
            if job.found is None and job.error is None:
                jobs, self._waiting = self._waiting, []
                await self._read(job, jobs)
        if job.error is not None:
            raise job.error
        return {key: job.found[key] for n in names if job.found and (key := key_of(n)) in job.found}

    async def _read(self, mine: _Job, jobs: list[_Job]) -> None:
        names = {key_of(name): name for job in jobs for name in job.names}
        try:
            found = await self._find(names)
        except asyncio.CancelledError:
            self._waiting[:0] = [job for job in jobs if job is not mine]
            raise
        except Exception as error:  # noqa: BLE001 - handed on: each of them raises it
            for job in jobs:
                job.error = error
            return
        for job in jobs:
            job.found = found

    async def _find(self, names: Mapping[str, OrderName]) -> dict[str, Known]:
        found = {k.key: k for k in await self._store.read(self._account, list(names.values()))}
        # A row that has learned its venue id is no longer found by its client id alone.
        lost = {
            name.client_order_id: key
            for key, name in names.items()
            if not name.venue_order_id and name.client_order_id and not found[key].claims
        }
        if lost:
            learned = await self._store.find_venue_ids(self._account, sorted(lost))
            again = [OrderName(order, client) for client, order in learned.items()]
            read = {k.key[2:]: k for k in await self._store.read(self._account, again)}
            found |= {lost[client]: read[order] for client, order in learned.items()}
        return found


def _exists(known: Known | None) -> TypeGuard[Known]:
    """Whether anything is known of an order but that somebody named it."""
    return known is not None and bool(known.claims or known.truth or known.absent or known.archived)


def _is_since(at: datetime | None, since: datetime) -> bool:
    return at is not None and at >= since
