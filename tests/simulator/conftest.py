from __future__ import annotations

import pytest

from tests.simulator.asking import Exchange


@pytest.fixture
def exchange() -> Exchange:
    """An exchange in process, with one account, no orders and no faults."""
    return Exchange()
