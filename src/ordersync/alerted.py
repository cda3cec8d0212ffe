"""What a person is woken for: the kinds, how loud each is, and the port to what was told before."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from collections.abc import Sequence


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

    ORDER_STALE = "order_stale"
    """an open row, not suspect, older than `sync.stale_after`, that nobody can vouch for"""
    ORDER_STALE_LONG = "order_stale_long"
    """the same for twelve times as long: nobody has vouched for it, or its row has said otherwise
    than the exchange, for an hour"""
    ORDER_SUSPECT = "order_suspect"  # the exchange does not show the order, and that is not proven
    ORDER_UNKNOWN = "order_unknown"  # it is proven that the exchange does not have the order
    FINAL_REPAIRED = "final_repaired"  # a row said something final and untrue, and was repaired
    ORPHAN = "orphan"  # the exchange has an order that has no row
    ACCOUNT_DEGRADED = "account_degraded"
    """its stream cannot be relied on for `alerts.degraded_after`"""
    ACCOUNT_SILENT = "account_silent"
    """no open order of the account was verified for `sync.stale_after`"""
    DATABASE_AWAY = "database_away"  # the rows could not be read for a minute
    KEY_REFUSED = "key_refused"  # the exchange answers 401 or 403
    KEY_EXPIRES = "key_expires"
    """the day in `accounts.<name>.key_expires` is less than 14 days away"""
    RATE_LIMITED = "rate_limited"  # the exchange answered 429 within the last ten minutes
    OBJECTIVE_MISSED = "objective_missed"
    """over the last hour the truth took more than 30 s on average or 2 min at worst, less than 99.9
    % of what was finished was true, or a bot was held up by an order that had ended"""
    ALL_WELL = "all_well"  # nothing that was told of is the case any more
    TEST = "test"  # `ordersync alert test`

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
    Alert.DATABASE_AWAY: Loudness.CRITICAL,
    Alert.KEY_REFUSED: Loudness.CRITICAL,
    Alert.ALL_WELL: Loudness.INFO,
    Alert.TEST: Loudness.INFO,
}

_HAPPENINGS = frozenset(
    {Alert.ORDER_UNKNOWN, Alert.FINAL_REPAIRED, Alert.ORPHAN, Alert.ALL_WELL, Alert.TEST}
)


class ChannelHealth(msgspec.Struct, kw_only=True):
    """How a channel of alerts last did, also before a restart."""

    name: Annotated[str, Meta(description="As the configuration calls it.")]
    failed_at: Annotated[datetime | None, Meta(description="When last it took nothing.")] = None
    why: Annotated[str, Meta(description="Why it takes nothing now; empty where it does.")] = ""
    delivered_at: Annotated[
        datetime | None, Meta(description="When last it took a message; also one of a test.")
    ] = None
    waiting: Annotated[int, Meta(description="How many messages waited then.")] = 0
    is_usable: Annotated[bool, Meta(description="Whether its address can be used at all.")] = True


class Channels(Protocol):
    """Every channel that is configured. Raises StoreBusy (ask again) or StoreRefused (give up)."""

    async def stand(self) -> Sequence[ChannelHealth]:
        """How each last did, by whichever process."""


class AlertLog(Protocol):
    """What was told to whom. Raises StoreBusy (ask again) or StoreRefused (give up)."""

    async def read(self) -> dict[str, bytes]:
        """Everything that was kept, by name; nothing where our tables are not there."""

    async def keep(self, name: str, body: bytes) -> None:
        """Keep this under a name, in place of what was there."""
