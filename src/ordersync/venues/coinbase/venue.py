"""Coinbase Advanced Trade as a `ports.Venue`: which calls are made, and what they prove."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.judging import judge_clock, judge_key
from ordersync.metered import UNMETERED
from ordersync.ports import Finding, Identity, Severity
from ordersync.truth.evidence import Absence, Reading, Sighting, Silence
from ordersync.venues.answers import Answer, Blame, NotFound, Unusable, excerpt
from ordersync.venues.asking import ask_in_batches, page_of, silence_of
from ordersync.venues.budget import RateBudget
from ordersync.venues.coinbase import parse
from ordersync.venues.coinbase.user_channel import MAIN_HOST, USER_HOST, UserChannel
from ordersync.venues.hosts import Hosts
from ordersync.venues.listing import Listing
from ordersync.venues.reader import Reader
from ordersync.venues.wire import spell

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
    from datetime import datetime

    from ordersync.metered import AccountMeter
    from ordersync.ports import Clock
    from ordersync.pushed import Push
    from ordersync.venues.coinbase.key import CdpKey

REST_URL = "https://api.coinbase.com"
PREFIX = "/api/v3/brokerage"
HISTORY = f"{PREFIX}/orders/historical/batch"

# The venue allows 30 private calls a second to a user, and the bot lives on the same budget.
LIMIT_PER_SECOND = 30
SHARE = 0.5
CALLS_PER_SECOND = LIMIT_PER_SECOND * SHARE
A_SECOND = timedelta(seconds=1)
PUBLIC_PER_SECOND = 10
"""Of an address, whoever asks there."""

BURST = 5
CONCURRENT_CALLS = 8

MODEST_PAGE = 100
BARREN_PAGES = 3
"""So many pages in a row may name no new order, as where a filter leaves nothing of them."""
SOURCES = ("RETAIL_ADVANCED", "RETAIL_SIMPLE")
"""Both placement sources: the list shows only the first unless asked for the other."""


class Coinbase:
    """One portfolio at Coinbase Advanced Trade. Implements `ports.Venue`; only reads."""

    batch_size = 100
    list_page_size = 1000
    open_list_cap = 1000

    def __init__(
        self,
        key: CdpKey,
        clock: Clock,
        *,
        rest_url: str | None = None,
        ws_url: str | None = None,
        share: float = SHARE,
        meter: AccountMeter = UNMETERED,
        hosts: Hosts | None = None,
    ) -> None:
        self._portfolio: str | None = None
        self._page = self.list_page_size
        base = rest_url or REST_URL
        self._host = urlsplit(base).netloc
        self._site = (hosts or Hosts(clock)).at(self._host, PUBLIC_PER_SECOND)
        self._reader = Reader(
            base,
            clock,
            RateBudget(
                clock,
                per_second=LIMIT_PER_SECOND * share,
                burst=BURST,
                share=share,
                window=A_SECOND,
            ),
            sign=lambda path: {
                "authorization": f"Bearer {key.token('GET', self._host, path, self.now())}"
            },
            venue_now=self.now,
            meter=meter,
        )

        # A key's tokens go to no other host than the one whose key it is said to be.
        streams = [ws_url] if ws_url else [] if rest_url else [USER_HOST, MAIN_HOST]
        self.push: Push | None = None
        if streams:
            self.push = UserChannel(
                streams, key, clock, now=self.now, portfolio=lambda: self._portfolio
            )

    @property
    def calls(self) -> int:
        """How many requests were sent."""
        return self._reader.calls

    def now(self) -> datetime:
        """The venue's clock, as far as it is known here."""
        return self._site.clock.now()

    async def identify(self) -> Identity:
        """Whose key this is. Raises VenueSilent (ask again) or VenueRefused (give up)."""
        await self._compare_clocks()
        answer = await self._reader.get(f"{PREFIX}/key_permissions")
        said = page_of(answer, parse.PERMISSIONS)
        if isinstance(said, Unusable):
            where = f"{self._host}{PREFIX}/key_permissions"
            if said.blame is Blame.KEY:
                raise VenueRefused(
                    f"{said.why}.",
                    where=where,
                    mend="Check that the key is of this host, not expired, and may view.",
                )
            raise VenueSilent(f"{said.why}.", where=where, mend=said.mend)
        self._portfolio = said.portfolio_uuid
        return Identity(
            host=self._host,
            name=said.portfolio_uuid,
            can_trade=said.can_trade,
            can_transfer=said.can_transfer,
        )

    async def ask_ids(self, ids: Sequence[str], heard: Mapping[int, str] | None = None) -> Reading:
        """Sightings and Absences of these ids, 100 a call, several calls at a time.

        An id is absent only when both placement sources were listed to their end without it.
        """
        words = heard or {}
        first = await self._in_batches(
            list(ids), lambda batch: self._ask_batch(batch, SOURCES[0], words)
        )
        absent = [a.venue_order_id for a in first.absences if a.venue_order_id]
        if not absent:
            return first
        second = await self._in_batches(
            absent, lambda batch: self._ask_batch(batch, SOURCES[1], words)
        )
        return msgspec.structs.replace(first, absences=()) + second

    async def ask_one(self, venue_order_id: str, client_order_id: str | None = None) -> Reading:
        """One order by its id; the venue has no question for a client id."""
        del client_order_id
        endpoint, as_of = "by_id", self.now()
        path = f"{PREFIX}/orders/historical/{quote(venue_order_id, safe='')}"
        answer = await self._get(path)
        if isinstance(answer, NotFound):
            if parse.says_not_found(answer.body):
                gone = Absence(venue_order_id=venue_order_id, endpoint=endpoint, as_of=as_of)
                return Reading(absences=(gone,))
            answer = Unusable(
                why="a 404 that is not the venue's own",
                blame=Blame.GARBLED,
                raw=excerpt(answer.body),
            )
        one = page_of(answer, parse.ONE)
        if isinstance(one, Unusable):
            return Reading(silences=(silence_of(endpoint, one, [venue_order_id]),))
        found = self._read(bytes(one.order), endpoint, as_of)
        if isinstance(found, Silence):
            return Reading(silences=(msgspec.structs.replace(found, orders=(venue_order_id,)),))
        if found.report.venue_order_id != venue_order_id:
            why = Unusable(
                why="another order than the one asked for", blame=Blame.GARBLED, raw=found.raw
            )
            return Reading(silences=(silence_of(endpoint, why, [venue_order_id]),))
        return Reading(sightings=(found,))

    async def ask_open(
        self, heard: Mapping[int, str] | None = None, wanted: Collection[str] = ()
    ) -> Reading:
        """All orders in status OPEN, which leaves out PENDING and QUEUED. Never an Absence.

        The venue returns at most 1,000 of them: a list that reaches the cap is incomplete.
        """
        open_only = [("order_status", "OPEN")]
        listing = await self._list(open_only, "open_list", heard=heard, wanted=frozenset(wanted))
        silences = list(listing.silences)
        if listing.trouble:
            silences.append(silence_of("open_list", listing.trouble, []))
        elif len(listing) >= self.open_list_cap:
            silences.append(
                Silence(endpoint="open_list", why="the list of open orders is at its cap")
            )
        return Reading(
            sightings=listing.sightings,
            said_again=listing.said_again(),
            silences=tuple(silences),
        )

    async def ask_created(
        self, start: datetime, end: datetime, client_order_ids: Collection[str] = ()
    ) -> Reading:
        """All orders created in [start, end), from both placement sources, to the last page."""
        as_of, endpoint = self.now(), "history"
        window = [("start_date", spell(start)), ("end_date", spell(end))]
        reading = Reading()
        for source in SOURCES:
            listing = await self._list([*window, ("order_placement_source", source)], endpoint)
            silences = listing.silences
            if listing.trouble:
                silences += (silence_of(endpoint, listing.trouble, list(client_order_ids)),)
            reading += Reading(sightings=listing.sightings, silences=silences)
        # An order on a page that could not be read may be the one that is looked for.
        missing = set(client_order_ids) - {s.report.client_order_id for s in reading.sightings}
        gone = () if reading.silences else tuple(sorted(missing))
        return reading + Reading(
            absences=tuple(
                Absence(client_order_id=c, endpoint=endpoint, as_of=as_of) for c in gone
            ),
        )

    async def ask_fills(self, ids: Sequence[str]) -> Reading:
        """What was filled of these orders, as Reports without standing. Never an Absence."""
        return await self._in_batches(list(ids), self._ask_fills)

    async def findings(self) -> list[Finding]:
        """Whether the venue can be reached, what the key may do, the clock's skew."""
        try:
            identity = await self.identify()
        except (VenueSilent, VenueRefused) as error:
            what = f"{error.where}: {error.what}"
            return [Finding(severity=Severity.ERROR, about="venue", what=what, mend=error.mend)]
        found = [
            Finding(
                severity=Severity.OK,
                about="venue",
                what=f"{self._host} answers; the key opens portfolio {identity.name}.",
            )
        ]
        found.append(judge_key(identity))
        found.append(judge_clock(self._site.clock.skew))
        return found

    async def close(self) -> None:
        """Give back the connections."""
        await self._reader.close()

    # --- the calls -------------------------------------------------------------------------

    def _read(self, raw: bytes, endpoint: str, as_of: datetime) -> Sighting | Silence:
        return parse.parse_order(raw, endpoint, as_of, self._portfolio)

    async def _get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Answer:
        """Ask. A key that is refused may only mean that our clock was set: look at it again."""
        clock = self._site.clock
        if clock.is_doubtful and clock.is_worth_comparing():
            await self._compare_clocks()
        answer = await self._reader.get(path, query)
        refused = isinstance(answer, Unusable) and answer.blame is Blame.KEY
        if refused and clock.is_worth_comparing():
            await self._compare_clocks()
        return answer

    async def _compare_clocks(self) -> None:
        """Compare the clocks. Where the venue does not tell its time, ours is taken as right."""

        async def ask() -> datetime | None:
            # Its way to us is not added: what an answer vouches for must never seem later than
            # it was, or it would win over what a stream has told since.
            answer = await self._reader.get(f"{PREFIX}/time", public=self._site.budget)
            said = page_of(answer, parse.SERVER_TIME)
            return said.moment if isinstance(said, parse.ServerTime) else None

        await self._site.compare_clocks(ask)

    async def _in_batches(
        self, ids: list[str], ask: Callable[[list[str]], Coroutine[None, None, Reading]]
    ) -> Reading:
        async def ask_batch(batch: list[str]) -> tuple[Reading, Silence | None]:
            reading = await ask(batch)
            if reading.sightings or reading.said_again or reading.absences:
                return reading, None
            whole = (s for s in reading.silences if set(s.orders) >= set(batch))
            return reading, next(whole, None)

        return await ask_in_batches(ids, self.batch_size, CONCURRENT_CALLS, ask_batch)

    async def _ask_batch(self, ids: list[str], source: str, heard: Mapping[int, str]) -> Reading:
        """One batch by ids. A refused batch is halved, so that one bad id spoils only itself."""
        endpoint, as_of = "batch", self.now()
        query = [("order_ids", venue_order_id) for venue_order_id in ids]
        if source != SOURCES[0]:
            query.append(("order_placement_source", source))
        listing = await self._list(query, endpoint, page=None, heard=heard)
        trouble = listing.trouble
        if trouble and trouble.blame is Blame.REQUEST and len(ids) > 1:
            half = len(ids) // 2
            return await self._ask_batch(ids[:half], source, heard) + await self._ask_batch(
                ids[half:], source, heard
            )
        asked = set(ids)
        shown, repeated = listing.sightings, listing.repeated
        sightings = tuple(s for s in shown if s.report.venue_order_id in asked)
        if trouble is None and (len(sightings) < len(shown) or not repeated <= asked):
            # The filter was not heeded, so nothing is known of the scope of this answer.
            trouble = Unusable(why="orders that were not asked for", blame=Blame.GARBLED)
        left = asked - repeated
        left.difference_update(s.report.venue_order_id for s in sightings)
        left.difference_update(*(silence.orders for silence in listing.silences))
        missing = [i for i in ids if i in left] if left else []
        silences = tuple(s for s in listing.silences if not s.orders or set(s.orders) & asked)
        if trouble is None and any(not s.orders for s in listing.silences):
            trouble = Unusable(why="an order whose id cannot be read", blame=Blame.GARBLED)
        if trouble is not None:
            silences += (silence_of(endpoint, trouble, missing),) if missing else ()
            missing = []
        gone = tuple(Absence(venue_order_id=i, endpoint=endpoint, as_of=as_of) for i in missing)
        again = listing.said_again(asked)
        return Reading(sightings=sightings, said_again=again, silences=silences, absences=gone)

    async def _ask_fills(self, ids: list[str]) -> Reading:
        endpoint, as_of = "fills", self.now()
        fills: list[parse.Fill] = []
        before: list[parse.Fill] = []
        cursor: str | None = None
        turned: set[str] = set()
        while True:
            query = [("order_ids", i) for i in ids] + ([("cursor", cursor)] if cursor else [])
            answer = await self._get(f"{PREFIX}/orders/historical/fills", query)
            page = page_of(answer, parse.FILLS)
            if isinstance(page, Unusable):
                return Reading(silences=(silence_of(endpoint, page, ids),))
            fills += page.fills
            if not page.cursor or page.cursor == cursor or not page.fills:
                break
            if page.cursor in turned or page.fills == before:
                # A circle. Fills without ids cannot be told from their like, so nothing is counted.
                endless = Unusable(why="fills without an end", blame=Blame.GARBLED)
                return Reading(silences=(silence_of(endpoint, endless, ids),))
            before, cursor = page.fills, page.cursor
            turned.add(cursor)
        sightings = parse.parse_fills([f for f in fills if f.order_id in ids], endpoint, as_of)
        if isinstance(sightings, Unusable):
            return Reading(silences=(silence_of(endpoint, sightings, ids),))
        return Reading(sightings=tuple(sightings))

    async def _list(
        self,
        query: list[tuple[str, str]],
        endpoint: str,
        *,
        page: int | None = 0,
        heard: Mapping[int, str] | None = None,
        wanted: frozenset[str] = frozenset(),
    ) -> Listing:
        """All pages of a list of orders, to the last one or to the first trouble.

        `page` 0 asks for the largest page that the venue has taken so far, None for its default.
        Where some are `wanted`, not beyond the page after which one batch has room for the rest.
        """
        listing = Listing(endpoint, self._read, heard or {})
        cursor: str | None = None
        barren = 0
        while True:
            as_of = self.now()
            size = self._page if page == 0 else page
            sized = [("limit", str(size))] if size else []
            turned = [("cursor", cursor)] if cursor else []
            answer = await self._get(HISTORY, [*query, *sized, *turned])
            found = page_of(answer, parse.PAGE)
            if isinstance(found, Unusable):
                if found.blame is Blame.REQUEST and page == 0 and self._page > MODEST_PAGE:
                    # The largest page is not published: ask modestly from now on.
                    self._page = MODEST_PAGE
                    continue
                listing.trouble = found
                return listing
            barren = 0 if listing.add(found.orders, as_of) else barren + 1
            spared = bool(wanted) and len(listing.lacks(wanted)) <= self.batch_size
            if spared or not found.has_next:
                return listing
            if found.next_cursor is None or barren > BARREN_PAGES:
                # No cursor, or one that leads in a circle, or ever new ones that lead to nothing.
                listing.trouble = Unusable(why="a list without an end", blame=Blame.GARBLED)
                return listing
            cursor = found.next_cursor
