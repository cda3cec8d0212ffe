"""A plain WebSocket to a simulated venue, whichever it is, and what came on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection


@dataclass(slots=True)
class StreamConnection:
    """One connection to a stream."""

    connection: ClientConnection

    async def send(self, message: object) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        await self.connection.send(text)

    async def next(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self.connection.recv())
        return frame

    async def until(self, seconds: float) -> list[Any]:
        """Every frame that comes within so many seconds; what is no JSON comes as it is."""
        frames: list[Any] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    text = await self.connection.recv(decode=False)
                    try:
                        frames.append(json.loads(text))
                    except ValueError:
                        frames.append(text)
        return frames

    async def rest(self) -> tuple[list[dict[str, Any]], int]:
        """What is still said, and the code with which the venue then closes."""
        frames = []
        while True:
            try:
                frames.append(await self.next())
            except ConnectionClosed as closed:
                return frames, 1006 if closed.rcvd is None else closed.rcvd.code
