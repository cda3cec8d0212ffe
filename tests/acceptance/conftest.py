from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.house import House
from tests.acceptance.stub import Stub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stub() -> Iterator[Stub]:
    """An exchange of its own for each test; it must find nothing to complain about."""
    started = Stub()
    yield started
    started.close()
    assert started.complaints == []


@pytest.fixture
def house(stub: Stub, tmp_path: Path) -> Iterator[House]:
    """A bot's folder with the table of the issue."""
    built = House(tmp_path, stub)
    built.create()
    yield built
    built.engine.dispose()
