from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep what the service says off the terminal."""
    with capture_logs():
        yield


@pytest.fixture(autouse=True)
def _no_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is encrypted, and to load all of the machine's certificates takes longest."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
