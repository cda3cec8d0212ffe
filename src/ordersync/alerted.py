"""What a person is woken for: the kinds, how loud each is, and the port to what was told before."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Loudness(StrEnum):
    """How much a message wants to be seen. In this order."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Greater is louder."""
        return list(Loudness).index(self)


class Alert(StrEnum):
    """What a person may hear of."""

    ORDER_STALE = "order_stale"  # an open row that nobody can vouch for
    ORDER_STALE_LONG = "order_stale_long"  # for twelve times as long
    ORDER_SUSPECT = "order_suspect"  # absent at the exchange, not proven
    ORDER_UNKNOWN = "order_unknown"  # absent at the exchange, proven
    FINAL_REPAIRED = "final_repaired"  # a row that was final said something untrue
    ORPHAN = "orphan"  # an order at the exchange that has no row
    ACCOUNT_DEGRADED = "account_degraded"  # its stream cannot be relied on
    ACCOUNT_SILENT = "account_silent"  # nothing was verified for `stale_after`
    KEY_REFUSED = "key_refused"  # a person has to mend it
    KEY_EXPIRES = "key_expires"  # soon, by what the configuration says
    RATE_LIMITED = "rate_limited"  # the exchange answered 429
    OBJECTIVE_MISSED = "objective_missed"  # over the last hour
    ALL_WELL = "all_well"  # nothing of the above is the case any more
    TEST = "test"  # by `ordersync alert test`

    @property
    def loudness(self) -> Loudness:
        """How loud it is."""
        return _LOUDNESS.get(self, Loudness.WARNING)

    @property
    def lasts(self) -> bool:
        """Whether it is the case for a while, and then is over; else it just happened."""
        return self not in _HAPPENINGS


_LOUDNESS = {
    Alert.ORDER_STALE_LONG: Loudness.CRITICAL,
    Alert.ORDER_UNKNOWN: Loudness.CRITICAL,
    Alert.FINAL_REPAIRED: Loudness.CRITICAL,
    Alert.ACCOUNT_SILENT: Loudness.CRITICAL,
    Alert.KEY_REFUSED: Loudness.CRITICAL,
    Alert.ALL_WELL: Loudness.INFO,
    Alert.TEST: Loudness.INFO,
}

_HAPPENINGS = frozenset(
    {Alert.ORDER_UNKNOWN, Alert.FINAL_REPAIRED, Alert.ORPHAN, Alert.ALL_WELL, Alert.TEST}
)


class AlertLog(Protocol):
    """What was told to whom. Raises StoreBusy (ask again) or StoreRefused (give up)."""

    async def read(self) -> dict[str, bytes]:
        """Everything that was kept, by name; nothing where our tables are not there."""

    async def keep(self, name: str, body: bytes) -> None:
        """Keep this under a name, in place of what was there."""
