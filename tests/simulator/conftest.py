from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.simulator.asking import Exchange


@pytest.fixture
def exchange() -> Exchange:
    """An exchange in process, with one account, no orders and no faults."""
    return Exchange()


@pytest.fixture(scope="session")
def referees() -> Path:
    """The Python that has the official clients."""
    root = Path(__file__).parents[2]
    named = os.environ.get("ORDERSYNC_REFEREES")
    python = Path(named) if named else root / ".venv-referees" / "bin" / "python"
    if not python.exists():
        missing = f"NO REFEREES: {python} does not exist. `./dev referees` makes it."
        if "referees" in os.environ.get("ORDERSYNC_DEMAND", ""):
            pytest.fail(missing)
        pytest.skip(missing)
    return python
