"""Verify before answering: fresh for nothing, asked once for all, never a guess."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from ordersync.ports import OrderName, Overlay
from ordersync.simulator import Fault, Kind, Life
from ordersync.sync.answering import NOTHING_KNOWN, PATIENCE
from ordersync.truth.model import Status
from tests.system.house import House, Placed, ago, built
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.service import Service
    from ordersync.sync.answering import Answer

NOW = timedelta(0)
MINUTE = timedelta(minutes=1)
SELDOM = {"interval": "10m"}


async def ask(
    service: Service, placed: Placed, max_age: timedelta = timedelta(seconds=2)
) -> Answer:
    (answer,) = await service.answering.fresh("main", [OrderName(placed.order_id)], max_age)
    return answer


async def at_ease(house: House) -> None:
    """Wait until the first passes are over and nothing is asked by itself for a while."""
    await house.wait(seconds=90)
    house.forget_asked()


def batches(house: House) -> int:
    return len(house.asked("list"))


@virtually
async def test_a_thousand_who_ask_at_once_share_the_questions(tmp_path: Path) -> None:
    async with built(tmp_path, sync={"interval": "1h"}) as house:
        placed = [house.place() for _ in range(1_000)]
        async with house.running() as service:
            await at_ease(house)
            answers = await asyncio.gather(*(ask(service, one) for one in placed))
            assert all(answer.is_verified for answer in answers)
            assert batches(house) == 10
            assert len(house.asked()) == 10
            # They are as fresh as that for whoever comes within the time.
            answers = await asyncio.gather(*(ask(service, one) for one in placed))
            assert all(answer.is_verified for answer in answers)
            assert len(house.asked()) == 10


@virtually
async def test_who_asks_while_his_order_is_asked_about_shares_the_answer(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        placed = house.place()
        async with house.running() as service:
            await at_ease(house)
            house.faults.add(Fault(kind=Kind.LATENCY, on="list", value=1))
            async with asyncio.TaskGroup() as group:
                first = group.create_task(ask(service, placed))
                await house.wait(seconds=0.5)
                assert (await ask(service, placed)).is_verified
            assert first.result().is_verified
            assert batches(house) == 1


@virtually
async def test_what_was_asked_before_is_not_now(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        placed = house.place()
        async with house.running() as service:
            await at_ease(house)
            house.faults.add(Fault(kind=Kind.LATENCY, on="list", value=1))
            async with asyncio.TaskGroup() as group:
                first = group.create_task(ask(service, placed, NOW))
                await house.wait(seconds=0.5)
                began = house.clock.now()
                second = await ask(service, placed, NOW)
            assert second.is_verified
            assert second.verified_at
            assert second.verified_at >= began
            assert first.result().is_verified
            assert batches(house) == 2


@virtually
async def test_an_end_that_nobody_told_is_in_the_answer_and_in_the_row(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        life = Life.filled(timedelta(hours=1, seconds=145))
        placed = house.place(life)
        async with house.running() as service:
            await at_ease(house)
            assert (await ask(service, placed)).is_verified
            await house.wait(minutes=1)
            assert house.untrue(placed)
            answer = await ask(service, placed)
            assert answer.is_verified
            assert answer.why == ""
            assert answer.known
            assert answer.known.truth
            assert answer.known.truth.status is Status.FILLED
            assert house.untrue(placed) == []
            ((source,),) = house.sql(
                "SELECT json_extract(body, '$.source') FROM ordersync_events WHERE kind = 'changed'"
                " AND json_extract(body, '$.after.word') = 'completed'"
            )
            assert source == "demand"


@virtually
async def test_a_silent_exchange_makes_an_answer_unverified_and_changes_nothing(
    tmp_path: Path,
) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        placed = house.place(Life.filled(timedelta(hours=1, minutes=2)))
        async with house.running() as service:
            await at_ease(house)
            house.faults.add(Fault(kind=Kind.TIMEOUT, value=60))
            await house.wait(minutes=1)
            before, began = house.dump(), house.clock.monotonic()
            answer = await ask(service, placed)
            assert house.clock.monotonic() - began <= PATIENCE.total_seconds() + 0.5
            assert not answer.is_verified
            assert answer.why == "the exchange has not answered within 4 s"
            assert answer.known
            assert answer.known.truth
            assert not answer.known.truth.is_final
            assert answer.verified_at
            assert answer.verified_at < house.clock.now() - MINUTE
            assert house.dump() == before
            house.faults.clear()
            await house.wait(seconds=30)
            assert (await ask(service, placed)).is_verified


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(kind=Kind.SERVER_ERROR, on="list"), "500"),
        (Fault(kind=Kind.UNAUTHORIZED, on="list"), "401"),
        (Fault(kind=Kind.UNKNOWN_STATUS, on="list"), "SETTLING"),
    ],
)
def test_an_unusable_answer_is_the_reason(tmp_path: Path, fault: Fault, says: str) -> None:
    @virtually
    async def main() -> None:
        async with built(tmp_path, sync=SELDOM) as house:
            placed = house.place()
            async with house.running() as service:
                await at_ease(house)
                house.faults.add(fault)
                answer = await ask(service, placed)
                assert not answer.is_verified
                assert says in answer.why

    main()


@virtually
async def test_a_pass_that_takes_its_time_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        stuck = [house.place() for _ in range(3_000)]
        async with house.running() as service:
            house.faults.add(Fault(kind=Kind.LATENCY, on="list", value=1))
            await house.wait(seconds=1.5)
            assert batches(house) < 30
            answer = await ask(service, stuck[-1])
            assert answer.is_verified


@virtually
async def test_an_order_that_is_not_there_is_no_verified_one(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        house.place()
        async with house.running() as service:
            await at_ease(house)
            new, old = house.invent(age=ago(seconds=2)), house.invent(age=ago(hours=2))
            answer = await ask(service, new)
            assert not answer.is_verified
            assert answer.why == "not at the venue yet"
            answer = await ask(service, old)
            assert not answer.is_verified
            assert answer.why == "not found at the venue; not proven yet"
            assert house.absences() == {old.order_id: "suspect"}


@virtually
async def test_an_absence_that_is_proven_is_an_answer(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        house.place()
        gone = house.invent()
        async with house.running() as service:
            await house.wait(minutes=25)
            answer = await ask(service, gone, NOW)
            assert answer.known
            assert answer.known.absent
            assert answer.known.absent.overlay is Overlay.UNKNOWN
            assert answer.is_verified


@virtually
async def test_a_row_without_the_venues_id_is_answered_by_its_client_id(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        house.place()
        async with house.running() as service:
            await at_ease(house)
            placed = house.place(Life.filled(), order_id=None)
            name = OrderName(None, placed.client_id)
            (answer,) = await service.answering.fresh("main", [name], NOW)
            assert answer.is_verified
            assert answer.known
            assert answer.known.key == f"v:{placed.order_id}"
            assert house.untrue(placed) == []


@virtually
async def test_what_ended_long_ago_does_not_age(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        placed = house.place(Life.filled())
        async with house.running() as service:
            await house.wait(minutes=30)
            house.forget_asked()
            assert (await ask(service, placed)).is_verified
            assert house.asked() == []
            # Whoever wants it from the exchange's own mouth gets it.
            assert (await ask(service, placed, NOW)).is_verified
            assert batches(house) == 1


@virtually
async def test_of_a_name_that_nothing_has_the_exchange_is_not_asked(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        placed = house.place()
        async with house.running() as service:
            await at_ease(house)
            names = [OrderName(house.new_id()), OrderName(placed.order_id), OrderName(None, "?")]
            first, second, third = await service.answering.fresh("main", names, NOW)
            assert (first.why, third.why) == (NOTHING_KNOWN, NOTHING_KNOWN)
            assert (first.is_verified, second.is_verified, third.is_verified) == (0, 1, 0)
            assert batches(house) == 1


@virtually
async def test_a_partial_fill_is_in_the_answer(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        life = Life.open(fills=[(timedelta(hours=1, minutes=3), Decimal("0.25"))])
        placed = house.place(life)
        async with house.running() as service:
            await house.wait(minutes=4)
            answer = await ask(service, placed)
            assert answer.known
            assert answer.known.truth
            assert answer.known.truth.filled_qty == Decimal("0.25")
            assert house.untrue(placed) == []


@virtually
async def test_before_an_account_is_served_nothing_is_verified(tmp_path: Path) -> None:
    async with built(tmp_path, sync=SELDOM) as house:
        placed = house.place()
        async with house.serving() as service:
            answer = await ask(service, placed)
            assert not answer.is_verified
            assert answer.why
