"""What `status` and `alert test` do: one screen for those on ssh, and one message to everybody."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ordersync import settings as configuration
from ordersync.cli.logs import set_up_log
from ordersync.cli.output import Exit
from ordersync.cli.spans import span
from ordersync.errors import AskAgain, ConfigError
from ordersync.service import look_over
from ordersync.truth.urgency import Urgency

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType

    from ordersync.cli.output import Output
    from ordersync.service import Overview
    from ordersync.sync.objectives import Objectives

EVERY_SECONDS = 2.0
SILENT_SECONDS = 150.0
"""After so long without a sample nobody watches: they come every minute."""

_NUMBERS = frozenset(
    {
        *("open", "stale", "suspect", "unknown", "bots blocked", "verified", "calls/min"),
        *("delay p50", "p99", "worst", "within 30 s", "accuracy", "bots free", "age"),
    }
)
_COLOURS = {
    Urgency.FRESH: "",
    Urgency.NORMAL: "",
    Urgency.WARNING: "yellow",
    Urgency.CRITICAL: "red",
}


async def test(output: Output) -> None:
    """Send a message to every channel."""
    from ordersync.service import send_test  # noqa: PLC0415 - `status` needs no sender

    set_up_log(as_json=output.as_json)
    settings = configuration.load(output.config)
    if not settings.alerts.channels:
        raise ConfigError(
            "there is no channel, so nobody would be told.",
            where=f"{settings.path}: alerts.channels",
            mend="Write one: [[alerts.channels]] with name and url_file, or webhook.",
        )
    results = await send_test(settings)
    if any(results.values()):
        output.status = Exit.UNVERIFIED
    if output.as_json:
        output.give({"channels": {name: why or None for name, why in results.items()}})
        return
    for name, why in results.items():
        output.say(f"{name}: {why or 'it was taken'}", style="red" if why else "green")


async def status(output: Output, *, watch: bool) -> None:
    """Show how everything stands; with `watch` until interrupted."""
    settings = configuration.load(output.config)
    if not watch:
        seen = await look_over(settings)
        output.status = Exit.DONE if seen.is_well else Exit.DIFFERENCES
        if output.as_json:
            output.give(seen)
        else:
            output.person.print(screen(seen))
        return
    if output.as_json:
        while True:
            output.give(await look_over(settings))
            await _pause()
    with Live(console=output.person, auto_refresh=False, screen=output.person.is_terminal) as live:
        while True:
            try:
                live.update(screen(await look_over(settings)), refresh=True)
            except AskAgain as error:
                live.update(Text(f"Waiting for the database: {error}"), refresh=True)
            await _pause()


async def _pause() -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), EVERY_SECONDS)


def screen(seen: Overview) -> RenderableType:
    """One screen."""
    parts: list[RenderableType] = [
        Text(f"ordersync  {seen.at:%Y-%m-%d %H:%M:%S}Z", style="bold"),
        _accounts(seen),
        _objectives(seen),
    ]
    alerts = [
        Text(f"told of {one.account}: {kind.replace('_', ' ')} since {at:%H:%M}Z", style="yellow")
        for one in seen.accounts
        for kind, at in one.alerts.items()
    ]
    channels = [
        Text(f"channel {one.name} does not take alerts: {one.why}", style="red")
        for one in seen.channels
        if one.why
    ]
    parts += [*alerts, *channels]
    if seen.troubles:
        parts.append(_troubles(seen))
    else:
        parts.append(Text("No order wants to be looked at.", style="green"))
    return Group(*parts)


def _accounts(seen: Overview) -> Table:
    heads = ("account", "open", "stale", "suspect", "unknown", "bots blocked", "verified")
    table = _table(*heads, "calls/min", "kept by")
    for one in seen.accounts:
        silent = one.sampled_at is None or (seen.at - one.sampled_at).total_seconds() > (
            SILENT_SECONDS
        )
        verified = _ago(one.oldest_verified_at or one.verified_at, seen.at)
        calls = "-" if one.calls is None else f"{one.calls}/{one.call_limit or '?'}"
        kept = Text(one.lease or "a run without lease")
        if silent and one.lease is None:
            kept = Text("nobody: start ordersync run", style="red")
        table.add_row(
            f"{one.account} ({one.venue})",
            str(one.open),
            _bad(one.stale),
            _bad(one.suspect),
            _bad(one.unknown),
            str(one.owners_blocked),
            verified,
            "-" if silent else calls,
            kept,
        )
    return table


def _objectives(seen: Overview) -> Table:
    table = _table("over", "delay p50", "p99", "worst", "within 30 s", "accuracy", "bots free")
    for name, one in seen.objectives.items():
        table.add_row(name, *_figures(one))
    return table


def _figures(one: Objectives) -> list[str | Text]:
    late = one.latency_seconds
    missed = bool(one.missed())
    cells = [
        span(late.p50),
        span(late.p99),
        span(late.max),
        _share(one.within_30s),
        _share(one.accuracy.value),
        _share(one.availability.value),
    ]
    return [Text(cell, style="yellow" if missed else "") for cell in cells]


def _troubles(seen: Overview) -> Table:
    table = _table("row", "account", "market", "owner", "table", "exchange", "age", "why")
    for one in seen.troubles:
        table.add_row(
            one.row_id or "-",
            one.account,
            one.symbol or "-",
            one.owner or "-",
            one.row_word or "-",
            one.exchange_status or "-",
            span(one.age_seconds),
            Text(one.discrepancy or "-", style=_COLOURS[one.urgency]),
        )
    return table


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold", justify="right" if head in _NUMBERS else "left")
    return table


def _bad(count: int) -> Text:
    return Text(str(count), style="red" if count else "")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _ago(at: datetime | None, now: datetime) -> str:
    return "never" if at is None else f"{span((now - at).total_seconds())} ago"
