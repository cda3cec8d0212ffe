"""Who serves an account: taken, renewed, taken over, given back; and what is written under it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest

from ordersync import settings as configuration
from ordersync.errors import LeaseLost
from ordersync.leased import DueRequest, Holder
from ordersync.ports import AccountRecord, Severity
from ordersync.service.served import examine_leases
from ordersync.store import schema
from ordersync.store.table_store import TableStore
from ordersync.truth.merge import merge
from ordersync.truth.model import Status
from tests.contracts.bench import ACCOUNT, NOON, ingest_one, read, said, step
from tests.contracts.test_group_commit import pending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ordersync.leased import Lease
    from ordersync.store.leases import TableLeases
    from tests.contracts.bench import Opened
    from tests.contracts.conftest import Open

TERM = timedelta(seconds=4)
LONG = timedelta(minutes=10)
FILLED = said("v1", Status.FILLED, "1")
ONE = Holder(name="one:1", process="boot 1", config={"orders.table": "a%s'b"})
TWO = Holder(name="two:2", process="boot 2")

Leases: TypeAlias = "Callable[[Opened], TableLeases]"


@pytest.fixture
async def leases_of() -> AsyncIterator[Callable[[Opened], TableLeases]]:
    """The leases of an open store; closed after the test, before the store is."""
    made: list[TableLeases] = []

    def beside(it: Opened) -> TableLeases:
        assert isinstance(it.store, TableStore)
        made.append(it.store.leases())
        return made[-1]

    yield beside
    for leases in made:
        await leases.close()


def end(it: Opened, *, ago: str = "2026-02-01T00:00:00.000000Z") -> None:
    """Let every lease have ended: nobody waits in a test for a server's clock."""
    it.bench.run(f"UPDATE ordersync_leases SET until_at = '{ago}'")  # noqa: S608


async def test_a_lease_is_one_holders_until_it_ends(opened: Open, leases_of: Leases) -> None:
    it = await opened()
    leases = leases_of(it)
    assert await leases.list_leases() == []
    first = await leases.claim_lease(ACCOUNT, ONE, LONG)
    assert (first.account, first.holder, first.token, first.is_live) == (ACCOUNT, ONE, 1, True)
    assert timedelta(minutes=9) < first.left <= LONG
    second = await leases.claim_lease(ACCOUNT, TWO, LONG)
    assert (second.holder, second.token) == (ONE, 1)
    end(it)
    taken = await leases.claim_lease(ACCOUNT, TWO, LONG)
    assert (taken.holder, taken.token, taken.is_live) == (TWO, 2, True)
    assert [lease.holder for lease in await leases.list_leases()] == [TWO]


async def test_each_account_has_a_lease_of_its_own(opened: Open, leases_of: Leases) -> None:
    leases = leases_of(await opened())
    await leases.claim_lease("a", ONE, LONG)
    await leases.claim_lease("A", TWO, LONG)
    found = await leases.list_leases()
    assert [(one.account, one.holder, one.token) for one in found] == [("A", TWO, 1), ("a", ONE, 1)]


async def test_only_who_has_it_renews_it_even_after_it_ended(
    opened: Open, leases_of: Leases
) -> None:
    it = await opened()
    leases = leases_of(it)
    lease = await leases.claim_lease(ACCOUNT, ONE, TERM)
    end(it)
    assert await leases.renew_lease(lease, LONG)
    (found,) = await leases.list_leases()
    assert (found.token, found.is_live) == (1, True)
    assert found.left > timedelta(minutes=9)
    end(it)
    await leases.claim_lease(ACCOUNT, TWO, LONG)
    assert not await leases.renew_lease(lease, LONG)
    await leases.give_back_lease(lease)
    (found,) = await leases.list_leases()
    assert (found.holder, found.is_live) == (TWO, True)


async def test_one_that_was_given_back_is_taken_at_once(opened: Open, leases_of: Leases) -> None:
    leases = leases_of(await opened())
    lease = await leases.claim_lease(ACCOUNT, ONE, LONG)
    await leases.give_back_lease(lease)
    (found,) = await leases.list_leases()
    assert (found.holder, found.is_live) == (ONE, False)
    taken = await leases.claim_lease(ACCOUNT, TWO, LONG)
    assert (taken.holder, taken.token) == (TWO, 2)


