"""Bots with the same key spend of the same limit and tell nobody: nobody meets a 429."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2
import pytest

from ordersync.simulator import StreamKind
from ordersync.venues.coinbase.key import read_key
from tests.system.alpaca_house import at_alpaca, crowd
from tests.system.house import ago, built
from tests.virtual import Network, run_virtually, virtually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.house import Premises


async def spend(
    bot: httpx2.AsyncClient, house: Premises, path: str, *, calls: int, every: float, times: int
) -> list[int]:
    """A bot that asks by its own clock; how it was answered."""
    said = []
    for _ in range(times):
        answers = await asyncio.gather(*(bot.get(path) for _ in range(calls)))
        said += [answer.status_code for answer in answers]
        await house.wait(seconds=every)
    return said


@virtually
async def test_at_alpaca_a_bot_that_spends_three_quarters_of_a_minute_is_left_alone(
    tmp_path: Path,
) -> None:
    async with at_alpaca(tmp_path) as house:
        crowd(house, 1_500)
        # Without push everything is asked for as often as may be.
        house.fault(StreamKind.REFUSE, value=503, lasts=ago(hours=1))
        headers = house.account.key.headers
        async with house.running(), httpx2.AsyncClient(base_url=house.url, headers=headers) as bot:
            await house.wait(minutes=2)
            house.forget_asked()
            await house.wait(minutes=3)
            alone = len(house.asked())
            house.forget_asked()
            said = await spend(bot, house, "/v2/account", calls=5, every=2, times=90)
            ours = len(house.asked()) - len(said)
            assert set(said) == {200}
            assert {one.status for one in house.asked()} == {200}
            assert 0 < ours < 0.75 * alone
            # The pass that the bot made so slow has to end first.
            await house.wait(minutes=3)
            house.forget_asked()
            await house.wait(minutes=3)
            assert len(house.asked()) > 0.9 * alone


def test_at_coinbase_a_bot_that_spends_two_thirds_of_each_second_is_left_alone(
    tmp_path: Path,
) -> None:
    """Where answers take their time, so that what is under way is not counted yet."""

    async def main() -> None:
        async with built(tmp_path) as house:
            for _ in range(1500):
                house.place()
            path, host = "/api/v3/brokerage/key_permissions", house.url.removeprefix("http://")
            key = read_key(house.account.key.write(tmp_path / "bot.json"))

            async def sign(request: httpx2.Request) -> None:
                token = key.token("GET", host, path, house.clock.now())
                request.headers["authorization"] = f"Bearer {token}"

            async with (
                house.serving() as service,
                httpx2.AsyncClient(base_url=house.url, event_hooks={"request": [sign]}) as bot,
                asyncio.TaskGroup() as group,
            ):
                spending = group.create_task(
                    spend(bot, house, path, calls=3, every=0.02, times=500)
                )
                await house.wait(seconds=2)
                for _ in range(5):
                    (report,) = await service.sync()
                    assert not report.failed
                assert not spending.done(), "the bot spent all the while"
                said = await spending
            assert set(said) == {200}
            assert {one.status for one in house.asked()} == {200}

    run_virtually(main, network=Network(5, latency=(0.02, 0.1)))


@pytest.mark.parametrize("share", [0.1, 0.25])
@virtually
async def test_no_more_than_the_share_is_spent_even_where_nobody_else_spends(
    tmp_path: Path, share: float
) -> None:
    async with at_alpaca(tmp_path) as house:
        house.account_settings = {"share": share}
        crowd(house, 600)
        house.fault(StreamKind.REFUSE, value=503, lasts=ago(hours=1))
        async with house.running():
            await house.wait(minutes=2)
            house.forget_asked()
            await house.wait(minutes=5)
            spent = len(house.asked()) / 5
        assert 0.5 * 200 * share < spent <= 200 * share
