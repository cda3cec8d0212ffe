"""Which adapter an account of the configuration gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.metered import AccountMeter
    from ordersync.ports import Clock, Venue
    from ordersync.settings import Account
    from ordersync.venues.hosts import Hosts


def open_venue(
    account: Account, key_file: Path, clock: Clock, meter: AccountMeter, hosts: Hosts | None
) -> Venue:
    """The account at its venue. Raises ConfigError where the key file cannot be used."""
    # What a venue needs of libraries is loaded by those who have an account there.
    if account.venue == "alpaca":
        from ordersync.venues.alpaca.key import read_key as alpaca_key  # noqa: PLC0415
        from ordersync.venues.alpaca.venue import Alpaca  # noqa: PLC0415

        return Alpaca(
            alpaca_key(key_file),
            clock,
            paper=account.paper is True,
            rest_url=account.rest_url,
            ws_url=account.ws_url,
            share=account.share,
            meter=meter,
        )
    from ordersync.venues.coinbase.key import read_key as coinbase_key  # noqa: PLC0415
    from ordersync.venues.coinbase.venue import Coinbase  # noqa: PLC0415

    return Coinbase(
        coinbase_key(key_file),
        clock,
        rest_url=account.rest_url,
        ws_url=account.ws_url,
        share=account.share,
        meter=meter,
        hosts=hosts,
    )
