"""The row belongs to the bot: what it writes meanwhile, undoes, or will not let be written."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Fault, Kind, Life
from tests.system.house import OPEN, TABLE, House, Placed, ago, built, naive
from tests.virtual import run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ordersync.ports import OrderStore, Scan

MINUTE = timedelta(minutes=1)


def asked_for(house: House, placed: Placed) -> int:
    return sum(placed.order_id in one.query for one in house.asked("list"))


# --- rows that the bot has finished --------------------------------------------------------------


@pytest.mark.parametrize("word", ["failed", "cancelled", "completed"])
def test_a_row_finished_without_evidence_is_verified_once(tmp_path: Path, word: str) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            placed = house.place(Life.filled(), status=word)
            async with house.running():
                await house.until_true(placed, within=2)
                await house.wait(minutes=10)
            assert asked_for(house, placed) == 2, "once, and the last look a minute later"

    run_virtually(main)


@virtually
async def test_a_row_that_the_bot_finishes_while_we_run_is_verified_within_a_minute(
    tmp_path: Path,
) -> None:
    """The bot's time-out wrote `failed` although the order filled."""
    async with built(tmp_path) as house, house.running():
        await house.wait(seconds=77)
        placed = house.place(Life.filled(), age=ago(), status="failed")
        assert await house.until_true(placed, within=95) <= 95


@virtually
async def test_a_row_given_up_before_it_learned_its_order_is_repaired_in_one_pass(
    tmp_path: Path,
) -> None:
    """Found by its client id; the order was then read anew, and its row seemed too young."""
    async with built(tmp_path) as house:
        house.place()
        placed = house.place(status="failed", order_id=None)
        await house.sync()
        assert house.row(placed.row_id)["order_id"] == placed.order_id
        assert house.untrue(placed) == []


@virtually
async def test_a_row_finished_long_ago_is_left_alone(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled(), age=ago(days=3), status="failed")
        report = await house.sync()
        assert (report.asked, house.word(placed)) == (0, "failed")


