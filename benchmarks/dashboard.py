"""The dashboard with ten thousand open orders, of which a thousand change each second.

Three processes, as in life: a simulated exchange that pushes fills, `ordersync run` with its API,
and Chromium. The page is opened and left in turn: what serving it costs is the difference between
the windows with it and those without, so that a pass over all orders falls on neither alone.
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
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from playwright.sync_api import sync_playwright

from benchmarks import exchange, scene
from benchmarks.measure import Line, Options, median
from ordersync.simulator import Life, World, app, limit_gtc, serving
from ordersync.web.dashboard.pages import read_files
from tests.servers.daemon import Missing, free_port, listens, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

ORDERS = 10_000
PACE = 1_000
LEAD, LEAD_AN_ORDER = timedelta(seconds=15), timedelta(milliseconds=6)
"""To the first fill: by then the orders are placed, and every one was verified once."""
BUSY = timedelta(seconds=300)
"""For so long fills come; in it the page is opened, and looked at."""
ROUNDS = 3
WINDOW_SECONDS = 20.0
SETTLED_SECONDS = 8.0
"""So long after its last part has come a page asks for nothing that it asks for once."""
BEHIND = timedelta(seconds=1)
"""So far the table may be behind the exchange when counting begins."""
FIRST_ROWS = """
new MutationObserver((_, observer) => {
  if (!document.querySelector(".row")) return;
  observer.disconnect();
  requestAnimationFrame(() => { window.firstRows_ = performance.now() / 1000; });
}).observe(document, { childList: true, subtree: true });
"""
"""When the first rows stand on the page, in seconds since its address was entered."""
DRAWN_AT = "new Promise((tell) => requestAnimationFrame(() => tell(firstRows_)))"
FRAMES_DRAWN = """
window.frames_ = 0;
(function draw() { window.frames_ += 1; requestAnimationFrame(draw); })();
"""
MAIN_THREAD, SERVER, FRAMES, INTERACTIVE, WEIGHT = 25.0, 5.0, 60.0, 1.0, 150.0


class Told(NamedTuple):
    """Changes of orders, and all events: passes tell besides what more the exchange says."""

    changes: float
    events: float


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One round: a window without the page, and one with it."""

    interactive: float
    main_thread: float
    frames: float
    alone: float
    watched: float
    told: Told


def run(options: Options, folder: Path) -> list[Line]:
    """Look at it for a while; `quick` looks at fewer orders that change less often."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise Missing("chromium is not on PATH. Debian: apt install chromium.")
    count, pace = options.of(ORDERS, 1_000), options.of(PACE, 100)
    with _at_work(folder, count, pace) as (address, server), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        looks = [
            _look(browser, address, server, folder, count) for _ in range(options.of(ROUNDS, 1))
        ]
        browser.close()
    return [*_lines(count, looks), _weight()]


def _look(browser: Browser, address: str, server: int, folder: Path, count: int) -> Look:
    alone, _ = _over(server, folder)
    # A profile of its own: nothing is in its cache.
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.add_init_script(FIRST_ROWS)
    page.goto(address, wait_until="commit")
    page.wait_for_selector(".row")
    interactive = page.evaluate(DRAWN_AT)
    page.get_by_text(f"{count:,} rows shown").wait_for(timeout=120_000)
    page.wait_for_selector(".sentence.good")  # the totals were counted
    page.wait_for_selector(".beside .bots li")
    page.wait_for_timeout(SETTLED_SECONDS * 1e3)
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    page.evaluate(FRAMES_DRAWN)
    spent, drawn = _busy_seconds(session), page.evaluate("frames_")
    watched, told = _over(server, folder, page)
    look = Look(
        interactive=interactive,
        main_thread=(_busy_seconds(session) - spent) / WINDOW_SECONDS * 100,
        frames=(page.evaluate("frames_") - drawn) / WINDOW_SECONDS,
        alone=alone,
        watched=watched,
        told=told,
    )
    context.close()
    return look


def _lines(count: int, looks: list[Look]) -> list[Line]:
    changes = median([look.told.changes for look in looks])
    events = median([look.told.events for look in looks])
    what = f"dashboard, {count:,} open orders, {changes:,.0f} changes/s"
    busy = median([look.main_thread for look in looks])
    frames = median([look.frames for look in looks])
    interactive = median([look.interactive for look in looks])
    # Means: what the page asks for now and then is a part of its cost.
    alone = fmean(look.alone for look in looks)
    serving_it = (fmean(look.watched for look in looks) - alone) * 100
    return [
        Line(what=f"{what}: browser's main thread", unit="%", ours=busy,
             goal=f"<= {MAIN_THREAD:g} %", met=busy <= MAIN_THREAD),
        Line(what=f"{what}: frames", unit="/s", ours=frames,
             goal=f"{FRAMES:g}/s", met=frames >= FRAMES * 0.98),
        Line(what=f"{what}: from the address to the first rows", unit="s", ours=interactive,
             goal=f"< {INTERACTIVE:g} s", met=interactive < INTERACTIVE,
             note=f"nothing cached; the longest of {len(looks)}: "
             f"{max(look.interactive for look in looks):.2f} s"),
        Line(what=f"{what}: what one page costs the server", unit="% of a core", ours=serving_it,
             goal=f"<= {SERVER:g} %", met=serving_it <= SERVER,
             note=f"processor time with a browser, which hears of {events:,.0f} events/s, less "
             f"that without: {alone:.0%} of a core"),
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


def _over(server: int, folder: Path, page: Any = None) -> tuple[float, Told]:  # noqa: ANN401
    """The server's share of a core over the window, and what it told a second."""
    spent, newest, start = _processor_seconds(server), _newest(folder), time.perf_counter()
    if page is not None:
        page.wait_for_timeout(WINDOW_SECONDS * 1e3)
    else:
        threading.Event().wait(WINDOW_SECONDS)
    took = time.perf_counter() - start
    busy = (_processor_seconds(server) - spent) / took
    told = _told_since(folder, newest)
    return busy, Told(changes=told.changes / took, events=told.events / took)


