"""Every await on a port is a door: counted, and at one of them the service may be killed.

The service is built as ever; then whatever in it is its venue, its store or its stream is
replaced by a door to the same. Each await has two sides: killed before it, nothing was asked;
killed after it, what was asked has happened and nobody learned of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ordersync.service import Service


class Gate:
    """Counts the sides of awaits; at the `at`th of them, calls `kill` and lets nobody through."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.kill: Callable[[], object] = int
        self.passed: list[str] = []
        self.struck = asyncio.Event()

    async def go_through(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.at:
            self.struck.set()
            self.kill()
            await asyncio.get_running_loop().create_future()


class Door:
    """A port behind the gate."""

    def __init__(self, port: object, gate: Gate) -> None:
        self._port = port
        self._gate = gate

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has there
        there = getattr(self._port, name)
        if not inspect.iscoroutinefunction(there):
            return there
        gate = self._gate

        async def through(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the port's own
            await gate.go_through(f"before {name}")
            result = await there(*args, **kwargs)
            await gate.go_through(f"after {name}")
            return result

        return through


class PushDoor(Door):
    """A stream behind it: to subscribe is an await, and so is all that is heard."""

    @contextlib.asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Door]:
        await self._gate.go_through("before subscribe")
        async with self._port.subscribe() as subscription:  # type: ignore[attr-defined]
            await self._gate.go_through("after subscribe")
            yield Door(subscription, self._gate)


def put_behind(service: Service, gate: Gate) -> None:
    """Replace the adapters that a built service holds, wherever it holds them."""
    doors: dict[int, Door] = {id(service.store): Door(service.store, gate)}
    for name, venue in service.venues.items():
        doors[id(venue)] = door = Door(venue, gate)
        doors[id(venue.push)] = PushDoor(venue.push, gate)
        service.venues[name] = door
    reconcilers, streams = service.reconcilers.values(), service.streams.values()
    parts = [service, *reconcilers, *streams]
    parts += [
        part for one in parts for part in vars(one).values() if type(part).__name__ == "Ingest"
    ]
    for part in parts:
        for name, value in vars(part).items():
            if value is not None and id(value) in doors:
                setattr(part, name, doors[id(value)])
