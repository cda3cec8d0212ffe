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

    from ordersync.ports import Decide, Names, Outcome
    from ordersync.service import Service


class Gate:
    """Counts the sides of awaits; at the `at`th of them, calls `kill` and lets nobody through.

    `closes` says of a side, with what is asked there, whether it closes there, for everybody and
    until it is opened again: so stands a process that is paused.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.kill: Callable[[], object] = int
        self.passed: list[str] = []
        self.struck = asyncio.Event()
        self.closes: Callable[[str, tuple[Any, ...]], bool] | None = None
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def go_through(self, name: str, *asked: Any) -> None:  # noqa: ANN401 - of any port
        if self.closes is not None and self.closes(name, asked):
            self.closes = None
            self.is_open.clear()
        await self.is_open.wait()
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
            await gate.go_through(f"before {name}", *args)
            result = await there(*args, **kwargs)
            await gate.go_through(f"after {name}")
            return result

        return through


class StoreDoor(Door):
    """A store behind it that can be stopped between what it reads and what it writes."""

    async def carry(self, account: str, names: Names, decide: Decide) -> list[Outcome]:
        outcomes: list[Outcome] = await self.advance(
            account, decide(await self.read(account, names))
        )
        return outcomes


class PushDoor(Door):
    """A stream behind it: to subscribe is an await, and so is all that is heard."""

    @contextlib.asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Door]:
        await self._gate.go_through("before subscribe")
        async with self._port.subscribe() as subscription:  # type: ignore[attr-defined]
            await self._gate.go_through("after subscribe")
            yield Door(subscription, self._gate)


def put_behind(service: Service, gate: Gate, *, wholly: bool = False) -> None:
    """Replace the adapters that a built service holds, wherever it holds them.

    `wholly`: its leases as well, and what looks for orphans, so that nothing of it goes on alone.
    """
    store = StoreDoor(service.store, gate) if wholly else Door(service.store, gate)
    doors: dict[int, Door] = {id(service.store): store}
    for name, venue in service.venues.items():
        doors[id(venue)] = door = Door(venue, gate)
        doors[id(venue.push)] = PushDoor(venue.push, gate)
        service.venues[name] = door
    reconcilers, streams = service.reconcilers.values(), service.streams.values()
    parts = [service, *reconcilers, *streams]
    parts += [
        part for one in parts for part in vars(one).values() if type(part).__name__ == "Ingest"
    ]
    if wholly:
        doors[id(service.leases)] = Door(service.leases, gate)
        parts += [*service.tenures.values(), service.sending]
        parts += [one.orphans for one in service.parts.values()]
    for part in parts:
        for name, value in vars(part).items():
            if value is not None and id(value) in doors:
                setattr(part, name, doors[id(value)])