def _processor_seconds(process: int) -> float:
    cells = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(cells[11]) + int(cells[12])) / os.sysconf("SC_CLK_TCK")


def _newest(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "bot.db", timeout=20)) as table:
        (newest,) = table.execute("SELECT max(log_id) FROM ordersync_events").fetchone()
    return int(newest or 0)


def _told_since(folder: Path, newest: int) -> Told:
    with contextlib.closing(sqlite3.connect(folder / "bot.db", timeout=20)) as table:
        kinds = dict(
            table.execute(
                "SELECT kind, count(*) FROM ordersync_events WHERE log_id > ? GROUP BY kind",
                (newest,),
            )
        )
    return Told(changes=kinds.get("changed", 0), events=sum(kinds.values()))


@contextlib.contextmanager
def _at_work(folder: Path, count: int, pace: int) -> Iterator[tuple[str, int]]:
    """Exchange and ordersync at this pace while the block runs; address, and ordersync's process.

    Raises TimeoutError where this machine does not keep the pace.
    """
    port = free_port()
    venue = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-m", "benchmarks.dashboard", str(folder), str(count), str(pace)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert venue.stdout is not None
        url, begins = venue.stdout.readline().split()
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
            _wait_for_the_pace(folder, pace, float(begins))
            yield f"http://127.0.0.1:{port}", keeper.pid
        finally:
            keeper.terminate()
            keeper.wait()
    finally:
        venue.terminate()
        venue.wait()


def _wait_for_the_pace(folder: Path, pace: int, begins: float) -> None:
    """Until what the exchange tells is in the table about as soon as it is told."""
    until(lambda: time.time() >= begins, "the first fill", 2 * BUSY.total_seconds())
    patience = BUSY.total_seconds() / 3
    until(lambda: _behind(folder, pace) <= BEHIND, f"it keeps up with {pace:,}/s", patience)


def _behind(folder: Path, pace: int) -> timedelta:
    """How late the latest of the last second's changes came into the table."""
    with contextlib.closing(sqlite3.connect(folder / "bot.db", timeout=20)) as table:
        (latest,) = table.execute(
            "SELECT max(json_extract(body, '$.latency_ms')) FROM"
            " (SELECT body FROM ordersync_events ORDER BY log_id DESC, n DESC LIMIT ?)",
            (pace,),
        ).fetchone()
    return timedelta.max if latest is None else timedelta(milliseconds=latest)


async def _exchange(folder: Path, count: int, pace: int) -> None:
    """Orders whose partial fills come at the pace, one after the other, once it is quiet."""
    world = World(lambda: datetime.now(UTC))
    account = world.open_account()
    scene.make_table(folder / "bot.db", count)
    rounds = int(BUSY.total_seconds() * pace / count) + 1
    share, every = Decimal(1) / (2 * rounds), timedelta(seconds=count / pace)
    chance = random.Random(8)  # noqa: S311 - a schedule
    created = world.now() - timedelta(minutes=1)
    begins = world.now() + LEAD + count * LEAD_AN_ORDER
    for n in range(count):
        first = begins - created + timedelta(seconds=n / pace)
        world.place(
            account.portfolio,
            chance.choice(("BTC-USD", "ETH-USD")),
            "BUY",
            limit_gtc("0.64", "63000"),
            life=Life.open(fills=[(first + k * every, share) for k in range(rounds)]),
            order_id=scene.order_id(n + 1),
            created_at=created,
        )
    account.key.write(folder / "coinbase.json")
    async with serving(app(world, requests_per_second=exchange.WITHOUT_LIMIT)) as url:
        print(url, begins.timestamp(), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_exchange(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
