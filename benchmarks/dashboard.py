"""The dashboard with ten thousand open orders, of which a thousand change each second.

Three processes, as in life: a simulated exchange that pushes fills, `ordersync run` with its API,
and Chromium. What serving the page costs is the difference to the same second without a browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from benchmarks import exchange, scene
from benchmarks.measure import Line, Options
from ordersync.simulator import Life, World, app, limit_gtc, serving
from ordersync.web.dashboard.pages import read_files
from tests.servers.daemon import Missing, free_port, listens, until

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDERS = 10_000
PACE = 1_000
QUIET = timedelta(seconds=45)
"""Until then all orders have been verified once."""
BUSY = timedelta(seconds=120)
"""For so long fills come; in it the page is opened, and looked at."""
WINDOW_SECONDS = 10.0
MAIN_THREAD, SERVER, FRAMES, INTERACTIVE, WEIGHT = 25.0, 5.0, 60.0, 1.0, 150.0


def run(options: Options, folder: Path) -> list[Line]:
    """Look at it for a while; `quick` looks at fewer orders that change less often."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise Missing("chromium is not on PATH. Debian: apt install chromium.")
    count, pace = options.of(ORDERS, 1_000), options.of(PACE, 100)
    with _at_work(folder, count, pace) as (address, server):
        alone, _ = _over(server, folder)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            start = time.perf_counter()
            page.goto(address)
            page.wait_for_selector(".row")
            interactive = time.perf_counter() - start
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable")
            page.get_by_text(f"{count:,} rows shown").wait_for(timeout=120_000)
            page.wait_for_timeout(3_000)
            page.evaluate(
                "window.frames_ = 0; (function f() { frames_++; requestAnimationFrame(f) })()"
            )
            before, drawn = _busy_seconds(session), page.evaluate("frames_")
            watched, changes = _over(server, folder, page)
            busy = (_busy_seconds(session) - before) / WINDOW_SECONDS * 100
            frames = (page.evaluate("frames_") - drawn) / WINDOW_SECONDS
            browser.close()
    what = f"dashboard, {count:,} open orders, {changes:,.0f} changes/s"
    return [*_lines(what, busy, frames, interactive, (watched - alone) * 100), _weight()]


def _lines(
    what: str, busy: float, frames: float, interactive: float, serving_it: float
) -> list[Line]:
    return [
        Line(what=f"{what}: browser's main thread", unit="%", ours=busy,
             goal=f"<= {MAIN_THREAD:g} %", met=busy <= MAIN_THREAD),
        Line(what=f"{what}: frames", unit="/s", ours=frames,
             goal=f"{FRAMES:g}/s", met=frames >= FRAMES * 0.98),
        Line(what=f"{what}: from the address to the first rows", unit="s", ours=interactive,
             goal=f"< {INTERACTIVE:g} s", met=interactive < INTERACTIVE),
        Line(what=f"{what}: what one page costs the server", unit="% of a core", ours=serving_it,
             goal=f"<= {SERVER:g} %", met=serving_it <= SERVER,
             note="processor time with a browser, less that without"),
    ]  # fmt: skip


def _weight() -> Line:
    files = read_files()
    plain = sum(len(served.body) for served in files.values()) / 1e3
    squeezed = sum(len(served.squeezed) for served in files.values()) / 1e3
    return Line(
        what="dashboard, everything of it, as it travels",
        unit="kB",
        ours=squeezed,
        goal=f"< {WEIGHT:g} kB",
        met=squeezed < WEIGHT,
        note=f"{plain:.0f} kB before gzip, libraries included",
    )


def _busy_seconds(session: Any) -> float:  # noqa: ANN401 - playwright's own
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(found["TaskDuration"])


def _over(server: int, folder: Path, page: Any = None) -> tuple[float, float]:  # noqa: ANN401
    """The server's share of a core, and changes a second, over the window."""
    spent, changes, start = _processor_seconds(server), _changes(folder), time.perf_counter()
    if page is not None:
        page.wait_for_timeout(WINDOW_SECONDS * 1e3)
    else:
        threading.Event().wait(WINDOW_SECONDS)
    took = time.perf_counter() - start
    return (
        (_processor_seconds(server) - spent) / took,
        (_changes(folder) - changes) / took,
    )


def _processor_seconds(process: int) -> float:
    cells = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(cells[11]) + int(cells[12])) / os.sysconf("SC_CLK_TCK")


def _changes(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "bot.db", timeout=20)) as table:
        return int(table.execute("SELECT count(*) FROM ordersync_events").fetchone()[0])


@contextlib.contextmanager
def _at_work(folder: Path, count: int, pace: int) -> Iterator[tuple[str, int]]:
    """Exchange and ordersync while the block runs; the address, and ordersync's process."""
    port = free_port()
    venue = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-m", "benchmarks.dashboard", str(folder), str(count), str(pace)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert venue.stdout is not None
        url = venue.stdout.readline().strip()
        settings = exchange.configure(folder, url).path
        more = f'ws_url = "{url.replace("http", "ws", 1)}"\n\n[web]\nlisten = "127.0.0.1:{port}"\n'
        with settings.open("a", encoding="utf-8") as file:
            file.write(more)
        keeper = subprocess.Popen(
            [sys.executable, "-m", "ordersync", "run", "--json"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: listens(port), "the API answers")
            begun = time.monotonic()
            until(lambda: time.monotonic() > begun + QUIET.total_seconds(), "it is busy", 240)
            yield f"http://127.0.0.1:{port}", keeper.pid
        finally:
            keeper.terminate()
            keeper.wait()
    finally:
        venue.terminate()
        venue.wait()


async def _exchange(folder: Path, count: int, pace: int) -> None:
    """Orders whose partial fills come at the pace, one after the other, once it is quiet."""
    world = World(lambda: datetime.now(UTC))
    account = world.open_account()
    created = world.now() - timedelta(minutes=1)
    rounds = int(BUSY.total_seconds() * pace / count) + 1
    chance = random.Random(8)  # noqa: S311 - a schedule
    for n in range(1, count + 1):
        first = timedelta(minutes=1) + QUIET + timedelta(seconds=n / pace)
        every = timedelta(seconds=count / pace)
        share = Decimal(1) / (2 * rounds)
        world.place(
            account.portfolio,
            chance.choice(("BTC-USD", "ETH-USD")),
            "BUY",
            limit_gtc("0.64", "63000"),
            life=Life.open(fills=[(first + k * every, share) for k in range(rounds)]),
            order_id=scene.order_id(n),
            created_at=created,
        )
    account.key.write(folder / "coinbase.json")
    scene.make_table(folder / "bot.db", count)
    async with serving(app(world, requests_per_second=exchange.WITHOUT_LIMIT)) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_exchange(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
