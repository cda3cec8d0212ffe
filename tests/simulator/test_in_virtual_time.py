"""The exchange runs where the simulation runs: in virtual time, on a network in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from ordersync.simulator import Fault, Kind, Life, World, app, limit_gtc, serving
from ordersync.simulator.faults import Faults
from tests.simulator.asking import PREFIX, claims_of, sign
from tests.virtual import VirtualClock, run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ordersync.simulator import Account


async def listed(
    client: httpx2.AsyncClient, account: Account, now: Callable[[], datetime]
) -> list[str]:
    path = "/orders/historical/batch"
    token = sign(account, claims_of(account, "GET", path, now()))
    response = await client.get(PREFIX + path, headers={"authorization": f"Bearer {token}"})
    response.raise_for_status()
    return [order["status"] for order in response.json()["orders"]]


@virtually
async def test_an_hour_passes_between_two_questions() -> None:
    clock = VirtualClock()
    world = World(clock.now)
    account = world.open_account()
    world.place(account.portfolio, "BTC-USD", "BUY", limit_gtc("1", "2"), life=Life.filled())
    async with (
        serving(app(world), port=8700) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        before = await listed(client, account, clock.now)
        await clock.sleep(3600)
        after = await listed(client, account, clock.now)

    assert (before, after) == (["PENDING"], ["FILLED"])


@pytest.mark.parametrize(
    ("kind", "error", "lasts"),
    [
        (Kind.DROP, httpx2.RemoteProtocolError, 0.1),
        (Kind.TIMEOUT, httpx2.ReadTimeout, 30),
        (Kind.LATENCY, None, 20),
    ],
    ids=str,
)
def test_silence_and_latency_take_virtual_time_only(
    kind: Kind, error: type[Exception] | None, lasts: float
) -> None:
    async def main() -> float:
        clock = VirtualClock()
        world = World(clock.now)
        account = world.open_account()
        faults = Faults([Fault(kind=kind, value=20 if kind is Kind.LATENCY else None)])
        async with (
            serving(app(world, faults)) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client,
        ):
            began = clock.monotonic()
            if error is None:
                await listed(client, account, clock.now)
            else:
                with pytest.raises(error):
                    await listed(client, account, clock.now)
            return clock.monotonic() - began

    assert lasts <= run_virtually(main) + 0.1 <= lasts + 0.3
