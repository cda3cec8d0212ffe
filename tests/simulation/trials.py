"""Every kind of trial by name and number: what `make simulate` and `make mutants` go through."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import structlog

from tests.simulation import broker, golden, kernel, office, story


class Trial(StrEnum):
    """What can be tried; `story` is told at Coinbase, `broker` at Alpaca.

    `office` has two services and all who deal with them.
    """

    KERNEL = "kernel"
    GOLDEN = "golden"
    STORY = "story"
    BROKER = "broker"
    OFFICE = "office"


PLAYS = {Trial.STORY: story.play, Trial.BROKER: broker.play, Trial.OFFICE: office.play}


@cache
def _cases() -> tuple[golden.Case, ...]:
    """Those of the golden run, mixed: the first hundreds are all about frames and some kills."""
    found = list(golden.cases())
    dice = Random("golden")  # noqa: S311 - the same every time
    dice.shuffle(found)
    frames = [case for case in found if case.deed is not golden.Deed.KILL]
    kills = [case for case in found if case.deed is golden.Deed.KILL]
    early = [*frames, *kills[: len(frames) // 2]]
    dice.shuffle(early)
    return (*early, *kills[len(frames) // 2 :])


def count(trial: Trial) -> int | None:
    """How many there are, None where there is no end of them."""
    return len(_cases()) if trial is Trial.GOLDEN else None


def attempt(trial: Trial, number: int, *, twice: bool = False) -> None:
    """Try one; raises what it finds. `twice`: and see that the second time is like the first."""
    if trial is Trial.KERNEL:
        first = kernel.play(number)
        assert not twice or kernel.play(number) == first, "another end the second time"
        return
    with TemporaryDirectory(prefix="ordersync-") as folder:
        # Nothing here is encrypted, and to load all of the machine's certificates takes longest.
        os.environ["SSL_CERT_DIR"] = folder
        if trial is Trial.GOLDEN:
            golden.play(_cases()[number], Path(folder))
            return
        play = PLAYS[trial]
        told = play(number, Path(folder, "1"))
        if twice:
            again = play(number, Path(folder, "2"))
            assert again == told, "another trace the second time"


def be_quiet() -> None:
    """Keep what the service and the exchange say off the terminal."""
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=True)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def reason(error: BaseException) -> str:
    """Why it failed, in a line: the first that is no group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"[:200]
