"""What `plan` reckons: the arithmetic against real passes, real budgets and published figures."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ordersync import capacity
from ordersync.capacity import Figure, Load, Terms, Way, reckon, spread
from ordersync.simulator import Life, limit_gtc
from ordersync.venues.budget import RateBudget
from ordersync.venues.coinbase.venue import BURST, CALLS_PER_SECOND, CONCURRENT_CALLS
from ordersync.venues.rules import RULES
from tests.system.alpaca_house import at_alpaca, crowd
from tests.system.house import built, naive
from tests.virtual import VirtualClock, run_virtually

if TYPE_CHECKING:
    from tests.system.house import House

BENCHMARKS = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks.md"
TERMS = Terms(make="postgresql", interval=30.0, every=60.0, accounts_kept=100)
ABOUT_ORDERS = {"list", "get", "fills"}
ROUND_TRIP = 0.1


def many(accounts: int, orders: int, venue: str = "coinbase") -> list[Load]:
    return spread([Load(account="main", venue=venue, open_orders=0)], accounts, orders)


def crowd_of(house: House, count: int) -> None:
    made = [
        house.world.place(
            house.account.portfolio,
            "BTC-USD",
            "BUY",
            limit_gtc("1", "100"),
            life=Life.open(),
            created_at=house.clock.now() - timedelta(hours=1),
        )
        for _ in range(count)
    ]
    house.insert_many(
        {
            "order_id": one.order_id,
            "client_id": one.client_order_id,
            "created_at": naive(one.created_at),
        }
        for one in made
    )


# --- against the service itself -----------------------------------------------------------------


@pytest.mark.parametrize("orders", [1, 100, 101, 250, 999, 1_000])
def test_the_calls_of_a_pass_at_coinbase_are_those_that_the_service_makes(
    orders: int, tmp_path: Path
) -> None:
    async def main() -> int:
        async with built(tmp_path) as house:
            crowd_of(house, orders)
            report = await house.sync()
            assert len(report.sighted) == orders
            return len(house.asked(*ABOUT_ORDERS))

    assert run_virtually(main) == RULES["coinbase"].calls(orders)


@pytest.mark.parametrize("orders", [1, 2, 500, 1_000, 1_490])
def test_the_calls_of_a_pass_at_alpaca_are_those_that_the_service_makes(
    orders: int, tmp_path: Path
) -> None:
    async def main() -> int:
        async with at_alpaca(tmp_path) as house:
            crowd(house, orders)
            report = await house.sync()
            assert len(report.sighted) == orders
            return len(house.asked(*ABOUT_ORDERS))

    # A call by id in place of a page is as much.
    assert abs(run_virtually(main) - RULES["alpaca"].calls(orders)) <= (orders > 1_000)


def test_an_order_that_lives_writes_no_more_rows_than_are_reckoned(tmp_path: Path) -> None:
    async def main() -> float:
        async with built(tmp_path) as house:
            house.sql("CREATE TABLE written (id INTEGER)")
            house.sql(
                "CREATE TRIGGER count AFTER UPDATE ON trades "
                "BEGIN INSERT INTO written VALUES (new.id); END"
            )
            orders = [
                house.place(Life.filled(timedelta(minutes=n + 5)), age=timedelta(0))
                for n in range(5)
            ]
            async with house.running():
                await house.wait(minutes=20)
            assert house.all_untrue(orders) == {}
            ((truths,),) = house.sql("SELECT sum(version) FROM ordersync_orders")
            ((events,),) = house.sql("SELECT count(*) FROM ordersync_events")
            ((rows,),) = house.sql("SELECT count(*) FROM written")
            return float(truths + events + rows) / len(orders)

    rows = run_virtually(main)
    assert capacity.ROWS_OF_A_LIFE / 2 <= rows <= capacity.ROWS_OF_A_LIFE


# --- a thousand accounts in virtual time --------------------------------------------------------


async def visits(budget: RateBudget, calls: int) -> float:
    """One pass over one account at the venue: so many calls, some at a time; how long it took."""
    clock = VirtualClock()
    began, slots = clock.monotonic(), asyncio.Semaphore(CONCURRENT_CALLS)

    async def call() -> None:
        async with slots:
            await budget.take()
            await clock.sleep(ROUND_TRIP)

    async with asyncio.TaskGroup() as group:
        for _ in range(calls):
            group.create_task(call())
    return clock.monotonic() - began


def test_a_thousand_accounts_with_a_million_orders_stay_within_what_is_reckoned() -> None:
    """Every account has its own budget; all are simulated, two minutes of them."""
    loads = many(1_000, 1_000_000)
    plan = reckon(Way.RUN, loads, RULES, TERMS)
    (share,) = plan.venues
    minutes, begun, lasted = 2, [0], [0.0]

    async def keep(load: Load) -> None:
        clock = VirtualClock()
        budget = RateBudget(clock, per_second=CALLS_PER_SECOND, burst=BURST)
        # Their starts are spread, as those of processes are.
        await clock.sleep(timedelta(seconds=int(load.account.rpartition(" ")[2]) % 30))
        calls = RULES["coinbase"].calls(load.open_orders)
        while clock.monotonic() < minutes * 60:
            began = clock.monotonic()
            lasted[0] = max(lasted[0], await visits(budget, calls))
            begun[0] += calls
            await clock.sleep(began + TERMS.interval - clock.monotonic())

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for load in loads:
                group.create_task(keep(load))

    run_virtually(main)
    assert begun[0] / minutes == pytest.approx(share.calls_all, rel=0.01)
    # The processor's part is not simulated, the venue's is: with its round trip.
    assert lasted[0] <= share.worst_seconds + ROUND_TRIP
    assert share.worst_seconds < TERMS.interval
    assert plan.fresh_seconds == TERMS.interval


def test_one_account_with_a_million_orders_takes_as_long_as_its_budget_says() -> None:
    (load,) = many(1, 1_000_000)
    (share,) = reckon(Way.RUN, [load], RULES, TERMS).venues

    async def main() -> float:
        budget = RateBudget(VirtualClock(), per_second=CALLS_PER_SECOND, burst=BURST)
        return await visits(budget, share.calls_a_pass)

    processor = load.open_orders * capacity.ORDER_PASS_MS.value / 1e3
    assert run_virtually(main) == pytest.approx(share.worst_seconds - processor, rel=0.01)
    assert share.worst_seconds > 10 * 60
    assert share.calls_of_largest == share.ours, "more than the budget is never asked for"


# --- the arithmetic by itself -------------------------------------------------------------------


def test_what_one_account_can_have_is_what_its_pass_just_holds() -> None:
    for rules in RULES.values():
        for seconds in (30.0, 60.0):
            most = rules.most_orders(seconds)
            assert rules.seconds(most) <= seconds < rules.seconds(most + rules.page_size)


def test_growing_keeps_the_venues_and_how_often_orders_come_and_go() -> None:
    there = [
        Load(account="a", venue="coinbase", open_orders=30, new_a_day=60.0),
        Load(account="b", venue="alpaca", open_orders=10, new_a_day=20.0),
    ]
    grown = spread(there, 10, 1_003)
    assert [load.venue for load in grown] == ["coinbase", "alpaca"] * 5
    assert sum(load.open_orders for load in grown) == 1_003
    assert {load.open_orders for load in grown} == {100, 101}
    assert sum(load.new_a_day or 0 for load in grown) == pytest.approx(80 * 1_003 / 40)
    assert sum(load.open_orders for load in spread(there, 4, None)) == 80
    assert spread(there[:1], None, 7)[0].open_orders == 7


def test_an_empty_table_can_be_planned_for() -> None:
    for way in Way:
        plan = reckon(way, many(1, 0), RULES, TERMS)
        assert (plan.open_orders, plan.processes, plan.venues[0].calls_all) == (0, 1, 0.0)
        assert plan.fresh_seconds == (30.0 if way is Way.RUN else 60.0)


def test_the_nearest_limit_comes_first() -> None:
    largest = reckon(Way.CELERY, many(1, 1_000_000), RULES, TERMS)
    assert "one account can have" in largest.limits[0]
    streams = reckon(Way.RUN, many(1_000, 10_000), RULES, TERMS)
    assert "8 streams a second" in streams.limits[0]
    sqlite = Terms(make="sqlite", interval=30.0, every=60.0, accounts_kept=100)
    assert "take PostgreSQL" in reckon(Way.CELERY, many(1_000, 1_000), RULES, sqlite).limits[0]


def test_at_alpaca_a_live_stream_is_compared_within_its_part_of_the_budget() -> None:
    (share,) = reckon(Way.RUN, many(1, 1_000, "alpaca"), RULES, TERMS).venues
    assert share.calls_of_largest == pytest.approx(60)
    (share,) = reckon(Way.RUN, many(1, 5_000, "alpaca"), RULES, TERMS).venues
    assert share.calls_of_largest == pytest.approx(70)
    (share,) = reckon(Way.CELERY, many(1, 1_000, "alpaca"), RULES, TERMS).venues
    assert share.calls_of_largest == 2


def test_an_account_that_may_use_less_of_the_limit_is_reckoned_with_less() -> None:
    half = Load(account="a", venue="alpaca", open_orders=5_000)
    quarter = Load(account="b", venue="alpaca", open_orders=5_000, share=0.25)
    (share,) = reckon(Way.RUN, [half, quarter], RULES, TERMS).venues
    # Of two with as many orders the one with less is the one that a plan has to worry about.
    assert share.ours == 45
    assert share.calls_of_largest == pytest.approx(35)
    assert share.calls_all == pytest.approx(35 + 70)
    assert [load.share for load in spread([half, quarter], 4, None)] == [0.5, 0.25, 0.5, 0.25]


# --- where the figures are from -----------------------------------------------------------------

MEASURED = [
    figure
    for figure in (
        *vars(capacity).values(),
        *capacity.COMMITS_A_SECOND.values(),
    )
    if isinstance(figure, Figure)
]


@pytest.mark.parametrize("figure", MEASURED, ids=lambda figure: figure.source)
def test_a_measured_figure_is_the_published_one(figure: Figure) -> None:
    """Or near it: a new run of the benchmarks on a busier machine makes no plan wrong."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in BENCHMARKS.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    published = {row[0]: row[1] for row in cells}
    assert figure.source in published, sorted(published)
    number = float(re.sub(r"[^0-9.]", "", published[figure.source]))
    assert number / 2 <= figure.value <= number * 2


