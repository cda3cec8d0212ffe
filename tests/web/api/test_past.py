"""The past of an order over HTTP, when a part of it has moved out into files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.system.caller import Caller, calling, with_api
from tests.system.test_retention import AGE, ended_long_ago, kept, serving
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.house import House, Placed

ARCHIVE = {"retention": {"after": f"{AGE.days}d"}}


async def moved_out(house: House) -> tuple[Placed, list[str]]:
    """An order whose truth and events are in files; and the kinds of these events."""
    filled, _ = await ended_long_ago(house)
    before = house.events(order=filled.order_id)
    async with serving(house) as service:
        await service.retention.move(AGE)
    assert filled.order_id not in kept(house)
    return filled, before


async def pages(caller: Caller, order: Placed, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        path = f"/api/v1/orders/{order.order_id}/history"
        found.append(await caller.get(path, limit=limit, **cursor))
        if found[-1]["next"] is None:
            return found
        cursor = {"cursor": found[-1]["next"]}


@virtually
async def test_what_moved_out_is_told_before_what_came_since_and_nothing_twice(
    tmp_path: Path,
) -> None:
    async with with_api(tmp_path, more=ARCHIVE) as house:
        order, kinds = await moved_out(house)
        assert len(kinds) > 1
        house.sql("UPDATE trades SET status = 'pending' WHERE id = ?", order.row_id)
        async with calling(house) as caller:
            await house.wait(seconds=60)
            (whole,) = await pages(caller, order, 100)
            assert [event["kind"] for event in whole["events"]] == [*kinds, "repaired"]
            (part,) = whole["archived"]
            assert part["why"] is None
            assert (house.folder / "ordersync-archive" / part["file"]).exists()
            assert part["side"]["status"] == "filled"
            for limit in (1, 2, len(kinds)):
                parts = await pages(caller, order, limit)
                assert [e for page in parts for e in page["events"]] == whole["events"]
                assert all(len(page["events"]) <= limit for page in parts)
                assert parts[0]["archived"] == whole["archived"]


@virtually
async def test_a_file_that_is_away_or_damaged_is_told_and_the_rest_all_the_same(
    tmp_path: Path,
) -> None:
    async with with_api(tmp_path, more=ARCHIVE) as house:
        order, kinds = await moved_out(house)
        house.sql("UPDATE trades SET status = 'pending' WHERE id = ?", order.row_id)
        async with calling(house) as caller:
            await house.wait(seconds=60)
            ((part,),) = [page["archived"] for page in await pages(caller, order, 100)]
            file = house.folder / "ordersync-archive" / part["file"]
            file.write_bytes(b"no archive at all")
            (page,) = await pages(caller, order, 100)
            assert [event["kind"] for event in page["events"]] == ["repaired"]
            assert "cannot be read" in page["archived"][0]["why"]
            file.unlink()
            (page,) = await pages(caller, order, 100)
            assert [event["kind"] for event in page["events"]] == ["repaired"]
            assert "not there" in page["archived"][0]["why"]
            assert str(house.folder) not in str(page["archived"])
        assert kinds
