"""Rows of orders that were replaced, at a venue where an edit makes a new order: Alpaca."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from ordersync import settings as configuration
from ordersync.metered import Count
from ordersync.ports import OrderName
from ordersync.service import Visits
from ordersync.service import serving as serving_orders
from ordersync.simulator import serving
from ordersync.sync.accuracy import EVERY, SETTLED_FOR
from ordersync.sync.audit import Difference
from ordersync.sync.operator import Word
from ordersync.truth.model import Facts
from tests.system.house import WORDS, naive
from tests.venues.broker import PORT, Broker
from tests.virtual import VirtualClock, virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ordersync.service import Service
    from ordersync.settings import Settings
    from ordersync.sync.audit import Audit
    from ordersync.sync.work import PassReport

TABLE = """
CREATE TABLE trades (
  id INTEGER PRIMARY KEY, order_id TEXT, client_id TEXT, status TEXT NOT NULL,
  created_at DATETIME, filled_at DATETIME, filled_size FLOAT, avg_price FLOAT
)"""


@dataclass
class Desk:
    """A bot's table, and the broker at which it trades."""

    folder: Path
    broker: Broker
    url: str
    orders: dict[str, Any]

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.folder / "bot.db")) as connection:
            found = connection.execute(statement, values).fetchall()
            connection.commit()
            return found

    def insert(self, order_id: str) -> int:
        at = naive(self.broker.now() - timedelta(minutes=10))
        order = self.broker.order(order_id)
        ((row,),) = self.sql(
            "INSERT INTO trades (order_id, client_id, status, created_at)"
            " VALUES (?, ?, 'pending', ?) RETURNING id",
            order_id,
            order["client_order_id"],
            at,
        )
        return int(row)

    def row(self, row_id: int) -> tuple[Any, ...]:
        (found,) = self.sql(
            "SELECT order_id, status, filled_size, avg_price FROM trades WHERE id = ?", row_id
        )
        return found

    def replace(self, order_id: str, **other: str) -> str:
        heir = self.broker.place()
        self.broker.order(heir).update(replaces=order_id, **other)
        old = self.broker.order(order_id)
        old |= {"status": "replaced", "replaced_by": heir}
        return heir

    def fill(self, order_id: str, status: str, qty: str, price: str) -> None:
        order, now = self.broker.order(order_id), self.broker.now()
        order |= {"status": status, "filled_qty": qty, "filled_avg_price": price}
        order["filled_at"] = now.isoformat() if status == "filled" else None
        self.broker.fill(order_id, now, qty)

    def settings(self) -> Settings:
        content: dict[str, Any] = {
            "database": {"url": f"sqlite:///{self.folder / 'bot.db'}"},
            "orders": {
                "table": "trades",
                "id": "id",
                "venue_order_id": "order_id",
                "client_order_id": "client_id",
                "status": "status",
                "created_at": "created_at",
                "filled_at": "filled_at",
                "filled_qty": "filled_size",
                "avg_price": "avg_price",
                "account": "main",
                "status_words": WORDS,
                **self.orders,
            },
            "accounts": {
                "main": {
                    "venue": "alpaca",
                    "paper": True,
                    "key_file": "alpaca.json",
                    "rest_url": self.url,
                }
            },
        }
        return configuration.build(self.folder / "ordersync.toml", content)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Service]:
        made, clock = self.settings(), self.broker.clock
        async with serving_orders(made, create=True, clock=clock) as service:
            yield service

    async def sync(self) -> PassReport:
        async with self.serving() as service:
            (report,) = await service.sync()
            assert not report.failed, report.failed
            return report

    async def audit(self) -> Audit:
        async with self.serving() as service:
            (found,) = await service.audit(timedelta(days=1))
            return found

    def dump(self) -> list[Any]:
        names = ("trades", "ordersync_orders", "ordersync_events")
        return [self.sql(f"SELECT * FROM {name}") for name in names]  # noqa: S608 - our own names


@contextlib.asynccontextmanager
async def desk(folder: Path, **orders: object) -> AsyncIterator[Desk]:
    clock = VirtualClock()
    broker = Broker(clock)
    key = folder / "alpaca.json"
    key.write_text(json.dumps({"key_id": "PKTEST", "secret_key": "a-secret"}))
    key.chmod(0o600)
    async with serving(broker.app, port=PORT) as url:
        made = Desk(folder, broker, url, orders)
        made.sql(TABLE)
        yield made


