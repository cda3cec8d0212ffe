"""`python -m mutants [--only WORDS…] [--limit N] [--processes N]`: each has to be found."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mutants.planted import DEALT, INSIDE, MUTANTS, SOURCE, Mutant

LIMIT = 200
PATIENCE = 3_600.0
"""Seconds for one hunt. Who was not found by then is alive: a slow machine is no witness."""

ROOT = SOURCE.parent
NOBODY = Mutant("(nothing is changed)", "__init__.py", "", "", (*INSIDE, *DEALT))
CONTROL_LIMIT = 25
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 170)


@dataclass(frozen=True)
class Verdict:
    """What became of one: by which trial it was found, as the how manyth, or not at all."""

    mutant: Mutant
    killer: str
    after: int
    seconds: float
    why: str

    @property
    def is_alive(self) -> bool:
        """Whether nobody found it."""
        return not self.killer


def main() -> int:
    """Plant each, hunt it, and tell."""
    parser = argparse.ArgumentParser(prog="make mutants", description="Plant mistakes; find them.")
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="those whose name has them")
    parser.add_argument("--limit", type=int, default=LIMIT, help="of each kind of trial")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    wanted = parser.parse_args()
    names = wanted.only or [""]
    chosen = [mutant for mutant in MUTANTS if any(name in mutant.name for name in names)]
    if not chosen:
        parser.error(f"there is no mutant {' or '.join(names)!r}")
    began = time.monotonic()
    with ThreadPoolExecutor(wanted.processes) as pool:
        control = pool.submit(hunt, NOBODY, min(wanted.limit, CONTROL_LIMIT))
        hunts = [pool.submit(hunt, mutant, wanted.limit) for mutant in chosen]
        for one in as_completed(hunts):
            say(one.result())
        verdicts = [one.result() for one in hunts]
        clean = control.result()
    console.print(table(verdicts))
    alive = sum(verdict.is_alive for verdict in verdicts)
    console.print(f"{len(verdicts)} mutants, {alive} alive, {time.monotonic() - began:.0f} s")
    if not clean.is_alive:
        console.print(f"the code as it is does not hold either: {clean.killer} {clean.why}")
    return 1 if alive or not clean.is_alive else 0


def hunt(mutant: Mutant, limit: int) -> Verdict:
    """Copy the sources, change them, and try until something fails."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ordersync-mutant-") as folder:
        source = Path(folder, "src")
        shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant.old:
            changed = source / mutant.path
            text = changed.read_text(encoding="utf-8")
            if text.count(mutant.old) != 1:
                sys.exit(f"{mutant.name}: its text does not stand once in {mutant.file}")
            changed.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{ROOT}"}
        words = [sys.executable, "-m", "mutants.hunt", str(source), str(limit), *mutant.hunters]
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                words,
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return Verdict(mutant, "", 0, PATIENCE, "the hunt took too long")
    took = time.monotonic() - began
    found = done.stdout.strip().split("\t")
    if done.returncode == 0 and len(found) > 1:
        return Verdict(mutant, found[0], int(found[1]), took, found[-1] if found[2:] else "")
    if done.returncode != 1 or done.stderr.strip():
        raise RuntimeError(f"the hunt for {mutant.name!r} broke off:\n{done.stderr[-2000:]}")
    return Verdict(mutant, "", 0, took, "")


def say(verdict: Verdict) -> None:
    """One line as soon as it is known."""
    how = "ALIVE" if verdict.is_alive else f"{verdict.killer} {verdict.after}"
    console.print(f"{how:>11}  {verdict.seconds:4.0f} s  {verdict.mutant.name}", markup=False)


def table(verdicts: list[Verdict]) -> Table:
    """All of them."""
    shown = Table("mutant", "file", "found by", "after", "s", "what it saw")
    for one in verdicts:
        after = "-" if one.is_alive else str(one.after)
        row = (one.mutant.name, one.mutant.file, one.killer or "NOBODY", after)
        shown.add_row(*row, f"{one.seconds:.0f}", one.why[:70])
    return shown


if __name__ == "__main__":
    sys.exit(main())
