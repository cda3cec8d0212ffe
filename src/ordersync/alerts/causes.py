"""What is the case at one account, and what of it a person has heard. Pure: times are passed in.

Told once: what lasts is told when it begins, again when much has joined it, and reminded of
while it lasts; then one message says that all is well. What was told survives a restart.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.alerted import Alert
from ordersync.alerts.messages import LISTED, Cause, Message, Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordersync.settings import Silence

GROWS_EVERY = timedelta(minutes=10)
"""How often a person hears that more orders have joined those that were told of."""

FLAPS = timedelta(minutes=10)
"""What comes again so soon after its end was never away."""

REMEMBERED = 2_000
"""How many orders of one kind are known one by one to have been told of."""


class Incident(msgspec.Struct, kw_only=True):
    """Something of one kind that is the case, and what was told of it. Times are UTC.

    `told` are the first of those that were told of, `told_count` how many they were.
    """

    opened_at: datetime
    ended_at: datetime | None = None
    told_at: datetime | None = None
    told: list[str] = []
    told_count: int = 0
    is_end_told: bool = False


class State(msgspec.Struct, kw_only=True):
    """What survives a restart."""

    incidents: dict[str, Incident] = {}
    happened: dict[str, list[str]] = {}


class Book:
    """The causes of one account. `silences` are the rules by which nobody is told.

    `changes` counts how often the state changed.
    """

    def __init__(
        self, account: str, silences: Iterable[Silence], *, repeat_after: timedelta
    ) -> None:
        self.state = State()
        self.changes = 0
        self._account = account
        self._silences = tuple(silences)
        self._repeat_after = repeat_after
        self._now_so: dict[Alert, list[Cause]] = {}
        self._untold: dict[Alert, list[Cause]] = {}

    @property
    def is_well(self) -> bool:
        """Whether nothing that lasts is the case."""
        return not any(self._now_so.values())

    @property
    def open(self) -> dict[Alert, int]:
        """Of what is the case, how much."""
        return {kind: len(causes) for kind, causes in self._now_so.items() if causes}

    def settle(self, kind: Alert, causes: Iterable[Cause], now: datetime) -> None:
        """All that is the case of a kind that lasts; without any it is over."""
        heard = [cause for cause in causes if not self._is_silenced(cause, now)]
        self._now_so[kind] = heard
        incident = self.state.incidents.get(kind)
        if not heard:
            if incident is not None and incident.ended_at is None:
                incident.ended_at = now
                self.changes += 1
        elif incident is None or (incident.ended_at and now - incident.ended_at > FLAPS):
            self.state.incidents[kind] = Incident(opened_at=now)
            self.changes += 1
        elif incident.ended_at is not None:
            # All of it is news again, in its time.
            incident.ended_at, incident.told, incident.told_count = None, [], 0
            self.changes += 1

    def happen(self, cause: Cause, now: datetime) -> None:
        """Something happened once. The same of the same order is not told again."""
        told = self.state.happened.setdefault(cause.kind, [])
        mark = cause.subject
        if self._is_silenced(cause, now) or mark in told:
            return
        told.append(mark)
        del told[:-REMEMBERED]
        self._untold.setdefault(cause.kind, []).append(cause)

    def compose(self, now: datetime) -> Message | None:
        """What a person has to hear now, None where there is nothing."""
        parts = [part for kind in Alert if (part := self._part(kind, now)) is not None]
        if not parts and (well := self._all_well()) is not None:
            parts = [well]
        if not parts:
            return None
        self.changes += 1
        return Message(account=self._account, at=now, parts=tuple(parts))

    def _part(self, kind: Alert, now: datetime) -> Part | None:
        if causes := self._untold.pop(kind, None):
            return Part(kind=kind, count=len(causes), first=tuple(causes[:LISTED]))
        causes, incident = self._now_so.get(kind), self.state.incidents.get(kind)
        if not causes or incident is None:
            return None
        told = set(incident.told)
        new = [cause for cause in causes if cause.subject not in told]
        note = ""
        if incident.told_at is not None:
            since = now - incident.told_at
            # Of very many not each is remembered: then only that there are more is news.
            are_more = len(causes) > incident.told_count or len(told) < REMEMBERED
            if not ((new and are_more and since >= GROWS_EVERY) or since >= self._repeat_after):
                return None
            note = f"Since {incident.opened_at:%Y-%m-%d %H:%M}Z."
        incident.told_at, incident.told_count, incident.is_end_told = now, len(causes), False
        incident.told = (incident.told + [cause.subject for cause in new])[:REMEMBERED]
        return Part(kind=kind, count=len(causes), first=tuple((new or causes)[:LISTED]), note=note)

    def _all_well(self) -> Part | None:
        """When the last of what was told is over."""
        told = {
            kind: incident
            for kind, incident in self.state.incidents.items()
            if incident.told_at is not None and not incident.is_end_told
        }
        if not told or not self.is_well or any(i.ended_at is None for i in told.values()):
            return None
        for incident in told.values():
            incident.is_end_told = True
        kinds = ", ".join(
            f"{kind.replace('_', ' ')} since {incident.opened_at:%H:%M}Z"
            for kind, incident in told.items()
        )
        return Part(kind=Alert.ALL_WELL, count=1, note=f"Over: {kinds}.")

    def _is_silenced(self, cause: Cause, now: datetime) -> bool:
        return any(
            one.covers(cause.kind, cause.account, cause.owner, cause.symbol, now)
            for one in self._silences
        )
