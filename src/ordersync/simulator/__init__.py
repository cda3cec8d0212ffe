"""An exchange on loopback: Coinbase Advanced Trade's protocols over a deterministic world.

It is the referee of this project, so it shares no code with the player: nothing in here imports
anything else of `ordersync`. What it is strict about is what the real exchange is strict about.

Public names:

- `World`: accounts, orders and their lives; pure, and told the time by its caller.
- `Life`, `Step`, `What`: what happens to one order, as times after its creation.
- `Truth`: what really is the case with an order, for oracles.
- `Account`, `KeyPair`: who may ask, and the key file that proves it.
- `Fault`, `Faults`, `Kind`, `StreamKind`: what goes wrong, and when.
- `limit_gtc`, `limit_gtd`, `limit_fok`, `market`, `stop_limit_gtc`: order configurations.
- `app(world, faults)`: the ASGI application, REST and WebSocket.
- `Streamed`, `Told`: a connection to its WebSocket, and a frame there, as they are remembered.
- `serve(app, ...)`, `serving(app, ...)`: that application on 127.0.0.1, in the running loop.
- `run(directory, seed, faults, port, ready)`: key file, configuration and a populated world,
  served until cancelled; `Ready` says where, `Venue` whom it takes after.

The room `alpaca` holds a broker made in the same way, with the same names where the things are
the same: `from ordersync.simulator import alpaca`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordersync.simulator.account import Account, KeyPair
    from ordersync.simulator.coinbase_rest import app
    from ordersync.simulator.faults import Fault, Faults
    from ordersync.simulator.kinds import Kind, StreamKind
    from ordersync.simulator.life import Life, Step, What
    from ordersync.simulator.server import serve, serving
    from ordersync.simulator.standalone import Ready, Venue, run
    from ordersync.simulator.stream_line import Streamed, Told
    from ordersync.simulator.terms import limit_fok, limit_gtc, limit_gtd, market, stop_limit_gtc
    from ordersync.simulator.world import Truth, World

__all__ = [
    "Account",
    "Fault",
    "Faults",
    "KeyPair",
    "Kind",
    "Life",
    "Ready",
    "Step",
    "StreamKind",
    "Streamed",
    "Told",
    "Truth",
    "Venue",
    "What",
    "World",
    "app",
    "limit_fok",
    "limit_gtc",
    "limit_gtd",
    "market",
    "run",
    "serve",
    "serving",
    "stop_limit_gtc",
]

_HOMES = {
    "account": ("Account", "KeyPair"),
    "coinbase_rest": ("app",),
    "faults": ("Fault", "Faults"),
    "kinds": ("Kind", "StreamKind"),
    "life": ("Life", "Step", "What"),
    "server": ("serve", "serving"),
    "standalone": ("Ready", "Venue", "run"),
    "stream_line": ("Streamed", "Told"),
    "terms": ("limit_fok", "limit_gtc", "limit_gtd", "market", "stop_limit_gtc"),
    "world": ("Truth", "World"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
