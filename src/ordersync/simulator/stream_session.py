"""One connection to a stream, whichever it is: who listens, whose turn it is, and what is due.

Everything waits by the loop's time and nothing else, so that a session runs in any time.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from starlette.websockets import WebSocketDisconnect

from ordersync.simulator.stream_line import Line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from starlette.websockets import WebSocket

LineT = TypeVar("LineT", bound=Line)


class Session(ABC, Generic[LineT]):
    """What all sessions do: hear, take their turns, and sleep until something is due."""

    def __init__(self, websocket: WebSocket, line: LineT, now: Callable[[], datetime]) -> None:
        self._websocket = websocket
        self._line = line
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[str | bytes] = deque()
        self._wake = asyncio.Event()
        self._left = False

    @abstractmethod
    def turns(self) -> Sequence[Callable[[], Awaitable[object]]]:
        """List what may be due, in the order in which it is done after a message is heard."""

    @abstractmethod
    def due(self) -> float:
        """Say when something of this session is due, in the loop's time; infinity for never."""

    @abstractmethod
    async def obey(self, message: dict[str, Any]) -> None:
        """Do what the client says. A message that is no JSON object comes as an empty one."""

    @abstractmethod
    def leave(self) -> None:
        """Listen to the world no more: the connection has ended."""

    @property
    def ended(self) -> bool:
        """Whether one side has ended the connection."""
        return self._left or self._line.over

    async def run(self) -> None:
        """Serve until one side ends it."""
        await self._websocket.accept()
        listener = asyncio.ensure_future(self._listen())
        try:
            with contextlib.suppress(WebSocketDisconnect):
                await self._serve()
            await listener  # on a half-open line: until the client gives it up
        finally:
            listener.cancel()
            self.leave()

    async def _listen(self) -> None:
        message: Any = None
        while message is None or message["type"] != "websocket.disconnect":
            message = await self._websocket.receive()
            if message["type"] == "websocket.receive":
                self._inbox.append(message.get("text") or message.get("bytes") or "")
                self._wake.set()
        self._left = True
        self._wake.set()

    async def _serve(self) -> None:
        while True:
            self._wake.clear()
            # Each may end the line, or find that the client has left.
            for turn in (self._hear, *self.turns()):
                if self.ended:
                    return
                await turn()
            if not self.ended:
                await self._pause()

    async def _hear(self) -> None:
        while self._inbox and not self._line.over:
            text = self._inbox.popleft()
            try:
                message = msgspec.json.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError):
                message = None
            await self.obey(message if isinstance(message, dict) else {})

    async def _pause(self) -> None:
        alarm = self._loop.call_at(min(self.due(), self._line.next_late), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()

    def loop_time_of(self, at: datetime) -> float:
        """Say when a moment of the exchange's clock is in the loop's time; at least now."""
        return self._loop.time() + max((at - self._now()).total_seconds(), 0)
