"""How everything stands, out of the database alone: for `status`, whether or not `run` runs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ordersync.alerted import ChannelHealth
from ordersync.alerts.causes import State
from ordersync.clock import SystemClock
from ordersync.listed import Listed
from ordersync.ports import Meaning
from ordersync.service.build import (
    build_lists,
    build_samples,
    build_store,
    build_told,
    words_meaning,
)
from ordersync.service.reached import ToldChannels
from ordersync.sync.objectives import WINDOWS, Objectives, objectives
from ordersync.sync.standing import ListedStandings
from ordersync.truth.urgency import Urgency

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordersync.leased import Lease
    from ordersync.ports import Clock
    from ordersync.settings import Settings

TROUBLES_SHOWN = 10
WINDOWS_SHOWN = ("1h", "24h")


class AccountSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One account: how its rows stand, and what its last minute was. Null: not known."""

    account: str
    venue: str
    open: int
    stale: int
    suspect: int
    unknown: int
    discrepancies: dict[str, int]
    owners_blocked: int
    verified_at: datetime | None
    oldest_verified_at: datetime | None
    sampled_at: datetime | None
    calls: int | None
    call_limit: int | None
    success_ratio: float | None
    lease: str | None
    alerts: dict[str, datetime]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """One screen. `troubles` are the rows that most want to be looked at."""

    at: datetime
    accounts: list[AccountSeen]
    objectives: dict[str, Objectives]
    troubles: list[Listed]
    channels: list[ChannelHealth]

    @property
    def is_well(self) -> bool:
        """Whether nobody has to do anything."""
        return not self.troubles and not any(channel.why for channel in self.channels)


async def look_over(settings: Settings, clock: Clock | None = None) -> Overview:
    """Look once. Raises ConfigError, StoreBusy or StoreRefused."""
    clock = clock or SystemClock()
    now = clock.now()
    lists = build_lists(settings, clock, lambda _account, _known: None)
    standings = ListedStandings(
        lists,
        open_words=words_meaning(settings, Meaning.OPEN),
        stale_after=settings.sync.stale_after,
    )
    try:
        stood = {name: await standings.stand(name, now) for name in settings.served_accounts}
        verified = await lists.verified_at()
    finally:
        lists.close()
    samples = await build_samples(settings).list_since(now - WINDOWS[WINDOWS_SHOWN[-1]])
    last = {one.account: one for one in samples}
    alert_log = build_told(settings)
    told = await alert_log.read()
    leases = await _leases(settings, clock)
    accounts = []
    for name, standing in stood.items():
        minute = last.get(name)
        accounts.append(
            AccountSeen(
                account=name,
                venue=settings.accounts[name].venue,
                open=standing.open,
                stale=standing.stale,
                suspect=standing.suspect,
                unknown=standing.unknown,
                discrepancies=standing.discrepancies,
                owners_blocked=len(standing.owners),
                verified_at=verified.get(name),
                oldest_verified_at=standing.oldest_verified_at,
                sampled_at=minute.at if minute else None,
                calls=minute.calls if minute else None,
                call_limit=minute.call_limit if minute else None,
                success_ratio=minute.success_ratio if minute else None,
                lease=leases.get(name),
                alerts=_open_alerts(told.get(f"account {name}")),
            )
        )
    troubles = [one for standing in stood.values() for one in standing.troubles]
    ranks = list(Urgency)
    troubles.sort(key=lambda one: (-ranks.index(one.urgency), -(one.age_seconds or 0)))
    return Overview(
        at=now,
        accounts=accounts,
        objectives={name: objectives(samples, WINDOWS[name], now) for name in WINDOWS_SHOWN},
        troubles=troubles[:TROUBLES_SHOWN],
        channels=await ToldChannels(settings, alert_log, clock).stand(),
    )


def _open_alerts(body: bytes | None) -> dict[str, datetime]:
    """What a person was told of that is not over, and since when it is the case."""
    if body is None:
        return {}
    state = msgspec.json.decode(body, type=State)
    return {
        kind: incident.opened_at
        for kind, incident in state.incidents.items()
        if incident.told_at is not None and incident.ended_at is None
    }


async def _leases(settings: Settings, clock: Clock) -> Mapping[str, str]:
    """By account who keeps it at the moment."""
    store = build_store(settings, clock)
    found: list[Lease] = []
    try:
        await store.open(create=False)
        leases = store.leases()
        try:
            found = await leases.list_leases()
        finally:
            await leases.close()
    finally:
        await store.close()
    return {lease.account: lease.holder.name for lease in found if lease.is_live}
