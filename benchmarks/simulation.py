"""How many seeds of the kernel the simulation tries a second: so much can be looked for."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.measure import Line, Options
from tests.simulation import kernel
from tests.simulation.trials import be_quiet

if TYPE_CHECKING:
    from pathlib import Path

CORES = 2
GOAL = 150


async def run(options: Options, folder: Path) -> list[Line]:
    """Every seed is a small world, served by the real passes, stream and ingest."""
    del folder
    count = options.of(1_500, 300)
    with ProcessPoolExecutor(CORES, initializer=be_quiet) as pool:
        list(pool.map(kernel.play, range(2 * CORES)))  # the imports are not what is measured
        start = time.perf_counter()
        list(pool.map(kernel.play, range(count), chunksize=10))
        rate = count / (time.perf_counter() - start)
    enough = (os.cpu_count() or 1) >= CORES
    return [
        Line(
            what=f"kernel seeds simulated, {CORES} processes",
            unit="/s",
            ours=rate,
            goal=f">= {GOAL} /s",
            met=rate >= GOAL if enough else None,
        )
    ]
