"""What becomes of work on a line's thread when whoever asked for it has gone."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, NoReturn

import pytest

from ordersync.errors import LeaseLost
from ordersync.store.line import Line
from ordersync.store.makes.postgres import PostgresServer

if TYPE_CHECKING:
    from typing import Any

    from ordersync.store.database import Session
    from tests.servers.place import Server


@pytest.mark.parametrize("error", [LeaseLost, ZeroDivisionError])
async def test_of_work_that_nobody_waits_for_only_a_mistake_of_ours_is_told(
    postgres18: Server, error: type[Exception]
) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    begun, may_end = threading.Event(), threading.Event()

    def work(_: Session) -> NoReturn:
        begun.set()
        may_end.wait(30)
        raise error

    line = Line(PostgresServer(postgres18.new_database()), "test")
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(line.with_session(work))
        await asyncio.to_thread(begun.wait, 30)
        # As when another has taken the account over, and what was begun for it is canceled.
        asked.cancel()
    may_end.set()
    await line.close()
    del asked, group
    gc.collect()
    assert len(told) == (error is ZeroDivisionError)
