"""One hunt, in a process of its own whose `ordersync` is the mutated copy.

`python -m mutants.hunt SOURCE LIMIT TRIAL…`; prints which trial was the first to fail.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import ordersync
from tests.simulation.trials import Trial, attempt, be_quiet, reason

TRIAL_LIMIT = 120.0
"""Seconds of processor time for one trial: it takes three; who waits for ever is found so."""


def give_up(*_: object) -> None:
    """One trial goes round in circles."""
    raise TimeoutError("it came to no end")


def main() -> int:
    """Try until one fails; a line with what failed, 1 where nothing did."""
    signal.signal(signal.SIGPROF, give_up)
    source, limit, *words = sys.argv[1:]
    here = Path(ordersync.__file__).resolve()
    if not here.is_relative_to(Path(source).resolve()):
        sys.exit(f"the hunt would be for another: {here}")
    be_quiet()
    for word in words:
        trial = Trial(word)
        for number in range(int(limit)):
            signal.setitimer(signal.ITIMER_PROF, TRIAL_LIMIT)
            try:
                attempt(trial, number)
            except Exception as error:  # noqa: BLE001 - whatever it is, it found the mutant
                sys.stdout.write(f"{trial}\t{number + 1}\t{reason(error)}\n")
                return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
