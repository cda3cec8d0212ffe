"""What a person sees: tables and sentences for the answers of the commands."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ordersync.cli.spans import span
from ordersync.ports import Severity
from ordersync.sync.audit import Difference
from ordersync.truth.model import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.cli.output import Output
    from ordersync.ports import Finding, Match
    from ordersync.sync.audit import Audit, Row
    from ordersync.sync.work import PassReport
    from ordersync.truth.model import Event, Side

_MARKS = {
    Severity.OK: ("ok", "green"),
    Severity.WARNING: ("warning", "yellow"),
    Severity.ERROR: ("error", "red"),
}
_MANY = 20
_PLAIN = {
    Difference.MISSING: "and the exchange does not have it",
    Difference.UNIDENTIFIED: "and names no order",
    Difference.UNMAPPED: "which is outside the mapping",
}


def show_findings(output: Output, findings: Sequence[Finding]) -> None:
    """Each finding on a line, its mend below it."""
    for finding in findings:
        mark, colour = _MARKS[finding.severity]
        line = Text(f"{mark:>7}  ", style=colour)
        line.append(f"{finding.about}: ", style="bold")
        line.append(finding.what, style="default")
        output.person.print(line)
        if finding.mend:
            output.person.print(f"         {finding.mend}", style="cyan", markup=False)


def show_audit(output: Output, audits: Sequence[Audit]) -> None:
    """One line an order with all that differs, then what could not be verified, then the sum."""
    by_order: dict[tuple[str, ...], list[Row]] = {}
    for audit in audits:
        for row in audit.rows:
            name = row.venue_order_id or row.client_order_id or "-"
            by_order.setdefault((row.row_id or "-", name, row.symbol or "-"), []).append(row)
    orphans = [key for key, rows in by_order.items() if rows[0].difference is Difference.ORPHAN]
    if by_order:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for head in ("row", "order", "market", "difference", "table says -> exchange says"):
            table.add_column(head, overflow="fold")
        for key, rows in sorted(by_order.items(), key=_place):
            if key not in orphans[_MANY:]:
                kinds = ", ".join(dict.fromkeys(row.difference.value for row in rows))
                table.add_row(*key, kinds, "; ".join(_says(row) for row in rows))
        output.person.print(table)
        if len(orphans) > _MANY:
            output.say(f"and {len(orphans) - _MANY} more orders without a row")
        output.say()
    for audit in audits:
        show_failures(output, audit.failed)
    checked = sum(audit.checked for audit in audits)
    failed = sum(len(audit.failed) for audit in audits)
    output.say(f"Audit complete: {checked} checked, {len(by_order)} differ, {failed} not verified")


def _place(order: tuple[tuple[str, ...], list[Row]]) -> tuple[bool, int, str]:
    """In the order of the rows' keys, numbers as numbers; orders without a row last."""
    row = order[0][0]
    return row == "-", int(row) if row.isdecimal() else 0, row


def _says(row: Row) -> str:
    """What the table says and what the exchange says, of one column."""
    if row.difference in _PLAIN:
        return f"{_cell(row.table_says)}, {_PLAIN[row.difference]}"
    column = f"{row.column}: " if row.column and row.difference is not Difference.STATUS else ""
    return f"{column}{_cell(row.table_says)} -> {_cell(row.venue_says)}"


def show_failures(output: Output, failed: dict[str, str]) -> None:
    """Each order that could not be verified or written, and why; the first of many."""
    for name, why in list(failed.items())[:_MANY]:
        output.aside.print(f"Failed to sync order {name}: {why}", style="yellow", markup=False)
    if len(failed) > _MANY:
        output.aside.print(f"and {len(failed) - _MANY} more (--json lists them all)", markup=False)


def show_sync(output: Output, reports: Sequence[PassReport]) -> None:
    """What a pass could not do, what it left alone, then the line that ends it."""
    for report in reports:
        if report.doubt:
            output.aside.print(f"{report.account}: {report.doubt}", style="red", markup=False)
        show_failures(output, {n: w for n, w in report.failed.items() if w != report.doubt})
        if report.unidentified:
            ids = ", ".join(str(claim.row_id) for claim in report.unidentified[:_MANY])
            output.aside.print(
                f"{len(report.unidentified)} rows name no order and are left alone: {ids}",
                markup=False,
            )
        if report.unmapped:
            words = ", ".join(sorted({str(claim.word) for claim in report.unmapped}))
            output.aside.print(f"Words outside the mapping, left alone: {words}", markup=False)
    output.say(summary(reports))


def summary(reports: Sequence[PassReport]) -> str:
    """The line that ends a pass."""
    updated = sum(report.rows_written for report in reports)
    gone = sum(len(report.not_found) for report in reports)
    failed = sum(len(report.failed) for report in reports)
    return f"Sync complete: {updated} updated, {gone} not found on exchange, {failed} failed"


def named(match: Match) -> str:
    """Which order that is, by all its names."""
    names = [f"row {match.row_id}" if match.row_id else "no row"]
    names += [f"order {match.venue_order_id}"] if match.venue_order_id else []
    names += [f"client id {match.client_order_id}"] if match.client_order_id else []
    return f"{', '.join(names)} ({match.account})"


def show_history(
    output: Output, match: Match, events: Sequence[Event], notices: Sequence[str]
) -> None:
    """One order: how it stands, where a part of its past is, then each change."""
    output.say(named(match), style="bold")
    teller, status = "the exchange", match.status or "(not seen yet)"
    if events and events[-1].source is Source.OPERATOR:
        teller, status = "a person", events[-1].after.status or "-"
    output.say(f"  the table says {match.word or '-'}, {teller} {status}")
    for notice in notices:
        output.say(notice)
    if not events and not notices:
        output.say("  nothing was recorded for it yet")
    for event in events:
        at = event.at.strftime("%Y-%m-%d %H:%M:%S")
        output.say(f"  {at}Z  {event.kind.value}: {_side(event.before)} -> {_side(event.after)}")
        evidence = event.evidence
        told = f" told at {evidence.venue_time:%Y-%m-%d %H:%M:%S}Z" if evidence.venue_time else ""
        late = (
            f", {span(event.latency_ms / 1000)} after the exchange's change"
            if event.latency_ms
            else ""
        )
        who = f"by {event.source.value}, {evidence.answer} at {evidence.endpoint}{told}{late}"
        if event.source is Source.OPERATOR:
            who = f"by {evidence.endpoint}, because: {evidence.raw}"
        output.say(f"      {who}  [{event.id}]", style="dim")


def _side(side: Side) -> str:
    parts = [side.word or "-"]
    if side.status and side.status != side.word:
        parts.append(f"({side.status})")
    if side.filled_qty and Decimal(side.filled_qty):
        parts.append(f"{side.filled_qty} filled")
        if side.avg_price is not None:
            parts.append(f"at {side.avg_price}")
    return " ".join(parts)


def _cell(value: object) -> str:
    return "(empty)" if value is None else str(value)
