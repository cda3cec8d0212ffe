"""Two real ordersyncs on one PostgreSQL: the one that serves is killed, paused, and stopped."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from crash.child import Ordersync
from crash.witness import look, regressions
from ordersync.clock import SystemClock
from ordersync.simulator import Life
from tests.servers.daemon import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crash.scene import Scene
    from tests.crash.conftest import SetUp
    from tests.servers.place import Server

ENOUGH = 60.0
SOON = Life.filled(timedelta(milliseconds=100))


class Pair:
    """The ordersync of a scene, which serves the account, and another one that stands by."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene = scene
        self.first = scene.ordersync
        self.second = Ordersync(scene.configured(folder))
        self.second.start()
        until(lambda: "Standing by" in self.second.log_text(), "the second stands by", ENOUGH)

    def close(self) -> None:
        if self.second.is_alive:
            self.second.kill()

    def lease(self) -> tuple[str, int]:
        with self.scene.connect() as connection:
            row = connection.execute("SELECT holder, token FROM ordersync_leases").fetchone()
        assert row is not None
        return str(row[0]), int(row[1])

    def is_given_back(self) -> bool:
        """Whether the first one's lease has not to end by itself before another may have it."""
        with self.scene.connect() as connection:
            row = connection.execute("SELECT token, until_at FROM ordersync_leases").fetchone()
        assert row is not None
        return int(row[0]) > 1 or datetime.fromisoformat(row[1]) <= SystemClock().now()

    def serves(self, one: Ordersync) -> bool:
        return self.lease()[0].endswith(f":{one.child.pid}")

    def heal(self, *rows: str) -> None:
        self.scene.heal(list(rows), ENOUGH)

    def seen(self) -> dict[str, Any]:
        with self.scene.connect() as connection:
            return {one.row: one for one in look(connection)}

    def check(self, before: dict[str, Any]) -> None:
        """All rows are as the exchange has them, and nothing of before went back."""
        assert self.scene.untruths(list(self.scene.bot.orders)) == []
        after = self.seen()
        assert [w for row, one in before.items() for w in regressions(one, after[row])] == []


@pytest.fixture(params=["direct", "pooled"])
def pair(
    request: pytest.FixtureRequest, postgres18: Server, set_up: SetUp, tmp_path: Path
) -> Iterator[Pair]:
    pooler = request.getfixturevalue("pgbouncer") if request.param == "pooled" else None
    with closing(Pair(set_up(postgres18, pooler), tmp_path / "second")) as made:
        yield made


def test_one_that_is_killed_is_followed_by_the_other_without_a_gap(pair: Pair) -> None:
    assert pair.serves(pair.first)
    rows = pair.scene.place(*[SOON] * 5, *[Life.filled(timedelta(seconds=2))] * 5)
    before = pair.seen()
    pair.first.kill()
    rows += pair.scene.place(*[SOON] * 5)
    pair.heal(*rows)
    assert pair.serves(pair.second)
    assert pair.lease()[1] == 2
    assert "Taken over from" in pair.second.log_text()
    pair.check(before)
    assert "Traceback" not in pair.second.log_text()
    # One that comes back stands by.
    pair.first.start()
    said = pair.first.log_text
    until(lambda: "Standing by" in said().rpartition("Push is live")[2], "it stands by", ENOUGH)
    assert pair.lease()[1] == 2


def test_one_that_is_paused_does_no_harm_when_it_wakes_up(pair: Pair) -> None:
    rows = pair.scene.place(*[Life.filled(timedelta(seconds=2))] * 5)
    pair.first.child.send_signal(signal.SIGSTOP)
    # The signal is on its way for a moment: until then it works.
    os.waitid(os.P_PID, pair.first.child.pid, os.WSTOPPED | os.WNOWAIT)
    stopped_at = SystemClock().now()
    rows += pair.scene.place(*[SOON] * 5)
    until(lambda: pair.serves(pair.second), "the second has taken over", ENOUGH)
    pair.heal(*rows)
    before = pair.seen()
    pair.first.child.send_signal(signal.SIGCONT)
    said = pair.first.log_text
    until(lambda: "Standing by" in said(), "the first stands by", ENOUGH)
    assert "The lease went to another" in said()
    rows += pair.scene.place(*[SOON] * 5)
    pair.heal(*rows)
    pair.check(before)
    assert pair.lease()[1] == 2
    # It may tell late of what it committed before; of nothing after.
    told = [datetime.fromisoformat(one.event["at"]) for one in pair.first.told]
    assert max(told) <= stopped_at
    assert all("Traceback" not in one.log_text() for one in (pair.first, pair.second))


def test_one_that_is_stopped_is_followed_at_once(pair: Pair) -> None:
    before = pair.seen()
    assert pair.first.stop() == 0
    assert pair.is_given_back()
    rows = pair.scene.place(*[SOON] * 5)
    until(lambda: pair.serves(pair.second), "the second has taken over", ENOUGH)
    pair.heal(*rows)
    pair.check(before)
