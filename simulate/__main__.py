"""`python -m simulate [--seeds N] [--only NAME] [--seed N] [--processes N] [--once]`."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.simulation.trials import Trial, attempt, be_quiet, count, reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

SEEDS = 2_000
KERNEL_SEEDS_A_STORY = 50
"""A story takes as long as so many seeds of the kernel, and finds other things."""

AT_ONCE = {Trial.KERNEL: 50, Trial.GOLDEN: 5, Trial.STORY: 2, Trial.BROKER: 2, Trial.OFFICE: 2}
SHOWN = 20
AHEAD = 4

Failure = tuple[Trial, int, str]
console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Try, and tell what failed with the command that repeats it."""
    parser = argparse.ArgumentParser(prog="make simulate", description="Random worlds, at length.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of the kernel; stories fewer")
    parser.add_argument(
        "--only", type=Trial, choices=list(Trial), help="this kind, all SEEDS of it"
    )
    parser.add_argument("--seed", type=int, help="this one alone, with all that it says")
    parser.add_argument("--first", type=int, default=0, help="begin at this seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--once", action="store_true", help="do not compare with a second time")
    wanted = parser.parse_args()
    if wanted.seed is not None:
        return repeat(wanted.only or Trial.STORY, wanted.seed)
    be_quiet()
    parts = list(divide(wanted.only, wanted.first, wanted.seeds))
    failures, tried, began = list[Failure](), 0, time.monotonic()
    with ProcessPoolExecutor(wanted.processes, initializer=be_quiet) as pool, bar() as progress:
        task = progress.add_task("trying", total=sum(len(seeds) for _, seeds in parts))
        for part, found in in_parallel(pool, parts, wanted.processes, twice=not wanted.once):
            tried += len(part)
            progress.advance(task, len(part))
            for failure in found:
                tell(failure)
            failures += found
            if len(failures) >= SHOWN:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    took = time.monotonic() - began
    console.print(f"{tried} tried in {took:.0f} s ({tried / took:.0f}/s), {len(failures)} failed")
    return 1 if failures else 0


def divide(only: Trial | None, first: int, seeds: int) -> Iterator[tuple[Trial, range]]:
    """What to try, in parts of a second or two."""
    for trial in [only] if only else list(Trial):
        whole = seeds
        if trial in {Trial.STORY, Trial.BROKER, Trial.OFFICE} and only is None:
            whole = max(1, seeds // KERNEL_SEEDS_A_STORY)
        end = min(first + whole, count(trial) or first + whole)
        step = AT_ONCE[trial]
        for start in range(first, end, step):
            yield trial, range(start, min(start + step, end))


def in_parallel(
    pool: ProcessPoolExecutor, parts: Sequence[tuple[Trial, range]], processes: int, *, twice: bool
) -> Iterator[tuple[range, list[Failure]]]:
    """The parts as they are done; never very many ahead."""
    left = iter(parts)
    running: dict[Future[list[Failure]], range] = {}
    while True:
        for trial, seeds in left:
            running[pool.submit(play, trial, seeds, twice=twice)] = seeds
            if len(running) >= processes * AHEAD:
                break
        if not running:
            return
        done = next(as_completed(running))
        yield running.pop(done), done.result()


def play(trial: Trial, seeds: range, *, twice: bool) -> list[Failure]:
    """Try these; those that failed, and why."""
    found = list[Failure]()
    for seed in seeds:
        try:
            attempt(trial, seed, twice=twice)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            found.append((trial, seed, reason(error)))
    return found


def repeat(trial: Trial, seed: int) -> int:
    """One trial, and its whole traceback."""
    be_quiet()
    try:
        attempt(trial, seed, twice=True)
    except Exception:  # noqa: BLE001 - shown, whatever it is
        traceback.print_exc()
        return 1
    console.print(f"{trial} {seed} holds")
    return 0


def tell(failure: Failure) -> None:
    """What failed, and how to see it again."""
    trial, seed, why = failure
    console.print(f"{trial} {seed}: {why}", style="red", markup=False)
    console.print(f'  again: make simulate ARGS="--only {trial} --seed {seed}"', markup=False)


def bar() -> Progress:
    """How far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


if __name__ == "__main__":
    sys.exit(main())
