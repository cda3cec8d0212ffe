"""The few assets that this broker trades, with the price at which market orders fill."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
_OPENS, _CLOSES = timedelta(hours=9, minutes=30), timedelta(hours=16)
_SATURDAY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Something to trade."""

    symbol: str
    price: Decimal
    asset_class: str = "us_equity"

    @property
    def asset_id(self) -> str:
        """The id of the asset, the same in every world."""
        return str(uuid5(NAMESPACE_URL, f"asset:{self.symbol}"))


ASSETS = {
    asset.symbol: asset
    for asset in (
        Asset(symbol="AAPL", price=Decimal(200)),
        Asset(symbol="MSFT", price=Decimal(420)),
        Asset(symbol="SPY", price=Decimal(550)),
        Asset(symbol="TSLA", price=Decimal("180.5")),
        Asset(symbol="BTC/USD", price=Decimal(64000), asset_class="crypto"),
        Asset(symbol="ETH/USD", price=Decimal(3200), asset_class="crypto"),
        Asset(symbol="AAPL271217C00200000", price=Decimal("25.5"), asset_class="us_option"),
        Asset(symbol="AAPL271217C00250000", price=Decimal("10.25"), asset_class="us_option"),
    )
}


def next_close(at: datetime) -> datetime:
    """When the stock exchange closes next; every weekday is a trading day."""
    return _next(at, _CLOSES)


def next_open(at: datetime) -> datetime:
    """When the stock exchange opens next."""
    return _next(at, _OPENS)


def is_open(at: datetime) -> bool:
    """Whether the stock exchange is open."""
    return next_close(at) < next_open(at)


def _next(at: datetime, time_of_day: timedelta) -> datetime:
    day = at.astimezone(NEW_YORK).replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        # Wall-clock arithmetic: a datetime with a zone adds hours of the clock, as wanted here.
        moment = day + time_of_day
        if moment > at and day.weekday() < _SATURDAY:
            return moment
        day += timedelta(days=1)
