"""The calls about Alpaca's orders: one by a name, and lists page by page, with what they prove."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from ordersync.truth.evidence import Absence, Reading, SaidAgain, Sighting, Silence, mark_of
from ordersync.venues.alpaca import parse
from ordersync.venues.answers import Answer, Blame, NotFound, Unusable, excerpt
from ordersync.venues.asking import page_of, silence_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ordersync.venues.listing import Listing
    from ordersync.venues.reader import Reader

ORDERS = "/v2/orders"
BY_CLIENT_ID = "/v2/orders:by_client_order_id"
PAGE_SIZE = 500

OVERLAP = 10
"""How many orders of a page the next one shows again: what shares a moment with the last of
them, or moves while pages are turned, must not fall between two pages."""


class OrderCalls:
    """Asks about orders. `now` is the venue's clock.

    Where one order is asked for, the Silence beside the Reading is why others would fare alike.
    """

    def __init__(self, reader: Reader, now: Callable[[], datetime]) -> None:
        self._reader = reader
        self._now = now

    async def by_id(
        self, venue_order_id: str, heard: Mapping[int, str]
    ) -> tuple[Reading, Silence | None]:
        """By the venue's id; `heard` are marks of words that need not be read again."""
        endpoint, as_of = "by_id", self._now()
        answer = await self._reader.get(f"{ORDERS}/{quote(venue_order_id, safe='')}")
        if isinstance(answer, NotFound) and parse.says_not_found(answer.body):
            gone = Absence(venue_order_id=venue_order_id, endpoint=endpoint, as_of=as_of)
            return Reading(absences=(gone,)), None
        return self._one(answer, endpoint, as_of, heard, venue_order_id=venue_order_id)

    async def by_client_id(
        self, client_order_id: str, venue_order_id: str | None = None
    ) -> tuple[Reading, Silence | None]:
        """By client id; what is not there is absent under the venue's id, where that is known."""
        endpoint, as_of = "by_client_id", self._now()
        answer = await self._reader.get(BY_CLIENT_ID, [("client_order_id", client_order_id)])
        if isinstance(answer, NotFound) and parse.says_not_found(answer.body):
            gone = Absence(
                venue_order_id=venue_order_id,
                client_order_id=None if venue_order_id else client_order_id,
                endpoint=endpoint,
                as_of=as_of,
            )
            return Reading(absences=(gone,)), None
        asked = None if venue_order_id else client_order_id
        return self._one(
            answer, endpoint, as_of, {}, venue_order_id=venue_order_id, client_order_id=asked
        )

    def _one(
        self,
        answer: Answer,
        endpoint: str,
        as_of: datetime,
        heard: Mapping[int, str],
        *,
        venue_order_id: str | None = None,
        client_order_id: str | None = None,
    ) -> tuple[Reading, Silence | None]:
        """The order that was asked for, with its legs; the silence where it would meet others."""
        name = venue_order_id or client_order_id or ""
        if isinstance(answer, NotFound):
            raw = excerpt(answer.body)
            answer = Unusable(why="a 404 that is not the venue's own", blame=Blame.GARBLED, raw=raw)
        order = page_of(answer, parse.ONE)
        if isinstance(order, Unusable):
            silence = silence_of(endpoint, order, [name])
            meets_all = order.blame in {Blame.SILENT, Blame.KEY}
            return Reading(silences=(silence,)), silence if meets_all else None
        if name and heard.get(mark_of(bytes(order))) == name:
            return Reading(said_again=(SaidAgain(orders=(name,), as_of=as_of),)), None
        read = [parse.parse_order(raw, endpoint, as_of) for raw in parse.flatten([order])]
        found = read[0]
        if isinstance(found, Silence) and not found.orders:
            # Nothing in it says that it is about an order at all: no answer to this question.
            none = Unusable(why=found.why, blame=Blame.GARBLED, raw=found.raw)
            return Reading(silences=(silence_of(endpoint, none, [name]),)), None
        if isinstance(found, Silence):
            read[0] = msgspec.structs.replace(found, orders=(name,))
        else:
            said = found.report
            names = said.venue_order_id if venue_order_id else said.client_order_id
            if names != name:
                other = Unusable(
                    why="another order than the one asked for",
                    blame=Blame.GARBLED,
                    raw=found.raw,
                )
                return Reading(silences=(silence_of(endpoint, other, [name]),)), None
        sightings = tuple(one for one in read if isinstance(one, Sighting))
        silences = tuple(one for one in read if isinstance(one, Silence))
        return Reading(sightings=sightings, silences=silences), None

    async def list_all(
        self,
        listing: Listing,
        query: list[tuple[str, str]],
        enough: Callable[[datetime | None], bool],
        *,
        window: list[tuple[str, str]] | None = None,
        both_ends: bool = False,
    ) -> None:
        """Pages of a list, the oldest order first, to the last or to the first trouble.

        The first page is that of the `window`; from there an order's id is the cursor, because
        times do not tell apart what was submitted at one moment. `enough` hears of when the last
        order of a page was submitted. With `both_ends` the second page is the newest of all.
        """
        query = [*query, ("limit", str(PAGE_SIZE)), ("nested", "false"), ("asset_class", "all")]
        place, border = window or [], ""
        while True:
            orders = await self._page(listing, [*query, ("direction", "asc"), *place])
            if orders is None or len(orders) < PAGE_SIZE:
                return
            last, next_place = parse.place_of(orders[-1]), parse.place_of(orders[-OVERLAP])
            if last is None or next_place is None or last[0] == border:
                listing.trouble = Unusable(why="a list without an end", blame=Blame.GARBLED)
                return
            if enough(last[1]):
                return
            if both_ends and not border:
                newest = await self._page(listing, [*query, ("direction", "desc")], last[0])
                if newest is None or len(newest) < PAGE_SIZE or enough(last[1]):
                    return
            border, place = last[0], [("after_order_id", next_place[0])]

    async def _page(
        self, listing: Listing, query: list[tuple[str, str]], meets: str = ""
    ) -> list[msgspec.Raw] | None:
        """One page; None in trouble, or where it shows the order that it has to meet."""
        as_of = self._now()
        orders = page_of(await self._reader.get(ORDERS, query), parse.PAGE)
        if isinstance(orders, Unusable):
            listing.trouble = orders
            return None
        listing.add(list(parse.flatten(orders)), as_of)
        if meets and meets in {place[0] for one in orders if (place := parse.place_of(one))}:
            return None
        return orders
