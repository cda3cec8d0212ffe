"""Silence, in every form that a venue knows, changes nothing; nor does another account's key."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.acceptance.house import House, ago, pause
from tests.acceptance.stub import ELSEWHERE, HOME, Stub

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("401", "403", "200-html", "half-honest", "empty", "null", "no-orders-key", "array")
PATIENT = ("500", "502-html", "429", "429-retry-after", "429-grpc", "half-dishonest", "closed")
LIKELY_CAUSE = re.compile(
    r"portfolio|wrong key|another (account|key)|other (account|key)", re.IGNORECASE
)


def stuck(folder: Path, stub: Stub) -> House:
    """Stuck, wrongly failed and gone; all old enough to be judged, if there were evidence."""
    folder.mkdir()
    house = House(folder, stub)
    house.create()
    for status in ("FILLED", "CANCELLED", "EXPIRED"):
        house.place(
            status=status, filled="4", fee="0.1", created=ago(days=2), last_fill=ago(days=1)
        )
    house.place(
        row={"status": "failed"},
        status="FILLED",
        filled="10",
        fee="0.1",
        last_fill=ago(hours=1),
    )
    house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    return house


def what_a_failing_sync_broke(folder: Path, mode: str, endpoints: str, *, experienced: bool) -> str:
    """One house, one mode; an empty text where all is well."""
    stub = Stub()
    try:
        house = stuck(folder, stub)
        house.ready(unknown="unknown")
        if experienced:  # a good pass lies behind it, and the venue has moved on since
            _, order = house.place(status="OPEN", created=ago(days=2))
            assert house.ordersync("sync").status == 0
            order.update(status="FILLED", filled_size="10", total_fees="0.1")
            house.place(status="CANCELLED", created=ago(days=2))
        before = house.dump()
        stub.turn(mode, endpoints)
        said = house.ordersync("sync")
        faults = [
            fault
            for fault, present in {
                f"exit {said.status} instead of 2": said.status != 2,
                "something was written": house.dump() != before,
                "no count of failures": not re.search(
                    r"Sync complete: 0 updated, 0 not .*, [1-9]", said.out
                ),
                f"complaints {stub.complaints}": bool(stub.complaints),
            }.items()
            if present
        ]
        return f"{mode} on {endpoints or 'all'}: {faults}\n{said}" if faults else ""
    finally:
        stub.close()


@pytest.mark.parametrize(
    ("endpoints", "modes", "experienced"),
    [
        pytest.param("", QUICK, False, id="nothing can be read"),
        pytest.param("", PATIENT, False, id="the venue is in trouble"),
        pytest.param(
            "historical", QUICK, True, id="orders alone cannot be read, after a good pass"
        ),
        pytest.param("historical", PATIENT, True, id="orders alone in trouble, after a good pass"),
    ],
)
@pytest.mark.timeout(300)
def test_nothing_is_written_while_the_venue_does_not_answer(
    tmp_path: Path,
    endpoints: str,
    modes: tuple[str, ...],
    *,
    experienced: bool,
) -> None:
    with ThreadPoolExecutor(5) as pool:
        broken = pool.map(
            lambda mode: what_a_failing_sync_broke(
                tmp_path / mode, mode, endpoints, experienced=experienced
            ),
            modes,
        )
        assert "\n\n".join(fault for fault in broken if fault) == ""


def test_when_only_single_orders_cannot_be_asked_no_absence_is_decided(
    house: House, stub: Stub
) -> None:
    house.place(status="OPEN")
    gone = house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    house.ready(unknown="lost")
    stub.turn("500", r"historical/[0-9a-f]{8}-")

    with house.running("sync") as syncing:
        syncing.until(lambda: stub.asked, 60, "its first question")
        pause(10)  # it may stay for a minute; ten readings would have been enough
        said = syncing.stop(signal.SIGINT)

    assert house.trade(gone).status == "pending", said


def test_when_only_lists_cannot_be_read_no_absence_is_decided(house: House, stub: Stub) -> None:
    house.place(status="OPEN")
    gone = house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3))
    house.ready(unknown="lost")
    stub.turn("no-orders-key", "historical/batch")

    said = house.ordersync("sync")

    assert house.trade(gone).status == "pending", said
    assert said.status == 2


@pytest.mark.parametrize("mode", ["lost-page", "endless"])
def test_what_a_list_without_its_end_lacks_is_not_absent(
    house: House, stub: Stub, mode: str
) -> None:
    placed = [
        house.place(
            status="FILLED", filled="1", fee="0.1", created=ago(days=2), last_fill=ago(days=1)
        )[0]
        for _ in range(6)
    ]
    house.ready(unknown="lost")
    stub.page = 2
    stub.turn(mode)

    said = house.ordersync("sync")

    assert {house.trade(row).status for row in placed} <= {"pending", "completed"}, said
    assert said.status in {0, 2}, said


def test_a_venue_that_never_answers_can_be_waited_for_or_interrupted(
    house: House, stub: Stub
) -> None:
    row, _ = house.place(status="FILLED", filled="1", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    before = house.dump()
    stub.turn("hang")

    with house.running("sync") as syncing:
        syncing.until(lambda: stub.asked, 60, "its first question")
        pause(4)
        assert house.dump() == before
        said = syncing.stop(signal.SIGINT)

    assert said.status == 130, said
    assert house.dump() == before
    assert house.trade(row).status == "pending"


def test_a_venue_that_never_answers_is_given_up_in_the_end(house: House, stub: Stub) -> None:
    house.place(status="FILLED", filled="1", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    before = house.dump()
    stub.turn("hang")

    said = house.ordersync("sync")

    assert said.status == 2, said
    assert "1 failed" in said.out
    assert house.dump() == before


def test_a_machine_that_is_not_there_writes_nothing(house: House, stub: Stub) -> None:
    house.place(status="FILLED", filled="1", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    before = house.dump()
    stub.close()

    said = house.ordersync("sync")

    assert said.status == 2, said
    assert house.dump() == before


@pytest.mark.parametrize("honest", [True, False], ids=["says so", "claims to be the right one"])
def test_a_key_for_another_portfolio_writes_nothing_and_the_likely_cause_is_named(
    tmp_path: Path,
    stub: Stub,
    *,
    honest: bool,
) -> None:
    house = stuck(tmp_path / "bot", stub)
    house.ready(unknown="unknown")
    before = house.dump()
    stub.sees_nothing = True
    stub.portfolio = ELSEWHERE if honest else HOME

    said = house.ordersync("sync")

    assert house.dump() == before, said
    assert said.status == 2, said
    assert len([line for line in said.err.splitlines() if LIKELY_CAUSE.search(line)]) == 1, said
    assert "0 updated, 0 not found on exchange" in said.out

    for command in (("cleanup", "--yes"), ("sync",)):
        assert house.ordersync(*command).status == 2
        assert house.dump() == before

    stub.sees_nothing, stub.portfolio = False, HOME
    healed = house.ordersync("sync")
    assert "4 updated" in healed.out or "5 updated" in healed.out, healed
    assert healed.status == 0, healed


def test_a_key_swapped_for_another_portfolios_key_writes_nothing(
    tmp_path: Path, stub: Stub
) -> None:
    house = stuck(tmp_path / "bot", stub)
    row, order = house.place(status="OPEN", created=ago(days=2))
    house.ready(unknown="unknown")
    assert house.ordersync("sync").status == 0
    before = house.dump()
    order.update(status="FILLED", filled_size="10")
    stub.portfolio = ELSEWHERE

    said = house.ordersync("sync")

    assert house.dump() == before, said
    assert said.status in {2, 3}, said
    assert LIKELY_CAUSE.search(said.text), said
    assert house.trade(row).status == "pending"


def test_when_too_many_orders_are_gone_no_verdict_falls(house: House) -> None:
    for _ in range(8):
        house.place(status="OPEN")
    gone = [house.bot_writes(order_id=str(uuid4()), created_at=ago(days=3)) for _ in range(12)]
    house.ready(unknown="unknown")
    before = house.dump("trades")

    said = house.ordersync("sync")

    assert house.dump("trades") == before, said
    assert said.status == 2, said

    person = house.ordersync("cleanup", "--accept-absent", "--yes")
    assert {house.trade(row).status for row in gone} == {"unknown"}, person


def test_a_key_that_can_transfer_is_refused_with_the_reason(house: House, stub: Stub) -> None:
    house.place(status="FILLED", filled="1", fee="0.1", last_fill=ago(hours=1))
    stub.can_transfer = True
    house.ready()
    before = house.dump()

    for command in ("sync", "audit", "doctor", "run"):
        said = house.ordersync(command)
        assert said.status == 3, said
        assert "transfer" in said.text
    assert house.dump() == before
