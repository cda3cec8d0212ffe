"""The real service, put to work on a frail disk; killed where that is wanted."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ordersync.service import Service
from ordersync.store.table_store import TableStore
from tests.simulation.disk import Disk, FrailFile
from tests.simulation.ports import Gate, put_behind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ordersync.ports import Clock
    from tests.system.house import Premises


@contextlib.asynccontextmanager
async def at_work(
    house: Premises,
    disk: Disk,
    gate: Gate | None = None,
    *,
    clock: Clock | None = None,
    wholly: bool = False,
) -> AsyncIterator[Service]:
    """As `serving` composes it, with a store on this disk; cancelled at the end of the block.

    At the gate it is killed as it stands: the block goes on without it. `clock` is the machine's
    where that is not the exchange's; `wholly` puts all of the service behind the gate.
    """
    settings, clock = house.settings(), clock or house.clock
    store = TableStore(
        FrailFile(house.database, disk),
        settings.orders,
        clock,
        where=str(settings.path),
        contested_pause=settings.sync.stale_after,
    )
    service = Service(settings, clock=clock, store=store)
    venues = list(service.venues.values())
    try:
        await store.open(create=True)
        async with asyncio.TaskGroup() as group:
            if gate is not None:
                put_behind(service, gate, wholly=wholly)
            working = group.create_task(service.run())
            if gate is not None:
                gate.kill = working.cancel
            try:
                yield service
            finally:
                working.cancel()
    finally:
        for venue in venues:
            await venue.close()
        await service.telling.close()
        await service.leases.close()
        await store.close()
