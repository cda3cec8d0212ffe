"""What an answer proves: Sighting, Absence or Silence; and what a case of absence proves.

The three are kept apart from the wire to the database. A Sighting may change the truth. An
Absence (a complete, successful answer in whose scope the order had to be, and was not) only
counts in a case. Silence (everything else: time-outs, refusals, half a page, an unreadable
answer) changes nothing about any order.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from ordersync.truth.model import Report

if TYPE_CHECKING:
    from collections.abc import Hashable

LONGEST_NAME = 188
"""So many letters has the id of an order at most: with its kind before it, it has to fit into the
shortest key that a database of ours can index (190 letters, in MySQL)."""


def mark_of(words: Hashable) -> int:
    """By what these very words, or cells, are known when they come again: within this process only.

    Python's hash but for its last four bits: of 60 bits a number takes two thirds of the room.
    """
    return hash(words) >> 4


class Sighting(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A venue showed the order. `raw` is the venue's text for it, kept as evidence.

    `mark` is by what these very words are known when they are said again: a hash of all of
    them, within this process only; 0 where they have to be read every time.
    """

    report: Report
    endpoint: str
    raw: str = ""
    mark: int = 0


class SaidAgain(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A venue showed these orders in words that were read before: nothing new but the moment.

    Each is as much a sighting as one that was read: it vouches for the order at `as_of`.
    """

    orders: tuple[str, ...]
    as_of: datetime


class Absence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A complete answer that had to hold the order, and did not.

    Only these endpoints can say so: by id, a batch of ids, the whole history over a creation
    window, by client id. Never an open list, a stream's snapshot or fills.
    """

    venue_order_id: str | None = None
    client_order_id: str | None = None
    endpoint: str
    as_of: datetime


class Silence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """No usable answer. `orders` are the ids it was about, empty where about all of them.

    `raw` is kept where an answer came that could not be read; `refused` says that asking the
    same again will not help (a key that is refused, a malformed id); `barred` that it was the key,
    so that all orders fare alike; `garbled` that the venue did show the order, but in a way that
    cannot be read or believed.
    """

    endpoint: str
    why: str
    orders: tuple[str, ...] = ()
    raw: str = ""
    refused: bool = False
    barred: bool = False
    garbled: bool = False


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """All that one question brought."""

    sightings: tuple[Sighting, ...] = ()
    said_again: tuple[SaidAgain, ...] = ()
    absences: tuple[Absence, ...] = ()
    silences: tuple[Silence, ...] = ()

    def __add__(self, other: Reading) -> Reading:
        """Both readings as one."""
        return Reading(
            sightings=self.sightings + other.sightings,
            said_again=self.said_again + other.said_again,
            absences=self.absences + other.absences,
            silences=self.silences + other.silences,
        )


class Tally(msgspec.Struct, frozen=True, gc=False):
    """How often one endpoint said that the order is absent, first and last."""

    count: int
    first_at: datetime
    last_at: datetime


class Case(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All proven absences of one order since it was last sighted, by endpoint."""

    opened_at: datetime
    tallies: dict[str, Tally]

    @property
    def count(self) -> int:
        """How many absences were read."""
        return sum(tally.count for tally in self.tallies.values())

    @property
    def spread(self) -> timedelta:
        """From the first absence to the last."""
        if not self.tallies:
            return timedelta(0)
        first = min(tally.first_at for tally in self.tallies.values())
        last = max(tally.last_at for tally in self.tallies.values())
        return last - first

    def with_absence(self, absence: Absence) -> Case:
        """The case with one more reading in it; one that was counted already adds nothing."""
        known = self.tallies.get(absence.endpoint)
        if known is not None and absence.as_of in {known.first_at, known.last_at}:
            return self
        tally = (
            Tally(1, absence.as_of, absence.as_of)
            if known is None
            else Tally(
                known.count + 1,
                min(known.first_at, absence.as_of),
                max(known.last_at, absence.as_of),
            )
        )
        return Case(opened_at=self.opened_at, tallies={**self.tallies, absence.endpoint: tally})


class AbsencePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How much absence makes an order `unknown`; the defaults are the documented ones."""

    unknown_after: timedelta = timedelta(hours=24)
    count: int = 3
    endpoints: int = 2
    spread: timedelta = timedelta(seconds=10)
    spread_sighted: timedelta = timedelta(hours=1)
    lone_endpoint_gap: timedelta = timedelta(minutes=10)


class Verdict(StrEnum):
    """What a case of absence proves so far."""

    OPEN = "open"  # too young or too thin to speak of
    SUSPECT = "suspect"  # a person is told, nothing is written
    UNKNOWN = "unknown"  # proven


def verdict(
    case: Case,
    *,
    age: timedelta,
    sighted_before: bool,
    told_after: timedelta,
    policy: AbsencePolicy,
) -> Verdict:
    """What the case proves of an order of this age.

    `age` is by the venue's clock from the order's creation, else from our first sight of the
    row. `told_after` is the age from which a person hears of an absent order: right after its
    creation an order may be invisible for seconds at many venues.
    """
    if age >= policy.unknown_after and is_enough(
        case, sighted_before=sighted_before, policy=policy
    ):
        return Verdict.UNKNOWN
    return Verdict.SUSPECT if age >= told_after else Verdict.OPEN


def is_enough(case: Case, *, sighted_before: bool, policy: AbsencePolicy) -> bool:
    """Whether count, endpoints and spread suffice, whatever the order's age."""
    spread = policy.spread_sighted if sighted_before else policy.spread
    endpoints = len(case.tallies)
    # Where one endpoint alone can answer, readings far apart stand for the second.
    if endpoints < policy.endpoints and case.spread >= policy.lone_endpoint_gap:
        endpoints += 1
    return case.count >= policy.count and endpoints >= policy.endpoints and case.spread >= spread


def account_proves_itself(
    *, same_identity: bool, asked: int, absent: int, endpoint_sighted_another: bool
) -> bool:
    """Whether an account's absences may count in this pass.

    A key for another portfolio, a paper key or a wrong host answers honest absences for
    everything. So the account must be the one recorded at its first sighting, the same
    endpoint must have shown another order of this table in the same pass, and those absent
    must be at most 10 or a quarter of those asked, whichever is greater.
    """
    return same_identity and endpoint_sighted_another and absent <= max(10, asked // 4)
