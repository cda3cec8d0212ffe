"""What so many accounts and open orders cost, and where the limits are. Pure arithmetic.

Nothing is guessed: a Figure says whether it was measured (docs/reference/benchmarks.md) or which
venue says it. A plan is for the worst case that can be reckoned with: nothing is remembered from
the pass before, all open orders are open at the venue, too, and calls wait for our share alone.
"""

from __future__ import annotations

from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A number that somebody measured or said. `source` is the benchmark's line, or the venue."""

    value: float
    unit: str
    source: str


ORDER_PASS_MS = Figure(
    value=0.072, unit="ms", source="processor time an order, 9,900 verified, sighted before"
)
ORDER_AT_REST_MS = Figure(
    value=0.022,
    unit="ms",
    source="processor time an order, 9,900 verified, at rest since the last pass",
)
IDLE_MB = Figure(
    value=116.3,
    unit="MB",
    source="PostgreSQL: memory of an idle `ordersync run`, 30 accounts",
)
MOST_MB_OF_100_000 = Figure(
    value=168.9,
    unit="MB",
    source="PostgreSQL: memory with 100,000 tracked open orders, at the highest",
)
COMMITS_A_SECOND = {
    "postgresql": Figure(
        value=3_809,
        unit="orders/s",
        source="PostgreSQL: sustained durable updates, 16 reports waiting",
    ),
    "sqlite": Figure(
        value=4_561,
        unit="orders/s",
        source="sustained durable updates, 64 reports waiting, WAL",
    ),
}
VISIT_MS = Figure(
    value=6.75, unit="ms", source="Celery: one account of 10 open orders, processor time a visit"
)
WORKER_MB = Figure(value=110.5, unit="MB", source="Celery: memory of a worker process")
ACCOUNT_MB = Figure(
    value=0.025, unit="MB", source="Celery: memory of one more account's connection"
)

THOROUGH_EACH = 20
"""Every so many passes of `run` remembers nothing."""

ROWS_OF_A_COMMIT = 3
"""What one durable update writes: the truth, the event and the user's row."""

ROWS_OF_A_LIFE = 8
"""Rows written for one order: its first sighting (truth, event), its end (all three), and the
fees that settle (all three)."""

BUSY = 0.7
"""How much of a processor one process may be planned to take."""

HEARTBEAT_SECONDS = 5.0
"""How often the owner of an account writes that he still is."""


class VenueRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a venue can be asked.

    `limit` is what it allows an account in calls a minute, `share` the part of it that we keep to,
    of which `bursts` calls are left out where it counts them in. `after_third` is how many orders
    the third page of a list shows anew, and each after it. Where a live stream has to be compared
    by asking, it is every `poll_seconds`, within `poll_part` of our share. `opens` is how many
    streams a second it lets one address open, None where it says none.
    """

    venue: str
    limit: Figure
    share: float
    batch_size: int
    page_size: int
    after_third: int
    open_list_cap: int
    bursts: int = 0
    poll_seconds: float | None = None
    poll_part: float = 0.0
    opens: Figure | None = None

    @property
    def ours(self) -> float:
        """What we keep to, in calls a minute."""
        return max(self.limit.value * self.share - self.bursts, 1.0)

    def at(self, share: float) -> VenueRules:
        """The same venue where an account's configuration says another share."""
        return msgspec.structs.replace(self, share=share)

    def calls(self, orders: int) -> int:
        """How many calls verify so many open orders of an account: a list where it pays."""
        one_by_one = ceil(orders / self.batch_size)
        expected = max(1, ceil(orders / self.page_size))
        pays = orders < self.open_list_cap and orders // self.batch_size >= expected + 1
        if not pays:
            return one_by_one
        beyond = max(0, orders - 2 * self.page_size)
        return min(expected, 2) + ceil(beyond / self.after_third)

    def passes(self, orders: int, every: float, *, streams: bool) -> float:
        """How many passes a minute there are over so many orders."""
        passes = 60 / every
        if streams and self.poll_seconds is not None:
            a_minute = self.limit.value * self.share * self.poll_part
            polls = min(60 / self.poll_seconds, a_minute / max(1, self.calls(orders)))
            passes = max(passes, polls)
        return passes

    def seconds(self, orders: int) -> float:
        """How long a pass from nothing takes: its calls at our rate, and the processor's part."""
        return self.calls(orders) * 60 / self.ours + orders * ORDER_PASS_MS.value / 1e3

    def most_orders(self, seconds: float) -> int:
        """How many open orders of one account can be verified in that time."""
        least, most = 0, 100_000_000
        while least < most:
            middle = (least + most + 1) // 2
            fits = self.seconds(middle) <= seconds
            least, most = (middle, most) if fits else (least, middle - 1)
        return least


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one account has: open orders, and how many new ones a day (None: not known).

    `share` is how much of the venue's limit its configuration lets us use.
    """

    account: str
    venue: str
    open_orders: int
    share: float = 0.5
    new_a_day: float | None = None


class Way(StrEnum):
    """Who verifies: `ordersync run`, or Celery's workers."""

    RUN = "run"
    CELERY = "celery"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says: how often each way looks, in seconds; the make of database."""

    make: str
    interval: float
    every: float
    accounts_kept: int


class VenueShare(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts of one venue. Calls are a minute's, and the largest account's but for `all`.

    The largest is the one whose pass takes longest: of two with as many orders the one with the
    smaller share. `worst_seconds` is how long that is, from nothing; `most_orders` how many it
    could have.
    """

    venue: str
    accounts: int
    largest: int
    calls_a_pass: int
    calls_of_largest: float
    calls_all: float
    ours: float
    limit: float
    worst_seconds: float
    most_orders: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run one load. Seconds, MB, calls a minute, rows a second, processors.

    `processes` is how many are needed, `connections` what they take of the database.
    `fresh_seconds` is how old the last look at an order may become; `storm_seconds` what the
    database needs where every open order changes at once. `limits` has the tightest first.
    """

    way: Way
    accounts: int
    open_orders: int
    venues: list[VenueShare]
    processes: int
    processors: float
    memory_mb: float
    connections: int
    rows_a_second: float
    database_share: float
    storm_seconds: float
    fresh_seconds: float
    messages_a_minute: float
    limits: list[str]


def counted(number: int, thing: str) -> str:
    """A number with its thing, in the plural where it is not one."""
    plural = f"{thing}es" if thing.endswith("s") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else plural}"


def spread(loads: Sequence[Load], accounts: int | None, open_orders: int | None) -> list[Load]:
    """The same kind of load, grown: venues in the proportion they have, orders spread evenly.

    Without `open_orders` each account has as many as the average one has today.
    """
    count = accounts or len(loads)
    have = sum(load.open_orders for load in loads)
    orders = open_orders if open_orders is not None else round(have * count / len(loads))
    known = [load.new_a_day for load in loads if load.new_a_day is not None]
    # More orders come and go as often as today's do.
    growth = orders / have if have else count / len(loads)
    return [
        Load(
            account=f"{loads[n % len(loads)].account} {n + 1}",
            venue=loads[n % len(loads)].venue,
            share=loads[n % len(loads)].share,
            open_orders=orders // count + (n < orders % count),
            new_a_day=sum(known) * growth / count if known else None,
        )
        for n in range(count)
    ]


def reckon(way: Way, loads: Sequence[Load], rules: dict[str, VenueRules], terms: Terms) -> Plan:
    """What this load costs, run this way."""
    streams = way is Way.RUN
    every = terms.interval if streams else terms.every
    shares = [
        _share(rules, [load for load in loads if load.venue == venue], every, streams)
        for venue in dict.fromkeys(load.venue for load in loads)
    ]
    orders = sum(load.open_orders for load in loads)
    largest = max(load.open_orders for load in loads)
    worst = max(share.worst_seconds for share in shares)
    processors = sum(_processors(_rules_of(rules, load), load, every, streams) for load in loads)
    an_order = (MOST_MB_OF_100_000.value - IDLE_MB.value) / 100_000
    if streams:
        processes = min(ceil(processors / BUSY) or 1, len(loads))
        memory = processes * IDLE_MB.value + orders * an_order + len(loads) * ACCOUNT_MB.value
        # One for the work, one for leases; on PostgreSQL a third listens for new rows.
        connections = processes * {"sqlite": 1, "postgresql": 3}.get(terms.make, 2)
    else:
        # A visit keeps its worker until the venue has answered.
        visits = sum(
            _rules_of(rules, load).seconds(load.open_orders) + VISIT_MS.value / 1e3
            for load in loads
        )
        processes = min(ceil(visits / (BUSY * every)) or 1, len(loads))
        connections = processes * (1 if terms.make == "sqlite" else 2)
        kept = min(terms.accounts_kept, len(loads))
        # And two more: the parent of the worker processes, and beat.
        memory = (processes + 2) * WORKER_MB.value
        memory += processes * (kept * ACCOUNT_MB.value + largest * an_order)
    rows = _rows_a_second(loads, every)
    commits = COMMITS_A_SECOND.get(terms.make, COMMITS_A_SECOND["postgresql"]).value
    plan = Plan(
        way=way,
        accounts=len(loads),
        open_orders=orders,
        venues=shares,
        processes=processes,
        processors=processors,
        memory_mb=memory,
        connections=connections,
        rows_a_second=rows,
        database_share=rows / (ROWS_OF_A_COMMIT * commits),
        storm_seconds=orders / commits,
        fresh_seconds=max(every, worst) if streams else every + worst,
        messages_a_minute=0.0 if streams else len(loads) * 60 / every,
        limits=[],
    )
    return msgspec.structs.replace(plan, limits=_limits(plan, rules, every, terms.make))


def _rules_of(rules: dict[str, VenueRules], load: Load) -> VenueRules:
    return rules[load.venue].at(load.share)


def _share(
    rules: dict[str, VenueRules],
    loads: Sequence[Load],
    every: float,
    streams: bool,  # noqa: FBT001 - ours
) -> VenueShare:
    def calls(load: Load) -> float:
        its = _rules_of(rules, load)
        passes = its.passes(load.open_orders, every, streams=streams)
        return min(its.calls(load.open_orders) * passes, its.ours)

    largest = max(loads, key=lambda load: _rules_of(rules, load).seconds(load.open_orders))
    its = _rules_of(rules, largest)
    return VenueShare(
        venue=its.venue,
        accounts=len(loads),
        largest=largest.open_orders,
        calls_a_pass=its.calls(largest.open_orders),
        calls_of_largest=calls(largest),
        calls_all=sum(map(calls, loads)),
        ours=its.ours,
        limit=its.limit.value,
        worst_seconds=its.seconds(largest.open_orders),
        most_orders=its.most_orders(every),
    )


def _processors(rules: VenueRules, load: Load, every: float, streams: bool) -> float:  # noqa: FBT001 - ours
    """How much of a processor one account takes; what the database takes is not in it."""
    passes = rules.passes(load.open_orders, every, streams=streams) / 60
    thorough = ORDER_PASS_MS.value
    if not streams:
        return passes * (load.open_orders * thorough + VISIT_MS.value) / 1e3
    # Beside a stream, and between thorough passes, what rests is not read again.
    an_order = thorough / THOROUGH_EACH + ORDER_AT_REST_MS.value * (1 - 1 / THOROUGH_EACH)
    return passes * load.open_orders * an_order / 1e3


def _rows_a_second(loads: Sequence[Load], every: float) -> float:
    """Rows written: of orders that live; one an account and pass; and that somebody owns it."""
    lives = sum(load.new_a_day or 0.0 for load in loads) * ROWS_OF_A_LIFE / 86_400
    return lives + len(loads) * (1 / every + 1 / HEARTBEAT_SECONDS)


def _limits(plan: Plan, rules: dict[str, VenueRules], every: float, make: str) -> list[str]:
    """What gives way first, in words: how near each limit is decides the order."""
    found: list[tuple[float, str]] = []

    def add(pressure: float, *words: str) -> None:
        found.append((pressure, " ".join(words)))

    for share in plan.venues:
        add(
            share.largest / max(1, share.most_orders),
            f"{share.venue}: one account can have {share.most_orders:,} open orders verified every",
            f"{every:,.0f} s, with our {share.ours:,.0f} of its {share.limit:,.0f} calls a minute;",
            f"the largest has {share.largest:,}",
        )
        opens = rules[share.venue].opens
        if plan.way is Way.RUN and opens is not None and share.accounts > opens.value:
            back = share.accounts / opens.value
            add(
                back / every,
                f"{share.venue}: it lets one address open {opens.value:.0f} streams a second;",
                f"of {share.accounts:,} the last is back {back:,.0f} s after a cut",
            )
    add(
        plan.database_share,
        f"database: {plan.database_share:.1%} of what one was measured to take; should all orders",
        f"change at once, it needs {plan.storm_seconds:,.0f} s to catch up",
    )
    processes = counted(plan.processes, "process")
    add(plan.processors, f"processor: {plan.processors:.2f} of one, in {processes}")
    if make == "sqlite" and plan.processes > 1:
        add(
            plan.processes,
            f"database: SQLite lets one write at a time, and {processes} want to; take PostgreSQL",
        )
    return [text for _, text in sorted(found, key=lambda one: -one[0])]
