"""Orders at the exchange that have no row: told once, in time, and only where they should be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.errors import ConfigError
from ordersync.ports import OrderName
from ordersync.simulator import Life, limit_gtc
from tests.system.house import House, ago, built
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.simulator.condition import PlacedOrder

CALM = {"interval": "10m"}
MINUTE = timedelta(minutes=1)


def trade_by_hand(house: House, life: Life | None = None, **more: Any) -> PlacedOrder:  # noqa: ANN401
    """An order that somebody places who writes no row."""
    terms = {"side": "BUY", "configuration": limit_gtc("1", "100"), "symbol": house.symbol, **more}
    return house.world.place(
        house.account.portfolio,
        terms.pop("symbol"),
        terms.pop("side"),
        terms.pop("configuration"),
        life=life or Life.open(),
        created_at=terms.pop("created_at", house.clock.now()),
        **terms,
    )


def orphans(house: House) -> list[dict[str, Any]]:
    found = house.sql("SELECT body FROM ordersync_events WHERE kind = 'orphan' ORDER BY log_id, n")
    return [json.loads(body) for (body,) in found]


@virtually
async def test_an_order_that_somebody_places_by_hand_is_told_once(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM, pushes=True) as house:
        house.place()
        async with house.running():
            await house.wait(minutes=1)
            order = trade_by_hand(house)
            await house.wait(seconds=50)
            assert orphans(house) == []
            await house.wait(seconds=70)
            (event,) = orphans(house)
            assert event["order"]["venue_order_id"] == order.order_id
            assert event["order"]["row_id"] is None
            assert event["after"]["status"] == "new"
            house.world.cancel(order.order_id)
            await house.wait(hours=3)
            assert len(orphans(house)) == 1
        async with house.running():
            await house.wait(minutes=10)
            assert len(orphans(house)) == 1


@virtually
async def test_a_fill_before_the_bots_insert_is_no_orphan(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM, pushes=True) as house:
        house.place()
        async with house.running():
            await house.wait(minutes=1)
            order = trade_by_hand(house, Life.filled(timedelta(seconds=1)))
            await house.wait(seconds=40)
            late = house.note(order.order_id, order.client_order_id, order.created_at, {})
            await house.wait(seconds=5)
            assert house.untrue(late) == []
            await house.wait(minutes=10)
            assert orphans(house) == []


@virtually
async def test_a_row_that_appears_after_it_was_told_is_written_as_ever(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM, pushes=True) as house:
        house.place()
        async with house.running():
            await house.wait(minutes=1)
            order = trade_by_hand(house, Life.filled(timedelta(seconds=1)))
            await house.wait(minutes=5)
            assert len(orphans(house)) == 1
            late = house.note(order.order_id, order.client_order_id, order.created_at, {})
            await house.wait(seconds=5)
            assert house.untrue(late) == []


@virtually
async def test_without_push_they_are_found_by_asking_for_what_is_open(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM) as house:
        house.place()
        order = trade_by_hand(house, created_at=house.clock.now() - ago(days=2))
        async with house.running() as service:
            await house.wait(minutes=9)
            assert orphans(house) == []
            await house.wait(minutes=5)
            (event,) = orphans(house)
            assert event["order"]["venue_order_id"] == order.order_id
            assert await service.store.list_open_orphans("main", 10) == [order.order_id]
            # It is followed, so that nobody counts for ever what has ended.
            house.world.cancel(order.order_id)
            await house.wait(hours=1, minutes=5)
            assert await service.store.list_open_orphans("main", 10) == []
            (known,) = await service.store.read("main", [OrderName(order.order_id)])
            assert known.truth
            assert known.truth.is_final


@pytest.mark.parametrize(
    "rules",
    [
        {"ignore_symbols": ["BTC-USD"]},
        {"ignore_client_ids": ["manual-"]},
        {"ignore_placed_before": "2100-01-01"},
    ],
    ids=lambda rules: next(iter(rules)),
)
def test_what_a_rule_names_is_nobodys_business(tmp_path: Path, rules: dict[str, Any]) -> None:
    @virtually
    async def main() -> None:
        more = {"orphans": rules}
        async with built(tmp_path, sync=CALM, pushes=True, more=more) as house:
            house.place()
            async with house.running():
                await house.wait(minutes=1)
                trade_by_hand(house, client_order_id="manual-1")
                await house.wait(minutes=10)
                assert orphans(house) == []

    main()


@virtually
async def test_rules_leave_the_others_to_be_told(tmp_path: Path) -> None:
    rules = {
        "ignore_symbols": ["ETH-USD"],
        "ignore_client_ids": ["web-"],
        "ignore_placed_before": datetime(2020, 1, 1, tzinfo=UTC),
        "grace": "10s",
    }
    async with built(tmp_path, sync=CALM, pushes=True, more={"orphans": rules}) as house:
        house.place()
        async with house.running():
            await house.wait(minutes=1)
            trade_by_hand(house, client_order_id="manual-1")
            await house.wait(seconds=30)
            assert len(orphans(house)) == 1


@virtually
async def test_a_bots_own_orders_are_no_orphans_whatever_becomes_of_them(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM, pushes=True) as house:
        placed = [
            house.place(),
            house.place(Life.filled()),
            house.place(Life.canceled(MINUTE, share=Decimal("0.4"))),
            house.place(order_id=None),
        ]
        house.invent()
        async with house.running():
            await house.wait(minutes=1)
            house.world.cancel(placed[0].order_id)
            await house.wait(minutes=70)
            assert orphans(house) == []


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"grace": "0s"}, "too short"),
        ({"grace": "soon"}, "not a duration"),
        ({"ignore_client_ids": [""]}, "every client id"),
        ({"ignore_placed_before": "once"}, "ignore_placed_before"),
        ({"ignore": ["BTC-USD"]}, "ignore"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(
    tmp_path: Path, rules: dict[str, Any], says: str
) -> None:
    @virtually
    async def main() -> None:
        async with built(tmp_path, more={"orphans": rules}) as house:
            with pytest.raises(ConfigError, match=says):
                house.settings()

    main()
