"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path
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


@pytest.fixture(scope="session")
def referees() -> Path:
    """The Python that has the official clients."""
    root = Path(__file__).parents[1]
    named = os.environ.get("ORDERSYNC_REFEREES")
    python = Path(named) if named else root / ".venv-referees" / "bin" / "python"
    if not python.exists():
        missing = f"NO REFEREES: {python} does not exist. `./dev referees` makes it."
        if "referees" in os.environ.get("ORDERSYNC_DEMAND", ""):
            pytest.fail(missing)
        pytest.skip(missing)
    return python
