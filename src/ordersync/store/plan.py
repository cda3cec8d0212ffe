"""What one Advance asks of the tables: truth to write, rows to patch. Pure.

Here an Advance (what is true) meets the mapping (how the user spells it). `advance` runs what
comes out of it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import Advance, Claim, Known, Meaning, Overlay
from ordersync.store.projection import Patch, patch
from ordersync.store.words import label_of
from ordersync.truth.merge import same_facts
from ordersync.truth.model import (
    Event,
    EventEvidence,
    EventKind,
    EventOrder,
    Order,
    Side,
    Source,
    Status,
    digits,
)
from ordersync.truth.operator import resolve

if TYPE_CHECKING:
    from ordersync.store.mapping import Mapping


_encode = msgspec.json.Encoder().encode

_ABSENCE_KINDS = {
    Overlay.SUSPECT: EventKind.SUSPECT,
    Overlay.UNKNOWN: EventKind.UNKNOWN,
    Overlay.RESOLVED: EventKind.RESOLVED,
}

_MILLISECOND = timedelta(milliseconds=1)


class Draft(msgspec.Struct, kw_only=True, gc=False):
    """One Advance on its way through a transaction."""

    step: Advance
    known: Known
    truth_changed: bool
    patches: list[Patch]

    @property
    def overlay(self) -> Overlay | None:
        """What absence says from now on."""
        return self.step.absent.overlay if self.step.absent else None

    @property
    def overlay_before(self) -> Overlay | None:
        """What absence said before."""
        return self.known.absent.overlay if self.known.absent else None

    @property
    def shown(self) -> Order | None:
        """What the row shows: the truth, a chain of orders, or what a person said instead."""
        if self.step.absent is not None and self.step.absent.resolved is not None:
            return resolve(self.step.truth, self.step.absent.resolved)
        return self.step.shown.order if self.step.shown else self.step.truth

    @property
    def needs_write(self) -> bool:
        """Whether anything at all has to be written for it."""
        return (
            self.truth_changed
            or bool(self.patches)
            or bool(self.step.notes)
            or self.step.absent != self.known.absent
            or self.step.due_at != self.known.due_at
            or self.links_row
        )

    @property
    def is_news(self) -> bool:
        """Whether the truth says what was not known: one that moved out may be said again."""
        if self.step.shown is not None and self.step.shown.is_news:
            return True
        archived = self.known.archived
        if archived is None or archived.side is None or not self.truth_changed:
            return self.truth_changed
        return side_of(self.step.truth, self.overlay, None) != archived.side

    @property
    def is_corrected(self) -> bool:
        """Whether an operator opened a new epoch."""
        before, after = self.known.truth, self.step.truth
        return before is not None and after is not None and after.epoch > before.epoch

    @property
    def says_more_of_absence(self) -> bool:
        """Whether the case says what it did not say before, or a person does."""
        before, after = self.known.absent, self.step.absent
        told = (before.resolved if before else None) == (after.resolved if after else None)
        return self.overlay is not self.overlay_before or not told

    @property
    def links_row(self) -> bool:
        """Whether the truth was kept for a row that only now appeared, or has a new key."""
        known = self.known
        return bool(known.version and known.claims and known.row_id != str(known.claims[0].row_id))


def draft(mapping: Mapping, step: Advance, now: datetime) -> Draft:
    """What this step asks for."""
    known, truth = step.known, step.truth
    changed = truth is not None and (known.truth is None or (not same_facts(truth, known.truth)))
    overlay = step.absent.overlay if step.absent else None
    alone = len(known.claims) == 1
    made = Draft(step=step, known=known, truth_changed=changed, patches=[])
    # An answer without the order is no ground to call it open again; a person's word is.
    may_reopen = step.absent is None or overlay is Overlay.RESOLVED
    asked_at = step.asked_at if may_reopen else datetime.min.replace(tzinfo=UTC)
    waits = step.shown is not None and made.shown is None
    shown = made.shown
    if not waits:
        for claim in known.claims:
            found = patch(mapping, claim, shown, overlay, alone=alone, asked_at=asked_at, now=now)
            if found:
                made.patches.append(found)
    return made


def spell(moment: datetime) -> str:
    """A time as our own tables hold it: RFC 3339, UTC, microseconds; text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def truth_row(made: Draft, account: str, at: str) -> tuple[object, ...]:
    """The truth as a row of our table of truths; `at` is now as our tables spell it."""
    truth, known = made.step.truth, made.known
    if truth is None:
        raise ValueError("a truth that was never sighted cannot be written")
    status, is_final = truth.status, truth.is_final
    final_since = known.final_since if is_final else None
    since = spell(final_since) if final_since else at if is_final else None
    return (
        account,
        known.key,
        truth.venue_order_id,
        truth.client_order_id,
        str(known.claims[0].row_id) if known.claims else None,
        known.version + 1,
        truth.epoch,
        status and str(status),
        int(is_final),
        at,
        since,
        _encode(truth).decode(),
    )


