"""What every command shares: where its answer goes, how errors look, the exit status."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ordersync.errors import OrdersyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

_T = TypeVar("_T")

OFF_TERMINAL_WIDTH = 240


class Exit(IntEnum):
    """The documented exit statuses."""

    DONE = 0  # done, or nothing to do
    DIFFERENCES = 1  # differences found; or not known (`history`, `token revoke`)
    UNVERIFIED = 2  # something could not be verified or written; outranks 1
    CONFIGURATION = 3
    """configuration or usage, or a database that cannot be used or stays locked for 5 s"""
    INTERRUPTED = 130  # interrupted


class Output:
    """One run of one command. With `as_json`, stdout carries JSON and nothing else."""

    def __init__(self, *, as_json: bool = False, config: Path | None = None) -> None:
        self.as_json = as_json
        self.config = config
        self.status = Exit.DONE
        # Off a terminal a table keeps its full width: whoever reads it may be grep.
        wide = None if sys.stdout.isatty() else OFF_TERMINAL_WIDTH
        self.person = Console(highlight=False, soft_wrap=True, width=wide)
        self.aside = Console(stderr=True, highlight=False, soft_wrap=True)

    def give(self, content: object) -> None:
        """The answer as one JSON object on one line."""
        builtins = msgspec.to_builtins(content)
        sys.stdout.write(json.dumps(builtins, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()

    def say(self, text: str = "", *, style: str | None = None) -> None:
        """A line for a person; silent with --json."""
        if not self.as_json:
            self.person.print(text, style=style, markup=False)

    def fail(self, error: OrdersyncError) -> None:
        """An error: what was wrong, where, and what to do. Ends with status 3."""
        self.status = Exit.CONFIGURATION
        if self.as_json:
            self.give({"error": {"what": error.what, "where": error.where, "mend": error.mend}})
            return
        self.aside.print("ordersync: ", style="bold red", end="", markup=False)
        place = f"{error.where}: " if error.where else ""
        self.aside.print(f"{place}{error.what}", markup=False)
        if error.mend:
            self.aside.print(f"  {error.mend}", markup=False)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """Run to the end; an explained error or an interrupt becomes the exit status."""
        try:
            return asyncio.run(work)
        except OrdersyncError as error:
            self.fail(error)
        except KeyboardInterrupt:
            self.status = Exit.INTERRUPTED
        return None

    @contextmanager
    def progress(self, text: str) -> Iterator[Callable[[int, int], None]]:
        """A bar on stderr for long work; nothing where stderr is not a terminal."""
        if not self.aside.is_terminal or self.as_json:
            yield lambda _done, _total: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.aside, transient=True) as bar:
            task = bar.add_task(text, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
