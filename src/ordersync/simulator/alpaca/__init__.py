"""A broker on loopback: Alpaca's Trading API v2 over a deterministic world.

Like the exchange beside it, it is a referee: it shares no code with the player, and what it is
strict about is what the real one is strict about. The faults, their schedule and the server are
those of `ordersync.simulator`.

Public names:

- `World`: accounts, orders and their lives; pure, and told the time by its caller.
- `Life`, `Step`, `Event`: what happens to one order, as times after its creation.
- `Truth`: what really is the case with an order, for oracles.
- `Account`, `ApiKey`, `Token`: who may ask, and the file that proves it.
- `market`, `limit`, `bracket`, `oco`, `oto`, `spread`: bodies of orders.
- `app(world, faults)`: the ASGI application of one host, paper or live.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordersync.simulator.alpaca.account import Account, ApiKey, Token
    from ordersync.simulator.alpaca.life import Event, Life, Step
    from ordersync.simulator.alpaca.records import Truth
    from ordersync.simulator.alpaca.rest import app
    from ordersync.simulator.alpaca.terms import bracket, limit, market, oco, oto, spread
    from ordersync.simulator.alpaca.world import World

__all__ = [
    "Account",
    "ApiKey",
    "Event",
    "Life",
    "Step",
    "Token",
    "Truth",
    "World",
    "app",
    "bracket",
    "limit",
    "market",
    "oco",
    "oto",
    "spread",
]

_HOMES = {
    "account": ("Account", "ApiKey", "Token"),
    "life": ("Event", "Life", "Step"),
    "records": ("Truth",),
    "rest": ("app",),
    "terms": ("bracket", "limit", "market", "oco", "oto", "spread"),
    "world": ("World",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
