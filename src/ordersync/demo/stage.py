"""The stage: exchange, bot and ordersync at work together, and what a person sees of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from ordersync import settings as configuration
from ordersync.demo.scene import CONFIGURATION, PAST, build_world, write_past
from ordersync.service.at_work import serving
from ordersync.simulator import Faults, app
from ordersync.simulator import serving as simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from ordersync.simulator import World
    from ordersync.truth.model import Event

ORDERS_ONCE = 8
ORDERS = 100_000
DASHBOARD = 8642
LONGEST_ONCE = timedelta(seconds=60)
QUIET_FIRST = timedelta(seconds=3)
SHOWN = 18


@dataclass(slots=True)
class Tally:
    """What happened so far."""

    started_at: datetime
    past: dict[str, timedelta] = field(default_factory=dict)
    fresh: dict[str, timedelta] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


async def play(console: Console, *, once: bool) -> bool:
    """Run the demo: until interrupted, or `once` until every row is true. Whether all is true."""
    with tempfile.TemporaryDirectory(prefix="ordersync-demo-") as folder:
        place = Path(folder)
        world, account = build_world()
        account.key.write(place / "coinbase.json")
        write_past(place / "bot.db", world.now())
        async with simulated(app(world, Faults())) as url:
            port = _free_port()
            written = CONFIGURATION.format(
                url=url,
                stream=url.replace("http", "ws", 1),
                is_served=str(not once).lower(),  # who ends by himself has nobody to look
                port=port,
            )
            (place / "ordersync.toml").write_text(written, encoding="utf-8")
            address = "" if once else f"http://127.0.0.1:{port}"
            _introduce(console, place, url, address)
            return await _play(console, place, url, world, address)


async def _play(console: Console, place: Path, url: str, world: World, address: str) -> bool:
    """Without an address for a browser it is played once."""
    once = not address
    settings = configuration.load(place / "ordersync.toml")
    tally = Tally(datetime.now(UTC))
    live = Live(console=console, refresh_per_second=8) if console.is_terminal else None

    def hear(events: Sequence[Event]) -> None:
        for event in events:
            line = _note(tally, event)
            if line is not None and live is None:
                console.print(line, markup=False)

    bot = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ordersync.demo.careless_bot",
        url,
        str(place / "coinbase.json"),
        str(place / "bot.db"),
        str(ORDERS_ONCE if once else ORDERS),
    )
    try:
        with live or contextlib.nullcontext():
            if live is not None:
                # First what the owner of such a bot sees, before ordersync comes.
                before = _picture(place, world, tally, "ordersync is not running yet", address)
                live.update(before)
                await asyncio.sleep(QUIET_FIRST.total_seconds())
            tally.started_at = datetime.now(UTC)
            async with (
                serving(settings, create=True, listener=hear) as service,
                asyncio.TaskGroup() as group,
            ):
                running = group.create_task(service.run())
                await _watch(place, world, tally, live, bot, address)
                running.cancel()
    finally:
        if bot.returncode is None:
            bot.terminate()
        await bot.wait()
        # Also for somebody who ends it: what he saw, in a few lines.
        untrue = [row for row in _rows(place, world) if not row.is_true]
        _summarise(console, tally, untrue, is_whole=once)
    return not untrue


async def _watch(
    place: Path,
    world: World,
    tally: Tally,
    live: Live | None,
    bot: asyncio.subprocess.Process,
    address: str,
) -> None:
    """Keep the picture fresh; once, until the bot has ended and every row is true."""
    once = not address
    deadline = datetime.now(UTC) + LONGEST_ONCE
    while True:
        await asyncio.sleep(0.2)
        if live is not None:
            live.update(_picture(place, world, tally, "ordersync is running", address))
        if once and bot.returncode is not None:
            done = all(row.is_true for row in _rows(place, world))
            if done or datetime.now(UTC) > deadline:
                # The row is true as soon as it is committed; its event is told just after.
                await asyncio.sleep(0.5)
                return


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the bot's table beside what is really the case."""

    row_id: int
    market: str
    order_id: str
    word: str
    price: float | None
    really: str

    @property
    def is_true(self) -> bool:
        """Whether the word says what is the case."""
        return self.word in _WORDS[self.really]


_WORDS = {
    "open": {"pending"},
    "filled": {"completed"},
    "canceled+fills": {"completed"},
    "canceled": {"cancelled"},
    "expired": {"cancelled"},
    "rejected": {"failed"},
    "not there": {"unknown"},
}


