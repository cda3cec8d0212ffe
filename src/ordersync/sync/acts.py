"""What an operator's act makes of one order: the step before it is written. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import Absent, Known, Overlay
from ordersync.truth.model import EventEvidence, EventKind, Order, Statement
from ordersync.truth.operator import correct, facts_of, refusal

if TYPE_CHECKING:
    from datetime import datetime


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says of one order, and as what: `kind` is RESOLVED or CORRECTED."""

    kind: EventKind
    said: Statement

    @property
    def evidence(self) -> EventEvidence:
        """Whose word it is, and why."""
        return EventEvidence(
            answer="statement",
            endpoint=f"operator:{self.said.by}",
            venue_time=self.said.at,
            raw=self.said.reason,
        )


def act_on(
    act: Act, known: Known, truth: Order | None, absent: Absent | None
) -> tuple[Order | None, Absent | None]:
    """Truth and case after the act; as they were where it no longer applies, or was done."""
    if why_not(act, known, act.said.at):
        return truth, absent
    if act.kind is EventKind.CORRECTED and truth is not None:
        done = truth.corrected is not None and truth.corrected.at >= act.said.at
        return (truth if done else correct(truth, act.said)), absent
    if absent is None or absent.resolved == act.said:
        return truth, absent
    since = absent.since if absent.overlay is Overlay.RESOLVED else act.said.at
    resolved = msgspec.structs.replace(
        absent, overlay=Overlay.RESOLVED, since=since, resolved=act.said
    )
    return truth, resolved


def why_not(act: Act, known: Known, venue_now: datetime) -> str:
    """Why the act cannot be done, in one sentence with the way out; "" where it can."""
    overlay = known.absent.overlay if known.absent else None
    if act.kind is EventKind.RESOLVED:
        if overlay is None:
            return (
                "the exchange is not known to lack this order, so there is nothing to resolve: "
                "verify it (ordersync sync), or correct what the exchange says wrongly"
            )
        if act.said.facts.status is None:
            return "how the order stands is not told: say the status"
    elif known.truth is None:
        if known.archived is not None:
            return "its record moved out to the archive's files, and is closed"
        return "the exchange never showed this order, so there is nothing to correct: resolve it"
    elif overlay is not None:
        return "the exchange does not know this order any more: resolve it"
    if why := refusal(known.truth, act.said, venue_now):
        return why
    if act.kind is EventKind.CORRECTED and known.truth and _says_nothing_new(act, known.truth):
        return "that is what is known already"
    return ""


def _says_nothing_new(act: Act, truth: Order) -> bool:
    """Whether a correction would change no fact; not so of one that was done just now."""
    if truth.corrected is not None and truth.corrected.at >= act.said.at:
        return False
    return facts_of(correct(truth, act.said)) == facts_of(truth)