async def test_the_lease_of_a_dead_holder_is_taken_by_its_token_alone(
    opened: Open, leases_of: Leases
) -> None:
    leases = leases_of(await opened())
    lease = await leases.claim_lease(ACCOUNT, ONE, LONG)
    not_it = await leases.claim_lease(ACCOUNT, TWO, LONG, over=lease.token + 1)
    assert not_it.holder == ONE
    taken = await leases.claim_lease(ACCOUNT, TWO, LONG, over=lease.token)
    assert (taken.holder, taken.token) == (TWO, 2)
    again = await leases.claim_lease(ACCOUNT, ONE, LONG, over=lease.token)
    assert again.holder == TWO


async def test_a_lease_from_before_the_clock_was_set_back_keeps_nobody_out(
    opened: Open, leases_of: Leases
) -> None:
    it = await opened()
    leases = leases_of(it)
    await leases.claim_lease(ACCOUNT, ONE, TERM)
    end(it, ago="2099-01-01T00:00:00.000000Z")
    taken = await leases.claim_lease(ACCOUNT, TWO, TERM)
    assert (taken.holder, taken.token) == (TWO, 2)
    assert taken.left <= TERM


async def test_of_many_who_take_it_at_once_one_has_it(opened: Open, leases_of: Leases) -> None:
    first = await opened()
    others = [first, *[await opened(table=None) for _ in range(3)]]
    everybody = [
        (leases_of(it), Holder(name=f"h{n}", process=f"{n}")) for n, it in enumerate(others)
    ]
    for token in range(1, 6):
        claims = (leases.claim_lease(ACCOUNT, holder, LONG) for leases, holder in everybody)
        found = await asyncio.gather(*claims)
        assert {lease.token for lease in found} == {token}
        assert len({lease.holder.name for lease in found}) == 1
        end(first)


async def test_the_databases_clock_is_what_leases_go_by(opened: Open, leases_of: Leases) -> None:
    it = await opened()
    leases = leases_of(it)
    before = await leases.read_clock()
    lease = await leases.claim_lease(ACCOUNT, ONE, TERM)
    assert timedelta(0) <= lease.until - before - TERM < timedelta(seconds=60)
    if before != NOON:  # a server: what this machine's clock says does not matter
        it.clock.forward(timedelta(hours=1))
        assert abs(await leases.read_clock() - before) < timedelta(seconds=60)
        long = await leases.claim_lease("other", ONE, LONG)
        it.clock.forward(timedelta(hours=1))
        assert (await leases.claim_lease("other", TWO, LONG)).holder == long.holder


async def test_doctor_tells_how_far_this_machines_clock_is_off_the_databases(
    opened: Open, leases_of: Leases, tmp_path: Path
) -> None:
    it = await opened()
    leases = leases_of(it)
    account = {"venue": "coinbase", "key_file": "key.json"}
    content = {
        "database": {"url": "sqlite:///bot.db"},
        "orders": it.orders.model_dump(exclude_none=True),
        "accounts": {ACCOUNT: account},
    }
    settings = configuration.build(tmp_path / "ordersync.toml", content)
    found = await examine_leases(settings, leases, it.clock)
    is_off = abs(await leases.read_clock() - it.clock.now()) > timedelta(seconds=5)
    assert [one.about for one in found] == (["clock"] if is_off else [])
    await leases.claim_lease(ACCOUNT, ONE, LONG)
    (lease, *_) = await examine_leases(settings, leases, it.clock)
    assert (lease.about, lease.severity) == (f"{ACCOUNT}: lease", Severity.ERROR)
    assert "orders.status" in lease.what


# --- what is written under a lease ------------------------------------------------------------


async def fenced(it: Opened, leases: TableLeases) -> Lease:
    lease = await leases.claim_lease(ACCOUNT, ONE, LONG)
    it.store.fence(ACCOUNT, lease)
    return lease


async def test_who_holds_the_lease_writes(opened: Open, leases_of: Leases) -> None:
    it = await opened(*pending(2))
    await fenced(it, leases_of(it))
    await ingest_one(it.store, FILLED)
    await it.store.keep_account(AccountRecord(account=ACCOUNT, identity="me"))
    assert it.bench.rows()[0]["status"] == "completed"
    assert (await it.store.get_account(ACCOUNT)).identity == "me"


