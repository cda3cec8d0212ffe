"""What the calls are answered from: the parts that `service` hands to the application."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from ordersync.listed import OrderLists
from ordersync.ports import Clock
from ordersync.sync.outbox import Outbox
from ordersync.web.api.keyring import Keyring
from ordersync.web.api.rules import Rules


class Faces(msgspec.Struct, frozen=True, kw_only=True):
    """Ports and parts; what is None is not there in this process, and its calls say so."""

    clock: Clock
    lists: OrderLists
    outbox: Outbox
    keyring: Keyring
    rules: Rules
    accounts: tuple[str, ...]
    stale_after: timedelta
