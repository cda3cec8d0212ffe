"""What the calls are answered from: the parts that `service` hands to the application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from ordersync.alerted import Channels
from ordersync.listed import OrderLists
from ordersync.ports import Clock
from ordersync.sync.answering import Answering
from ordersync.sync.operator import Operator
from ordersync.sync.outbox import Outbox
from ordersync.sync.work import PassReport
from ordersync.web.api.conditions import AccountShown
from ordersync.web.api.figures import Figures
from ordersync.web.api.keyring import Keyring
from ordersync.web.api.past import Pasts
from ordersync.web.api.rules import Rules
from ordersync.web.metrics import Metrics
from ordersync.web.subscribing import Subscriptions


class Conditions(Protocol):
    """How each account is kept. Raises StoreBusy or StoreRefused."""

    async def now(self, verified: Mapping[str, datetime | None]) -> Sequence[AccountShown]:
        """Each account; `verified` is when all of it was last verified, as it is stored."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of a row that was, or would be, written."""

    account: str
    row_id: str
    column: str
    stored: str | None
    true: str | None


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What a clean-up would write, or wrote, and what could not be verified or written.

    `written` are account and id of the orders whose rows were written.
    """

    changes: list[Changed] = []
    written: list[tuple[str, str]] = []
    failed: dict[str, str] = {}


class Passes(Protocol):
    """Passes that somebody asks for. Raises StoreBusy or StoreRefused."""

    async def verify_all(self) -> Sequence[PassReport]:
        """The next full pass of every account; who asks at the same time shares it."""

    async def clean_up(self, older_than: timedelta, *, accept_absent: bool) -> Cleaned:
        """Verify and repair old open rows, once.

        `accept_absent` is a person's word in place of the account's proof.
        """

    async def preview(self, older_than: timedelta) -> Cleaned:
        """What that would write."""


class Faces(msgspec.Struct, frozen=True, kw_only=True):
    """Ports and parts; what is None is not there in this process, and its calls say so.

    `columns` are those of the bot's table, by what they are mapped as.
    """

    clock: Clock
    lists: OrderLists
    pasts: Pasts
    outbox: Outbox
    subscriptions: Subscriptions
    keyring: Keyring
    rules: Rules
    accounts: tuple[str, ...]
    stale_after: timedelta
    answering: Answering
    operator: Operator
    passes: Passes
    conditions: Conditions
    channels: Channels
    columns: Mapping[str, str]
    figures: Figures
    metrics: Metrics | None = None
