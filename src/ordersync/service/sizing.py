"""What a configuration has to do, and what that costs: the facts for `capacity` to reckon with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ordersync import settings as configuration
from ordersync.capacity import Load, Terms, Way, reckon, spread
from ordersync.clock import SystemClock
from ordersync.errors import ConfigError
from ordersync.service.build import build_database
from ordersync.store.counts import count_rows
from ordersync.venues.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.capacity import Plan
    from ordersync.ports import Clock
    from ordersync.settings import Settings


async def count_loads(settings: Settings, clock: Clock | None = None) -> list[Load]:
    """What every account has to be verified. Raises ConfigError, StoreBusy or StoreRefused."""
    database = build_database(settings)
    accounts = settings.served_accounts
    counts = await asyncio.to_thread(
        count_rows,
        database,
        settings.orders,
        list(accounts),
        clock or SystemClock(),
        where=str(settings.path),
    )
    return [
        Load(
            account=name,
            venue=account.venue,
            share=account.share,
            open_orders=counts[name].open_rows,
            new_a_day=counts[name].new_a_day,
        )
        for name, account in accounts.items()
    ]


def plan(
    settings: Settings,
    loads: Sequence[Load],
    accounts: int | None = None,
    open_orders: int | None = None,
) -> list[Plan]:
    """Each way to run what is there or, with numbers, what may be. Raises ConfigError."""
    for option, number, least in (("--accounts", accounts, 1), ("--open-orders", open_orders, 0)):
        if number is not None and number < least:
            raise ConfigError(
                f"{number} are too few.", where=option, mend=f"Write {least} or more."
            )
    if accounts is not None or open_orders is not None:
        loads = spread(loads, accounts, open_orders)
    scheme = urlsplit(settings.database_url()).scheme.partition("+")[0]
    queued = settings.celery or configuration.Celery()
    terms = Terms(
        make={"postgres": "postgresql", "mariadb": "mysql"}.get(scheme, scheme),
        interval=settings.sync.interval.total_seconds(),
        every=queued.every.total_seconds(),
        accounts_kept=queued.accounts_kept,
    )
    return [reckon(way, loads, RULES, terms) for way in Way]
