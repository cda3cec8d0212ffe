"""The figures as Prometheus reads them. Names and units after its conventions.

The figures themselves are in `sync/tally`: a scrape reads what is there, the way of an order
pays for no label and no lock. A registry of its own, so that nothing of the process's other
libraries is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)

from ordersync import __version__
from ordersync.metered import CallEnd, Count, Delivery, Level, Span
from ordersync.truth.model import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client.core import Metric

    from ordersync.sync.tally import Tally

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Described(msgspec.Struct, frozen=True):
    """A metric's name, of counters without `_total`; its help; what its labels are called."""

    name: str
    help: str
    kind: str = ""
    of: str = "account"


COUNTERS: Mapping[Count, Described] = {
    Count.CALLS: Described(
        "ordersync_venue_calls", "Questions to the exchange over REST, by how they ended.", "result"
    ),
    Count.EVENTS: Described("ordersync_events", "Events that were committed.", "kind"),
    Count.LOST: Described(
        "ordersync_lost_writes", "Compare-and-sets that another writer won; tried again."
    ),
    Count.ACCURACY_SAMPLED: Described(
        "ordersync_accuracy_sampled", "Finished orders that were verified again."
    ),
    Count.ACCURACY_WRONG: Described(
        "ordersync_accuracy_wrong", "Finished orders that were wrong when verified again."
    ),
    Count.BLOCKED: Described(
        "ordersync_owner_blocked_seconds",
        "Seconds in which an owner's row said that an order works, over all owners.",
    ),
    Count.UNTRULY_BLOCKED: Described(
        "ordersync_owner_untruly_blocked_seconds",
        "Seconds in which a row said that an order works which had ended, over all orders.",
    ),
    Count.ALERTS: Described(
        "ordersync_alerts", "Messages to people, by how that ended.", "result", of="channel"
    ),
}

_KINDS: Mapping[Count, Sequence[str]] = {
    Count.CALLS: list(CallEnd),
    Count.EVENTS: list(EventKind),
    Count.ALERTS: list(Delivery),
}

HISTOGRAMS: Mapping[Span, Described] = {
    Span.LATENCY: Described(
        "ordersync_latency_seconds",
        "From the exchange's own time of a change to its commit.",
        "source",
    ),
    Span.GAP: Described(
        "ordersync_gap_fill_seconds", "From a loss in the stream until all was asked for."
    ),
    Span.DATABASE: Described("ordersync_database_seconds", "One request to the database."),
}

GAUGES: Mapping[Level, Described] = {
    Level.OPEN: Described("ordersync_open_orders", "Rows that say that they are open."),
    Level.STALE: Described("ordersync_stale_orders", "Open rows that nobody can vouch for."),
    Level.SUSPECT: Described(
        "ordersync_suspect_orders", "Open rows whose order is absent, not proven."
    ),
    Level.UNKNOWN: Described(
        "ordersync_unknown_orders", "Open rows whose order is absent, proven."
    ),
    Level.DISCREPANCIES: Described(
        "ordersync_discrepancies", "Open rows that differ from the exchange.", "kind"
    ),
    Level.VERIFIED_AT: Described(
        "ordersync_oldest_verified_timestamp_seconds",
        "When the open order was verified that waits longest for it.",
    ),
    Level.OWNERS_BLOCKED: Described("ordersync_owners_blocked", "Owners with an open row."),
    Level.BUDGET_LEFT: Described(
        "ordersync_budget_left_calls", "Calls that could be made at once, at the last call."
    ),
    Level.CALL_LIMIT: Described(
        "ordersync_budget_calls_per_minute", "Calls a minute that may be made."
    ),
    Level.PAUSED_UNTIL: Described(
        "ordersync_budget_paused_until_timestamp_seconds", "Until when nothing is asked."
    ),
    Level.ANSWERED_AT: Described(
        "ordersync_exchange_answered_timestamp_seconds", "When the exchange answered last."
    ),
    Level.ASKED_AT: Described(
        "ordersync_exchange_asked_timestamp_seconds",
        "Since when the exchange owes an answer; 0: it owes none.",
    ),
    Level.UNANSWERED: Described(
        "ordersync_exchange_unanswered_calls", "Calls without an answer since the last answer."
    ),
    Level.STREAM: Described("ordersync_stream_state", "1 of the state the stream is in.", "state"),
    Level.QUEUE: Described(
        "ordersync_queue_orders", "Orders that a stream told of and nobody has written yet."
    ),
    Level.LEASE: Described("ordersync_lease_held", "1 where this process keeps the account."),
}


