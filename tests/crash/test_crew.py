"""A round of `make crash ARGS=--crew`: two instances and two Celery workers, struck together."""

from __future__ import annotations

from contextlib import closing
from random import Random
from typing import TYPE_CHECKING

from crash.crew import Crew
from tests.servers.valkey import Valkey

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.fixtures import OwnServer
    from tests.servers.place import Server


def test_instances_workers_and_broker_are_killed_and_paused_together_and_nothing_is_lost(
    tmp_path: Path, own_server: OwnServer, postgres18: Server, pgbouncer: Server
) -> None:
    chance = Random(7)  # noqa: S311 - the same every time
    crew = Crew(tmp_path, chance, postgres18, pgbouncer, own_server(Valkey))
    with closing(crew):
        crew.open(20)
        verdict = crew.play(
            "first run: killed", "second run: paused", "first worker: killed", "broker: killed"
        )
        assert verdict.broken == [], "\n".join(one.log_text() for one in crew.crew)
        assert verdict.told
