"""How rows stand, and what was told, on every make of database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ordersync.ports import AccountRecord
from ordersync.store.aside import Aside
from ordersync.store.listing import TableLists
from ordersync.store.told import ToldLog
from ordersync.sync.standing import ListedStandings
from ordersync.truth.model import Status
from ordersync.truth.urgency import Discrepancy, Urgency
from tests.contracts.bench import ACCOUNT, NOON, TRADES, ingest, mapped, said

if TYPE_CHECKING:
    from ordersync.sampled import Standing
    from tests.contracts.bench import Bench, Opened, Row
    from tests.contracts.conftest import Open

STALE_AFTER = timedelta(minutes=5)


def rows(*ages: timedelta, bot: str = "b1") -> list[Row]:
    return [
        {
            "id": n,
            "order_id": f"v{n}",
            "status": "pending",
            "bot": bot,
            "created_at": (NOON - age).replace(tzinfo=None),
        }
        for n, age in enumerate(ages, start=1)
    ]


async def stood(it: Opened) -> Standing:
    lists = TableLists(
        it.bench.database,
        it.orders,
        it.clock,
        accounts=(ACCOUNT,),
        where="ordersync.toml",
        stale_after=STALE_AFTER,
        vouched=lambda _account, _known: None,
    )
    try:
        standings = ListedStandings(
            lists, open_words=["pending", "active"], stale_after=STALE_AFTER
        )
        return await standings.stand(ACCOUNT, it.clock.now())
    finally:
        lists.close()


async def test_rows_that_are_vouched_for_stand_well_and_it_is_known_when_they_may_not(
    opened: Open,
) -> None:
    it = await opened(*rows(timedelta(days=2), timedelta(minutes=1)))
    await ingest(it.store, said("v1", Status.NEW), said("v2", Status.NEW))
    await it.store.keep_account(AccountRecord(account=ACCOUNT, verified_at=NOON))
    it.clock.forward(60)
    standing = await stood(it)
    assert (standing.open, standing.stale, standing.suspect, standing.unknown) == (2, 0, 0, 0)
    assert standing.owners == {"b1": 2}
    assert standing.discrepancies == {}
    assert standing.oldest_verified_at == NOON
    assert standing.next_at == NOON + STALE_AFTER
    assert standing.troubles == ()


async def test_at_that_moment_and_not_before_they_are_stale(opened: Open) -> None:
    it = await opened(*rows(timedelta(days=2), timedelta(minutes=1)))
    await ingest(it.store, said("v1", Status.NEW), said("v2", Status.NEW))
    await it.store.keep_account(AccountRecord(account=ACCOUNT, verified_at=NOON))
    it.clock.forward(STALE_AFTER - timedelta(seconds=1))
    assert (await stood(it)).stale == 0
    it.clock.forward(1)
    standing = await stood(it)
    assert (standing.stale, standing.discrepancies) == (2, {"unverified": 2})
    assert {one.row_id for one in standing.troubles} == {"1", "2"}
    # Loud when nobody has vouched for them for an hour, however old they are.
    assert {one.urgency for one in standing.troubles} == {Urgency.WARNING}
    assert standing.next_at == NOON + 12 * STALE_AFTER
    it.clock.forward(11 * STALE_AFTER)
    assert {one.urgency for one in (await stood(it)).troubles} == {Urgency.CRITICAL}


async def test_a_row_that_rested_for_days_is_loud_when_it_was_untrue_for_an_hour(
    opened: Open,
) -> None:
    it = await opened(*rows(timedelta(days=2)))
    await ingest(it.store, said("v1", Status.FILLED, "1", changed_at=NOON))
    it.bench.write(1, status="pending")
    for passed, urgency in ((STALE_AFTER, Urgency.WARNING), (11 * STALE_AFTER, Urgency.CRITICAL)):
        it.clock.forward(passed)
        (one,) = (await stood(it)).troubles
        assert (one.discrepancy, one.urgency) == (Discrepancy.STATUS, urgency)


async def test_what_was_told_is_kept_and_replaced_by_name(opened: Open) -> None:
    it = await opened()
    told = ToldLog(Aside(it.bench.database, it.orders, where="ordersync.toml"))
    assert await told.read() == {}
    await told.keep("account main", '{"a": "…"}'.encode())
    await told.keep("channel x", b"{}")
    await told.keep("account main", '{"a": "ü"}'.encode())
    assert await told.read() == {"account main": '{"a": "ü"}'.encode(), "channel x": b"{}"}


async def test_before_our_tables_are_there_nothing_was_told(bench: Bench) -> None:
    bench.create(TRADES)
    assert await ToldLog(Aside(bench.database, mapped(), where="ordersync.toml")).read() == {}
