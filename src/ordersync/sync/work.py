"""What a pass is about, and what it found and did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Self

import msgspec

from ordersync.ports import Claim, Known, OrderName, Outcome, Result, RowId
from ordersync.truth.model import Source

NOT_PROVEN = "not found at the venue; not proven yet"


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass is about: orders by key as stored, and due orders without an open row.

    `unidentified` rows name no order, `unmapped` ones hold a word outside the mapping: both
    are reported and left alone. `resting` are the venue ids of orders whose row is as it was
    when it was found true; `rows` gives the key of its row, and `unread` those of orders that
    are to be read in parts, by venue id. `asked_before` is how many orders an
    earlier reading of the same pass asked for: the absent are few or many beside those too.
    `source` is why it is asked at all.
    """

    known: dict[str, Known] = {}
    due: tuple[OrderName, ...] = ()
    resting: AbstractSet[str] = frozenset()
    rows: Mapping[str, RowId] = {}
    unread: Mapping[str, RowId] = {}
    unidentified: tuple[Claim, ...] = ()
    unmapped: tuple[Claim, ...] = ()
    asked_before: int = 0
    source: Source = Source.POLL


class PassReport(msgspec.Struct, kw_only=True):
    """What one pass found and did.

    `failed` tells of each order that could not be verified or written why; `unanswered` are
    those of which the venue said nothing, not even that it refuses to; `undecided` are orders
    that another reading may prove absent; `doubt` is why no absence could count.
    """

    account: str
    asked: int = 0
    sighted: set[str] = set()
    outcomes: list[Outcome] = []
    not_found: set[str] = set()
    undecided: set[str] = set()
    failed: dict[str, str] = {}
    unanswered: set[str] = set()
    troubles: dict[str, None] = {}
    doubt: str = ""
    open_at_venue: int | None = None
    unidentified: tuple[Claim, ...] = ()
    unmapped: tuple[Claim, ...] = ()

    @property
    def rows_written(self) -> int:
        """How many rows of the user's table were written: one row counts once.

        An end whose details are asked for afterwards is written twice.
        """
        written: dict[str, int] = {}
        for one in self.outcomes:
            written[one.key] = max(one.rows_written, written.get(one.key, 0))
        return sum(written.values())

    @property
    def was_answered(self) -> bool:
        """Whether the venue told of all that was asked, as far as asking again would help."""
        return not self.unanswered

    def conclude(self, names: Sequence[str]) -> None:
        """Whatever was asked for and not answered has failed; what was seen after all has not."""
        for name in names:
            if name not in self.sighted and name not in self.not_found:
                self.failed.setdefault(name, "no answer")
        self.unanswered -= self.sighted
        written = {o.key[2:] for o in self.outcomes if o.result in {Result.LOST, Result.UNWRITABLE}}
        self.failed = {
            name: why
            for name, why in self.failed.items()
            if name not in self.sighted or name in written
        }

    def __iadd__(self, later: PassReport) -> Self:
        """This pass and a later one over some of its orders, as one."""
        settled = later.sighted | later.not_found
        self.failed = {k: w for k, w in self.failed.items() if k not in settled} | later.failed
        self.sighted |= later.sighted
        self.not_found |= later.not_found
        self.outcomes += later.outcomes
        self.troubles |= later.troubles
        self.undecided = later.undecided
        self.doubt = later.doubt or self.doubt
        return self
