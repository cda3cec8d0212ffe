"""Clients that ask and do not take: dropped, and they hold nobody else up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import Life
from tests.system.caller import PORT, calling, with_api
from tests.system.house import naive
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.house import House

ROWS = 600
ASK = b"GET /api/v1/orders?limit=1000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def many(house: House) -> None:
    """As many rows as make an answer that no kernel takes whole."""
    created = naive(house.clock.now())
    house.insert_many({"order_id": house.new_id(), "created_at": created} for _ in range(ROWS))


@virtually
async def test_who_takes_nothing_is_dropped_and_others_are_answered(tmp_path: Path) -> None:
    async with with_api(tmp_path, sync={"interval": "10m"}) as house:
        house.place(Life.open())
        many(house)
        async with calling(house) as caller:
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT, limit=1_024)
            writer.write(ASK)
            await house.wait(seconds=5)
            # Its ages have other digits, so it is not to the letter as long.
            whole = len((await caller.ask("/api/v1/orders?limit=1000")).content)
            await house.wait(seconds=20)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(whole * 9 // 10)
            writer.close()


@virtually
async def test_who_takes_slowly_gets_all_of_it(tmp_path: Path) -> None:
    async with with_api(tmp_path, sync={"interval": "10m"}) as house:
        many(house)
        async with calling(house) as caller:
            whole = len((await caller.ask("/api/v1/orders?limit=1000")).content)
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT, limit=1_024)
            writer.write(ASK)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"200 OK" in head
            taken = 0
            while taken < whole * 9 // 10:
                # Half of what the kernels hold, each five seconds.
                taken += len(await reader.readexactly(min(32_768, whole * 9 // 10 - taken)))
                await house.wait(seconds=5)
            writer.close()
