"""`python -m crash [--rounds N] [--seed N] [--victim NAME] [--pooler yes|no|both] [--crew [N]]`."""

from __future__ import annotations

import argparse
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from crash.crew import KILLED, PAUSED, Crew, draw
from crash.scene import DATABASE, ORDERSYNC, POOLER, Scene, Verdict
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres
from tests.servers.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.owned import Owned

ROUNDS, ROUNDS_A_SCENE, OPEN_ROWS = 200, 20, 200
KILLS_OF_CREW, ROUNDS_A_CREW = 100, 10
VICTIMS = {
    ORDERSYNC: (ORDERSYNC,),
    DATABASE: (DATABASE,),
    POOLER: (POOLER,),
    "both": (ORDERSYNC, DATABASE),
    "servers": (POOLER, DATABASE),
}
SETTINGS = {"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}
"""The server begins a recovery by opening every file, which takes seconds on many a machine."""
SHOWN = 12
MEGABYTE = 1 << 20
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def main() -> int:
    """Play, and tell."""
    parser = argparse.ArgumentParser(prog="make crash", description="Kill, start again, judge.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seed", type=int, default=None, help="the same choices again")
    parser.add_argument("--victim", choices=list(VICTIMS), default=None, help="always this one")
    parser.add_argument("--pooler", choices=["yes", "no", "both"], default="both")
    parser.add_argument(
        "--crew",
        type=int,
        nargs="?",
        const=KILLS_OF_CREW,
        metavar="KILLS",
        help="two instances, two Celery workers and their broker, until so many were killed",
    )
    wanted = parser.parse_args()
    # Ended from outside, it still ends what it started; in the background, SIGINT is ignored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seed = secrets.randbelow(10**6) if wanted.seed is None else wanted.seed
    count = f"{wanted.crew} kills of a crew" if wanted.crew else f"{wanted.rounds} rounds"
    console.print(f"seed {seed}: {count}")
    chance, verdicts = Random(seed), list[Verdict]()  # noqa: S311 - the same every time
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        database = stack.enter_context(closing(Postgres(18, settings=SETTINGS)))
        pooler = stack.enter_context(closing(PgBouncer(database)))
        if wanted.crew:
            broker = stack.enter_context(closing(Valkey()))
            for verdict in play_crew(wanted.crew, chance, database, pooler, broker):
                verdicts.append(verdict)
            wanted.rounds = 0
        for first in range(0, wanted.rounds, ROUNDS_A_SCENE):
            last = min(first + ROUNDS_A_SCENE, wanted.rounds)
            behind = wanted.pooler == "yes" or (
                wanted.pooler == "both" and (first // ROUNDS_A_SCENE) % 2 == 1
            )
            behind = behind or wanted.victim in {POOLER, "servers"}
            door = pooler if behind else None
            for verdict in play(range(first, last), chance, database, door, wanted.victim):
                verdicts.append(verdict)
    console.print(blows(verdicts) if wanted.crew else summary(verdicts))
    broken = sum(1 for verdict in verdicts if verdict.broken)
    console.print(f"seed {seed}: {len(verdicts)} rounds, {broken} broken")
    return 1 if broken else 0


def play(
    rounds: range, chance: Random, database: Owned, pooler: Owned | None, victim: str | None
) -> Iterator[Verdict]:
    """The rounds of one scene, one line each."""
    known = [name for name in VICTIMS if pooler or POOLER not in VICTIMS[name]]
    with tempfile.TemporaryDirectory(prefix="ordersync-crash-") as folder:
        has_audit = chance.random() < 2 / 3
        scene = Scene(Path(folder), chance, database, pooler, has_audit=has_audit)
        with closing(scene):
            scene.open(OPEN_ROWS)
            way = ("through the pooler" if pooler else "directly") + (
                ", with a slow trigger" if has_audit else ""
            )
            console.print(f"a new scene, {way}", style="dim")
            for number in rounds:
                begun_at = time.monotonic()
                verdict = scene.play(*VICTIMS[victim or chance.choice(known)])
                console.print(line(number + 1, verdict, time.monotonic() - begun_at))
                for what in verdict.broken[:SHOWN]:
                    console.print(f"  {what}", style="red", markup=False)
                if verdict.broken:
                    console.print("".join(scene.ordersync.log[-SHOWN:]), markup=False)
                yield verdict
                if verdict.broken:
                    break  # what is wrong now would be told in every round to come


def play_crew(
    kills: int, chance: Random, database: Owned, pooler: Owned, broker: Owned
) -> Iterator[Verdict]:
    """Rounds of crews, one line each, until there were so many kills."""
    done = number = 0
    while done < kills:
        with (
            tempfile.TemporaryDirectory(prefix="ordersync-crash-") as folder,
            closing(Crew(Path(folder), chance, database, pooler, broker)) as crew,
        ):
            crew.open(OPEN_ROWS)
            console.print("a new crew", style="dim")
            for _ in range(ROUNDS_A_CREW):
                number, begun_at = number + 1, time.monotonic()
                verdict = crew.play(*draw(chance))
                done += sum(victim.endswith(KILLED) for victim in verdict.victims)
                console.print(line(number, verdict, time.monotonic() - begun_at))
                for what in verdict.broken[:SHOWN]:
                    console.print(f"  {what}", style="red", markup=False)
                if verdict.broken:
                    logs = [*(one.log_text() for one in crew.crew), *crew.logs()]
                    for text in logs:
                        console.print("\n".join(text.splitlines()[-SHOWN:]), markup=False)
                yield verdict
                if verdict.broken or done >= kills:
                    break


def blows(verdicts: list[Verdict]) -> Table:
    """What befell whom, how often; and what came of it in all."""
    table = Table("what", "times")
    for what, count in sorted(Counter(v for one in verdicts for v in one.victims).items()):
        table.add_row(what, str(count))
    every = [victim for verdict in verdicts for victim in verdict.victims]
    table.add_section()
    table.add_row("kills in all", str(sum(what.endswith(KILLED) for what in every)))
    table.add_row("pauses in all", str(sum(what.endswith(PAUSED) for what in every)))
    table.add_row("rounds", str(len(verdicts)))
    table.add_row("rounds that broke something", str(sum(bool(v.broken) for v in verdicts)))
    table.add_row("orders traded meanwhile", str(sum(v.rows for v in verdicts)))
    table.add_row("events that a run told", str(sum(v.told for v in verdicts)))
    table.add_row("events of workers, or untold", str(sum(v.untold for v in verdicts)))
    return table


def line(number: int, verdict: Verdict, took: float) -> str:
    """One round as one line."""
    recovery = "-" if verdict.recovery is None else f"{verdict.recovery:.2f} s"
    return (
        f"{number:4} {' and '.join(verdict.victims):20}"
        f" {'in a transaction' if verdict.in_the_middle else 'at some moment':16}"
        f" rows {verdict.rows:3}, told {verdict.told:3}, untold {verdict.untold:2},"
        f" recovery {recovery:>7}, memory {verdict.memory / MEGABYTE:.0f} MB,"
        f" {took:.1f} s{'  BROKEN' if verdict.broken else ''}"
    )


def summary(verdicts: list[Verdict]) -> Table:
    """One row for each kind of victim, and each way to the database."""
    headings = ("victim", "way", "rounds", "in a transaction", "broken", "told", "untold")
    table = Table(*headings, "recovery: median", "worst", "memory: most")
    kinds = Counter((verdict.victims, verdict.pooled) for verdict in verdicts)
    for (victims, pooled), count in sorted(kinds.items()):
        of_kind = [v for v in verdicts if v.victims == victims and v.pooled is pooled]
        times = [v.recovery for v in of_kind if v.recovery is not None] or [float("nan")]
        table.add_row(
            " and ".join(victims),
            "pooler" if pooled else "direct",
            str(count),
            str(sum(v.in_the_middle for v in of_kind)),
            str(sum(bool(v.broken) for v in of_kind)),
            str(sum(v.told for v in of_kind)),
            str(sum(v.untold for v in of_kind)),
            f"{statistics.median(times):.2f} s",
            f"{max(times):.2f} s",
            f"{max(v.memory for v in of_kind) / MEGABYTE:.0f} MB",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
