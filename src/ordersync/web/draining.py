"""What is done with a body that was refused.

Closed before that is read, the connection would be reset, and the sender never see the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from starlette.requests import ClientDisconnect, Request

DRAINED_LIMIT = 2 * 1024 * 1024
DRAINED_WITHIN = timedelta(seconds=3)
"""So much of it is read and dropped, and for so long."""


async def drain(request: Request) -> None:
    """Let what is still coming pass by, for a while; nothing of it is kept."""
    dropped = 0
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(DRAINED_WITHIN.total_seconds()):
            async for part in request.stream():
                dropped += len(part)
                if dropped > DRAINED_LIMIT:
                    return
