"""The systematic part: one golden run, and every small thing that can go wrong with it.

A few orders with rich lives, watched over both channels. For each frame that told of a change:
delete it, so that its number is missing or so that nothing shows; after it, say again what was
said of the order before, as a late repeat or as if it were news. For each await on a port: kill
the service before or after it, and start another on the same file. Each ends in the truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ordersync.simulator import Fault, Faults, Life, Step, StreamKind, What
from tests.simulation.disk import Disk
from tests.simulation.plan import STATED
from tests.simulation.ports import Gate
from tests.simulation.witness import Witness
from tests.simulation.work import at_work
from tests.system.house import House, built
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

END = 31.0
"""Beyond the last change. Until the orders move, they are asked about at growing steps; then only
the stream tells of them in time, or what watches it."""

INTERVAL = timedelta(seconds=30)
FOUND = INTERVAL + timedelta(seconds=3)
OLD = timedelta(hours=1)


class Deed(StrEnum):
    """What is done to the golden run."""

    NOTHING = "nothing"
    LOSE = "lose"  # a frame: its number is missing
    NEVER_SEND = "never_send"  # a frame: nothing shows
    REPEAT = "repeat"  # after a frame, an earlier one of its order comes once more
    RENEW = "renew"  # the same, with a number and a time of its own
    KILL = "kill"  # at an await on a port; then another service starts


@dataclass(frozen=True)
class Case:
    """A deed, at the `at`th frame or await. `earlier` is the frame that is said again."""

    deed: Deed
    at: int = 0
    earlier: int = 0

    def __str__(self) -> str:
        words = [str(self.deed), str(self.at), str(self.earlier)]
        return "-".join(words[: 3 if self.earlier else 2])


@dataclass
class Golden:
    """What the undisturbed run was: the order of each frame, the name of each await."""

    frames: list[str] = field(default_factory=list)
    awaits: list[str] = field(default_factory=list)


@dataclass
class Wire:
    """Between the exchange and the wire: notes the frames about changes, and repeats some."""

    case: Case
    golden: Golden
    said: list[dict[str, Any]] = field(default_factory=list)

    def around(self, app: ASGIApp) -> ASGIApp:
        async def wired(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, self._telling(send) if scope["type"] == "websocket" else send)

        return wired

    def _telling(self, send: Send) -> Send:
        more = 0  # how many numbers of this connection were used for repeats

        async def tell(message: Message) -> None:
            nonlocal more
            frame = _frame(message)
            if frame is None or "sequence_num" not in frame:
                await send(message)
                return
            frame["sequence_num"] += more
            await send(_message(frame))
            if not _tells_of_change(frame):
                return
            self.said.append(frame)
            self.golden.frames.append(frame["events"][0]["orders"][0]["order_id"])
            if len(self.said) != self.case.at:
                return
            earlier = self.said[self.case.earlier - 1]
            if self.case.deed is Deed.REPEAT:
                await send(_message(earlier))
            elif self.case.deed is Deed.RENEW:
                more += 1
                number, at = frame["sequence_num"] + 1, frame["timestamp"]
                await send(_message({**earlier, "sequence_num": number, "timestamp": at}))

        return tell


def _frame(message: Message) -> dict[str, Any] | None:
    data = message.get("bytes") if message["type"] == "websocket.send" else None
    found = json.loads(data) if data else None
    return found if isinstance(found, dict) else None


def _message(frame: dict[str, Any]) -> Message:
    return {"type": "websocket.send", "bytes": json.dumps(frame).encode()}


def _tells_of_change(frame: dict[str, Any]) -> bool:
    return bool(frame["channel"] == "user") and frame["events"][0]["type"] == "update"


def _step(seconds: float, what: What, share: str | None = None) -> Step:
    part = Decimal(share) if share else None
    return Step(after=OLD + timedelta(seconds=seconds), what=what, share=part)


_OPEN = Step(after=timedelta(seconds=1), what=What.OPEN)
_OLD_LIVES = (
    Life(
        steps=(
            _OPEN,
            _step(17, What.FILL, "0.2"),
            _step(19.5, What.FILL, "0.3"),
            _step(21, What.EDIT_QUEUED),
            _step(22.2, What.OPEN),
            _step(26, What.FILLED),
        ),
        settle_lag=timedelta(seconds=2.5),
    ),
    Life(
        steps=(
            _OPEN,
            _step(18.3, What.FILL, "0.25"),
            _step(22.8, What.CANCEL_QUEUED),
            _step(24.3, What.CANCELED),
        )
    ),
    Life(
        steps=(
            _OPEN,
            _step(18.9, What.CANCEL_QUEUED),
            _step(20.1, What.OPEN),
            _step(23.6, What.FILL, "0.5"),
            _step(27.2, What.EXPIRED),
        )
    ),
)
_NEW_LIVES = (
    (17.4, Life.filled(timedelta(seconds=4), fills=[(timedelta(seconds=2), Decimal("0.4"))])),
    (21.8, Life.failed(timedelta(seconds=1.5))),
)


async def _trade(house: House, witness: Witness) -> None:
    for at, life in _NEW_LIVES:
        await house.wait(seconds=at - house.clock.monotonic())
        witness.add(house.place(life, age=timedelta(0)))


async def _run(case: Case, folder: Path) -> Golden:
    golden = Golden()
    wire = Wire(case, golden)
    faults = Faults(_faults(case))
    settings = {"interval": f"{INTERVAL.seconds}s"}
    async with built(
        folder, faults=faults, sync=settings, pushes=True, around=wire.around
    ) as house:
        witness = Witness(house, may_suspect=False)
        for life in _OLD_LIVES:
            witness.add(house.place(life, age=OLD))
        disk = Disk(after=witness.look)
        gate = Gate(case.at if case.deed is Deed.KILL else None)
        began = house.clock.now()
        async with asyncio.TaskGroup() as group:
            group.create_task(_trade(house, witness))
            async with at_work(house, disk, gate):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(END):
                        await gate.struck.wait()
                if not gate.struck.is_set():
                    golden.awaits = list(gate.passed)
                    await _conclude(house, witness)
            if gate.struck.is_set():
                async with at_work(house, disk):
                    await house.wait(seconds=END - house.clock.monotonic())
                    await _conclude(house, witness)
        bound = FOUND if case.deed in {Deed.NEVER_SEND, Deed.KILL} else STATED
        late = list(witness.late(began + timedelta(seconds=3), house.clock.now(), bound))
        assert not late, "\n".join(late)
        witness.conclude()
        return golden


def _faults(case: Case) -> list[Fault]:
    kind = {Deed.LOSE: StreamKind.DROP, Deed.NEVER_SEND: StreamKind.NEVER_SENT}.get(case.deed)
    return [Fault(kind=kind, on="stream", call=case.at)] if kind else []


async def _conclude(house: House, witness: Witness) -> None:
    """The truth, within a pass of the last change; then nobody writes."""
    placed = [known.placed for known in witness.known.values()]
    assert len(placed) == len(_OLD_LIVES) + len(_NEW_LIVES)
    await house.until_true(*placed, within=FOUND.total_seconds())
    before = house.dump()
    await house.wait(seconds=4)
    assert house.dump() == before, "a table that is true is written to"


def play(case: Case, folder: Path) -> Golden:
    """Do this to the golden run. Fails where it does not end well."""
    folder.mkdir(parents=True, exist_ok=True)
    return run_virtually(partial(_run, case, folder))


@cache
def cases() -> tuple[Case, ...]:
    """Everything that can be done to it."""
    with TemporaryDirectory() as folder:
        golden = play(Case(Deed.NOTHING), Path(folder))
    found = [Case(Deed.NOTHING)]
    for at, order in enumerate(golden.frames, start=1):
        found += [Case(Deed.LOSE, at), Case(Deed.NEVER_SEND, at)]
        before = [n for n, one in enumerate(golden.frames[: at - 1], start=1) if one == order]
        found += [Case(deed, at, n) for n in before for deed in (Deed.REPEAT, Deed.RENEW)]
    found += [Case(Deed.KILL, at) for at in range(1, len(golden.awaits) + 1)]
    return tuple(found)
