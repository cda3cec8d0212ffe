"""What is looked at before anything runs: `doctor` asks every part, `init` the database."""

from __future__ import annotations

import contextlib
import tomllib
from typing import TYPE_CHECKING

import msgspec

from ordersync import settings as configuration
from ordersync.clock import SystemClock
from ordersync.errors import ConfigError, OrdersyncError, VenueRefused, VenueSilent
from ordersync.ports import Finding, Severity
from ordersync.service.broker import examine_broker
from ordersync.service.build import (
    build_archive,
    build_store,
    build_venue,
    build_views,
    read_webhook_secrets,
)
from ordersync.service.channels import examine_channels
from ordersync.service.doors import EXPOSED
from ordersync.service.served import examine_leases
from ordersync.service.web_door import EXPOSED as API_EXPOSED
from ordersync.service.web_door import check_exposure
from ordersync.store import proposal
from ordersync.store.makes import database_at
from ordersync.sync.retention import judge_size
from ordersync.sync.zone import compare_times
from ordersync.venues.hosts import Hosts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ordersync.ports import Clock, OrderStore
    from ordersync.pushed import Push
    from ordersync.settings import Settings
    from ordersync.store.guess import Unsure
    from ordersync.store.proposal import Proposal


async def examine(settings: Settings, clock: Clock | None = None) -> list[Finding]:
    """What every part finds about itself, each for itself: one mistake hides no other."""
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        found, store = await _about_database(settings, clock, stack)
        hosts = Hosts(clock)
        for name in settings.served_accounts:
            found += await _about_account(settings, name, clock, hosts, store)
    found += _about_webhooks(settings)
    found += await _about_web(settings, clock)
    return [*found, *await examine_broker(settings), *await examine_channels(settings)]


async def _about_database(
    settings: Settings, clock: Clock, stack: contextlib.AsyncExitStack
) -> tuple[list[Finding], OrderStore | None]:
    """What the store finds, and the store, which `stack` closes; None where it cannot be used."""
    found: list[Finding] = []
    try:
        store = build_store(settings, clock)
        stack.push_async_callback(store.close)
        await store.open(create=False)
        found += await store.findings()
        found += await _about_retention(settings, store)
        leases = store.leases()
        try:
            found += await examine_leases(settings, leases, clock)
        finally:
            await leases.close()
    except OrdersyncError as error:
        return [*found, _mistake("database", error)], None
    return found, store


async def _about_account(
    settings: Settings, name: str, clock: Clock, hosts: Hosts, store: OrderStore | None
) -> list[Finding]:
    """What the venue finds; whether it lets us listen, and the table's times are its own."""
    try:
        venue = build_venue(settings, name, settings.served_accounts[name], clock, hosts=hosts)
    except OrdersyncError as error:
        return [_mistake(f"{name}: key", error)]
    try:
        about = await venue.findings()
        if venue.push is not None and not any(f.severity is Severity.ERROR for f in about):
            about.append(await _try_push(venue.push))
        if store is not None and not any(f.severity is Severity.ERROR for f in about):
            times = await compare_times(name, venue=venue, store=store)
            about += [times] if times is not None else []
    except OrdersyncError as error:
        return [_mistake(name, error)]
    finally:
        await venue.close()
    return [msgspec.structs.replace(f, about=f"{name}: {f.about}") for f in about]


def _about_webhooks(settings: Settings) -> list[Finding]:
    """Whether the door for webhooks can be opened, and who may look on."""
    webhooks = settings.webhooks
    if webhooks is None:
        return []
    try:
        secrets = read_webhook_secrets(settings)
    except ConfigError as error:
        return [_mistake("webhooks", error)]
    accounts = ", ".join(f"{name} ({len(known)})" for name, known in secrets.items())
    what = f"taken at {webhooks.listen} while run runs; accounts, and their secrets: {accounts}."
    found = [Finding(severity=Severity.OK, about="webhooks", what=what)]
    if webhooks.is_exposed:
        what, mend = EXPOSED
        found.append(Finding(severity=Severity.WARNING, about="webhooks", what=what, mend=mend))
    return found


async def _about_web(settings: Settings, clock: Clock) -> list[Finding]:
    """Where the API answers, and who may ask; nothing where it is as it is by itself."""
    web = settings.web
    if not web.enabled or web == type(web)():
        return []
    try:
        await check_exposure(settings, clock)
    except OrdersyncError as error:
        return [_mistake("web", error)]
    needs = web.is_exposed or web.require_token
    who = "whoever has a token" if needs else "this machine"
    what = f"the API answers {who} at {web.listen} while run runs."
    found = [Finding(severity=Severity.OK, about="web", what=what)]
    if web.is_exposed:
        what, mend = API_EXPOSED
        found.append(Finding(severity=Severity.WARNING, about="web", what=what, mend=mend))
    return found


async def _about_retention(settings: Settings, store: OrderStore) -> list[Finding]:
    """How large the log is, and whether what is old can move out of it."""
    retains = settings.retention is not None
    found = [judge_size(await store.measure_log(), retains=retains)]
    try:
        if retains:
            await build_archive(settings).check(make=False)
    except ConfigError as error:
        found.append(_mistake("retention", error))
    return found


async def _try_push(push: Push) -> Finding:
    """Whether the venue lets us listen. Where it does not, asking more often takes its place."""
    try:
        async with push.subscribe():
            pass
    except (VenueSilent, VenueRefused) as error:
        return Finding(
            severity=Severity.WARNING,
            about="push",
            what=f"{error.where}: {error.what} Orders are asked for instead.",
            mend=error.mend or "Check that WebSockets to it pass through proxy and firewall.",
        )
    return Finding(severity=Severity.OK, about="push", what="the stream of orders can be heard.")


def _mistake(about: str, error: OrdersyncError) -> Finding:
    place = f"{error.where}: " if error.where else ""
    return Finding(
        severity=Severity.ERROR, about=about, what=f"{place}{error.what}", mend=error.mend
    )


def propose(
    url: str, base: Path, answers: Mapping[str, str], unknown_word: str | None
) -> Proposal | Unsure:
    """A mapping for the database at `url` (relative to `base`), or what has to be asked first.

    Raises ConfigError, StoreBusy or StoreRefused.
    """
    return proposal.propose(database_at(url, base), answers, unknown_word)


def check_proposal(path: Path, text: str) -> None:
    """Raise ConfigError unless a proposed configuration, if it stood at `path`, could be used."""
    settings = configuration.build(path, tomllib.loads(text))
    build_views(settings)
