from __future__ import annotations

from contextlib import ExitStack, closing
from random import Random
from typing import TYPE_CHECKING, Protocol

import pytest

from crash.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.place import Server


class SetUp(Protocol):
    """Sets a scene on this server, with ordersync at work and some open orders."""

    def __call__(
        self,
        database: Server,
        pooler: Server | None = None,
        *,
        has_audit: bool = False,
        interval: str = "1s",
        rows: int = 5,
    ) -> Scene: ...


@pytest.fixture
def set_up(tmp_path: Path) -> Iterator[SetUp]:
    with ExitStack() as stack:

        def make(
            database: Server,
            pooler: Server | None = None,
            *,
            has_audit: bool = False,
            interval: str = "1s",
            rows: int = 5,
        ) -> Scene:
            chance = Random(7)  # noqa: S311 - the same every time
            scene = Scene(
                tmp_path, chance, database, pooler, has_audit=has_audit, interval=interval
            )
            stack.enter_context(closing(scene))
            scene.open(rows)
            return scene

        yield make
