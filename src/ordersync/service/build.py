"""What a configuration names, built: the one module that chooses adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync import settings as configuration
from ordersync.archive_files import ArchiveFolder
from ordersync.errors import ConfigError
from ordersync.judging import judge_key
from ordersync.metered import UNMETERED, AccountMeter, Unmetered
from ordersync.ports import Severity
from ordersync.store.aside import Aside
from ordersync.store.listing import TableLists
from ordersync.store.log import TableLog
from ordersync.store.makes import database_at
from ordersync.store.mapping import bind
from ordersync.store.owner import statements_for_owner, version_there
from ordersync.store.samples import SampleLog
from ordersync.store.subscriptions import TableSubscriptions
from ordersync.store.timed import TimedStore
from ordersync.store.tokens import TableTokens
from ordersync.store.told import ToldLog
from ordersync.store.views import TableViews
from ordersync.store.words import Words
from ordersync.sync.ingest import Ingest
from ordersync.truth.evidence import AbsencePolicy
from ordersync.venues.opening import open_venue
from ordersync.web.secrets import read_secrets
from ordersync.web.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ordersync.alerted import AlertLog
    from ordersync.archived import Archive
    from ordersync.logged import EventLog
    from ordersync.metered import Meter
    from ordersync.ports import Clock, Known, Meaning, OrderStore, OrderViews, Venue
    from ordersync.sampled import Samples
    from ordersync.settings import Account, Settings
    from ordersync.standard_webhooks import Secret
    from ordersync.store.database import Database
    from ordersync.subscribed import SubscriptionStore
    from ordersync.tokened import TokenStore
    from ordersync.truth.model import Event
    from ordersync.venues.hosts import Hosts


def build_store(
    settings: Settings, clock: Clock, *, shadow: bool = False, meter: Meter | None = None
) -> TimedStore:
    """The store of this configuration. Raises ConfigError."""
    return TimedStore(
        build_database(settings),
        settings.orders,
        clock,
        where=str(settings.path),
        contested_pause=settings.sync.stale_after,
        writes_rows=not shadow,
        meter=meter or Unmetered(),
    )


def build_samples(settings: Settings) -> Samples:
    """Where the figures of this configuration are kept. Raises ConfigError."""
    return SampleLog(_aside(settings))


def build_told(settings: Settings) -> AlertLog:
    """Where it is kept what was told to whom. Raises ConfigError."""
    return ToldLog(_aside(settings))


def _aside(settings: Settings) -> Aside:
    return Aside(build_database(settings), settings.orders, where=str(settings.path))


def words_meaning(settings: Settings, meaning: Meaning) -> Sequence[str]:
    """The words of a row that stand for this. Raises ConfigError."""
    words = Words(settings.orders.status_words, where=f"{settings.path}: orders.status_words")
    return words.words_meaning(meaning)


def build_database(settings: Settings) -> Database:
    """The database of this configuration. Raises ConfigError."""
    try:
        password = settings.database_password()
        return database_at(settings.database_url(), settings.path.parent, password)
    except ConfigError as error:
        if not error.where.startswith(str(settings.path)):
            error.where = f"{settings.path}: {error.where}"
        raise


def schema_statements(settings: Settings, role: str | None, *, notify: bool) -> list[str]:
    """The SQL for whoever owns the database: our tables, and what `role` needs.

    With `notify` the trigger on the user's table that tells of new rows. Raises ConfigError.
    """
    database = build_database(settings)
    mapping = bind(database, settings.orders, where=str(settings.path))
    since = version_there(database, mapping)
    return statements_for_owner(database.spelling, mapping, role, notify=notify, since=since)


def build_views(settings: Settings) -> OrderViews:
    """The read side of this configuration. Raises ConfigError."""
    return TableViews(build_database(settings), settings.orders, where=str(settings.path))


def build_lists(
    settings: Settings, clock: Clock, vouched: Callable[[str, Known], datetime | None]
) -> TableLists:
    """The lists of this configuration's rows.

    `vouched` says of an account and an order since when it is vouched for as far as this process
    knows, stored or not. Raises ConfigError, StoreBusy or StoreRefused.
    """
    return TableLists(
        build_database(settings),
        settings.orders,
        clock,
        accounts=tuple(settings.served_accounts),
        where=str(settings.path),
        stale_after=settings.sync.stale_after,
        vouched=vouched,
    )


def build_tokens(settings: Settings) -> TokenStore:
    """Where the tokens of those who call are kept. Raises ConfigError, StoreBusy, …."""
    return TableTokens(build_database(settings), settings.orders)


def build_log(settings: Settings) -> EventLog:
    """The event log of this configuration; nothing is connected yet. Raises ConfigError."""
    return TableLog(build_database(settings), settings.orders, where=str(settings.path))


def build_subscriptions(settings: Settings) -> SubscriptionStore:
    """Where subscriptions are kept; nothing is connected yet. Raises ConfigError."""
    return TableSubscriptions(build_database(settings), settings.orders, where=str(settings.path))


def build_signing_key(settings: Settings) -> SigningKey:
    """What outgoing webhooks are signed with; the file is read when it is needed."""
    path = settings.resolve(settings.subscriptions.key_file)
    return SigningKey(path, where=f"{settings.path}: subscriptions.key_file")


def build_archive(settings: Settings) -> Archive:
    """Where this configuration lets old orders move to, or would."""
    kept = settings.retention or configuration.Retention()
    return ArchiveFolder(settings.resolve(kept.folder), where=f"{settings.path}: retention.folder")


def read_webhook_secrets(settings: Settings) -> Mapping[str, Sequence[Secret]]:
    """The secrets of those who send webhooks, by account; none where no door is open.

    Raises ConfigError.
    """
    if settings.webhooks is None:
        return {}
    path = settings.resolve(settings.webhooks.secret_file)
    where = f"{settings.path}: webhooks.secret_file"
    return read_secrets(path, settings.served_accounts, where=where)


def build_venue(
    settings: Settings,
    name: str,
    account: Account,
    clock: Clock,
    meter: Meter | None = None,
    *,
    hosts: Hosts | None = None,
) -> Venue:
    """An account at its venue; `hosts` are those that other accounts here are at, too.

    Raises ConfigError where the key file cannot be used.
    """
    counted = AccountMeter(meter, name) if meter is not None else UNMETERED
    try:
        return open_venue(account, settings.resolve(account.key_file), clock, counted, hosts)
    except ConfigError as error:
        error.where = f"{settings.path}: accounts.{name}.key_file ({error.where})"
        raise


def build_ingest(
    settings: Settings,
    store: OrderStore,
    clock: Clock,
    listener: Callable[[Sequence[Event]], None] | None = None,
) -> Ingest:
    """The way to write to an open store; `listener` hears of every event after its commit."""
    policy = settings.sync
    return Ingest(
        store,
        clock,
        policy=AbsencePolicy(
            unknown_after=policy.unknown_after,
            count=policy.absence.count,
            endpoints=policy.absence.endpoints,
            spread=policy.absence.spread,
            spread_sighted=policy.absence.spread_sighted,
        ),
        told_after=policy.stale_after,
        follow_replace=settings.orders.follow_replace,
        listener=listener,
    )


async def check_key(settings: Settings, account: str, venue: Venue) -> str:
    """Refuse a key that can move money; "" or a warning about one that can trade.

    Raises ConfigError, VenueSilent or VenueRefused.
    """
    finding = judge_key(await venue.identify())
    if finding.severity is Severity.ERROR:
        key_file = settings.accounts[account].key_file
        raise ConfigError(
            finding.what,
            where=f"{settings.path}: accounts.{account}.key_file ({key_file})",
            mend=finding.mend,
        )
    return "" if finding.severity is Severity.OK else finding.what
