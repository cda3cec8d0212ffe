from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is encrypted, and to load all of the machine's certificates takes longest."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
