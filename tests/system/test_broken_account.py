"""What nobody thought of, in one account: it ends no other, and mends itself with its cause."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync.errors import StoreRefused
from ordersync.simulator import Life
from ordersync.sync.anew import begin_anew
from tests.system.house import OPEN, ago, built
from tests.virtual import VirtualClock, virtually

if TYPE_CHECKING:
    from pathlib import Path

BY_BOT = {"column": "bot_id", "values": {"1": "main", "2": "other"}}


@virtually
async def test_what_somebody_edited_in_our_tables_stops_no_other_account(tmp_path: Path) -> None:
    async with built(tmp_path, orders={"account": BY_BOT}) as house:
        house.more_accounts["other"] = house.section(house.url, None)
        life = Life.filled(timedelta(seconds=90))
        broken, other = house.place(life, age=ago()), house.place(life, age=ago(), bot_id=2)
        async with house.running():
            await house.wait(seconds=60)
            house.sql(
                "UPDATE ordersync_orders SET final_since = 'yesterday' WHERE account = 'main'"
            )
            await house.wait(seconds=180)
            assert (house.word(broken), house.word(other)) == (OPEN, "completed")
            house.sql("UPDATE ordersync_orders SET final_since = NULL WHERE account = 'main'")
            await house.until_true(broken, within=90)


@virtually
async def test_pauses_grow_to_a_minute_and_begin_anew_after_a_time_that_went_well() -> None:
    clock, began = VirtualClock(), list[float]()

    async def work() -> None:
        began.append(clock.monotonic())
        if len(began) == 9:
            await clock.sleep(timedelta(minutes=2))
        if len(began) == 11:
            return
        raise LookupError("nobody thought of it")

    await begin_anew(work, account="main", clock=clock)
    pauses = [round(later - before) for before, later in itertools.pairwise(began)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 121, 2]


@virtually
async def test_an_error_that_says_what_to_do_is_raised_alone_or_among_others() -> None:
    refusal = StoreRefused("no", where="here", mend="there")

    async def alone() -> None:
        raise refusal

    async def among_others() -> None:
        raise ExceptionGroup("tasks", [LookupError(), refusal])

    with pytest.raises(StoreRefused):
        await begin_anew(alone, account="main", clock=VirtualClock())
    with pytest.raises(ExceptionGroup):
        await begin_anew(among_others, account="main", clock=VirtualClock())
