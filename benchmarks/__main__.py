"""`python -m benchmarks [NAME…] [--quick] [--json FILE] [--write-docs]`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import logging
import os
import platform
import sqlite3
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog
from rich.console import Console
from rich.table import Table

from benchmarks import postgres_scene
from benchmarks.measure import HEADINGS, Line, Options, p99, rows
from tests.servers.daemon import Missing

TOPICS = (
    "commit",
    "apply",
    "local_reconcile",
    "calls",
    "verify",
    "idle",
    "startup",
    "kernel",
    "push",
    "push_faults",
    "webhooks",
    "api",
    "listeners",
    "simulation",
    "alpaca",
    "dashboard",
    "watching",
    "postgres_commit",
    "postgres_apply",
    "postgres_reconcile",
    "postgres_reads",
    "postgres_memory",
    "takeover",
    "celery",
)
ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "reference" / "benchmarks.md"
BEGIN, END = "<!-- begin: written by make bench -->", "<!-- end -->"


def main() -> None:
    """Measure what is named (all, if nothing is) and print it."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure against a floor.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TOPICS))
    parser.add_argument("--quick", action="store_true", help="a look, not a figure to quote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--write-docs", action="store_true", help=f"rewrite {DOCUMENT.name}")
    wanted = parser.parse_args()
    if unknown := [name for name in wanted.names if name not in TOPICS]:
        parser.error(f"there is no benchmark {unknown[0]!r}. Known: {', '.join(TOPICS)}.")
    # What ordersync logs of each order would be measured with it, and hide the table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    console, lines = Console(), list[Line]()
    for name in wanted.names or TOPICS:
        start = time.perf_counter()
        try:
            lines += _measure(name, Options(quick=wanted.quick))
        except Missing as reason:
            console.print(f"skipped: {name}: {reason}", style="bold red")
            continue
        console.print(f"{name}: {time.perf_counter() - start:.0f} s", style="dim")
    machine = _machine()
    console.print(_table(lines), f"\n{machine}")
    if wanted.json:
        wanted.json.write_bytes(msgspec.json.encode({"machine": machine, "lines": lines}))
    if wanted.write_docs:
        _write_docs(lines, machine)


def _measure(name: str, options: Options) -> list[Line]:
    topic = importlib.import_module(f"benchmarks.{name}")
    # On the disk that the project is on: a temporary folder in memory commits for nothing.
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as folder:
        found = topic.run(options, Path(folder))
        lines: list[Line] = asyncio.run(found) if inspect.iscoroutine(found) else found
    return lines


def _table(lines: list[Line]) -> Table:
    table = Table(*HEADINGS)
    for row in rows(lines):
        table.add_row(*row)
    return table


def _machine() -> str:
    """On what these figures were taken."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} cores, {platform.machine()}, "
        f"{platform.system()}; Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}{postgres_scene.told()}; one fsync of 4 KiB: {_fsync_ms()}"
    )


def _fsync_ms() -> str:
    """What a commit cannot be faster than."""
    took = []
    with tempfile.NamedTemporaryFile(dir=ROOT) as file:
        for _ in range(200):
            file.write(b"\0" * 4096)
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - start) * 1e3)
    return f"{sorted(took)[100]:.2f} ms, p99 {p99(took):.2f} ms"


def _write_docs(lines: list[Line], machine: str) -> None:
    """Put the table into its page, between the marks."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        sys.exit(f"{DOCUMENT}: the marks for the table are gone")
    cells = [HEADINGS, ("---",) * len(HEADINGS), *rows(lines)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in cells)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{machine}\n\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
