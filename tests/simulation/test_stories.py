"""Stories with everything in them; `make simulate` tells more of them.

A story that fails is told again by its number: `make simulate ARGS="--only story --seed 17"`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import Faults, Kind, StreamKind
from tests.simulation import broker, office
from tests.simulation.plan import Channel
from tests.simulation.story import play

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = 6
SEEDS_ALONE = 1
SEEDS_AT_THE_BROKER = 4


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_story_invents_nothing_is_true_in_time_and_happens_twice_alike(
    tmp_path: Path, seed: int
) -> None:
    assert play(seed, tmp_path / "1") == play(seed, tmp_path / "2")


@pytest.mark.parametrize("seed", range(SEEDS_AT_THE_BROKER))
def test_a_story_at_the_broker_is_true_in_time_and_happens_twice_alike(
    tmp_path: Path, seed: int
) -> None:
    assert broker.play(seed, tmp_path / "1") == broker.play(seed, tmp_path / "2")


def test_two_services_and_all_who_deal_with_them_end_in_the_truth_and_twice_alike(
    tmp_path: Path,
) -> None:
    assert office.play(0, tmp_path / "1") == office.play(0, tmp_path / "2")


@pytest.mark.parametrize("channel", [Channel.PUSH, Channel.POLL])
@pytest.mark.parametrize("seed", range(100, 100 + SEEDS_ALONE))
def test_a_channel_alone_is_enough(tmp_path: Path, channel: Channel, seed: int) -> None:
    assert play(seed, tmp_path / "1", channel) == play(seed, tmp_path / "2", channel)


def test_the_stories_meet_every_kind_of_fault() -> None:
    kinds = (*Kind, *StreamKind)
    met = {f.kind for seed in range(60) for f in Faults.from_seed(seed, most=10, kinds=kinds).all}
    assert met == set(kinds)
