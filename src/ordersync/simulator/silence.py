"""How an exchange does not answer: it waits until the client leaves, or hangs up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from ordersync.simulator.answers import HANG_UP
from ordersync.simulator.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.types import Receive, Scope, Send

    from ordersync.simulator.faults import Fault


def silence_of(faults: Sequence[Fault]) -> Silence | None:
    """Say how these faults keep the exchange from answering, if they do."""
    for fault in faults:
        if fault.kind is Kind.DROP:
            return Silence(0)
        if fault.kind is Kind.TIMEOUT:
            return Silence(fault.seconds(-1))
    return None


class Silence(PlainTextResponse):
    """No answer: wait until the client leaves, or so many seconds, then close the connection."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, and hang up."""
        del send
        left = asyncio.ensure_future(_client_leaves(receive))
        try:
            await asyncio.wait([left], timeout=None if self._seconds < 0 else self._seconds)
            if not left.done():
                hang_up = scope.get("extensions", {}).get(HANG_UP)
                if hang_up is None:
                    raise ConnectionResetError("The simulated exchange hung up.")
                hang_up["close"]()
                await left
        finally:
            left.cancel()


async def _client_leaves(receive: Callable[[], Awaitable[object]]) -> None:
    message: object = None
    while not (isinstance(message, dict) and message.get("type") == "http.disconnect"):
        message = await receive()
