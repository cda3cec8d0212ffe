"""How long an alert waits for our own tables: just when a database hangs, a person is needed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from ordersync.errors import StoreBusy

if TYPE_CHECKING:
    from collections.abc import Awaitable

_T = TypeVar("_T")

PATIENCE = timedelta(seconds=5)


async def patiently(asked: Awaitable[_T]) -> _T:
    """What it gives; StoreBusy where that takes too long."""
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            return await asked
    except TimeoutError:
        raise StoreBusy(f"no answer within {PATIENCE.total_seconds():.0f} s.") from None
