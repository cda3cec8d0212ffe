"""The operator's acts beside a running service: who is believed, and until when."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.errors import ActRefused
from ordersync.ports import OrderName
from ordersync.simulator import Fault, Kind, Life
from ordersync.sync.operator import Word
from ordersync.truth.model import Facts, Status
from tests.system.house import House, Placed, ago, built
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.service import Service
    from ordersync.sync.operator import Acted

MINUTE = timedelta(minutes=1)
CALM = {"interval": "1m"}


def word(status: Status | None = None, reason: str = "ticket 4711", **numbers: str) -> Word:
    told: dict[str, Any] = {name: Decimal(text) for name, text in numbers.items()}
    return Word(by="anna", reason=reason, facts=Facts(status=status, **told))


async def resolve(service: Service, one: Placed, status: Status, **numbers: str) -> Acted:
    name = OrderName(one.order_id)
    return await service.operator.resolve("main", name, word(status, **numbers))


async def correct(
    service: Service, one: Placed, status: Status | None = None, **numbers: str
) -> Acted:
    name = OrderName(one.order_id)
    return await service.operator.correct("main", name, word(status, **numbers))


def told(house: House, kind: str) -> list[dict[str, Any]]:
    found = house.sql("SELECT body FROM ordersync_events WHERE kind = ? ORDER BY log_id, n", kind)
    return [json.loads(body) for (body,) in found]


def shown(house: House, one: Placed) -> tuple[Any, ...]:
    row = house.row(one.row_id)
    return row["status"], row["filled_size"], row["avg_price"], row["fee"]


# --- resolve ----------------------------------------------------------------------------------


@virtually
async def test_what_a_person_knows_of_a_suspect_order_is_in_its_row_and_stays(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        house.place()
        gone = house.invent(age=ago(hours=2))
        await house.sync()
        assert house.absences() == {gone.order_id: "suspect"}
        async with house.serving() as service:
            acted = await resolve(
                service, gone, Status.FILLED, filled_qty="1", avg_price="99.5", fee="0.1"
            )
        assert acted.written
        assert (acted.before.word, acted.before.status) == ("pending", "suspect")
        assert (acted.after.word, acted.after.status) == ("completed", "filled")
        assert shown(house, gone) == ("completed", 1.0, 99.5, 0.1)
        assert house.absences() == {gone.order_id: "resolved"}
        (event,) = told(house, "resolved")
        assert event["source"] == "operator"
        assert event["evidence"]["endpoint"] == "operator:anna"
        assert event["evidence"]["raw"] == "ticket 4711"
        assert event["before"]["status"] is None
        assert event["after"] == {
            "word": "completed",
            "status": "filled",
            "filled_qty": "1",
            "avg_price": "99.5",
            "fee": "0.1",
        }
        assert event["latency_ms"] is None
        # For days the exchange goes on lacking it: that is no news.
        before = house.dump()
        for _ in range(4):
            await house.wait(hours=25)
            report = await house.sync()
            assert report.failed == {}
            assert house.dump() == before
        # A bot that undoes the row is told again what a person said.
        house.update(gone.row_id, status="pending")
        await house.wait(hours=25)
        await house.sync()
        assert shown(house, gone) == ("completed", 1.0, 99.5, 0.1)


@pytest.mark.parametrize("days", [0.1, 2, 29])
def test_a_resolution_yields_to_the_exchange_whenever_it_shows_the_order(
    tmp_path: Path, days: float
) -> None:
    @virtually(limit_seconds=31 * 86_400)
    async def main() -> None:
        async with built(tmp_path) as house:
            house.place()
            life = Life.open(fills=[(MINUTE, Decimal("0.25"))])
            placed = house.place(life, age=ago(hours=30))
            house.faults.add(Fault(kind=Kind.FORGETFUL, value=placed.order_id))
            await house.sync()
            async with house.serving() as service:
                await resolve(service, placed, Status.CANCELED)
            await house.sync()
            assert house.word(placed) == "cancelled"
            house.faults.clear()
            await house.wait(days=days)
            await house.sync()
            assert house.untrue(placed) == []
            assert house.absences() == {}
            first, second = told(house, "resolved")
            assert (first["source"], second["source"]) == ("operator", "poll")
            assert second["before"]["status"] == "canceled"

    main()


@virtually
async def test_a_stream_that_tells_of_a_resolved_order_is_believed_at_once(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM, pushes=True) as house:
        house.place()
        placed = house.place(age=ago(hours=2))
        house.faults.add(Fault(kind=Kind.FORGETFUL, value=placed.order_id))
        async with house.running() as service:
            await house.wait(minutes=2)
            await resolve(service, placed, Status.EXPIRED)
            assert house.word(placed) == "failed"
            house.world.cancel(placed.order_id)
            await house.until_true(placed, within=5)


@pytest.mark.parametrize("days", [0.1, 2, 29])
def test_a_sighting_at_any_age_lifts_suspect_and_unknown(tmp_path: Path, days: float) -> None:
    @virtually(limit_seconds=31 * 86_400)
    async def main() -> None:
        async with built(tmp_path) as house:
            house.place()
            placed = house.place(Life.filled(), age=ago(hours=30))
            young = house.place(Life.filled(), age=ago(hours=2))
            forgotten = [placed.order_id, young.order_id]
            house.faults.add(Fault(kind=Kind.FORGETFUL, value=forgotten))
            await house.sync()
            assert house.absences() == {placed.order_id: "unknown", young.order_id: "suspect"}
            await house.wait(days=days)
            house.faults.clear()
            await house.sync()
            assert house.all_untrue([placed, young]) == {}
            assert house.absences() == {}

    main()


@virtually
async def test_a_resolution_is_undone_by_a_later_one(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM) as house:
        house.place()
        gone = house.invent(age=ago(hours=2))
        async with house.running() as service:
            await house.wait(minutes=2)
            await resolve(service, gone, Status.FILLED, filled_qty="1")
            acted = await resolve(service, gone, Status.CANCELED, filled_qty="0")
            assert acted.before.status == "filled"
            assert house.word(gone) == "cancelled"
            await resolve(service, gone, Status.NEW)
            assert house.word(gone) == "pending"
            assert [e["after"]["status"] for e in told(house, "resolved")] == [
                "filled",
                "canceled",
                "new",
            ]


@virtually
async def test_an_order_that_the_exchange_knows_cannot_be_resolved(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM) as house:
        placed = house.place()
        async with house.running() as service:
            await house.wait(minutes=1)
            before = house.dump()
            with pytest.raises(ActRefused, match="nothing to resolve"):
                await resolve(service, placed, Status.FILLED)
            with pytest.raises(ActRefused, match="nothing is known"):
                await service.operator.resolve(
                    "main", OrderName(house.new_id()), word(Status.FILLED)
                )
            assert house.dump() == before


# --- correct ----------------------------------------------------------------------------------


@virtually
async def test_a_busted_trade_is_corrected_and_the_exchange_that_repeats_it_changes_nothing(
    tmp_path: Path,
) -> None:
    async with built(tmp_path, sync=CALM) as house:
        placed = house.place(Life.filled())
        async with house.running() as service:
            await house.wait(minutes=3)
            assert house.untrue(placed) == []
            acted = await correct(service, placed, Status.CANCELED, filled_qty="0.5")
            assert (acted.before.status, acted.before.filled_qty) == ("filled", "1")
            assert (acted.after.status, acted.after.filled_qty) == ("canceled", "0.5")
            assert {change.column for change in acted.changes} >= {"filled_size"}
            status, filled, price, _ = shown(house, placed)
            assert (status, filled, price) == ("completed", 0.5, 100.0)
            (event,) = told(house, "corrected")
            assert (event["source"], event["evidence"]["endpoint"]) == ("operator", "operator:anna")
            assert event["after"]["status"] == "canceled+fills"
            before = house.dump()
            await house.wait(minutes=10)
            assert house.dump() == before
        # Nor does it for whoever asks by hand, nor after a restart.
        await house.sync()
        assert house.dump() == before
        async with house.running() as service:
            name = OrderName(placed.order_id)
            await house.wait(minutes=1)
            (answer,) = await service.answering.fresh("main", [name], timedelta(0))
            assert answer.is_verified
            assert house.dump() == before


@virtually
async def test_a_correction_of_an_open_order_lets_the_exchange_go_on(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM) as house:
        life = Life.open(fills=[(MINUTE, Decimal("0.25")), (ago(minutes=70), Decimal("0.5"))])
        placed = house.place(life)
        async with house.running() as service:
            await house.wait(minutes=2)
            assert shown(house, placed)[1] == 0.25
            await correct(service, placed, filled_qty="0.2", avg_price="101")
            assert shown(house, placed)[:3] == ("pending", 0.2, 101.0)
            await house.wait(minutes=5)
            assert shown(house, placed)[:3] == ("pending", 0.2, 101.0)
            # The next fill is news: what the exchange says from then on counts again.
            await house.wait(minutes=10)
            assert house.untrue(placed) == []


@virtually
async def test_a_correction_is_undone_by_a_later_one(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM) as house:
        placed = house.place(Life.filled())
        async with house.running() as service:
            await house.wait(minutes=3)
            true = shown(house, placed)
            await correct(service, placed, Status.CANCELED, filled_qty="0.5", fee="0")
            assert shown(house, placed) != true
            await correct(service, placed, Status.FILLED, filled_qty="1", fee=str(true[3]))
            assert shown(house, placed) == true
            await house.wait(minutes=5)
            assert house.untrue(placed) == []
            assert len(told(house, "corrected")) == 2


@virtually
async def test_a_dry_run_shows_what_would_be_and_writes_nothing(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM) as house:
        placed = house.place(Life.filled())
        async with house.running() as service:
            await house.wait(minutes=3)
            before = house.dump()
            name, what = OrderName(placed.order_id), word(Status.CANCELED, fee="0.25")
            acted = await service.operator.correct("main", name, what, dry_run=True)
            assert not acted.written
            assert (acted.after.status, acted.after.fee) == ("canceled", "0.25")
            changes = {change.column: change.true for change in acted.changes}
            assert changes == {"fee": 0.25, "reason": "ticket 4711"}
            assert house.dump() == before


@virtually
async def test_what_cannot_be_corrected_is_refused_with_the_way_out(tmp_path: Path) -> None:
    async with built(tmp_path, sync=CALM) as house:
        placed = house.place(Life.filled())
        gone = house.invent(age=ago(hours=2))
        async with house.running() as service:
            await house.wait(minutes=3)
            before = house.dump()
            with pytest.raises(ActRefused, match="known already"):
                await correct(service, placed, Status.FILLED)
            with pytest.raises(ActRefused, match="more than the order's quantity"):
                await correct(service, placed, filled_qty="2")
            with pytest.raises(ActRefused, match="negative"):
                await correct(service, placed, filled_qty="-1")
            with pytest.raises(ActRefused, match="resolve it"):
                await correct(service, gone, Status.FILLED)
            with pytest.raises(ActRefused, match="empty"):
                await service.operator.correct(
                    "main", OrderName(placed.order_id), word(reason=" ", fee="1")
                )
            assert house.dump() == before


@virtually
async def test_a_correction_by_another_process_reaches_a_service_that_remembers(
    tmp_path: Path,
) -> None:
    async with built(tmp_path, sync=CALM) as house:
        placed = house.place(Life.open(fills=[(MINUTE, Decimal("0.25"))]))
        async with house.running():
            await house.wait(minutes=5)
            async with house.serving() as other:
                await correct(other, placed, Status.CANCELED, filled_qty="0.2")
            await house.wait(minutes=30)
            assert shown(house, placed)[:2] == ("completed", 0.2)
