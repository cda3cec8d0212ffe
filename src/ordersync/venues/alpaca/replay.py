"""Trade updates told again: `GET /v2/events/trades` since a moment, as server-sent events.

The official Go client uses it on the trading host; Alpaca's specification does not have it there,
so nothing rests on it. Where it answers, the ends of a gap come in one call instead of one each.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from ordersync.venues.alpaca.parse import parse_update
from ordersync.venues.answers import NotFound, Payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from ordersync.pushed import Heard
    from ordersync.venues.reader import Reader

PATH = "/v2/events/trades"
PATIENCE = timedelta(seconds=2)
"""The gap is read by other calls as soon as this is over: the truth is not kept waiting."""

LONGEST_GAP = timedelta(hours=1)
"""What is longer is not told again: so much would come that asking for each order is cheaper."""

FORGO_FOR = timedelta(hours=1)
"""How long it is left alone where it is not there, or does not come to its end."""


class Replay:
    """What the stream of one account told before. `now` is the venue's clock."""

    def __init__(self, reader: Reader, now: Callable[[], datetime]) -> None:
        self._reader = reader
        self._now = now
        self._forgone_until: datetime | None = None

    async def since(self, moment: datetime) -> Sequence[Heard]:
        """What was told from then until now; nothing where the venue does not tell it again."""
        now = self._now()
        if now - moment > LONGEST_GAP or (self._forgone_until or now) > now:
            return ()
        query = [("since", _spelled(moment)), ("until", _spelled(now))]
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                answer = await self._reader.get(PATH, query, accept="text/event-stream")
        except TimeoutError:
            self._forgone_until = now + FORGO_FOR
            return ()
        if isinstance(answer, Payload):
            return [parse_update(data, now) for data in messages(answer.body)]
        if isinstance(answer, NotFound) or answer.is_useless_again:
            self._forgone_until = now + FORGO_FOR
        return ()


def messages(body: bytes) -> Iterator[bytes]:
    """The data of each complete event (HTML Living Standard, 9.2.6); comments are no events."""
    for block in body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")[:-1]:
        fields = [line.partition(b":") for line in block.split(b"\n")]
        lines = [value.removeprefix(b" ") for name, _, value in fields if name == b"data"]
        if lines:
            yield b"\n".join(lines)


def _spelled(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
