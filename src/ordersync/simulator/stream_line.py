"""One connection of the stream from its sending end: the numbering of frames, and its faults.

A frame takes its sequence number when the exchange says it; the faults decide whether, when and
how often it leaves. Everything waits by the loop's time and nothing else. How a frame is written
is Coinbase's way here; a line of another exchange writes its own.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from ordersync.simulator.answers import ABORT, DEAFEN
from ordersync.simulator.kinds import Occasion, StreamKind
from ordersync.simulator.stream_faults import damaged, encode, open_before
from ordersync.simulator.stream_json import envelope, error, user_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from starlette.websockets import WebSocket

    from ordersync.simulator.answers import Json
    from ordersync.simulator.condition import PlacedOrder
    from ordersync.simulator.faults import Fault, Faults
    from ordersync.simulator.stream_faults import Frame

REMEMBERED_FRAMES = 10_000
ABNORMAL = 1006


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One frame that the exchange said, for tests. `left`: it went out, whole or damaged.

    `sequence` is None where no number was used; `order_id` and `status` are those of an update.
    """

    at: datetime
    channel: str
    sequence: int | None
    order_id: str
    status: str
    left: bool
    faults: tuple[StreamKind, ...]


@dataclass(slots=True, kw_only=True)
class Streamed:
    """One connection to the stream, for tests and budgets; the exchange keeps it up to date.

    `close_code` is the one that the exchange closed with, or None where the client left first.
    `refused` is the HTTP status of a handshake that failed.
    """

    opened_at: datetime
    closed_at: datetime | None = None
    close_code: int | None = None
    refused: int | None = None
    key_name: str = ""
    channels: tuple[str, ...] = ()
    told: deque[Told] = field(default_factory=lambda: deque(maxlen=REMEMBERED_FRAMES))
    frames_sent: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands."""
        return self.closed_at is None


class Identified(Protocol):
    """An order, of whichever exchange."""

    @property
    def order_id(self) -> str:
        """The exchange's id of the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What is said about one order at one moment."""

    at: datetime
    order: Identified
    row: dict[str, Json]

    @property
    def status(self) -> str:
        """The order's status in this frame."""
        return str(self.row["status"])


