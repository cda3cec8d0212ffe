"""Child processes of which nothing is left, however the test that started them ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PATIENCE = 200.0
"""How many seconds a child has: it may import a large client on a machine that others load."""


@contextlib.asynccontextmanager
async def child_of(*words: str | Path, **more: Any) -> AsyncIterator[asyncio.subprocess.Process]:  # noqa: ANN401
    """Start one with pipes for what it says; it has `PATIENCE`, and is gone afterwards."""
    child = await asyncio.create_subprocess_exec(
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=10_000_000,
        **more,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.communicate()