def test_the_arithmetic_in_the_how_to_is_what_plan_says() -> None:
    text = (BENCHMARKS.parents[1] / "how-to" / "scale.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([a-zA-Z, ]+) \| (.+ \| .+) \|$", text, re.MULTILINE))
    run, celery = (reckon(way, many(1_000, 1_000_000), RULES, TERMS) for way in Way)
    for name, cells in {
        "processes": f"{run.processes} | {celery.processes} worker processes",
        "processors": f"{run.processors:.1f} | {celery.processors:.1f}",
        "memory": f"{run.memory_mb / 1000:.1f} GB | {celery.memory_mb / 1000:.1f} GB",
        "connections to PostgreSQL": f"{run.connections} | {celery.connections}",
        "calls a minute, all accounts": (
            f"{run.venues[0].calls_all:,.0f} | {celery.venues[0].calls_all:,.0f}"
        ),
        "calls a minute, an account": (
            f"{run.venues[0].calls_of_largest:.0f} of our 900 | "
            f"{celery.venues[0].calls_of_largest:.0f} of our 900"
        ),
        "rows written a second, without new orders": (
            f"{run.rows_a_second:.0f} | {celery.rows_a_second:.0f}"
        ),
        "messages a minute": f"0 | {celery.messages_a_minute:,.0f}",
    }.items():
        assert rows[name] == cells, name