@virtually
async def test_a_row_follows_the_order_that_replaced_its_own(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        order = at.broker.place(qty="10")
        row = at.insert(order)
        await at.sync()
        at.fill(order, "partially_filled", "1", "100")
        await at.sync()
        assert at.row(row) == (order, "pending", 1.0, 100.0)
        heir = at.replace(order, qty="9")
        await at.sync()
        assert at.row(row) == (order, "pending", 1.0, 100.0)
        at.fill(heir, "partially_filled", "1", "110")
        await at.sync()
        assert at.row(row) == (order, "pending", 2.0, 105.0)
        at.fill(heir, "filled", "3", "104")
        await at.sync()
        assert at.row(row) == (order, "completed", 4.0, 103.0)
        ((filled_at,),) = at.sql("SELECT filled_at FROM trades")
        assert filled_at
        before = at.dump()
        await at.broker.clock.sleep(120)
        await at.sync()
        assert at.dump() == before


@virtually
async def test_a_row_that_is_first_seen_after_its_order_was_replaced_follows_too(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        order = at.broker.place()
        row = at.insert(order)
        last = at.replace(at.replace(at.replace(order)))
        await at.sync()
        assert at.row(row)[:2] == (order, "pending")
        at.broker.order(last)["status"] = "canceled"
        await at.sync()
        assert at.row(row)[:2] == (order, "cancelled")


@virtually
async def test_where_another_row_carries_the_new_id_the_old_one_was_replaced(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        order = at.broker.place()
        at.fill(order, "partially_filled", "1", "100")
        old = at.insert(order)
        heir = at.replace(order)
        new = at.insert(heir)
        await at.sync()
        # Replaced with fills: as long as nothing else is said, the word for canceled with fills.
        assert at.row(old)[:3] == (order, "completed", 1.0)
        assert at.row(new)[:3] == (heir, "pending", None)
        at.fill(heir, "filled", "2", "100")
        await at.sync()
        assert at.row(old)[:3] == (order, "completed", 1.0)
        assert at.row(new)[:3] == (heir, "completed", 2.0)


@virtually
async def test_a_row_of_the_new_order_that_comes_late_takes_it_over(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        order = at.broker.place()
        old = at.insert(order)
        heir = at.replace(order)
        await at.sync()
        assert at.row(old)[1] == "pending"
        new = at.insert(heir)
        await at.sync()
        assert (at.row(old)[1], at.row(new)[1]) == ("failed", "pending")


@virtually
async def test_a_row_waits_while_nobody_has_seen_the_new_order(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        order = at.broker.place()
        row = at.insert(order)
        heir = at.replace(order)
        (hidden,) = [one for one in at.broker.orders if one["id"] == heir]
        at.broker.orders.remove(hidden)
        async with at.serving() as service:
            await service.sync()
        assert at.row(row)[:2] == (order, "pending")
        at.broker.orders.append(hidden | {"status": "filled", "filled_qty": "2"})
        await at.sync()
        assert at.row(row)[:3] == (order, "completed", 2.0)


@virtually
async def test_a_chain_that_bites_its_tail_is_followed_to_nowhere(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        order = at.broker.place()
        row = at.insert(order)
        heir = at.replace(order)
        at.broker.order(heir).update(status="replaced", replaced_by=order)
        await at.sync()
        assert at.row(row)[:2] == (order, "failed")


@virtually
async def test_many_fills_of_the_new_order_are_no_fight_over_the_row(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        order = at.broker.place(qty="20")
        row = at.insert(order)
        heir = at.replace(order, qty="20")
        for n in range(1, 9):
            at.fill(heir, "partially_filled", str(n), "100")
            await at.sync()
            assert at.row(row)[2] == float(n)
        kinds = {kind for (kind,) in at.sql("SELECT kind FROM ordersync_events")}
        assert kinds == {"changed"}


@virtually
async def test_audit_finds_nothing_wrong_with_a_row_that_follows(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        order = at.broker.place()
        at.insert(order)
        at.replace(order)
        await at.sync()
        found = await at.audit()
        assert (found.rows, found.failed) == ([], {})


@virtually
@pytest.mark.parametrize("moves", [False, True])
async def test_audit_and_preview_follow_an_order_that_nobody_has_synced_yet(
    tmp_path: Path,
    moves: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    async with desk(tmp_path, follow_replace=moves) as at:
        order = at.broker.place(qty="10")
        row = at.insert(order)
        middle = at.replace(order, qty="9")
        last = at.replace(middle, qty="8")
        at.fill(last, "filled", "8", "100")
        nobodys = at.broker.place()
        found = await at.audit()
        wrong = {one.difference for one in found.rows if one.row_id == str(row)}
        assert wrong >= {Difference.STATUS, Difference.FILL, Difference.PRICE}
        assert (Difference.OTHER in wrong) is moves
        orphans = [one for one in found.rows if one.row_id is None]
        assert [one.venue_order_id for one in orphans] == [nobodys]
        async with at.serving() as service:
            (shown,) = await service.preview()
        await at.sync()
        told = {str(one.column): one.venue_says for one in shown.rows}
        told.pop("filled_at")
        named = ", ".join(told)
        written = at.sql(f"SELECT {named} FROM trades WHERE id = ?", row)  # noqa: S608 - columns
        assert [str(value) for value in written[0]] == [str(value) for value in told.values()]
        assert at.row(row)[1:] == ("completed", 8.0, 100.0)


@virtually
async def test_audit_says_that_a_row_whose_new_order_is_not_there_could_not_be_verified(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        order = at.broker.place()
        at.insert(order)
        at.broker.order(order).update(status="replaced", replaced_by=(gone := str(uuid4())))
        found = await at.audit()
        assert found.rows == []
        assert gone in found.failed


@virtually
async def test_audit_and_preview_ask_for_rows_that_know_their_client_id_alone(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        old, gone = at.broker.place(), at.broker.place()
        rows = [at.insert(order) for order in (old, gone)]
        at.fill(old, "filled", "2", "100")
        moment = naive(at.broker.now() - timedelta(days=3))
        at.broker.order(old).update(submitted_at=f"{moment}Z", created_at=f"{moment}Z")
        at.sql("UPDATE trades SET order_id = NULL, created_at = ?", moment)
        at.sql("UPDATE trades SET client_id = 'nobody' WHERE id = ?", rows[1])
        found = await at.audit()
        async with at.serving() as service:
            (shown,) = await service.preview()
        for said in (found, shown):
            assert Difference.STATUS in {one.difference for one in said.rows}
            assert {one.row_id for one in said.rows if one.row_id} == {str(rows[0])}
            assert said.failed.keys() == {"nobody"}


@virtually
async def test_where_the_user_says_so_the_id_moves_along_and_the_fills_stay(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, follow_replace=True) as at:
        order = at.broker.place(qty="10")
        row = at.insert(order)
        at.fill(order, "partially_filled", "1", "100")
        heir = at.replace(order, qty="9")
        await at.sync()
        assert at.row(row) == (heir, "pending", 1.0, 100.0)
        at.fill(heir, "partially_filled", "1", "110")
        await at.sync()
        assert at.row(row) == (heir, "pending", 2.0, 105.0)
        last = at.replace(heir, qty="8")
        at.fill(last, "filled", "2", "105")
        await at.sync()
        assert at.row(row) == (last, "completed", 4.0, 105.0)
        await at.broker.clock.sleep(120)
        await at.sync()
        assert at.row(row) == (last, "completed", 4.0, 105.0)
        before = at.dump()
        await at.sync()
        assert at.dump() == before


@virtually
async def test_an_audit_by_a_worker_finds_nothing_wrong_with_an_id_that_moved_along(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, follow_replace=True) as at:
        order = at.broker.place(qty="10")
        at.insert(order)
        at.fill(order, "partially_filled", "1", "100")
        at.replace(order, qty="9")
        await at.sync()
        visits = Visits(at.settings(), at.broker.clock)
        visited = await visits.audit("main", timedelta(days=1))
        assert (visited.differences, visited.failed) == (0, 0)
        await visits.close()


@virtually
async def test_a_sample_finds_nothing_wrong_with_an_ended_row_whose_id_moved_along(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, follow_replace=True) as at:
        order = at.broker.place(qty="10")
        row = at.insert(order)
        at.fill(order, "partially_filled", "1", "100")
        heir = at.replace(order, qty="9")
        at.fill(heir, "filled", "2", "100")
        await at.sync()
        await at.broker.clock.sleep(120)
        await at.sync()
        assert at.row(row)[:3] == (heir, "completed", 3.0)
        await at.broker.clock.sleep(SETTLED_FOR.total_seconds())
        async with at.serving() as service, asyncio.TaskGroup() as group:
            working = group.create_task(service.run())
            await at.broker.clock.sleep(EVERY.total_seconds() + 5)
            assert service.tally.total(Count.ACCURACY_SAMPLED, "main") == 1
            assert service.tally.total(Count.ACCURACY_WRONG, "main") == 0
            working.cancel()


@virtually
async def test_what_an_act_would_write_is_what_it_writes_where_ids_move_along(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, follow_replace=True) as at:
        order = at.broker.place(qty="10")
        row = at.insert(order)
        at.fill(order, "partially_filled", "1", "100")
        heir = at.replace(order, qty="9")
        at.fill(heir, "filled", "2", "100")
        await at.sync()
        word = Word(by="anna", reason="a bust", facts=Facts(avg_price=Decimal(90)))
        async with at.serving() as service:
            correct = service.operator.correct
            would = await correct("main", OrderName(heir), word, dry_run=True)
            await correct("main", OrderName(heir), word)
        told = [str(change.true) for change in would.changes if change.field == "avg_price"]
        assert told == [str(at.row(row)[3])]
        assert at.row(row)[:3] == (heir, "completed", 3.0)


@virtually
async def test_while_it_runs_a_row_follows_within_a_pass(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        order = at.broker.place()
        row = at.insert(order)
        async with at.serving() as service, asyncio.TaskGroup() as group:
            working = group.create_task(service.run())
            await at.broker.clock.sleep(5)
            heir = at.replace(order)
            await at.broker.clock.sleep(45)
            assert at.row(row)[1] == "pending"
            at.fill(heir, "filled", "2", "100")
            await at.broker.clock.sleep(45)
            assert at.row(row)[:3] == (order, "completed", 2.0)
            working.cancel()


@virtually
async def test_a_chain_that_is_longer_with_every_answer_keeps_no_pass_for_ever(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as at:
        chain = [at.broker.place()]
        at.insert(chain[0])

        def lengthen(path: str) -> None:
            if len(chain) < 250 and path == f"/v2/orders/{chain[-1]}":
                chain.append(at.replace(chain[-1]))

        at.broker.before = lengthen
        async with at.serving() as service:
            await service.sync()
        assert 90 < len(chain) < 250