def _rows(place: Path, world: World) -> list[Row]:
    with contextlib.closing(sqlite3.connect(place / "bot.db", timeout=10.0)) as table:
        rows = table.execute(
            "SELECT id, product_id, order_id, status, fill_price FROM trades ORDER BY id"
        ).fetchall()
    gone = {stuck.order_id for stuck in PAST if stuck.life is None}
    found = []
    for row_id, market, order_id, word, price in rows:
        really = "not there"
        if order_id not in gone:
            truth = world.truth(order_id)
            has_fills = truth.standing == "canceled" and truth.filled_qty > 0
            really = "canceled+fills" if has_fills else truth.standing
        found.append(Row(row_id, market, order_id, word, price, really))
    return found


def _note(tally: Tally, event: Event) -> str | None:
    """Remember how long the row was untrue; the line that tells it."""
    before, after = event.before.word, event.after.word
    if before == after or event.order.row_id is None:
        return None
    order = event.order.venue_order_id or ""
    late = timedelta(milliseconds=event.latency_ms or 0)
    is_past = order in {stuck.order_id for stuck in PAST}
    if is_past and event.latency_ms is None:
        late = next(
            event.at - _placed(stuck.age, tally) for stuck in PAST if stuck.order_id == order
        )
    (tally.past if is_past else tally.fresh)[order] = late
    price = f" at {event.after.avg_price}" if event.after.avg_price else ""
    status = event.after.status or ""
    line = (
        f"row {event.order.row_id:>3}  {event.order.symbol or '':<12} {before} -> {after}"
        f"  ({status}{price})  untrue for {_span(late)}"
    )
    tally.lines.append(line)
    return line


def _placed(age: timedelta, tally: Tally) -> datetime:
    return tally.started_at - age


def _picture(place: Path, world: World, tally: Tally, state: str, address: str) -> Table:
    """The bot's table beside the exchange, newest rows last; below it where a browser looks."""
    rows = _rows(place, world)
    untrue = sum(not row.is_true for row in rows)
    title = Text(f"{state}: {untrue} of {len(rows)} rows are untrue", style="bold")
    more = f"dashboard: {address}   Ctrl-C ends it" if address else None
    table = Table(title=title, caption=more, box=None, pad_edge=False, header_style="dim")
    for head in ("row", "market", "order", "the table says", "the exchange says", "untrue for"):
        table.add_column(head)
    spans = tally.past | tally.fresh
    for row in rows[-SHOWN:]:
        span = spans.get(row.order_id)
        table.add_row(
            str(row.row_id),
            row.market,
            row.order_id[:8],
            Text(row.word, style="green" if row.is_true else "bold red"),
            row.really + (f" at {row.price:g}" if row.price else ""),
            _span(span) if span is not None else "",
        )
    return table


def _free_port() -> int:
    """The dashboard's own port, or another where somebody has that."""
    for port in (DASHBOARD, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    return DASHBOARD


def _introduce(console: Console, place: Path, url: str, address: str) -> None:
    console.print(f"A simulated exchange is at {url}.", markup=False)
    console.print(
        f"A careless bot trades on it and left {len(PAST)} rows behind in {place / 'bot.db'}:"
        " it writes 'pending' and never looks back.",
        markup=False,
    )
    console.print("ordersync keeps its table true.", markup=False)
    if address:
        console.print(
            f"See it in a browser: {address}   Ctrl-C ends it.", style="bold", markup=False
        )
    console.print()


def _summarise(console: Console, tally: Tally, untrue: list[Row], *, is_whole: bool) -> None:
    """In a few lines. A whole one waited for the last row; an ended one did not."""
    past, fresh = list(tally.past.values()), list(tally.fresh.values())
    console.print()
    if past:
        console.print(
            f"{len(past)} stuck rows repaired; they had been untrue for {_span(min(past))}"
            f" to {_span(max(past))}.",
            markup=False,
        )
    if fresh:
        console.print(
            f"{len(fresh)} new orders: true {_span(_median(fresh))} after the fill"
            f" (median), {_span(max(fresh))} at worst.",
            markup=False,
        )
    if untrue:
        rows = ", ".join(str(row.row_id) for row in untrue)
        if is_whole:
            console.print(f"Still untrue: rows {rows}.", style="red", markup=False)
        else:
            console.print(f"On its way when you ended it: row {rows}.", markup=False)
    else:
        console.print("Every row of the bot's table is true.", style="green", markup=False)


def _median(spans: list[timedelta]) -> timedelta:
    return timedelta(seconds=statistics.median(span.total_seconds() for span in spans))


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:  # noqa: PLR2004 - two minutes read better in seconds
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
