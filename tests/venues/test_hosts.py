"""Many accounts at one host: it tells its time to anybody, and counts that by address."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from ordersync.venues.coinbase.venue import Coinbase
from ordersync.venues.hosts import Hosts
from tests.venues.exchange import PORT, exchange, key_of
from tests.virtual import virtually

if TYPE_CHECKING:
    from tests.venues.exchange import Exchange

MANY = 30


def accounts(at: Exchange, hosts: Hosts | None = None) -> list[Coinbase]:
    """So many accounts of their own at the exchange."""
    url = f"http://127.0.0.1:{PORT}"
    return [
        Coinbase(key_of(at.world.open_account("ed25519")), at.clock, rest_url=url, hosts=hosts)
        for _ in range(MANY)
    ]


async def identify(venues: list[Coinbase]) -> None:
    async with asyncio.TaskGroup() as group:
        for venue in venues:
            group.create_task(venue.identify())


@virtually
async def test_accounts_of_one_process_ask_their_host_for_the_time_once() -> None:
    async with exchange(slow=timedelta(minutes=1)) as at:
        venues = accounts(at, Hosts(at.clock))
        before = at.clock.monotonic()
        await identify(venues)
        assert len(at.asked("time")) == 1
        assert len(at.asked("key_permissions")) == MANY
        # All have what it said, and nobody waited for anybody.
        assert all(at.world.now() - each.now() < timedelta(seconds=1) for each in venues)
        assert at.clock.monotonic() - before < 0.5
        # Later it is worth asking again.
        await at.clock.sleep(timedelta(seconds=21))
        await identify(venues)
        assert len(at.asked("time")) == 2
        for venue in venues:
            await venue.close()


@virtually
async def test_what_all_processes_ask_for_the_time_takes_nothing_from_an_accounts_own_budget() -> (
    None
):
    async with exchange() as at:
        # Each on its own, as in processes that know nothing of one another.
        venues = accounts(at)
        await identify(venues)
        ids = at.strangers(100)
        before = at.clock.monotonic()
        for venue in venues[:3]:
            for _ in range(4):
                await venue.ask_ids(ids)
        assert at.clock.monotonic() - before < 1
        for venue in venues:
            await venue.close()