@virtually
async def test_an_old_row_finished_lately_is_verified(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(
            Life.filled(), age=ago(days=3), status="failed", filled_at=naive(house.clock.now())
        )
        await house.sync()
        assert house.untrue(placed) == []


@virtually
async def test_a_word_that_is_true_stays_as_the_bot_spelled_it(tmp_path: Path) -> None:
    words = {
        "pending": ["open"],
        "working": ["open"],
        "completed": ["filled", "canceled+fills"],
        "done": ["filled"],
        "failed": ["rejected", "expired", "canceled", "replaced"],
    }
    async with built(tmp_path, orders={"status_words": words}) as house:
        working = house.place(status="working")
        done = house.place(Life.filled(), status="done")
        await house.sync()
        assert (house.word(working), house.word(done)) == ("working", "done")
        assert house.row(done.row_id)["filled_size"] == 1.0


@virtually
async def test_a_word_outside_the_mapping_is_told_and_never_overwritten(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        odd = house.place(Life.filled(), status="on hold by anna")
        report = await house.sync()
        await house.sync()
        assert house.word(odd) == "on hold by anna"
        assert report.failed == {}


@virtually
async def test_a_row_without_a_word_for_unknown_is_left_open(tmp_path: Path) -> None:
    words = {
        "pending": ["open"],
        "completed": ["filled", "canceled+fills"],
        "failed": ["rejected", "expired", "canceled", "replaced"],
    }
    async with built(tmp_path, orders={"status_words": words}) as house:
        house.place()
        gone = house.invent()
        await house.sync()
        assert house.word(gone) == OPEN
        assert house.events(order=gone.order_id) == ["suspect", "unknown"]


# --- the bot writes the same row -----------------------------------------------------------------


@virtually
async def test_a_bot_that_writes_between_ask_and_write_is_read_again(tmp_path: Path) -> None:
    """The question takes two seconds; after one the bot writes a word of its own."""
    async with built(tmp_path) as house:
        placed = house.place(Life.filled())
        house.faults.add(Fault(kind=Kind.LATENCY, on="list", value=2))
        async with house.running():
            await house.wait(seconds=1)
            house.update(placed.row_id, status="cancelled", fee=99.5, reason="mine")
            await house.wait(seconds=2)
            assert house.untrue(placed) == []
        assert house.row(placed.row_id)["reason"] == "mine"


@virtually
async def test_an_open_answer_from_before_the_bots_final_word_does_not_overwrite_it(
    tmp_path: Path,
) -> None:
    """The bot may know of an end that the answer was too early for."""
    async with built(tmp_path) as house:
        life = Life.filled(timedelta(hours=1, seconds=1.2))
        placed = house.place(life)
        house.faults.add(Fault(kind=Kind.STALE, on="list", value=1, count=1))
        house.faults.add(Fault(kind=Kind.LATENCY, on="list", value=3, count=1))
        async with house.running():
            await house.wait(seconds=2)
            assert house.truth(placed).standing == "filled"
            house.update(placed.row_id, status="completed")
            for _ in range(60):
                await house.wait(seconds=0.5)
                assert house.word(placed) == "completed"
        assert house.untrue(placed) == []
        assert house.events("repaired") == []


@virtually
async def test_a_final_word_that_is_untrue_is_taken_back_by_a_later_answer(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place()
        async with house.running():
            await house.wait(minutes=1)
            house.update(placed.row_id, status="completed")
            await house.wait(seconds=95)
            assert house.word(placed) == OPEN


@virtually
async def test_a_final_word_on_an_old_open_order_is_taken_back_too(tmp_path: Path) -> None:
    """No time of the row tells that the bot has just finished it; the open truth does."""
    async with built(tmp_path) as house:
        placed = house.place(age=ago(days=3))
        async with house.running():
            await house.wait(minutes=1)
            house.update(placed.row_id, status="completed")
            await house.wait(seconds=95)
            assert house.word(placed) == OPEN


@virtually
async def test_a_final_word_written_over_a_true_one_is_repaired(tmp_path: Path) -> None:
    """The bot's patience ends a moment after we wrote the fill: it writes `failed` over it."""
    async with built(tmp_path) as house:
        placed = house.place(Life.filled())
        async with house.running():
            await house.until_true(placed, within=5)
            house.update(placed.row_id, status="failed")
            await house.wait(minutes=3)
        assert house.word(placed) == "completed"


@virtually
async def test_a_deleted_row_stays_deleted(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled())
        house.faults.add(Fault(kind=Kind.LATENCY, on="list", value=2))
        async with house.running():
            await house.wait(seconds=1)
            house.sql("DELETE FROM trades WHERE id = ?", placed.row_id)
            await house.wait(minutes=3)
        assert house.dump("trades") == {"trades": []}


@virtually
async def test_a_row_that_gets_another_order_meanwhile_is_a_new_row(tmp_path: Path) -> None:
    """An answer about the old order is never written onto the new one."""
    async with built(tmp_path) as house:
        old, new = house.place(Life.filled()), house.place()
        house.sql("DELETE FROM trades WHERE id = ?", new.row_id)
        house.faults.add(Fault(kind=Kind.LATENCY, on="list", value=2))
        async with house.running():
            await house.wait(seconds=1)
            house.update(old.row_id, order_id=new.order_id, client_id=new.client_id)
            for _ in range(100):
                await house.wait(seconds=0.5)
                assert house.word(old) == OPEN
        row = house.row(old.row_id)
        assert (row["filled_size"] or 0, row["avg_price"]) == (0, None)


@virtually
async def test_two_rows_of_one_order_get_the_status_and_neither_the_quantities(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        placed = house.place(Life.filled())
        twin = house.insert(order_id=placed.order_id, created_at=naive(house.clock.now()))
        await house.sync()
        rows = [house.row(placed.row_id), house.row(twin)]
        assert {row["status"] for row in rows} == {"completed"}
        assert {row["filled_size"] for row in rows} == {None}
        assert "duplicate_rows" in house.events()
        before = house.dump()
        await house.sync()
        assert house.dump() == before


class Meanwhile:
    """The store of a pass; right after it has read the open rows, somebody does something."""

    def __init__(self, store: OrderStore, deed: Callable[[], object]) -> None:
        self._store, self._deed = store, deed

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._store, name)

    async def scan_open(self, *asked: Any) -> Scan:  # noqa: ANN401 - as the store takes it
        scan = await self._store.scan_open(*asked)
        self._deed()
        return scan


@virtually
async def test_a_row_that_ends_between_two_looks_is_not_taken_for_two(tmp_path: Path) -> None:
    async with built(tmp_path) as house, house.serving() as service:
        placed = house.place()
        reconciler = service.reconcilers["main"]
        deed = partial(house.update, placed.row_id, status="failed")
        reconciler._store = Meanwhile(reconciler._store, deed)  # noqa: SLF001
        await reconciler.full_pass(house.clock.now())
        assert "duplicate_rows" not in house.events()
        assert house.untrue(placed) == []


# --- who undoes what we write --------------------------------------------------------------------


@virtually
async def test_a_row_that_is_undone_is_repaired_a_few_times_and_then_left_for_a_while(
    tmp_path: Path,
) -> None:
    async with built(tmp_path, sync={"interval": "10s"}) as house:
        placed = house.place(Life.filled())
        async with house.running():
            await house.until_true(placed, within=5)
            repairs = 0
            for _ in range(1200):
                await house.wait(seconds=1)
                if house.word(placed) == "completed":
                    repairs += 1
                    house.update(placed.row_id, status=OPEN)
            # Backed off to stale_after: three at once, then one in five minutes.
            assert 5 <= repairs <= 8
            assert house.events("contested") == ["contested"]
            await house.wait(minutes=6)
            assert house.untrue(placed) == []


@virtually
async def test_a_trigger_that_turns_the_word_back_does_not_keep_us_writing(tmp_path: Path) -> None:
    async with built(tmp_path, sync={"interval": "10s"}) as house:
        placed = house.place(Life.filled())
        house.sql(
            "CREATE TRIGGER mine AFTER UPDATE OF status ON trades WHEN NEW.status <> 'pending' "
            "BEGIN UPDATE trades SET status = 'pending' WHERE id = NEW.id; END"
        )
        async with house.running():
            await house.wait(minutes=9)
        assert house.word(placed) == OPEN
        assert house.events("contested") == ["contested"]
        assert len(house.events("repaired", "changed")) <= 5


@pytest.mark.parametrize(
    "refusal",
    [
        "CREATE TRIGGER no BEFORE UPDATE ON trades BEGIN SELECT RAISE(ABORT, 'not yours'); END",
        "CREATE TRIGGER no BEFORE UPDATE ON trades BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER no BEFORE UPDATE ON trades BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
    ],
    ids=["abort", "ignore", "rollback"],
)
def test_a_database_that_refuses_is_told_once_and_loses_nothing_else(
    tmp_path: Path, refusal: str
) -> None:
    async def main() -> None:
        async with built(tmp_path) as house:
            placed, other = house.place(Life.filled()), house.place(Life.filled())
            guarded = refusal.replace("ON trades", f"ON trades WHEN OLD.id = {placed.row_id}")
            house.sql(guarded)
            report = await house.sync()
            assert (house.word(placed), house.untrue(other)) == (OPEN, [])
            assert placed.order_id in report.failed
            await house.sync()
            assert house.events("unwritable") == ["unwritable"]
            # Not tried again while nothing of the row has changed.
            house.sql("DROP TRIGGER no")
            house.update(placed.row_id, reason="tried again by its owner")
            await house.sync()
            assert house.untrue(placed) == []

    run_virtually(main)


@virtually
async def test_a_check_that_forbids_the_word_leaves_the_row_and_tells(tmp_path: Path) -> None:
    table = TABLE.replace(
        "status TEXT NOT NULL", "status TEXT NOT NULL CHECK (status IN ('pending', 'failed'))"
    )
    async with built(tmp_path, table=table) as house:
        placed = house.place(Life.filled())
        failed = house.place(Life.failed())
        report = await house.sync()
        assert house.word(placed) == OPEN
        assert house.untrue(failed) == []
        assert placed.order_id in report.failed


# --- accounts and their rows ---------------------------------------------------------------------


@virtually
async def test_rows_outside_of_where_are_never_asked_for_nor_written(tmp_path: Path) -> None:
    async with built(tmp_path, orders={"where": "bot_id <> 7"}) as house:
        mine, other = house.place(Life.filled()), house.place(Life.filled(), bot_id=7)
        await house.sync()
        assert house.untrue(mine) == []
        assert house.word(other) == OPEN
        assert asked_for(house, other) == 0


@virtually
async def test_a_bot_that_remaps_its_history_finds_the_fills_it_missed(tmp_path: Path) -> None:
    """A canceled order with fills is what the bot owns: its word says so."""
    async with built(tmp_path) as house:
        placed = house.place(Life.canceled(MINUTE, share=Decimal("0.4")), status="cancelled")
        await house.sync()
        assert house.word(placed) == "completed"
        assert house.row(placed.row_id)["filled_size"] == 0.4


@virtually
async def test_a_client_id_with_blanks_around_it_leads_to_its_order_all_the_same(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        order = house.place(Life.filled(), order_id=None)
        house.update(order.row_id, client_id=f" {order.client_id}  ")
        report = await house.sync()
        assert report.failed == {}
        assert house.untrue(order) == []
        assert house.row(order.row_id)["order_id"] == order.order_id


@pytest.mark.parametrize("never", ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"])
@virtually
async def test_a_time_at_the_edge_of_the_calendar_is_none_and_ends_nothing(
    tmp_path: Path, never: str
) -> None:
    """It is what Go writes where it knows no time, or others where something never ends."""
    async with built(tmp_path) as house:
        unnamed = house.place(order_id=None, created_at=never)
        order = house.place(Life.filled(), created_at=never, filled_at=never)
        async with house.running():
            await house.until_true(order, within=5)
            await house.wait(minutes=1)
            later = house.place(Life.filled(), age=ago())
            await house.until_true(later, within=5)
            assert house.word(unnamed) == OPEN