class Metrics:
    """What `/metrics` answers. `look` lets whoever knows set the levels before each answer.

    `venues` gives each account's exchange, `channels` are the names of the ways to people.
    """

    def __init__(
        self,
        tally: Tally,
        venues: Mapping[str, str],
        look: Callable[[], None],
        *,
        channels: Sequence[str] = (),
    ) -> None:
        self._tally = tally
        self._venues = venues
        self._look = look
        self._channels = tuple(channels)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """All of it, in Prometheus' own text form."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every family, whether or not there is anything of it yet. For the registry."""
        self._look()
        build = InfoMetricFamily("ordersync_build", "Which ordersync this is.")
        build.add_metric([], {"version": __version__})
        yield build
        accounts = GaugeMetricFamily(
            "ordersync_account_info", "1 for each account.", labels=["account", "venue"]
        )
        for account, venue in self._venues.items():
            accounts.add_metric([account, venue], 1)
        yield accounts
        for count, told in COUNTERS.items():
            counter = CounterMetricFamily(told.name, told.help, labels=_labels(told))
            counted = self._zeros(count) | self._tally.counts[count]
            for key, value in sorted(counted.items()):
                counter.add_metric(_values(told, key), value)
            yield counter
        for level, told in GAUGES.items():
            gauge = GaugeMetricFamily(told.name, told.help, labels=_labels(told))
            for key, value in sorted(self._tally.levels[level].items()):
                gauge.add_metric(_values(told, key), value)
            yield gauge
        yield from self._histograms()

    def _zeros(self, count: Count) -> dict[tuple[str, str], float]:
        """What is not counted yet is 0: an increase from nothing is none to Prometheus."""
        of = self._channels if count is Count.ALERTS else self._venues
        return {(name, kind): 0.0 for name in of for kind in _KINDS.get(count, [""])}

    def _histograms(self) -> Iterator[Metric]:
        for span, told in HISTOGRAMS.items():
            # The database belongs to no account.
            labels = [] if span is Span.DATABASE else _labels(told)
            family = HistogramMetricFamily(told.name, told.help, labels=labels)
            for key, times in sorted(self._tally.spans[span].items(), key=lambda item: item[0]):
                buckets, below = [], 0
                for bound, count in zip((*times.bounds, None), times.counts, strict=True):
                    below += count
                    buckets.append(("+Inf" if bound is None else str(bound), float(below)))
                values = _values(told, key) if labels else []
                family.add_metric(values, buckets, times.seconds)
            yield family


def names() -> dict[str, tuple[str, str, Sequence[str]]]:
    """Every metric by its name as Prometheus has it: type, help, labels. For the reference."""
    found: dict[str, tuple[str, str, Sequence[str]]] = {
        "ordersync_build_info": ("gauge", "Which ordersync this is.", ["version"]),
        "ordersync_account_info": ("gauge", "1 for each account.", ["account", "venue"]),
    }
    found |= {f"{d.name}_total": ("counter", d.help, _labels(d)) for d in COUNTERS.values()}
    found |= {d.name: ("gauge", d.help, _labels(d)) for d in GAUGES.values()}
    found |= {
        d.name: ("histogram", d.help, [] if span is Span.DATABASE else _labels(d))
        for span, d in HISTOGRAMS.items()
    }
    return found


def _labels(told: Described) -> list[str]:
    return [told.of, told.kind] if told.kind else [told.of]


def _values(told: Described, key: tuple[str, str]) -> list[str]:
    account, kind = key
    return [account, kind] if told.kind else [account]
