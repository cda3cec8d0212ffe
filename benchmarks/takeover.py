"""How long an account is left alone when the ordersync that serves it dies: real processes.

Counted from the death to the moment at which an order that was filled just after it is true in its
row, written by the one that stood by. Killed, it is seen to be dead on the same machine; paused,
it is as if it had died on another: its lease has to end first.
"""

from __future__ import annotations

import signal
import time
from contextlib import closing
from datetime import timedelta
from random import Random
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import postgres_scene
from benchmarks.measure import Line, Options
from crash.child import Ordersync
from crash.scene import Scene
from ordersync.simulator import Life
from tests.servers.daemon import until

if TYPE_CHECKING:
    from pathlib import Path
    from signal import Signals

ENOUGH = 60.0
GOAL = 5.0
FILLED = Life.filled(timedelta(milliseconds=1))


def run(options: Options, folder: Path) -> list[Line]:
    """The same round for each kind of death; the survivor serves, and another stands by."""
    rounds = options.of(5, 1)
    lines = []
    for what, deed in (("killed", signal.SIGKILL), ("paused", signal.SIGSTOP)):
        place = folder / what
        place.mkdir()
        took = [_round(place / str(n), deed, n) for n in range(rounds)]
        lines.append(
            Line(
                what=f"PostgreSQL: takeover from one that is {what}, to the next true row",
                unit="s",
                ours=median(took),
                goal="<= 5 s",
                met=max(took) <= GOAL,
                note=f"the longest of {rounds}: {max(took):.2f} s",
            )
        )
    return lines


def _round(folder: Path, deed: Signals, seed: int) -> float:
    folder.mkdir()
    scene = Scene(folder, Random(seed), postgres_scene.server())  # noqa: S311 - the same every time
    with closing(scene):
        scene.open(20)
        second = Ordersync(scene.configured(folder / "beside", interval="30s"))
        second.start()
        try:
            until(lambda: "Standing by" in second.log_text(), "the second stands by", ENOUGH)
            died_at = time.monotonic()
            scene.ordersync.child.send_signal(deed)
            rows = scene.place(FILLED)
            until(lambda: not scene.untruths(rows), "the row is true", ENOUGH)
            took = time.monotonic() - died_at
            # What is committed is told a moment later. One that is dead tells nothing.
            until(lambda: bool(second.told), "the second says that it wrote the row", ENOUGH)
            return took
        finally:
            second.kill()
