"""Somebody who listens to a house: server-sent events, read by hand as the standard says."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from tests.system.caller import BASE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.system.house import House

PATH = "/api/v1/events"


@dataclass(frozen=True)
class Told:
    """One message, and when it came."""

    event: str
    data: Any
    id: str
    at: float


@dataclass
class Hearer:
    """What one connection has brought; `last_id` as a browser would keep it."""

    told: list[Told] = field(default_factory=list)
    comments: int = 0
    last_id: str = ""
    status: int = 0
    problem: Any = None
    bytes_read: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ids(self) -> list[str]:
        """The ids of the events, in the order in which they came."""
        return [one.data["id"] for one in self.told if one.event not in {"hello", "reset"}]

    @property
    def kinds(self) -> list[str]:
        return [one.event for one in self.told]

    def read(self, line: str, message: dict[str, str]) -> None:
        """One line, by the standard; `message` is what has come of the one under way."""
        if not line:
            # Only here: a message that was cut off leaves the id as it was.
            self.last_id = message.get("id", self.last_id)
            if "data" in message:
                at = asyncio.get_running_loop().time()
                data = json.loads(message["data"])
                self.told.append(Told(message.get("event", "message"), data, self.last_id, at))
            message.clear()
        elif line.startswith(":"):
            self.comments += 1
        else:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name in {"id", "event", "data"}:
                message[name] = value


async def hear(
    hearer: Hearer, client: httpx2.AsyncClient, headers: dict[str, str], params: dict[str, Any]
) -> None:
    try:
        async with client.stream("GET", BASE + PATH, headers=headers, params=params) as answer:
            hearer.status = answer.status_code
            hearer.began.set()
            if answer.status_code != 200:
                hearer.problem = json.loads(await answer.aread())
                return
            message: dict[str, str] = {}
            async for line in answer.aiter_lines():
                hearer.bytes_read += len(line) + 1
                hearer.read(line, message)
    except httpx2.RequestError:
        pass  # closed from the other side, as any connection may be
    finally:
        hearer.ended.set()


@contextlib.asynccontextmanager
async def hearing(
    house: House,
    after: str | None = None,
    *,
    token: str | None = None,
    client: httpx2.AsyncClient | None = None,
    **params: Any,  # noqa: ANN401 - of the query
) -> AsyncIterator[Hearer]:
    """Somebody who listens while the block runs; `after`: the last id he has.

    Over the connections of a `client`, where many listen.
    """
    headers = {} if after is None else {"last-event-id": after}
    if token:
        headers["authorization"] = f"Bearer {token}"
    hearer = Hearer()
    async with contextlib.AsyncExitStack() as stack:
        if client is None:
            client = httpx2.AsyncClient(timeout=None)
            await stack.enter_async_context(client)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        task = group.create_task(hear(hearer, client, headers, params))
        await house.wait(seconds=0.5)
        try:
            yield hearer
        finally:
            task.cancel()
