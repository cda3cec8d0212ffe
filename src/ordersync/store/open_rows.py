"""Open rows as a list: what they are sorted by, which may fit, a page, their totals. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ordersync.listed import Page, State, Totals, Wanted
from ordersync.ports import Known
from ordersync.truth.urgency import Urgency

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ordersync.listed import Listed, Place
    from ordersync.ports import Claim


OPEN = frozenset({None, State.OPEN})
"""What asks for open rows, however they stand."""

_LARGEST = 2**63 - 1


class Row(NamedTuple):
    """An open row, and whose it is."""

    account: str
    claim: Claim


def totals_of(listed: Sequence[Listed], orphans: int = 0) -> Totals:
    """These open rows, counted."""
    ages = [one.verified_age_seconds for one in listed if one.verified_age_seconds is not None]
    urgencies = Counter(one.urgency for one in listed)
    states = Counter(one.state for one in listed)
    return Totals(
        open=len(listed),
        stale=sum(one.stale for one in listed),
        suspect=states[State.SUSPECT],
        unknown=states[State.UNKNOWN],
        orphans=orphans,
        fresh=urgencies[Urgency.FRESH],
        normal=urgencies[Urgency.NORMAL],
        warning=urgencies[Urgency.WARNING],
        critical=urgencies[Urgency.CRITICAL],
        oldest_verified_age_seconds=max(ages, default=None),
    )


def cut(judged: Iterable[tuple[Row, Listed]], limit: int) -> Page:
    """The first of these, and where the next ones begin."""
    found: list[tuple[Row, Listed]] = []
    for pair in judged:
        if len(found) == limit:
            last, _ = found[-1]
            return Page(orders=[one for _, one in found], next=place_of(last))
        found.append(pair)
    return Page(orders=[one for _, one in found])


def is_of_all(wanted: Wanted) -> bool:
    """Whether every open row of the accounts is wanted."""
    return wanted == Wanted(account=wanted.account, state=wanted.state) and wanted.state in OPEN


def may_fit(claim: Claim, wanted: Wanted) -> bool:
    """Whether the row itself speaks against it: what only the truth knows is looked at later."""
    made = claim.created_at
    return (
        wanted.owner in {None, claim.owner}
        and (wanted.since is None or (made is not None and made >= wanted.since))
        and (wanted.until is None or (made is not None and made < wanted.until))
        and (wanted.symbol is None or claim.symbol in {None, wanted.symbol})
    )


def rank(row: Row) -> tuple[bool, int, str]:
    """By what open rows are sorted: their keys; numbers before texts."""
    key = row.claim.row_id
    return (False, key, "") if isinstance(key, int) else (True, 0, key)


def place_of(row: Row) -> Place:
    """Where it stands in the list."""
    key = row.claim.row_id
    return ("number" if isinstance(key, int) else "text", str(key))


def is_whole(place: Place) -> bool:
    """Whether it is a key that a database may have as a whole number; texts come behind all."""
    kind, key = place
    return kind == "number" and -_LARGEST <= int(key) <= _LARGEST


def is_after(row: Row, after: Place | None) -> bool:
    """Whether it comes behind a place in the list."""
    if after is None:
        return True
    kind, key = after
    return rank(row) > ((False, int(key), "") if kind == "number" else (True, 0, key))


def nameless(claim: Claim) -> Known:
    """What is known of the order of a row that names none: nothing."""
    return Known(key=f"r:{claim.row_id}", truth=None, version=0, claims=(claim,))
