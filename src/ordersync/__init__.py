"""ordersync keeps a trading bot's own order table true to the exchange.

This file lists what users may import and nothing else. The names are loaded when they
are first used (PEP 562), so `import ordersync` costs nothing and starts nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordersync.truth.merge import merge
    from ordersync.truth.model import Event, Order, Report, Status

__all__ = ["Event", "Order", "Report", "Status", "__version__", "merge"]

__version__ = "0.1.0"

_HOMES = {
    "Event": "ordersync.truth.model",
    "Order": "ordersync.truth.model",
    "Report": "ordersync.truth.model",
    "Status": "ordersync.truth.model",
    "merge": "ordersync.truth.merge",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)
