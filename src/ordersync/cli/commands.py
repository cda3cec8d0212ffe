"""What the commands do: ask the service, show the answer, set the exit status."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING

import structlog

from ordersync import settings as configuration
from ordersync.cli import show
from ordersync.cli.logs import let_leave, set_up_log
from ordersync.cli.output import Exit
from ordersync.cli.spans import duration
from ordersync.cli.stopping import until
from ordersync.errors import ConfigError, StoreBusy
from ordersync.ports import Severity
from ordersync.service import examine, schema_statements, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from pathlib import Path

    from ordersync.cli.output import Output
    from ordersync.sync.audit import Audit
    from ordersync.sync.work import PassReport
    from ordersync.truth.model import Event


PATIENCE = 60.0
"""For how many seconds `run` waits at its start for a database that is away."""

log = structlog.get_logger("ordersync")


async def doctor(output: Output) -> None:
    """Check everything there is to check."""
    set_up_log(as_json=output.as_json)
    settings = configuration.load(output.config)
    findings = await examine(settings)
    if any(finding.severity is Severity.ERROR for finding in findings):
        output.status = Exit.CONFIGURATION
    if output.as_json:
        output.give({"findings": findings})
        return
    show.show_findings(output, findings)


async def audit(output: Output, since: str) -> None:
    """Compare the table with the exchange."""
    set_up_log(as_json=output.as_json)
    settings = configuration.load(output.config)
    span = duration(since, "--since")
    async with serving(settings, create=False) as service:
        with output.progress("Comparing") as progress:
            audits = await service.audit(span, progress=progress)
    _conclude_audit(output, audits)


async def sync(output: Output) -> None:
    """One pass that repairs."""
    set_up_log(as_json=output.as_json)
    settings = configuration.load(output.config)
    async with serving(settings, create=True) as service:
        with output.progress("Verifying") as progress:
            reports = await service.sync(progress=progress, waiting=_waiting(output))
    _conclude_sync(output, reports)


async def dry_run(output: Output, older_than: str | None) -> None:
    """What a pass would write."""
    set_up_log(as_json=output.as_json)
    settings = configuration.load(output.config)
    age = duration(older_than, "--older-than") if older_than else None
    async with serving(settings, create=False) as service:
        with output.progress("Comparing") as progress:
            audits = await service.preview(older_than=age, progress=progress)
    failed = sum(len(audit.failed) for audit in audits)
    output.status = Exit.UNVERIFIED if failed else Exit.DONE
    if output.as_json:
        output.give({"accounts": audits})
        return
    show.show_audit(output, audits)
    output.say("Nothing was written (dry run).")


async def run(output: Output, *, shadow: bool, log_format: str | None = None) -> None:
    """Keep the table true until stopped."""
    settings = configuration.load(output.config)
    chosen = log_format or settings.log.format.value
    set_up_log(
        as_json=output.as_json or chosen == configuration.LogFormat.JSON,
        # With --json stdout carries events, so the log has to go elsewhere.
        stream=sys.stderr if output.as_json else sys.stdout,
        least=logging.getLevelNamesMapping()[settings.log.level.upper()],
    )

    def tell(events: Sequence[Event]) -> None:
        if output.as_json:
            for event in events:
                output.give(event)

    stopping = _stop_on_signals()
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            async with serving(settings, create=True, shadow=shadow, listener=tell) as service:
                deadline = 0.0
                await until(stopping, service.run())
        except StoreBusy as away:
            # After a power cut we may be up before the database is.
            if time.monotonic() > deadline or stopping.is_set():
                raise
            log.warning(f"Waiting for the database: {away.what}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 1.0)
                return
        else:
            return


async def schema(output: Output, role: str | None, *, notify: bool) -> None:
    """The SQL for whoever owns the database."""
    settings = configuration.load(output.config)
    statements = schema_statements(settings, role, notify=notify)
    if output.as_json:
        output.give({"statements": statements})
        return
    for statement in statements:
        output.say(f"{statement};")
    if not statements:
        # Beside stdout, which may be a file for the owner.
        output.aside.print(
            "Nothing is left to run: our tables are there, in this version."
            + (" Only PostgreSQL tells of new rows." if notify else "")
            + (" SQLite has no users: rights are the file's." if role else ""),
            markup=False,
        )


async def cleanup(output: Output, older_than: str, *, yes: bool, accept_absent: bool) -> None:
    """Verify and repair old open rows, after a person has seen what that means."""
    set_up_log(as_json=output.as_json)
    settings = configuration.load(output.config)
    age = duration(older_than, "--older-than")
    if not yes:
        async with serving(settings, create=False) as service:
            with output.progress("Comparing") as progress:
                audits = await service.preview(older_than=age, progress=progress)
        _conclude_audit(output, audits)
        output.status = Exit.UNVERIFIED if any(a.failed for a in audits) else Exit.DONE
        if not sys.stdin.isatty() or not sys.stdout.isatty() or output.as_json:
            output.say("Nothing was written. To write it: ordersync cleanup --yes")
            return
        answer = await asyncio.to_thread(input, "Write these changes? [y/N] ")
        if answer.strip().lower() not in {"y", "yes"}:
            output.say("Nothing was written.")
            return
    async with serving(settings, create=True) as service:
        with output.progress("Verifying") as progress:
            reports = await service.sync(
                older_than=age,
                accept_absent=accept_absent,
                progress=progress,
                waiting=_waiting(output),
            )
    _conclude_sync(output, reports)


async def simulator(
    output: Output, directory: Path, seed: int, faults: Path | None, port: int, venue: str
) -> None:
    """Serve a simulated exchange until stopped."""
    from ordersync.simulator import Ready, Venue, run  # noqa: PLC0415 - loads a web server

    def ready(at: Ready) -> None:
        if output.as_json:
            output.give(
                {
                    "url": at.url,
                    "ws_url": at.ws_url,
                    "config": str(at.configuration),
                    "key_file": str(at.key_file),
                }
            )
            return
        where = f"{at.url} and {at.ws_url}"
        output.say(f"Simulated exchange at {where}; wrote {at.configuration} and {at.key_file}")
        output.say("The database that ordersync.toml names, bot.db, is your bot's to bring.")
        sys.stdout.flush()

    stopping = _stop_on_signals()
    try:
        await until(stopping, run(directory, seed, faults, port, ready, venue=Venue(venue)))
    except (ValueError, OSError) as error:
        raise ConfigError(str(error), where="simulator") from error


async def demo(output: Output, *, once: bool) -> None:
    """Show a careless bot's table coming true."""
    from ordersync.demo.stage import play  # noqa: PLC0415 - loads a web server

    async def show() -> None:
        if not await play(output.person, once=once):
            output.status = Exit.DIFFERENCES

    set_up_log(as_json=False, least=logging.ERROR)
    await until(_stop_on_signals(), show())


