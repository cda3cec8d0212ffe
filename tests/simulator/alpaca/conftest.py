from __future__ import annotations

import pytest

from tests.simulator.alpaca.asking import Broker


@pytest.fixture
def broker() -> Broker:
    """A broker in process, with one paper account, no orders and no faults."""
    return Broker()
