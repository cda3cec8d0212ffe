"""Two ordersyncs and two Celery workers on one database: killed and paused at will, and judged.

Any of them may serve the account at any moment, and none of them knows what befalls the others.
What Celery writes nobody tells of; the rows and the log of events say what became of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Protocol

from crash.child import ROOT, Ordersync
from crash.scene import Scene, Verdict
from tests.scale.yard import Worker
from tests.servers.daemon import until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path
    from random import Random

    from tests.servers.owned import Owned
    from tests.servers.place import Server

KILLED, PAUSED, CHILDREN_KILLED = "killed", "paused", "children killed"
HOWS = {
    "first run": (KILLED, KILLED, PAUSED),
    "second run": (KILLED, KILLED, PAUSED),
    "first worker": (KILLED, KILLED, PAUSED, CHILDREN_KILLED),
    "second worker": (KILLED, KILLED, PAUSED, CHILDREN_KILLED),
    "broker": (KILLED,),
}
"""What may befall whom: the likelier the more often."""

HIT = 0.45
CELERY = """
[celery]
broker_url = "{broker}"
every = "1s"
"""
READY = 60.0
SURPRISED, OURS, WHY = "Traceback", "src/ordersync/", 3_000
UNEXPECTED, LOST = "raised unexpected", "WorkerLostError"
"""What Celery says of a task that failed by a mistake; a killed child's task fails so, too."""

AWAY = (0.0, 1.0, 7.0)
"""For how long one that was killed stays away at the most: no time, a second, longer than the
lease of a dead one lasts."""

ASLEEP = 8.0
"""For how long one that is paused sleeps at the most: its lease went long before."""


class Member(Protocol):
    """Whoever can be struck."""

    def strike(self, how: str) -> None:
        """Let this happen to it now."""

    def mend(self, how: str) -> None:
        """Let it go on, or start it again."""


class Run:
    """An `ordersync run`, as a Member."""

    def __init__(self, program: Ordersync) -> None:
        self.program = program

    def strike(self, how: str) -> None:
        """Kill or pause it."""
        if how == PAUSED:
            self.program.pause()
        else:
            self.program.kill()

    def mend(self, how: str) -> None:
        """Wake it, or start it again."""
        if how == PAUSED:
            self.program.wake()
        else:
            self.program.start()


class CeleryWorker:
    """A Celery worker with its beat, as a Member. What it logged is kept over its deaths."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number = folder, number
        self._logs = ""
        self.worker = self._begin()

    def _begin(self) -> Worker:
        options = ("-B", "-c", "1")
        source = {"PYTHONPATH": str(ROOT / "src")}
        return Worker(self._folder, "ordersync.celery_app", options, source, self._number)

    def strike(self, how: str) -> None:
        """Kill or pause all of it, or kill only the processes that it started."""
        if how == CHILDREN_KILLED:
            for child in self.worker.brood():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        elif how == PAUSED:
            self._all(signal.SIGSTOP)
        else:
            self.worker.kill()

    def _all(self, deed: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(self.worker.process.pid, deed)

    def mend(self, how: str) -> None:
        """Wake it, or start it again; children that were killed it makes anew itself."""
        if how == PAUSED:
            self._all(signal.SIGCONT)
        elif how == KILLED:
            self._logs += self.worker.log()
            self.worker = self._begin()

    def log(self) -> str:
        """All that it has logged, over its deaths."""
        return self._logs + self.worker.log()


class Broker:
    """The broker, as a Member: it keeps nothing on disk, so all messages are lost with it."""

    def __init__(self, server: Owned) -> None:
        self._server = server

    def strike(self, how: str) -> None:
        """Kill it."""
        del how
        self._server.kill()

    def mend(self, how: str) -> None:
        """Start it again."""
        del how
        self._server.start()


class Crew(Scene):
    """A scene whose rows several serve, by two ways, through one pooler."""

    def __init__(
        self, folder: Path, chance: Random, database: Server, pooler: Server, broker: Owned
    ) -> None:
        more = CELERY.format(broker=broker.place.url)
        super().__init__(folder, chance, database, pooler, has_audit=True, more=more)
        self.second = Ordersync(self.configured(folder / "second"))
        self._folder, self._broker = folder, broker
        self.workers: list[CeleryWorker] = []
        self._members: dict[str, Member] = {}

    @property
    def crew(self) -> list[Ordersync]:
        """All that tell of events."""
        return [self.ordersync, self.second]

    def open(self, rows: int) -> None:
        """Begin with so many open orders, and start all four."""
        super().open(rows)
        self.second.start()
        self.workers = [
            CeleryWorker(self.configured(self._folder / f"worker-{n}"), n) for n in (1, 2)
        ]
        members: list[Member] = [*map(Run, self.crew), *self.workers, Broker(self._broker)]
        self._members = dict(zip(HOWS, members, strict=True))

    def close(self) -> None:
        """End all but the servers."""
        for one in self.workers:
            one.worker.end()
        super().close()

    def logs(self) -> list[str]:
        """What the workers logged."""
        return [one.log() for one in self.workers]

    def play(self, *victims: str) -> Verdict:
        """A round with these blows, once everybody is there."""
        for one in self.workers:
            one.worker.until_says("ready.", within=READY)
        until(lambda: all(one.is_up for one in self.crew), "both runs answer", READY)
        return super().play(*victims)

    def _strike(self, victims: Sequence[str]) -> float:
        due = []
        for victim in victims:
            whom, how = victim.rsplit(": ")
            self._members[whom].strike(how)
            longest = ASLEEP if how == PAUSED else self.chance.choice(AWAY)
            due.append((time.monotonic() + self.chance.uniform(0, longest), whom, how))
        for moment, whom, how in sorted(due):
            self._stray.wait(max(0.0, moment - time.monotonic()))
            self._members[whom].mend(how)
        return time.monotonic()

    def _judge(self, verdict: Verdict, begun_at: datetime, first_told: int) -> None:
        super()._judge(verdict, begun_at, first_told)
        for one in self.workers:
            if one.worker.process.poll() is not None:
                # Celery 5.7 gives up where a child and the broker go together; who supervises it
                # starts it again. Only where we are part of it, it is our fault.
                last = one.log()[-WHY:]
                verdict.broken += [f"a worker ended by itself:\n{last}"] if OURS in last else []
                one.mend(KILLED)
            unexpected = [line for line in one.log().splitlines() if UNEXPECTED in line]
            verdict.broken += [line for line in unexpected if LOST not in line]
        for text in (one.log_text() for one in self.crew):
            _, surprise, more = text.partition(SURPRISED)
            verdict.broken += [surprise + more[:WHY]] if surprise else []


def draw(chance: Random) -> tuple[str, ...]:
    """Whom to strike, and how: one at least."""
    blows: tuple[str, ...] = ()
    while not blows:
        blows = tuple(
            f"{whom}: {chance.choice(hows)}" for whom, hows in HOWS.items() if chance.random() < HIT
        )
    return blows
