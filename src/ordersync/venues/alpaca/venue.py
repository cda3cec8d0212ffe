"""An Alpaca account as a `ports.Venue`: which calls are made, and what they prove."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.judging import judge_clock, judge_key
from ordersync.metered import UNMETERED
from ordersync.ports import Finding, Identity, Severity
from ordersync.truth.evidence import Absence, Reading, Sighting, Silence
from ordersync.venues.alpaca import parse
from ordersync.venues.alpaca.orders import PAGE_SIZE, OrderCalls
from ordersync.venues.alpaca.replay import Replay
from ordersync.venues.alpaca.stream import TradeUpdates
from ordersync.venues.answers import Blame, Unusable
from ordersync.venues.asking import ask_in_batches, page_of, silence_of
from ordersync.venues.budget import RateBudget
from ordersync.venues.listing import Listing
from ordersync.venues.reader import Reader
from ordersync.venues.venue_clock import VenueClock
from ordersync.venues.wire import spell

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ordersync.metered import AccountMeter
    from ordersync.ports import Clock
    from ordersync.pushed import Push
    from ordersync.venues.alpaca.key import AlpacaKey

PAPER_URL = "https://paper-api.alpaca.markets"
LIVE_URL = "https://api.alpaca.markets"
FILLS = "/v2/account/activities/FILL"

# The venue allows an account 200 calls a minute unless its headers say otherwise, and the bot
# lives on the same budget: half of them at most is ours, and of these some for looking things up.
CALLS_PER_MINUTE = 200
SHARE = 0.5
POLL_PART = 0.7
BURST = 5
CONCURRENT_CALLS = 8
RESERVE = 10

LEAST_POLL = timedelta(seconds=2)
FEW_CLIENT_IDS = 10
SINGLE_CALLS = 25
FILLS_PAGE = 100
FILLS_PAGES = 10
ENDED_LIMIT = 10_000
SLACK = timedelta(minutes=5)
NO_VIEWING_KEY = (
    "Alpaca has no key that can only view; an OAuth token without the scope trading is one."
)


class Alpaca:
    """One account at Alpaca, paper or live. Implements `ports.Venue`; only reads.

    There is no question for many ids at once, so one list of what is open pays from the second
    order on. The list has no cap of its own.
    """

    batch_size = 1
    list_page_size = PAGE_SIZE
    open_list_cap = 1_000_000

    def __init__(
        self,
        key: AlpacaKey,
        clock: Clock,
        *,
        paper: bool,
        rest_url: str | None = None,
        ws_url: str | None = None,
        share: float = SHARE,
        meter: AccountMeter = UNMETERED,
    ) -> None:
        self._key = key
        self._poll_share = POLL_PART * share
        self._paper = paper
        self._venue_clock = VenueClock(clock)
        self.base_url = base = rest_url or (PAPER_URL if paper else LIVE_URL)
        self._host = urlsplit(base).netloc
        self._budget = RateBudget(
            clock,
            per_second=max(CALLS_PER_MINUTE * share - BURST, 1) / 60,
            burst=BURST,
            share=share,
            reserve=RESERVE,
        )
        self._reader = Reader(
            base,
            clock,
            self._budget,
            sign=lambda _path: key.headers(),
            venue_now=self.now,
            meter=meter,
        )
        self._orders = OrderCalls(self._reader, self.now)
        self._list_calls = 1
        self._ended: dict[str, datetime] = {}
        self.push: Push | None = TradeUpdates(
            ws_url or f"ws{base.removeprefix('http')}/stream",
            key,
            venue_now=self.now,
            poll=self._poll_every,
            replay=Replay(self._reader, self.now),
            mend=self._mend(),
        )

    @property
    def calls(self) -> int:
        """How many requests were sent."""
        return self._reader.calls

    def now(self) -> datetime:
        """The venue's clock, as far as it is known here."""
        return self._venue_clock.now()

    async def identify(self) -> Identity:
        """Whose key this is. Raises VenueSilent (ask again) or VenueRefused (give up).

        That trading is blocked, or the account not yet approved, is no matter of ours: orders
        can be read all the same.
        """
        await self._compare_clocks()
        said = page_of(await self._reader.get("/v2/account"), parse.ACCOUNT)
        if isinstance(said, Unusable):
            where = f"{self._host}/v2/account"
            if said.blame is Blame.KEY:
                raise VenueRefused(f"{said.why}.", where=where, mend=self._mend())
            raise VenueSilent(f"{said.why}.", where=where, mend=said.mend)
        return Identity(
            host=self._host,
            name=said.id,
            # What a token may do is told nowhere; a key pair may always trade.
            can_trade=not self._key.is_token,
            enough=NO_VIEWING_KEY,
        )

    async def ask_ids(self, ids: Sequence[str], heard: Mapping[int, str] | None = None) -> Reading:
        """Sightings and Absences of these ids, one a call, several calls at a time."""
        words = heard or {}
        await self._mind_clock()

        async def ask(batch: list[str]) -> tuple[Reading, Silence | None]:
            return await self._orders.by_id(batch[0], words)

        return self._noted(await ask_in_batches(ids, self.batch_size, CONCURRENT_CALLS, ask))

    async def ask_one(self, venue_order_id: str, client_order_id: str | None = None) -> Reading:
        """One order, by its client id where that is known: that is another endpoint.

        By its id again where it is not: nothing else at Alpaca can tell of a lone id that it is
        not there. Then readings ten minutes apart stand for the second endpoint.
        """
        if client_order_id:
            reading, _ = await self._orders.by_client_id(client_order_id, venue_order_id)
        else:
            reading, _ = await self._orders.by_id(venue_order_id, {})
        return self._noted(reading)

    async def ask_open(
        self, heard: Mapping[int, str] | None = None, wanted: Collection[str] = ()
    ) -> Reading:
        """All open orders, legs too, until all of `wanted` but one were shown. Never an Absence.

        The oldest first: what is placed or moved meanwhile comes after, not before the page that
        is read. Where some are wanted the second page is that of the newest, so that two calls
        show 1,000 orders, borders and all.
        """
        await self._mind_clock()
        endpoint, query = "open_list", [("status", "open")]
        listing = Listing(endpoint, parse.parse_order, heard or {})
        looked_for = frozenset(wanted)

        def enough(_last: datetime | None) -> bool:
            # What fits in a question of its own costs no more than another page.
            return bool(looked_for) and len(listing.lacks(looked_for)) <= self.batch_size

        before = self.calls
        await self._orders.list_all(listing, query, enough, both_ends=bool(looked_for))
        if listing.trouble:
            trouble: tuple[Silence, ...] = (silence_of(endpoint, listing.trouble, []),)
        else:
            trouble, self._list_calls = (), max(1, self.calls - before)
        return Reading(
            sightings=listing.sightings,
            said_again=listing.said_again(),
            silences=listing.silences + trouble,
        )

    async def ask_created(
        self, start: datetime, end: datetime, client_order_ids: Collection[str] = ()
    ) -> Reading:
        """All orders created in [start, end), to the last page; of client ids those that are there.

        A few client ids are asked for by themselves, and the window is only read where one of
        them is not there: for the second endpoint, and for what else it shows. Of many, those
        that the window lacks are asked for by themselves.
        """
        ids = list(dict.fromkeys(client_order_ids))
        first = ids if len(ids) <= FEW_CLIENT_IDS else []
        reading = await self._ask_client_ids(first)
        if ids and not _missing(ids, reading):
            return reading
        reading += await self._ask_window(start, end, ids)
        rest = [one for one in _missing(ids, reading) if one not in first]
        return reading + await self._ask_client_ids(rest[:SINGLE_CALLS])

    async def ask_fills(self, ids: Sequence[str]) -> Reading:
        """When these orders were last filled, as Reports without standing. Never an Absence.

        Activities cannot be asked for by order: they are read backwards from the last end of
        these orders, the newest first. The first that names an order is its last fill.
        """
        endpoint, as_of = "fills", self.now()
        wanted, found = set(ids), dict[str, Sighting]()
        until = max((self._ended.get(order, as_of) for order in ids), default=as_of) + SLACK
        query = [("until", spell(until)), ("direction", "desc"), ("page_size", str(FILLS_PAGE))]
        trouble = Unusable(why="not among the latest fills", blame=Blame.SILENT)
        token: str | None = None
        for _ in range(FILLS_PAGES):
            turned = [("page_token", token)] if token else []
            page = page_of(await self._reader.get(FILLS, [*query, *turned]), parse.ACTIVITIES)
            if isinstance(page, Unusable):
                trouble = page
                break
            try:
                for fill in page:
                    if fill.order_id in wanted - found.keys():
                        found[fill.order_id] = parse.parse_fill(fill, endpoint, as_of)
            except ValueError as error:
                trouble = Unusable(why=f"a fill that cannot be read ({error})", blame=Blame.GARBLED)
                break
            if len(page) < FILLS_PAGE or wanted <= found.keys() or page[-1].id == token:
                break
            token = page[-1].id
        left = [order for order in ids if order not in found]
        silences = (silence_of(endpoint, trouble, left),) if left else ()
        return Reading(sightings=tuple(found.values()), silences=silences)

    async def findings(self) -> list[Finding]:
        """Whether the venue can be reached, what the key may do, the clock's skew."""
        try:
            identity = await self.identify()
        except (VenueSilent, VenueRefused) as error:
            what = f"{error.where}: {error.what}"
            return [Finding(severity=Severity.ERROR, about="venue", what=what, mend=error.mend)]
        kind = "paper" if self._paper else "live"
        what = f"{self._host} answers; the key opens the account {identity.name} ({kind})."
        found = [Finding(severity=Severity.OK, about="venue", what=what)]
        if self._key.is_token:
            what = "an OAuth token; the venue does not tell whether it may trade."
            found.append(Finding(severity=Severity.OK, about="key", what=what))
        else:
            found.append(judge_key(identity))
        found.append(judge_clock(self._venue_clock.skew))
        return found

    async def close(self) -> None:
        """Give back the connections."""
        await self._reader.close()

    # --- the calls -------------------------------------------------------------------------

    async def _mind_clock(self) -> None:
        """Compare the clocks again where this machine's was set, or slept."""
        clock = self._venue_clock
        if clock.is_doubtful and clock.is_worth_comparing():
            await self._compare_clocks()

    async def _compare_clocks(self) -> None:
        """Compare the clocks. Where the venue does not tell its time, ours is taken as right."""
        answer = await self._reader.get("/v2/clock")
        said = page_of(answer, parse.CLOCK)
        venue = said.moment if isinstance(said, parse.MarketClock) else None
        if venue is not None:
            # Without its way to us: an answer must never seem younger than it was.
            self._venue_clock.set(venue)

    def _poll_every(self) -> timedelta:
        """Every two seconds while the last list of open orders leaves enough of the budget."""
        a_minute = (self._budget.per_minute or CALLS_PER_MINUTE) * self._poll_share
        a_minute = min(a_minute, self._budget.allowed_per_minute)
        return max(LEAST_POLL, timedelta(seconds=60 * self._list_calls / a_minute))

    def _mend(self) -> str:
        """What to do about a key that is refused."""
        here, other = ("paper", "live") if self._paper else ("live", "paper")
        if self._key.is_token:
            return f"Is the token revoked, or not for {here} trading? Authorize anew."
        setting = "false" if self._paper else "true"
        if self._key.is_paper is not None and self._key.is_paper is not self._paper:
            return (
                f"The key is of {other} trading, and this is the {here} host: "
                f"write paper = {setting} or take a key of the {here} account."
            )
        return (
            f"Is this a {other} key on the {here} host? Then write paper = {setting}. "
            "Otherwise make the key anew: a key that was made again invalidates the one before."
        )

    async def _ask_client_ids(self, ids: Sequence[str]) -> Reading:
        async def ask(batch: list[str]) -> tuple[Reading, Silence | None]:
            return await self._orders.by_client_id(batch[0])

        return self._noted(await ask_in_batches(ids, 1, CONCURRENT_CALLS, ask))

    async def _ask_window(self, start: datetime, end: datetime, client_ids: list[str]) -> Reading:
        """The history by submission, a little wider than asked for; what was created outside goes.

        The filters leave out the bounds themselves, and an order is submitted a moment before or
        after it is created.
        """
        endpoint, as_of = "history", self.now()
        listing = Listing(endpoint, parse.parse_order, {})
        last = end + SLACK

        def enough(submitted_at: datetime | None) -> bool:
            return submitted_at is not None and submitted_at > last

        window = [("after", spell(start - SLACK)), ("until", spell(last))]
        await self._orders.list_all(listing, [("status", "all")], enough, window=window)
        asked = set(client_ids)
        sightings = tuple(
            s
            for s in listing.sightings
            if s.report.client_order_id in asked
            or s.report.created_at is None
            or start <= s.report.created_at < end
        )
        missing = [c for c in client_ids if c not in {s.report.client_order_id for s in sightings}]
        silences = listing.silences
        if listing.trouble:
            silences += (silence_of(endpoint, listing.trouble, missing),)
        # An order on a page that could not be read may be the one that is looked for.
        gone = () if silences else tuple(missing)
        absences = tuple(Absence(client_order_id=c, endpoint=endpoint, as_of=as_of) for c in gone)
        return self._noted(Reading(sightings=sightings, silences=silences, absences=absences))

    def _noted(self, reading: Reading) -> Reading:
        """The same; remembered is when orders ended whose last fill has to be looked up."""
        for sighting in reading.sightings:
            said = sighting.report
            if said.venue_order_id and said.filled_qty and said.last_fill_at is None:
                self._ended[said.venue_order_id] = said.changed_at or said.as_of
        while len(self._ended) > ENDED_LIMIT:
            del self._ended[next(iter(self._ended))]
        return reading


def _missing(client_ids: Sequence[str], reading: Reading) -> list[str]:
    shown = {s.report.client_order_id for s in reading.sightings}
    return [one for one in client_ids if one not in shown]
