"""A few rounds of `make crash`: kill -9 in the middle of updates, with real servers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from crash.scene import DATABASE, ORDERSYNC, POOLER
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres

if TYPE_CHECKING:
    from crash.scene import Scene
    from tests.crash.conftest import SetUp
    from tests.servers.fixtures import OwnServer

# A recovery begins by opening every file of the server, which takes seconds on many a machine.
SETTINGS = {"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}
ENOUGH = 30.0
"""Seconds to the first write after all was there again; machines are shared."""


def play(scene: Scene, *victims: str) -> None:
    verdict = scene.play(*victims)
    assert verdict.broken == [], scene.ordersync.log[-20:]
    assert verdict.told
    assert verdict.recovery is not None
    assert verdict.recovery < ENOUGH


def test_a_kill_in_the_middle_of_updates_loses_nothing(
    own_server: OwnServer, set_up: SetUp
) -> None:
    database = own_server(lambda: Postgres(18, settings=SETTINGS))
    scene = set_up(database, has_audit=True, rows=50)
    play(scene, ORDERSYNC)
    play(scene, DATABASE)


def test_a_kill_of_the_pooler_and_of_all_behind_it_loses_nothing(
    own_server: OwnServer, set_up: SetUp
) -> None:
    database = own_server(lambda: Postgres(18, settings=SETTINGS))
    pooler = own_server(lambda: PgBouncer(database))
    scene = set_up(database, pooler, has_audit=True, rows=50)
    play(scene, POOLER)
    play(scene, POOLER, DATABASE)
