"""The contract of a look that takes several reads: all of them see one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordersync.store.readers import Readers
from ordersync.store.statement import Ask
from tests.contracts.bench import TRADES

if TYPE_CHECKING:
    from ordersync.store.database import Session
    from tests.contracts.bench import Bench

COUNT = Ask("SELECT count(*) FROM trades")


@pytest.mark.only_on("postgres18", "postgres16", "postgres15", "pgbouncer", "mariadb")
async def test_what_is_written_between_two_reads_of_one_moment_is_not_seen(bench: Bench) -> None:
    bench.create(TRADES)
    bench.insert({"id": 1, "order_id": "a", "status": "pending"})
    readers = Readers(bench.database)

    def look(session: Session) -> list[object]:
        with readers.one_moment(session):
            ((before,),) = session.fetch(COUNT)
            bench.insert({"id": 2, "order_id": "b", "status": "pending"})
            ((between,),) = session.fetch(COUNT)
        ((after,),) = session.fetch(COUNT)
        return [before, between, after]

    assert await readers.ask(look) == [1, 1, 2]
    # The connection is as it was: the next look sees what is there by then.
    assert await readers.ask(lambda session: session.fetch(COUNT)) == [(2,)]
    readers.close()


async def test_a_look_at_one_moment_leaves_no_transaction_behind(bench: Bench) -> None:
    bench.create(TRADES)
    readers = Readers(bench.database)

    def look(session: Session) -> bool:
        with readers.one_moment(session):
            session.fetch(COUNT)
        return session.in_transaction

    assert not await readers.ask(look)
    bench.insert({"id": 1, "order_id": "a", "status": "pending"})
    assert await readers.ask(lambda session: session.fetch(COUNT)) == [(1,)]
    readers.close()
