"""Rows that appeared after the venue spoke of their order: they show what is known of it.

A fill often comes before the bot's INSERT. What the venue said then is kept as truth, under its
own id and the client's, and nobody has to ask again for the row to show it: so it does even while
the venue does not answer. What is not known yet is asked for as ever. What the store reads for
such a row is never an earlier order with the same client id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import OrderName
from ordersync.sync.parcels import NOTHING_ASKED, Parcel, name_of

if TYPE_CHECKING:
    from ordersync.ports import Known, OrderStore, Outcome, Venue
    from ordersync.sync.ingest import Ingest
    from ordersync.sync.work import Work


async def show_known(
    account: str, work: Work, *, venue: Venue, store: OrderStore, ingest: Ingest
) -> tuple[Work, list[Outcome]]:
    """Write what is known into rows that appeared since; the work with these rows read again.

    Raises what the store raises.
    """
    appeared = [known for known in work.known.values() if _is_new(known)]
    by_client = [key[2:] for key, known in work.known.items() if key[0] == "c" and known.claims]
    if by_client:
        venue_ids = await store.find_venue_ids(account, by_client)
        names = [OrderName(order, client) for client, order in venue_ids.items()]
        appeared += [one for one in await store.read(account, names) if _is_new(one)]
    if not appeared:
        return work, []
    taken = await ingest.take(
        Parcel(
            account=account,
            source=work.source,
            asked_at=NOTHING_ASKED,
            venue_now=venue.now(),
            restate=appeared,
        )
    )
    shown = [name_of(known.key) for known in appeared if known.key in work.known]
    again = {known.key: known for known in await store.read(account, shown)} if shown else {}
    return msgspec.structs.replace(work, known={**work.known, **again}), list(taken.outcomes)


def _is_new(known: Known) -> bool:
    """Whether a truth was kept for a row that only now appeared."""
    return known.truth is not None and bool(known.claims) and known.row_id is None