def events_of(
    made: Draft, written: dict[int | str, Patch], account: str, now: datetime
) -> list[Event]:
    """The events that a committed step leaves, without ids; `written` are the rows that won."""
    events: list[Event] = []
    known = made.known
    if made.overlay_before is not None and made.overlay is None:
        events.append(event(made, None, EventKind.RESOLVED, account, now))
    elif made.overlay is not None and made.says_more_of_absence:
        events.append(_absence_event(made, written, account, now))
        return events
    kind = EventKind.REPAIRED
    if made.is_news:
        kind = EventKind.CORRECTED if made.is_corrected else EventKind.CHANGED
    of_rows = [
        event(made, claim, kind, account, now, found)
        for claim in known.claims
        # Not where it was another order's step that wrote the row.
        if (found := written.get(claim.row_id)) is not None and found.claim is claim
    ]
    if made.is_news and not of_rows:
        of_rows.append(event(made, None, kind, account, now))
    return events + of_rows


def event(
    made: Draft,
    claim: Claim | None,
    kind: EventKind,
    account: str,
    now: datetime,
    written: Patch | None = None,
    evidence: EventEvidence | None = None,
) -> Event:
    """One event about this step and, where given, this row."""
    step, known = made.step, made.known
    if claim is None and known.claims:
        claim = known.claims[0]
    word = claim.word if claim else None
    before = _before(made, word)
    after = side_of(made.shown or step.truth, made.overlay, written.word if written else word)
    if kind is EventKind.CHANGED and before == after:
        kind = EventKind.CONFIRMED
    is_timed = (made.truth_changed or written is not None) and _moved(before, after)
    return Event(
        at=now,
        account=account,
        order=order_names(claim, step.truth),
        kind=kind,
        source=step.source,
        evidence=evidence or step.evidence,
        before=before,
        after=after,
        latency_ms=_latency(made, now) if is_timed else None,
    )


def _moved(before: Side, after: Side) -> bool:
    """Whether more changed than what the order cost: only then is the change's own time meant."""
    return (
        before.word != after.word
        or before.status != after.status
        or before.filled_qty != after.filled_qty
    )


def order_names(claim: Claim | None, truth: Order | None) -> EventOrder:
    """By what names a person can find the order."""
    return EventOrder(
        row_id=str(claim.row_id) if claim else None,
        venue_order_id=(truth.venue_order_id if truth else None)
        or (claim.venue_order_id if claim else None),
        client_order_id=(truth.client_order_id if truth else None)
        or (claim.client_order_id if claim else None),
        owner=claim.owner if claim else None,
        symbol=(truth.symbol if truth else None) or (claim.symbol if claim else None),
    )


def _absence_event(
    made: Draft, written: dict[int | str, Patch], account: str, now: datetime
) -> Event:
    claim = made.known.claims[0] if made.known.claims else None
    kind = _ABSENCE_KINDS[made.overlay or Overlay.SUSPECT]
    if kind is EventKind.UNKNOWN and claim is not None and claim.meaning is Meaning.FINAL:
        kind = EventKind.MISSING_ORDER
    return event(made, claim, kind, account, now, written.get(claim.row_id) if claim else None)


def _before(made: Draft, word: str | None) -> Side:
    """How the order stood; of a truth that moved out a short note was kept."""
    archived = made.known.archived
    if archived is not None and archived.side is not None:
        return msgspec.structs.replace(archived.side, word=word)
    truth, absent = made.known.truth, made.known.absent
    shown = resolve(truth, absent.resolved) if absent and absent.resolved else truth
    return side_of(shown, made.overlay_before, word)


def side_of(truth: Order | None, overlay: Overlay | None, word: str | None) -> Side:
    """One side of a change."""
    if truth is None:
        return Side(word=word, status=label_of(None, overlay))
    return Side(
        word=word,
        status=label_of(truth, overlay),
        filled_qty=digits(truth.filled_qty),
        avg_price=digits(truth.avg_price),
        fee=digits(truth.fee),
    )


def _latency(made: Draft, now: datetime) -> int | None:
    truth = made.step.truth
    if made.known.archived is not None or made.step.source is Source.OPERATOR:
        return None  # it happened long ago, and was told then; or nobody told it
    moment = truth.changed_at if truth else None
    if truth is not None and truth.filled is not None and _tells_a_fill(made.known.truth, truth):
        # The time of an earlier fill is not that of what is told now.
        moment = truth.filled.value if truth.filled.filled_qty == truth.filled_qty else moment
    return max(0, (now - moment) // _MILLISECOND) if moment else None


def _tells_a_fill(before: Order | None, now: Order) -> bool:
    """Whether what moved is what is filled: a rest is canceled long after the last fill."""
    if now.is_final:
        return now.status is Status.FILLED
    return before is None or before.filled_qty != now.filled_qty


def refusal_of(found: Patch) -> str:
    """The row as it was and what was to be written, but not when: by what a refusal is known."""
    cells = sorted((field, cell) for field, cell in found.cells.items() if field != "updated_at")
    content = repr((found.claim.row_id, found.claim.cells, cells)).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def names_of(made: Draft) -> tuple[str | None, str | None]:
    """The venue's id and the client's, as far as they are known."""
    truth = made.step.truth
    claim = made.known.claims[0] if made.known.claims else None
    venue = made.known.key[2:] if made.known.key.startswith("v:") else None
    client = (truth.client_order_id if truth else None) or (
        claim.client_order_id if claim else None
    )
    return venue, client


def client_key(made: Draft) -> list[str]:
    """The key of an order that was first known by its client id alone: it may have a case."""
    truth = made.step.truth
    return [f"c:{truth.client_order_id}"] if truth and truth.client_order_id else []
