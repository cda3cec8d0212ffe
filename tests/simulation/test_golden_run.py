"""A slice of the systematic cases; `make simulate ARGS="--only golden --seeds 10000"` does all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation.golden import Case, Deed, cases, play

if TYPE_CHECKING:
    from pathlib import Path

EVERY = {Deed.LOSE: 2, Deed.NEVER_SEND: 3, Deed.REPEAT: 6, Deed.RENEW: 4, Deed.KILL: 29}
PARTS = 4


def chosen(deed: Deed) -> list[Case]:
    return [case for case in cases() if case.deed is deed][:: EVERY[deed]]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("deed", EVERY)
def test_whatever_is_done_to_the_golden_run_it_ends_in_the_truth(
    tmp_path: Path, deed: Deed, part: int
) -> None:
    for case in chosen(deed)[part::PARTS]:
        play(case, tmp_path / str(case))


def test_the_golden_run_has_frames_and_awaits_enough_to_be_worth_it(tmp_path: Path) -> None:
    golden = play(Case(Deed.NOTHING), tmp_path)
    assert len(golden.frames) >= 20
    assert len(set(golden.frames)) >= 5
    ports = {name.split()[1] for name in golden.awaits}
    assert {"subscribe", "hear", "ask_ids", "identify", "read", "advance", "revision"} <= ports
    assert {name.split()[0] for name in golden.awaits} == {"before", "after"}


def test_the_golden_run_is_the_same_every_time(tmp_path: Path) -> None:
    assert play(Case(Deed.NOTHING), tmp_path / "1") == play(Case(Deed.NOTHING), tmp_path / "2")
