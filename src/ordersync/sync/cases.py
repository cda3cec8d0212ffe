"""What absences add to an order's case, and what the case proves of an order of its age."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.ports import Absent, Known, Overlay
from ordersync.truth.evidence import Absence, AbsencePolicy, Case, Verdict, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

_OVERLAYS: dict[Verdict, Overlay | None] = {
    Verdict.OPEN: None,
    Verdict.SUSPECT: Overlay.SUSPECT,
    Verdict.UNKNOWN: Overlay.UNKNOWN,
}


def add_absences(
    known: Known,
    absences: Sequence[Absence],
    *,
    now: datetime,
    ages_from_rows: bool,
    told_after: timedelta,
    policy: AbsencePolicy,
) -> Absent:
    """The case with these readings in it, and what it proves now (by the venue's clock).

    A verdict is never weakened by another absence, nor what a person said; only a sighting closes
    the case.
    """
    before = known.absent
    case = before.case if before else Case(opened_at=now, tallies={})
    for absence in absences:
        case = case.with_absence(absence)
    overlay, since = (before.overlay, before.since) if before else (None, None)
    if overlay not in {Overlay.UNKNOWN, Overlay.RESOLVED}:
        found = verdict(
            case,
            age=now - born_at(known, case.opened_at, ages_from_rows=ages_from_rows),
            sighted_before=known.truth is not None,
            told_after=told_after,
            policy=policy,
        )
        reached = _OVERLAYS[found]
        if reached is not None and reached is not overlay:
            overlay, since = reached, now
    resolved = before.resolved if before else None
    return Absent(case=case, overlay=overlay, since=since, asked_at=now, resolved=resolved)


def born_at(known: Known, first_absence: datetime, *, ages_from_rows: bool) -> datetime:
    """From when an order's age counts: its creation, else our first sight of its absence.

    `ages_from_rows` False: the table's times do not agree with the venue's.
    """
    if known.truth is not None and known.truth.created_at is not None:
        return known.truth.created_at
    created = [c.created_at for c in known.claims if c.created_at is not None]
    return max(created) if created and ages_from_rows else first_absence


def waits(known: Known, now: datetime) -> bool:
    """Whether the order was proven absent, or resolved, and is not to be asked about yet."""
    absent = known.absent
    if absent is None or absent.overlay not in {Overlay.UNKNOWN, Overlay.RESOLVED}:
        return False
    return known.due_at is None or known.due_at > now


def is_settled(known: Known, now: datetime) -> bool:
    """Whether nothing is to be asked now: the row is only compared with a truth that is final."""
    truth = known.truth
    is_due = known.due_at is not None and known.due_at <= now
    return truth is not None and truth.is_final and not is_due and known.absent is None
