"""Whether an account's absences may count, and the questions that find out.

A key for another portfolio, a paper key or a wrong host answers honest absences for
everything. So before any absence counts, the account has to prove itself in the same pass: it
is the one recorded at its first sighting, the same endpoint shows another order of this
table, and few are absent. Where it cannot, no verdict falls; one alert names the likely cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.sync.reading import ids_of, shown
from ordersync.truth.evidence import Absence, Reading, account_proves_itself

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Sequence

    from ordersync.ports import AccountRecord, OrderStore, Venue

SINGLE_CALLS_A_PASS = 25
"""How many absent orders are asked for one by one in a pass: the budget is for all orders."""

WITNESSES = 25
"""How many of the table's newest orders are asked for where nothing else was sighted."""


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """What may count of a pass's absences, with all that was read on the way."""

    absences: tuple[Absence, ...] = ()
    reading: Reading = Reading()
    doubt: str = ""


async def prove(
    venue: Venue,
    record: AccountRecord,
    absences: Sequence[Absence],
    *,
    asked: int,
    sighted: Collection[str],
    newest: Collection[str],
    client_id: Callable[[str], str | None],
    accepted: bool = False,
) -> Proven:
    """Ask what has to be asked before these absences (of one pass) may count.

    `sighted` are orders of this table that the pass has seen by their ids, `newest` venue ids of
    others, asked for as witnesses where there are none; `client_id` is what the row of one of
    either says its client id is. `accepted` is a person's word in place of the proof. Absences by
    client id come from the history, which is its own witness.
    """
    absent_ids = list(dict.fromkeys(a.venue_order_id for a in absences if a.venue_order_id))
    # One with a client id proves more: that this column of the table is what the venue knows.
    witness = next((order for order in sighted if client_id(order)), next(iter(sighted), None))
    if witness is None and not accepted:
        witness = await _find_witness(venue, [i for i in newest if i not in set(absent_ids)])
    try:
        same_identity = record.identity in {None, (await venue.identify()).mark}
    except (VenueSilent, VenueRefused) as error:
        return Proven(doubt=f"the account could not be identified: {error.what}")
    proves_itself = account_proves_itself(
        same_identity=same_identity,
        asked=asked,
        absent=len(absent_ids),
        endpoint_sighted_another=witness is not None,
    )
    if not proves_itself and not accepted:
        return Proven(
            doubt=_doubt(same_identity=same_identity, absent=len(absent_ids), asked=asked)
        )
    singles = await _ask_singly(
        venue, absent_ids[:SINGLE_CALLS_A_PASS], witness, client_id, accepted=accepted
    )
    return Proven(absences=tuple(absences) + singles.absences, reading=singles)


async def proves_by_history(venue: Venue, record: AccountRecord, asked: int, absent: int) -> bool:
    """Whether absences from a history that showed other orders of this table may count."""
    try:
        same_identity = record.identity == (await venue.identify()).mark
    except (VenueSilent, VenueRefused):
        return False
    return account_proves_itself(
        same_identity=same_identity, asked=asked, absent=absent, endpoint_sighted_another=True
    )


def witnesses(
    reading: Reading, client_id: Callable[[str], str | None], fleeting: Container[str]
) -> set[str]:
    """The first order that an answer showed, and the first whose client id will be known later.

    More are not needed to prove an absence; all of them would be as many as are open. Of what is
    `fleeting` nothing is known any more once it is written.
    """
    told = ids_of(reading.sightings)
    named = (order for order in told if order not in fleeting and client_id(order))
    return {order for order in (min(shown(reading), default=""), min(named, default="")) if order}


async def _find_witness(venue: Venue, newest: Sequence[str]) -> str | None:
    """The first of these orders that the venue shows, where it shows one.

    Nobody asked to verify a witness: it proves that the account answers, nothing more.
    """
    for n in range(0, min(len(newest), WITNESSES), venue.batch_size):
        shown = await venue.ask_ids(newest[n : min(n + venue.batch_size, WITNESSES)])
        for sighting in shown.sightings:
            return sighting.report.venue_order_id
    return None


async def _ask_singly(
    venue: Venue,
    ids: Sequence[str],
    witness: str | None,
    client_id: Callable[[str], str | None],
    *,
    accepted: bool,
) -> Reading:
    """Each absent order by itself, through the other endpoint; nothing if that one is mute.

    The witness first: an endpoint that does not show what is there cannot prove an absence. Nor
    does one that was asked by other names: client ids only where the witness was found by its.
    """
    reading = Reading()
    named = client_id(witness) if witness is not None else None
    if witness is not None and ids:
        shown = await venue.ask_one(witness, named)
        if not shown.sightings and not accepted:
            return reading
    elif not accepted:
        return reading
    for venue_order_id in ids:
        reading += await venue.ask_one(
            venue_order_id, client_id(venue_order_id) if named or witness is None else None
        )
    return reading


def _doubt(*, same_identity: bool, absent: int, asked: int) -> str:
    if not same_identity:
        return (
            "the key opens another account than the one this table was first verified with. "
            "Check key_file and rest_url; nothing was marked."
        )
    return (
        f"{absent} of {asked} orders asked for are not at the venue, and it shows none or too few "
        "of this table's orders: the key is probably of another portfolio, or the host is wrong. "
        "Nothing was marked. If the orders are really gone: ordersync cleanup --accept-absent"
    )


async def keep_identity(venue: Venue, store: OrderStore, record: AccountRecord) -> None:
    """Record whose account this is: at its first sighting, and with a person's word anew.

    With that word it may be another one than before: a portfolio or a host may change.
    """
    try:
        identity = await venue.identify()
    except (VenueSilent, VenueRefused):
        return  # the next pass will know
    await store.keep_account(msgspec.structs.replace(record, identity=identity.mark))
