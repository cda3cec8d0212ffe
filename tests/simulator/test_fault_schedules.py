"""When a fault strikes, and what a fault file may say."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.simulator import Fault, Faults, Kind
from tests.simulator.asking import Clock

if TYPE_CHECKING:
    from pathlib import Path


def struck(fault: Fault, *calls: str, seconds_apart: float = 1) -> list[bool]:
    clock, faults = Clock(), Faults([fault])
    strikes = []
    for call in calls:
        strikes.append(bool(faults.strike(call, clock.now())))
        clock.go_on(seconds_apart)
    return strikes


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, "xxxxxx"),
        ({"call": 2}, ".x...."),
        ({"call": 2, "count": 3}, ".xxx.."),
        ({"after": 2}, "..xxxx"),
        ({"after": 2, "count": 1}, "..x..."),
        ({"count": 2}, "xx...."),
        ({"lasts": timedelta(seconds=2)}, "xx...."),
        ({"after": 1, "lasts": timedelta(seconds=3)}, ".xxx.."),
        ({"call": 3, "lasts": timedelta(seconds=2)}, "..xx.."),
    ],
    ids=str,
)
def test_a_fault_strikes_when_it_says(when: dict[str, Any], expected: str) -> None:
    strikes = struck(Fault(kind=Kind.EMPTY, **when), *["list"] * 6)

    assert "".join("x" if strike else "." for strike in strikes) == expected


def test_a_fault_sits_on_its_endpoint_and_counts_its_calls_alone() -> None:
    fault = Fault(kind=Kind.EMPTY, on="get", call=2)

    assert struck(fault, "list", "get", "list", "list", "get", "get") == [
        False, False, False, False, True, False,
    ]  # fmt: skip


def test_several_faults_may_strike_at_once() -> None:
    faults = Faults([Fault(kind=Kind.LATENCY), Fault(kind=Kind.STALE, on="list")])

    assert [fault.kind for fault in faults.strike("list", Clock().now())] == ["latency", "stale"]
    assert [fault.kind for fault in faults.strike("get", Clock().now())] == ["latency"]


def test_a_fault_may_be_added_while_the_exchange_runs_and_all_of_them_taken_away() -> None:
    faults = Faults()
    faults.strike("list", Clock().now())
    faults.add(Fault(kind=Kind.EMPTY, call=1))

    assert faults.strike("list", Clock().now())
    faults.clear()
    faults.add(Fault(kind=Kind.EMPTY, call=2))
    assert not faults.strike("list", Clock().now())


def test_the_same_seed_makes_the_same_schedule() -> None:
    schedules = [Faults.from_seed(seed).all for seed in range(50)]

    assert schedules == [Faults.from_seed(seed).all for seed in range(50)]
    assert len({fault.kind for schedule in schedules for fault in schedule}) == len(Kind)


@pytest.mark.parametrize("seed", range(30))
def test_every_seeded_schedule_ends(seed: int) -> None:
    clock, faults = Clock(), Faults.from_seed(seed, within_calls=10)
    for _ in range(30):
        for endpoint in ("list", "get", "fills"):
            faults.strike(endpoint, clock.now())
            clock.go_on(0.5)

    assert not any(faults.strike(each, clock.now()) for each in ("list", "get", "fills"))


def test_a_fault_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(
        """
        [[fault]]
        kind = "429"
        on = "list"
        after = 2
        count = 3

        [[fault]]
        kind = 500
        call = 1
        value = 503

        [[fault]]
        kind = "stale"
        for = "5s"
        value = "2.5s"

        [[fault]]
        kind = "forgetful"
        value = ["one", "two"]

        [[fault]]
        kind = "unknown_status"
        order_ids = ["one"]
        """
    )

    assert Faults.load(path).all == (
        Fault(kind=Kind.TOO_MANY, on="list", after=2, count=3),
        Fault(kind=Kind.SERVER_ERROR, call=1, value=503),
        Fault(kind=Kind.STALE, lasts=timedelta(seconds=5), value=2.5),
        Fault(kind=Kind.FORGETFUL, value=["one", "two"]),
        Fault(kind=Kind.UNKNOWN_STATUS, order_ids=frozenset({"one"})),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[fault]", "cannot be read as TOML"),
        ('[fault]\nkind = "drop"', r"write each fault as a \[\[fault\]\] table"),
        ('[[faults]]\nkind = "drop"', r"faults: write each fault as a \[\[fault\]\] table"),
        ("fault = [1]", r"fault 1: write each fault as a \[\[fault\]\] table"),
        ("[[fault]]", 'fault 1: kind: missing; write kind = "429"'),
        ('[[fault]]\nkind = "slow"', "fault 1: kind: there is no 'slow'; use latency, "),
        ('[[fault]]\nkind = "drop"\nwhen = 3', "fault 1: when: there is no such key; use kind, on"),
        ('[[fault]]\nkind = "drop"\n[[fault]]\nkind = "drop"\non = "ws"', "fault 2: on is 'ws'"),
        ('[[fault]]\nkind = "drop"\ncall = "3"', "fault 1: call is '3'; write a whole number"),
        ('[[fault]]\nkind = "drop"\ncall = 0', "calls are counted from 1"),
        ('[[fault]]\nkind = "drop"\ncount = 0', "at least 1"),
        ('[[fault]]\nkind = "drop"\nafter = -1', "cannot be negative"),
        ('[[fault]]\nkind = "drop"\ncall = 1\nafter = 1', "call and after exclude each other"),
        ('[[fault]]\nkind = "drop"\ncount = 1\nfor = "1s"', "count and for exclude each other"),
        ('[[fault]]\nkind = "drop"\nfor = 5', 'for is 5; write a time such as "5s"'),
        ('[[fault]]\nkind = "stale"\nvalue = "long"', "value is 'long'; write a time"),
        ('[[fault]]\nkind = "stale"\nvalue = -1', "value of stale is -1"),
        ('[[fault]]\nkind = "500"\nvalue = 404', "value of 500 is 404; write a status"),
        ('[[fault]]\nkind = "nan"\nvalue = 3', "value of nan is 3; write a word"),
        ('[[fault]]\nkind = "shifting_page"\nvalue = "up"', 'write "missed" or "twice"'),
        ('[[fault]]\nkind = "garbage"\nvalue = true', "value is True"),
        ('[[fault]]\nkind = "nan"\norder_ids = "one"', "write a list of order ids"),
        ('[[fault]]\nkind = "drop"\non = 3', "on is 3; write a word"),
    ],
    ids=lambda each: each.replace("\n", " ") if "fault" in each else "",
)
def test_a_malformed_fault_file_is_explained(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)

    with pytest.raises(ValueError, match=complaint) as raised:
        Faults.load(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_missing_fault_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read as TOML"):
        Faults.load(tmp_path / "none.toml")
