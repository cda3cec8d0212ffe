"""The demo: a careless bot on a simulated exchange, and its table coming true."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordersync.cli.output import Output


async def show(output: Output, *, once: bool) -> None:
    output.say(str(once))