class Line:
    """The sending end of a connection. Once `over`, nothing may be said on it."""

    updates: ClassVar[str] = "user"  # the channel that tells orders
    filled: ClassVar[str] = "FILLED"

    def __init__(
        self, websocket: WebSocket, faults: Faults, now: Callable[[], datetime], record: Streamed
    ) -> None:
        self._websocket = websocket
        self._faults = faults
        self._now = now
        self._record = record
        self._loop = asyncio.get_running_loop()
        self.over = False
        self.said_at = self._loop.time()
        self._number = 0
        self._held: list[bytes] = []
        self._late: list[tuple[float, int, bytes]] = []
        self._muted_until = self._silent_until = -math.inf

    @property
    def next_late(self) -> float:
        """When a delayed frame is due, in the loop's time."""
        return self._late[0][0] if self._late else math.inf

    async def say(self, channel: str, event: Json, at: datetime) -> None:
        """Say an acknowledgement, a snapshot or a heartbeat."""
        if channel == self.updates and self._loop.time() < self._muted_until:
            self._remember(at, channel, None, left=False, faults=[StreamKind.MUTE])
            return
        await self._number_and_send(channel, event, at, None, ())

    async def tell(self, update: Update) -> None:
        """Say how an order stands now."""
        if self._loop.time() < self._muted_until:
            self._omit(update, [StreamKind.MUTE])
            return
        now = self._now()
        struck = self._faults.strike_stream(Occasion.UPDATE, now, update.order.order_id)
        for fault in struck:
            if fault.kind is StreamKind.MUTE:
                self._muted_until = self._loop.time() + _seconds(fault)
        unsaid = {StreamKind.MUTE, StreamKind.NEVER_SENT}.intersection(_kinds(struck))
        if unsaid:
            self._omit(update, unsaid)
            return
        event = self._event(update)
        await self._number_and_send(self.updates, event, update.at, update, struck)
        if update.status == self.filled and not self.over:
            for _ in self._faults.strike_stream(Occasion.FILLED, now, update.order.order_id):
                old, kind = self._old(update, now), StreamKind.REPEAT_OLD
                await self._number_and_send(self.updates, self._event(old), now, old, (), kind)

    async def error(self, message: str) -> None:
        """Say that something is wrong."""
        await self._send(encode(error(message)))

    def _event(self, update: Update) -> Json:
        """Write what is told of an order."""
        return user_event("update", [update.row])

    def _old(self, update: Update, now: datetime) -> Update:
        """Tell a filled order as it was when it still worked."""
        row = open_before(cast("PlacedOrder", update.order), update.at)
        return Update(at=now, order=update.order, row=row)

    def _frame(self, channel: str, event: Json, at: datetime) -> Frame:
        """Put what is said into a frame."""
        return envelope(channel, event, at, self._number)

    def _encoded(self, frame: Frame) -> bytes:
        return encode(frame)

    def _damaged(self, frame: Frame, how: str) -> bytes:
        return damaged(frame, how)

    async def _put(self, data: bytes) -> None:
        """Let a frame go."""
        await self._websocket.send_bytes(data)

    async def close(self, code: int) -> None:
        """Close the connection, or cut it."""
        self.over = True
        self._record.close_code = code
        if code == ABNORMAL:
            self._websocket.scope["extensions"][ABORT]["abort"]()
        else:
            await self._websocket.close(code)

    async def send_late(self) -> None:
        """Send the delayed frames that are due."""
        while not self.over and self.next_late <= self._loop.time():
            await self._send(heappop(self._late)[2])

    async def _number_and_send(
        self,
        channel: str,
        event: Json,
        at: datetime,
        update: Update | None,
        struck: Iterable[Fault],
        *more: StreamKind,
    ) -> None:
        interruptions = self._faults.strike_stream(Occasion.MESSAGE, self._now())
        for fault in interruptions:
            await self._interrupt(fault)
            if self.over:
                self._remember(at, channel, None, left=False, faults=_kinds([fault]), update=update)
                return
        self.said_at = self._loop.time()
        frame = self._frame(channel, event, at)
        self._number += 1
        data, by_kind = self._encoded(frame), {fault.kind: fault for fault in struck}
        if StreamKind.GARBAGE in by_kind:
            data = self._damaged(frame, by_kind[StreamKind.GARBAGE].text("not_json"))
        silent = self._loop.time() < self._silent_until
        kinds = [*_kinds(struck), *more, *([StreamKind.SILENCE] if silent else [])]
        left = not silent and StreamKind.DROP not in by_kind
        sequence = self._number - 1
        self._remember(at, channel, sequence, left=left, faults=kinds, update=update)
        if not left:
            return
        if StreamKind.DELAY in by_kind:
            late = self._loop.time() + by_kind[StreamKind.DELAY].seconds(1)
            heappush(self._late, (late, sequence, data))
        elif StreamKind.REORDER in by_kind:
            self._held.append(data)
        else:
            for _ in range(2 if StreamKind.DUPLICATE in by_kind else 1):
                await self._send(data)

    async def _interrupt(self, fault: Fault) -> None:
        """Do something to the line in the place of a frame, which is then never said."""
        if fault.kind is StreamKind.SILENCE:
            self._silent_until = self._loop.time() + _seconds(fault)
        elif fault.kind is StreamKind.HALF_OPEN:
            self.over = True
            self._websocket.scope["extensions"][DEAFEN]["deafen"]()
        elif fault.kind is StreamKind.LOGOUT:
            await self.error("authentication failure")
            await self.close(1000)
        else:
            await self.close(fault.status(1000))

    async def _send(self, data: bytes) -> None:
        if self._loop.time() < self._silent_until:
            return
        self._record.frames_sent += 1
        await self._put(data)
        held, self._held = self._held, []
        for each in held:
            self._record.frames_sent += 1
            await self._put(each)

    def _omit(self, update: Update, kinds: Iterable[StreamKind]) -> None:
        self._remember(update.at, self.updates, None, left=False, faults=kinds, update=update)

    def _remember(
        self,
        at: datetime,
        channel: str,
        sequence: int | None,
        *,
        left: bool,
        faults: Iterable[StreamKind],
        update: Update | None = None,
    ) -> None:
        self._record.told.append(
            Told(
                at=at,
                channel=channel,
                sequence=sequence,
                order_id="" if update is None else update.order.order_id,
                status="" if update is None else update.status,
                left=left,
                faults=tuple(faults),
            )
        )


def _kinds(faults: Iterable[Fault]) -> list[StreamKind]:
    return [fault.kind for fault in faults if isinstance(fault.kind, StreamKind)]


def _seconds(fault: Fault) -> float:
    """How long a mute or a silence lasts on the connection that it strikes."""
    lasts = math.inf if fault.lasts is None else fault.lasts.total_seconds()
    return fault.seconds(lasts)
