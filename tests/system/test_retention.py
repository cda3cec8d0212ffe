"""The running service lets what ended long ago move out, and nothing else is disturbed by it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ordersync import settings as configuration
from ordersync.archived import LogSize
from ordersync.errors import ConfigError
from ordersync.ports import Severity
from ordersync.service import examine
from ordersync.service import serving as serving_orders
from ordersync.settings import Retention
from ordersync.simulator import Life
from ordersync.sync.retention import DELETED_AT_ONCE, LARGE, judge_size
from tests.system.house import House, Placed, built
from tests.virtual import EPOCH, virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from pathlib import Path

    from ordersync.service import Service

DAY = timedelta(days=1)
AGE = timedelta(days=3)


@contextlib.asynccontextmanager
async def serving(house: House, *, shadow: bool = False) -> AsyncIterator[Service]:
    """The house's service, which keeps what ended for three days."""
    settings = house.settings().model_copy(update={"retention": Retention(after=AGE)})
    async with serving_orders(settings, create=True, clock=house.clock, shadow=shadow) as service:
        yield service


@contextlib.asynccontextmanager
async def running(house: House, *, shadow: bool = False) -> AsyncIterator[Service]:
    async with serving(house, shadow=shadow) as service, asyncio.TaskGroup() as group:
        working = group.create_task(service.run())
        try:
            yield service
        finally:
            working.cancel()


