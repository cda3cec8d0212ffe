from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from ordersync.ports import OrderName
from ordersync.sync.ingest import Ingest
from ordersync.sync.parcels import Parcel
from ordersync.truth.evidence import AbsencePolicy, Sighting
from ordersync.truth.model import Report, Source, Status
from tests.contracts.bench import ACCOUNT, NOON, said

if TYPE_CHECKING:
    from ordersync.sync.ingest import Taken
    from tests.contracts.bench import Opened, Row
    from tests.contracts.conftest import Open


def pending(count: int) -> list[Row]:
    return [{"order_id": f"v{n}", "status": "pending"} for n in range(1, count + 1)]


def ingest_on(it: Opened) -> Ingest:
    return Ingest(it.store, it.clock, policy=AbsencePolicy(), told_after=timedelta(minutes=5))


def parcel(*reports: Report) -> Parcel:
    return Parcel(
        account=ACCOUNT,
        source=Source.STREAM,
        asked_at=NOON,
        venue_now=NOON + timedelta(days=1),
        sightings=[Sighting(report=report, endpoint="stream") for report in reports],
    )


async def taken_together(ingest: Ingest, *parcels: Parcel) -> list[Taken]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ingest.take(one)) for one in parcels]
    return [task.result() for task in tasks]


def commits_of(taken: list[Taken]) -> set[str]:
    events = [event for one in taken for outcome in one.outcomes for event in outcome.events]
    return {event.id.partition("-")[0] for event in events}


async def test_what_waits_together_is_committed_together(opened: Open) -> None:
    it = await opened(*pending(60))
    parcels = [parcel(said(f"v{n}", Status.FILLED, "1")) for n in range(1, 61)]

    taken = await taken_together(ingest_on(it), *parcels)

    assert [len(one.outcomes) for one in taken] == [1] * 60
    assert len(commits_of(taken)) <= 2  # the first goes ahead alone at most, the rest waited
    assert {row["status"] for row in it.bench.rows()} == {"completed"}


async def test_two_that_speak_of_one_order_are_both_heard(opened: Open) -> None:
    it = await opened(*pending(1))
    later = NOON + timedelta(seconds=1)
    parcels = [
        parcel(said("v1", Status.NEW, "0.4")),
        parcel(said("v1", Status.CANCELED, "0.4", at=later)),
        parcel(said("v1", Status.NEW, "0.7")),
    ]

    await taken_together(ingest_on(it), *parcels)

    (known,) = await it.store.read(ACCOUNT, [OrderName("v1")])
    assert known.truth is not None
    assert (known.truth.status, str(known.truth.filled_qty)) == (Status.CANCELED, "0.7")
    assert it.bench.rows()[0]["status"] == "completed"


async def test_one_who_leaves_takes_nobody_elses_report_along(opened: Open) -> None:
    it = await opened(*pending(9))
    ingest = ingest_on(it)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(ingest.take(parcel(said(f"v{n}", Status.FILLED, "1"))))
            for n in range(1, 10)
        ]
        for _ in range(3):
            await asyncio.to_thread(int)  # let the first one begin
        tasks[0].cancel()
    assert all(task.result().outcomes for task in tasks[1:])
    assert [row["status"] for row in it.bench.rows()][1:] == ["completed"] * 8


async def test_one_that_cannot_be_written_fails_alone(opened: Open) -> None:
    it = await opened(*pending(5))
    it.bench.refuse("completed", loudly=True, key=3)
    parcels = [parcel(said(f"v{n}", Status.FILLED, "1")) for n in range(1, 6)]

    taken = await taken_together(ingest_on(it), *parcels)

    assert [one.outcomes[0].result.value for one in taken] == [
        "won",
        "won",
        "unwritable",
        "won",
        "won",
    ]
