"""How each account is kept at the moment, gathered from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ordersync.sync.health import State
from ordersync.web.api.conditions import (
    AccountShown,
    BudgetShown,
    Gap,
    LeaseShown,
    PollingShown,
    StreamShown,
    StreamState,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ordersync.ports import Clock
    from ordersync.settings import Settings
    from ordersync.sync.reconcile import Reconciler
    from ordersync.sync.stream import Stream
    from ordersync.sync.tenure import Tenure

_STATES = {
    State.CONNECTING: StreamState.CONNECTING,
    State.LIVE: StreamState.LIVE,
    State.DEGRADED: StreamState.FAILED,
}


class Kept(Protocol):
    """As much of a service as this needs. `troubles`: by account why it cannot be asked."""

    settings: Settings
    clock: Clock
    reconcilers: dict[str, Reconciler]
    streams: dict[str, Stream]
    tenures: dict[str, Tenure]
    troubles: dict[str, str]


def conditions(kept: Kept, verified: Mapping[str, datetime | None]) -> list[AccountShown]:
    """Each account; `verified` is when all of it was last verified, as it is stored."""
    return [_shown(kept, name, verified.get(name)) for name in kept.settings.served_accounts]


def _shown(kept: Kept, name: str, verified_at: datetime | None) -> AccountShown:
    passed = kept.reconcilers[name].demand.passed
    stream = _stream(kept, name)
    polling = PollingShown()
    if passed is not None:
        polling = PollingShown(
            last_pass_at=passed.at,
            lasted_seconds=round(passed.lasted.total_seconds(), 3),
            asked=passed.asked,
        )
    late = verified_at is None or kept.clock.now() - verified_at > kept.settings.sync.stale_after
    why = kept.troubles.get(name)
    if not why and stream.state is StreamState.FAILED:
        why = f"push: {kept.streams[name].health.why}"
    if not why and late:
        why = "not all of its orders were verified of late"
    return AccountShown(
        account=name,
        venue=kept.settings.accounts[name].venue,
        stream=stream,
        polling=polling,
        lease=_lease(kept.tenures[name]),
        budget=BudgetShown(),
        last_verified_at=verified_at,
        degraded=why or None,
    )


def _lease(tenure: Tenure) -> LeaseShown | None:
    seen = tenure.seen
    if seen is None:
        return None
    return LeaseShown(holder=seen.holder.name, until=seen.until, mine=tenure.lease is not None)


def _stream(kept: Kept, name: str) -> StreamShown:
    # Of an account that another process serves the stream is kept there.
    if name not in kept.streams or kept.tenures[name].lease is None:
        return StreamShown(state=StreamState.OFF)
    health = kept.streams[name].health
    gap = None
    if (last := health.last) is not None:
        seconds = round(last.lasted.total_seconds(), 3)
        gap = Gap(at=last.at, why=last.why, seconds=seconds, orders=last.orders)
    return StreamShown(state=_STATES[health.state], since=health.since, last_gap=gap)
