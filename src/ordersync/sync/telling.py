"""What became of a step, in words: notes, outcomes of several rounds as one, lines of the log."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import structlog

from ordersync.ports import Note, Outcome, Result
from ordersync.truth.model import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordersync.ports import Advance
    from ordersync.truth.model import EventEvidence

log = structlog.get_logger("ordersync")


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
    """One plain line for each row that was written or could not be."""
    for outcome in outcomes:
        order = outcome.key.partition(":")[2]
        for event in outcome.events:
            before, after = event.before.word, event.after.word
            if before != after:
                log.info(
                    f"Updating order {order}: {before} -> {after}",
                    account=event.account,
                    row_id=event.order.row_id,
                    source=event.source.value,
                    event_id=event.id,
                )
        if outcome.result in {Result.LOST, Result.UNWRITABLE}:
            log.warning(f"Failed to sync order {order}: {outcome.why}")