def archived_lines(house: House, kind: str) -> list[Any]:
    folder = house.folder / "ordersync-archive"
    return [
        json.loads(line)
        for path in sorted(folder.glob(f"{kind}-*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


def kept(house: House) -> set[str]:
    return {key[2:] for (key,) in house.sql("SELECT order_key FROM ordersync_orders")}


async def ended_long_ago(house: House) -> tuple[Placed, Placed]:
    """An order that was filled four days ago, and one that is open; both are known."""
    parts = [(timedelta(minutes=1), Decimal("0.5"))]
    filled = house.place(Life.filled(timedelta(minutes=90), fills=parts))
    still_open = house.place(Life.open())
    async with serving(house) as service:
        await service.sync()
        await house.wait(hours=1)
        await service.sync()
        await house.wait(days=4)
        house.place(Life.open())
        await service.sync()
    return filled, still_open


@virtually
async def test_the_running_service_moves_what_ended_long_ago(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        filled, still_open = await ended_long_ago(house)
        before = house.events(order=filled.order_id)
        rows = house.dump("trades")
        async with running(house):
            await house.wait(minutes=20)
        assert filled.order_id not in kept(house)
        assert still_open.order_id in kept(house)
        assert house.events(order=filled.order_id) == []
        assert house.events(order=still_open.order_id)
        assert [line["kind"] for line in archived_lines(house, "events")] == before
        (order,) = archived_lines(house, "orders")
        assert order["order_key"] == f"v:{filled.order_id}"
        assert house.dump("trades") == rows


@virtually
async def test_what_moved_out_is_not_asked_for_again(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        filled, _ = await ended_long_ago(house)
        async with running(house):
            await house.wait(minutes=20)
            house.forget_asked()
            await house.wait(hours=3)
        assert house.asked()
        assert not any(filled.order_id in str(one) for one in house.asked())
        assert filled.order_id not in kept(house)


@virtually
async def test_a_row_that_is_put_back_is_repaired_though_its_truth_moved_out(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        filled, _ = await ended_long_ago(house)
        async with serving(house) as service:
            await service.retention.move(AGE)
            house.update(filled.row_id, status="pending")
            await service.sync()
        assert house.untrue(filled) == []
        assert house.events(order=filled.order_id) == ["repaired"]


@virtually
async def test_an_order_that_moved_out_is_never_called_unknown(tmp_path: Path) -> None:
    """The exchange may have forgotten it since; the row is asked for, and stays as it is."""
    async with built(tmp_path) as house:
        await ended_long_ago(house)
        async with serving(house) as service:
            await service.retention.move(AGE)
        nobody = house.invent(status="pending")
        house.sql(
            "INSERT INTO ordersync_archived SELECT account, ?, place, ?, NULL, moved_at, side"
            " FROM ordersync_archived WHERE side IS NOT NULL",
            f"v:{nobody.order_id}",
            nobody.order_id,
        )
        for _ in range(4):
            report = await house.sync()
            await house.wait(hours=2)
        assert house.word(nobody) == "pending"
        assert nobody.order_id in report.failed
        assert house.absences() == {}


@virtually
async def test_without_the_section_nothing_moves(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        filled, _ = await ended_long_ago(house)
        async with house.running():
            await house.wait(hours=3)
        assert filled.order_id in kept(house)
        assert not (house.folder / "ordersync-archive").exists()


@virtually
async def test_a_shadow_moves_nothing(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        filled, _ = await ended_long_ago(house)
        async with running(house, shadow=True):
            await house.wait(hours=3)
        assert filled.order_id in kept(house)


@virtually
async def test_a_full_disk_is_told_and_syncing_goes_on(
    tmp_path: Path, logs: list[MutableMapping[str, Any]]
) -> None:
    async with built(tmp_path) as house:
        filled, _ = await ended_long_ago(house)
        async with running(house):
            folder = house.folder / "ordersync-archive"
            await house.wait(seconds=1)
            folder.rmdir()
            folder.write_text("in the way")
            placed = house.place(Life.filled())
            await house.wait(minutes=20)
            assert house.untrue(placed) == []
            assert filled.order_id in kept(house)
            folder.unlink()
            await house.wait(hours=1)
        assert filled.order_id not in kept(house)
        told = [one for one in logs if "Failed to archive" in one["event"]]
        assert [one["log_level"] for one in told] == ["error"]


@virtually
async def test_a_crash_between_file_and_deletion_repeats_lines_and_loses_none(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        filled, _ = await ended_long_ago(house)
        before = house.events(order=filled.order_id)

        async with serving(house) as service:
            # As far as a process comes that dies before it deletes.
            batch = await service.store.list_movable(
                "main", before=house.clock.now() - AGE, after=("", ""), limit=100
            )
            await service.archive.append(batch.lines())
            assert house.events(order=filled.order_id) == before
            await service.retention.move(AGE)
            archive = service.archive
            place = house.clock.now() - 4 * DAY
            events = await archive.read_events(f"{place:%Y-%m}", "main", f"v:{filled.order_id}")
        assert len(archived_lines(house, "events")) == 2 * len(before)
        assert [event.kind.value for event in events or ()] == before


@virtually
async def test_many_orders_move_in_short_transactions(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        count = DELETED_AT_ONCE + 30
        for _ in range(count):
            house.place(Life.filled())
        async with serving(house) as service:
            await service.sync()
            await house.wait(hours=1)
            await service.sync()
            await house.wait(days=4)
            house.place(Life.open())
            await service.sync()
            moved = await service.retention.move(AGE)
        assert (moved.orders, moved.left) == (count, 0)
        assert len(kept(house)) == 1


# --- the section, and what a person is told -----------------------------------------------------


def content(**retention: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "database": {"url": "sqlite:///bot.db"},
        "orders": {
            "table": "t",
            "id": "id",
            "venue_order_id": "v",
            "status": "s",
            "account": "main",
            "status_words": {"pending": ["open"], "done": ["final"]},
        },
        "accounts": {"main": {"venue": "coinbase", "key_file": "key.json"}},
        "retention": retention,
    }


@pytest.mark.parametrize(
    ("retention", "key"),
    [
        ({"after": "47h"}, "retention.after"),
        ({"after": "soon"}, "retention.after"),
        ({"after": 90}, "retention.after"),
        ({"batch": 0}, "retention.batch"),
        ({"folder": ""}, "retention.folder"),
        ({"keep": "90d"}, "retention.keep"),
    ],
)
def test_a_mistake_in_the_section_is_named(
    tmp_path: Path, retention: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration.build(tmp_path / "ordersync.toml", content(**retention))
    assert caught.value.where.endswith(key)
    assert caught.value.mend


def test_what_may_still_be_verified_cannot_be_moved(tmp_path: Path) -> None:
    path = tmp_path / "ordersync.toml"
    both = {**content(after="8d"), "sync": {"verify_recent": "7d"}}
    assert configuration.build(path, both).retention == Retention(after=8 * DAY)
    with pytest.raises(ConfigError) as caught:
        configuration.build(path, {**content(after="7d"), "sync": {"verify_recent": "7d"}})
    assert '"192h"' in caught.value.mend


def test_the_section_alone_is_enough(tmp_path: Path) -> None:
    settings = configuration.build(tmp_path / "ordersync.toml", content())
    assert settings.retention == Retention(after=90 * DAY, folder="ordersync-archive", batch=500)


@virtually
async def test_doctor_tells_how_much_there_is_and_whether_it_can_move(tmp_path: Path) -> None:
    async with built(tmp_path) as house:
        await ended_long_ago(house)
        found = {one.about: one for one in await examine(house.settings(), house.clock)}
        assert found["events"].severity is Severity.OK
        assert "events are stored, the oldest of" in found["events"].what
        (house.folder / "in-the-way").write_text("")
        settings = house.settings().model_copy(update={"retention": Retention(folder="in-the-way")})
        found = {one.about: one for one in await examine(settings, house.clock)}
        assert found["retention"].severity is Severity.ERROR


def test_a_large_log_is_worth_a_warning_until_it_may_move() -> None:
    size = LogSize(events=LARGE, or_more=True, oldest_at=EPOCH)
    warned = judge_size(size, retains=False)
    assert warned.severity is Severity.WARNING
    assert "more than 50,000" in warned.what
    assert "[retention]" in warned.mend
    assert judge_size(size, retains=True).severity is Severity.OK
    small = msgspec.structs.replace(size, events=LARGE - 1, or_more=False)
    assert judge_size(small, retains=False).severity is Severity.OK