def _stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set, so that a service can end in good order."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def _waiting(output: Output) -> Callable[[int, timedelta], None]:
    def tell(orders: int, pause: timedelta) -> None:
        let_leave()
        they = "1 order is" if orders == 1 else f"{orders} orders are"
        wait = f"{pause.total_seconds():.0f} s"
        output.aside.print(
            f"{they} not at the exchange; asking again in {wait}, to be sure",
            markup=False,
        )

    return tell


def _conclude_audit(output: Output, audits: Sequence[Audit]) -> None:
    if any(audit.failed for audit in audits):
        output.status = Exit.UNVERIFIED
    elif any(audit.rows for audit in audits):
        output.status = Exit.DIFFERENCES
    if output.as_json:
        output.give({"accounts": audits})
    else:
        show.show_audit(output, audits)


def _conclude_sync(output: Output, reports: Sequence[PassReport]) -> None:
    if any(report.failed or report.doubt for report in reports):
        output.status = Exit.UNVERIFIED
    if output.as_json:
        output.give(
            {
                "updated": sum(report.rows_written for report in reports),
                "not_found": sum(len(report.not_found) for report in reports),
                "failed": sum(len(report.failed) for report in reports),
                "accounts": [
                    {
                        "account": report.account,
                        "asked": report.asked,
                        "updated": report.rows_written,
                        "not_found": sorted(report.not_found),
                        "failed": report.failed,
                        "doubt": report.doubt or None,
                        "unidentified": [str(claim.row_id) for claim in report.unidentified],
                    }
                    for report in reports
                ],
            }
        )
        return
    let_leave()
    show.show_sync(output, reports)
