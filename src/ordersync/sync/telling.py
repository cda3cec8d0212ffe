"""What became of a step or a pass, in words: notes, rounds as one, lines of the log."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.ports import Note, Outcome, Result
from ordersync.truth.model import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from ordersync.ports import Advance, Clock
    from ordersync.sync.work import PassReport
    from ordersync.truth.model import EventEvidence

log = structlog.get_logger("ordersync")

_FAILED = frozenset({Result.LOST, Result.UNWRITABLE})


def joined(before: Outcome, after: Outcome) -> Outcome:
    """Two rounds of one order as one outcome: the last result, all that was written."""
    won = Result.WON if after.result is Result.UNCHANGED and before.events else after.result
    return msgspec.structs.replace(
        after,
        result=won,
        rows_written=before.rows_written + after.rows_written,
        events=before.events + after.events,
    )


def disbelief(step: Advance) -> str:
    """Why nothing that was said of an order could be believed; "" where something could."""
    if step.evidence.answer == "sighting":
        return ""
    quarantined = (n.evidence.raw or "" for n in step.notes if n.kind is EventKind.QUARANTINED)
    return next(quarantined, "").partition("\n")[0]


def quarantine(seen: EventEvidence, why: str) -> Note:
    """A note of a report that cannot be believed, with its text; the same reason is told once."""
    told = msgspec.structs.replace(seen, raw=f"{why}\n{seen.raw or ''}".strip())
    digest = hashlib.sha256(why.encode()).hexdigest()[:16]
    return Note(kind=EventKind.QUARANTINED, digest=digest, evidence=told)


def digest(report: object) -> str:
    """What a report says, but not when: the same content again is not told again."""
    content = msgspec.to_builtins(report)
    content.pop("as_of", None)
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]


def tell(outcomes: Iterable[Outcome]) -> None:
    """One plain line for each event, and for each row that could not be written."""
    for outcome in outcomes:
        order = outcome.key.partition(":")[2]
        for event in outcome.events:
            before, after = event.before.word, event.after.word
            if before != after:
                say, what = log.info, f"Updating order {order}: {before} -> {after}"
            elif event.kind not in {EventKind.CHANGED, EventKind.CONFIRMED}:
                say, what = log.info, f"Order {order}: {event.kind}"
            else:
                # Fills of an order that works on, what was confirmed: very many, and in the row.
                say, what = log.debug, f"Order {order}: {event.after.status}"
            say(
                what,
                account=event.account,
                row_id=event.order.row_id,
                source=event.source,
                kind=event.kind,
                event_id=event.id,
            )
        if outcome.result in _FAILED:
            log.warning(f"Failed to sync order {order}: {outcome.why}")


class PassLog:
    """What a person should hear of the passes over one account, and only when it is new."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._told: tuple[object, ...] = ()

    def tell_found(self, orders: int) -> None:
        """How many orders a pass is about."""
        if orders:
            log.info(f"Found {orders} stale orders to check", account=self._account)
        else:
            log.info("No stale orders found", account=self._account)

    def tell(self, report: PassReport, *, quiet: bool = False) -> None:
        """What a pass found and did; where it is to be `quiet`, only if it wrote."""
        if report.rows_written or not quiet:
            said = (report.asked, report.rows_written, tuple(report.failed), report.doubt)
            if report.rows_written or said != self._told:
                self.tell_found(report.asked)
                self._tell_left_alone(report)
                for name, why in list(report.failed.items())[:20]:
                    log.warning(f"Failed to sync order {name}: {why}", account=self._account)
                if report.doubt:
                    log.error(f"Nothing is marked as gone: {report.doubt}", account=self._account)
                log.info(
                    f"Sync complete: {report.rows_written} updated,"
                    f" {len(report.not_found)} not found on exchange, {len(report.failed)} failed",
                    account=self._account,
                )
            self._told = (report.asked, 0, tuple(report.failed), report.doubt)

    def _tell_left_alone(self, report: PassReport) -> None:
        """Rows that name no order, and words outside the mapping: reported, never touched."""
        if report.unidentified:
            rows = _plural(len(report.unidentified), "row")
            log.warning(f"Left alone: {rows} without an order id", account=self._account)
        if report.unmapped:
            words = ", ".join(sorted({str(claim.word) for claim in report.unmapped}))
            log.warning(f"Left alone: words outside the mapping: {words}", account=self._account)


def _plural(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


class RareWarnings:
    """Warnings about an account, of one kind only so often."""

    def __init__(self, account: str, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._said_at: dict[str, float] = {}

    def say(self, about: str, what: str, *, every: timedelta) -> bool:
        """Warn of this kind of thing, unless that was done a moment ago; whether it was."""
        now, before = self._clock.monotonic(), self._said_at.get(about)
        if before is not None and now - before < every.total_seconds():
            return False
        self._said_at[about] = now
        log.warning(what, account=self._account)
        return True
