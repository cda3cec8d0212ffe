"""How each venue can be asked: its limits and ours, as `plan` reckons with them."""

from __future__ import annotations

from ordersync.capacity import Figure, VenueRules
from ordersync.venues.alpaca import venue as alpaca
from ordersync.venues.alpaca.orders import OVERLAP
from ordersync.venues.coinbase import venue as coinbase

RULES = {
    "coinbase": VenueRules(
        venue="coinbase",
        limit=Figure(
            value=coinbase.LIMIT_PER_SECOND * 60,
            unit="calls a minute",
            source="Coinbase: 30 private calls a second to a user (docs/reference/coinbase.md)",
        ),
        share=coinbase.SHARE,
        batch_size=coinbase.Coinbase.batch_size,
        page_size=coinbase.Coinbase.list_page_size,
        after_third=coinbase.Coinbase.list_page_size,
        open_list_cap=coinbase.Coinbase.open_list_cap,
        opens=Figure(
            value=8,
            unit="a second",
            source="Coinbase: 8 WebSocket connections a second from one address",
        ),
    ),
    "alpaca": VenueRules(
        venue="alpaca",
        limit=Figure(
            value=alpaca.CALLS_PER_MINUTE,
            unit="calls a minute",
            source="Alpaca: 200 calls a minute to an account (docs/reference/alpaca.md)",
        ),
        share=alpaca.SHARE,
        bursts=alpaca.BURST,
        batch_size=alpaca.Alpaca.batch_size,
        page_size=alpaca.Alpaca.list_page_size,
        after_third=alpaca.Alpaca.list_page_size - OVERLAP,
        open_list_cap=alpaca.Alpaca.open_list_cap,
        poll_seconds=alpaca.LEAST_POLL.total_seconds(),
        poll_part=alpaca.POLL_PART,
    ),
}
"""By the word that `accounts.<name>.venue` has for it."""