@pytest.mark.parametrize("how", ["taken over", "ended", "gone"])
async def test_who_lost_the_lease_writes_nothing(how: str, opened: Open, leases_of: Leases) -> None:
    it = await opened(*pending(2))
    leases = leases_of(it)
    await fenced(it, leases)
    await ingest_one(it.store, said("v1", Status.NEW, "0.5"))
    (known,) = await read(it.store, FILLED)
    before, rows = it.bench.ours(), it.bench.rows()
    if how == "gone":
        it.bench.run("DELETE FROM ordersync_leases")
    else:
        end(it)
    if how == "taken over":
        await leases.claim_lease(ACCOUNT, TWO, LONG)
    with pytest.raises(LeaseLost):
        await it.store.advance(ACCOUNT, [step(known, merge(known.truth, FILLED))])
    with pytest.raises(LeaseLost):
        await it.store.keep_account(AccountRecord(account=ACCOUNT, identity="me"))
    assert (it.bench.ours(), it.bench.rows()) == (before, rows)
    assert (await it.store.get_account(ACCOUNT)).identity is None
    # Others' accounts are no matter of this lease, nor is reading.
    await it.store.keep_account(AccountRecord(account="other", identity="me"))
    assert [k.version for k in await read(it.store, FILLED)] == [known.version]
    it.store.fence(ACCOUNT, None)
    await ingest_one(it.store, FILLED)
    assert it.bench.rows()[0]["status"] == "completed"


async def test_a_renewed_lease_lets_write_again(opened: Open, leases_of: Leases) -> None:
    it = await opened(*pending(1))
    leases = leases_of(it)
    lease = await fenced(it, leases)
    end(it)
    with pytest.raises(LeaseLost):
        await ingest_one(it.store, FILLED)
    assert await leases.renew_lease(lease, LONG)
    await ingest_one(it.store, FILLED)
    assert it.bench.rows()[0]["status"] == "completed"


async def test_who_never_had_a_lease_writes_beside_who_has_it(
    opened: Open, leases_of: Leases
) -> None:
    it = await opened(*pending(1))
    other = await opened(table=None)
    await fenced(it, leases_of(it))
    await ingest_one(other.store, FILLED)
    assert it.bench.rows()[0]["status"] == "completed"


# --- requests ---------------------------------------------------------------------------------


def wanted(request_id: str, account: str = ACCOUNT, body: str = '{"a":"%s\'"}') -> DueRequest:
    return DueRequest(request_id=request_id, account=account, kind="verify", body=body)


async def test_a_request_reaches_the_owner_and_its_answer_who_asked(
    opened: Open, leases_of: Leases
) -> None:
    it = await opened()
    asker, owner = leases_of(it), leases_of(await opened(table=None))
    for request in (wanted("r1"), wanted("r2", "other"), wanted("r3")):
        await asker.put_request(request)
    assert await owner.list_requests([ACCOUNT]) == [wanted("r1"), wanted("r3")]
    assert [one.request_id for one in await owner.list_requests([ACCOUNT, "other"])] == [
        "r1",
        "r2",
        "r3",
    ]
    assert await owner.list_requests([]) == []
    assert await asker.take_answer("r1") is None
    await owner.answer_request("r1", '"done"')
    assert await owner.list_requests([ACCOUNT]) == [wanted("r3")]
    assert await asker.take_answer("r1") == '"done"'
    assert await asker.take_answer("r1") is None
    await asker.drop_request("r3")
    await owner.answer_request("r3", '"late"')
    assert await owner.list_requests([ACCOUNT]) == []


async def test_requests_whose_asker_has_gone_are_forgotten(opened: Open, leases_of: Leases) -> None:
    it = await opened()
    leases = leases_of(it)
    await leases.put_request(wanted("r1"))
    assert await leases.drop_old_requests(timedelta(minutes=5)) == 0
    it.bench.run("UPDATE ordersync_requests SET put_at = '2026-02-01T00:00:00.000000Z'")
    await leases.put_request(wanted("r2"))
    assert await leases.drop_old_requests(timedelta(minutes=5)) == 1
    assert [one.request_id for one in await leases.list_requests([ACCOUNT])] == ["r2"]


async def test_tables_of_the_third_version_are_brought_forward_for_leases(
    opened: Open, leases_of: Leases
) -> None:
    it = await opened(*pending(1))
    await it.store.close()
    for name in schema.tables_since(3):
        it.bench.run(f"DROP TABLE ordersync_{name}")
    it.bench.run("UPDATE ordersync_schema SET version = 3")
    reader = it.bench.store(it.orders, it.clock)
    assert isinstance(reader, TableStore)
    await reader.open(create=False)
    leases = reader.leases()
    assert await leases.list_leases() == []
    await leases.close()
    await reader.close()
    again = await opened(table=None)
    assert it.bench.run("SELECT version FROM ordersync_schema") == [(schema.VERSION,)]
    assert (await leases_of(again).claim_lease(ACCOUNT, ONE, TERM)).token == 1
