"""What every test may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from tests.servers.fixtures import (
    common_folder,
    mariadb,
    own_server,
    pgbouncer,
    postgres,
    postgres15,
    postgres16,
    postgres18,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "common_folder",
    "mariadb",
    "own_server",
    "pgbouncer",
    "postgres",
    "postgres15",
    "postgres16",
    "postgres18",
]


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command that a test runs here sets up the log on a stream that is closed afterwards."""
    yield
    structlog.reset_defaults()
