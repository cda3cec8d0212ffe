"""A slice of the kernel's seeds; `make simulate SEEDS=100000` tries more of them."""

from __future__ import annotations

import pytest

from tests.simulation.kernel import play

SEEDS = 60
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_from_report_to_row_nothing_is_invented_or_late(part: int) -> None:
    for seed in range(part, SEEDS * PARTS, PARTS):
        play(seed)


def test_a_seed_is_the_same_every_time() -> None:
    assert [play(seed) for seed in range(5)] == [play(seed) for seed in range(5)]
