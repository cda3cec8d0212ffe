"""Taking a figure: ours and the floor in turn, so that a busy minute falls on both alike."""

from __future__ import annotations

import gc
import math
import statistics
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. `ratio` is ours to the floor; `met` is None without a goal."""

    what: str
    unit: str
    ours: float
    floor: float | None = None
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None
    note: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How much to measure: `quick` is a look, not a figure to quote."""

    quick: bool = False

    def of(self, full: int, quick: int) -> int:
        """How many, by that."""
        return quick if self.quick else full


async def in_turn(
    rounds: int, ours: Callable[[], Awaitable[float]], floor: Callable[[], Awaitable[float]]
) -> tuple[list[float], list[float]]:
    """Let both take their figure `rounds` times, each of them first in every other round."""
    figures: tuple[list[float], list[float]] = ([], [])
    for n in range(rounds):
        for which in (0, 1) if n % 2 == 0 else (1, 0):
            figures[which].append(await (ours, floor)[which]())
    return figures


def settle() -> None:
    """Let what is built so far be no work for the collector while figures are taken."""
    gc.collect()
    gc.freeze()


def median(figures: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(figures)


def p99(figures: Sequence[float]) -> float:
    """What 99 of 100 stay below."""
    return sorted(figures)[math.ceil(len(figures) * 0.99) - 1]


def figure(value: float | None, unit: str) -> str:
    """A figure as a person reads it."""
    if value is None:
        return "-"
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2 if value >= 1 else 3  # noqa: PLR2004
    text = f"{value:,.{digits}f}" if value != int(value) or unit != "calls" else f"{value:,.0f}"
    return f"{text} {unit}"


def rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """The lines as text, cell by cell."""
    return [
        (
            line.what,
            figure(line.ours, line.unit),
            figure(line.floor, line.unit) if line.floor is not None else "",
            f"{line.ratio:.2f} x" if line.ratio is not None else "",
            line.goal,
            "" if line.met is None else "yes" if line.met else "no",
            line.note,
        )
        for line in lines
    ]


HEADINGS = ("what", "ours", "floor", "ratio", "goal", "met", "note")
