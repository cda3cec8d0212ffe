"""What keeping watch costs at Alpaca: within half of what its headers allow, and never a 429."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from ordersync.simulator import Life as CoinLife
from ordersync.simulator import StreamKind
from ordersync.simulator.alpaca import Life
from ordersync.sync.stream import State
from tests.system.alpaca_house import at_alpaca, crowd
from tests.system.house import OPEN, TABLE, ago, built, stream_of
from tests.virtual import Network, run_virtually, virtually

if TYPE_CHECKING:
    from pathlib import Path

A_MINUTE = 200
LOOK_UPS = {"get", "by_client_id", "fills"}


@virtually
async def test_a_thousand_open_orders_are_watched_for_a_third_of_the_budget(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        crowd(house, 999)
        order = house.place(Life.filled(ago(hours=1, minutes=12)))
        async with house.running() as service:
            await house.wait(minutes=1)
            house.forget_asked()
            await house.wait(minutes=5)
            asked = house.asked()
            assert stream_of(service).health.state is State.LIVE
            assert {one.status for one in asked} == {200}
            lists = [one for one in asked if one.endpoint not in LOOK_UPS]
            assert len(lists) <= 0.35 * A_MINUTE * 5
            assert len(asked) - len(lists) <= 2
            # Watched as closely as the promise about lost frames needs it.
            assert len(lists) >= 2 * 5 * 60 / 2.5
            house.fault(StreamKind.DROP)
            await house.wait(minutes=1)
            await house.until_true(order, within=2.5, step=0.1)


@virtually
async def test_orders_that_are_gone_do_not_spend_what_the_others_need(tmp_path: Path) -> None:
    async with at_alpaca(tmp_path) as house:
        gone = [house.invent() for _ in range(8)]
        order = house.place(Life.filled(ago(hours=1, minutes=3)))
        async with house.running() as service:
            await house.wait(minutes=1)
            house.forget_asked()
            await house.wait(minutes=1)
            assert stream_of(service).health.state is State.LIVE
            # Half of the minute is theirs at most: the other half looks at what is there.
            assert len(house.asked(*LOOK_UPS, "account", "clock")) <= 0.25 * A_MINUTE
            house.fault(StreamKind.DROP)
            await house.wait(minutes=1)
            await house.until_true(order, within=2.5, step=0.1)
            await house.wait(minutes=5)
        assert {house.word(one) for one in gone} == {"unknown"}


@virtually
async def test_ten_thousand_open_orders_are_verified_as_fast_as_the_rate_permits(
    tmp_path: Path,
) -> None:
    async with at_alpaca(tmp_path) as house:
        crowd(house, 10_000)
        began = house.clock.monotonic()
        report = await house.sync()
        took = house.clock.monotonic() - began
        assert not report.failed
        assert len(report.sighted) == 10_000
        lists = house.asked("list")
        assert len(lists) <= 1.1 * 20 + 1
        assert len(house.asked()) - len(lists) <= 4, "and two that say whose account it is, twice"
        assert {one.status for one in house.asked()} == {200}
    # Half of 200 calls a minute are ours; 20 pages of 500.
    assert took <= 1.1 * 20 / (A_MINUTE / 2 / 60)


@virtually
async def test_a_bot_that_spends_its_half_of_the_budget_meets_no_429_either(
    tmp_path: Path,
) -> None:
    async with at_alpaca(tmp_path) as house:
        crowd(house, 30)
        # Without push everything is asked for as often as may be.
        house.fault(StreamKind.REFUSE, value=503, lasts=ago(hours=1))
        headers = house.account.key.headers
        async with house.running(), httpx2.AsyncClient(base_url=house.url, headers=headers) as bot:
            for n in range(5 * 5):
                for _ in range(20):
                    answer = await bot.get("/v2/account")
                    assert answer.status_code == 200, n
                await house.wait(seconds=12)
        assert {one.status for one in house.asked()} == {200}


def test_a_reply_of_429_pauses_everything_and_is_no_storm(tmp_path: Path) -> None:
    """Where the account's budget is spent by somebody else altogether."""

    async def main() -> None:
        async with at_alpaca(tmp_path) as house:
            order = house.place(Life.filled(ago(hours=1, seconds=90)))
            headers = house.account.key.headers
            async with (
                house.running(),
                httpx2.AsyncClient(base_url=house.url, headers=headers) as bot,
            ):
                await house.wait(seconds=61)
                while (await bot.get("/v2/account")).status_code == 200:
                    pass
                house.fault(StreamKind.MUTE)
                house.forget_asked()
                await house.wait(seconds=55)
                assert len(house.asked()) <= 4
                await house.until_true(order, within=20)

    run_virtually(main, network=Network(3, latency=(0.002, 0.05)))


@virtually
async def test_two_accounts_at_two_venues_keep_one_table_true(tmp_path: Path) -> None:
    table = TABLE.replace("bot_id", "exchange TEXT, bot_id")
    column = {"column": "exchange", "values": {"cb": "main", "alp": "paper"}}
    async with (
        built(tmp_path, pushes=True, table=table, orders={"account": column}) as house,
        at_alpaca(tmp_path, table="SELECT 1") as broker,
    ):
        house.more_accounts = {"paper": broker.section(broker.url, None)}
        coins = house.place(CoinLife.filled(ago(hours=1, seconds=31)), exchange="cb")
        shares = broker.place(Life.filled(ago(hours=1, seconds=33)), exchange="alp")
        # Rows that name another account, or none that is known: told of, and not theirs.
        lost = broker.place(Life.filled(ago(hours=1, seconds=32)), exchange="cb")
        nobody = broker.place(Life.filled(ago(hours=1, seconds=32)), exchange="other")
        async with house.running() as service:
            assert service.streams.keys() == {"main", "paper"}
            await house.wait(seconds=30)
            assert house.word(coins) == broker.word(shares) == OPEN
            await house.wait(seconds=4)
            assert house.untrue(coins) == broker.untrue(shares) == []
        assert house.word(lost) == house.word(nobody) == OPEN
        accounts = dict(house.sql("SELECT order_key, account FROM ordersync_orders"))
        assert accounts[f"v:{coins.order_id}"] == "main"
        assert accounts[f"v:{shares.order_id}"] == "paper"
