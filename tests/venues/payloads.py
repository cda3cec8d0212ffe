"""Payloads in Coinbase's shape, one file each, and small changes to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent / "coinbase"


def text(name: str) -> bytes:
    """A payload as it came over the wire."""
    (found,) = FOLDER.glob(f"{name}.*")
    return found.read_bytes()


def but(name: str, *without: str, **other: Any) -> bytes:  # noqa: ANN401 - JSON
    """A payload with other values in some fields, and `without` others."""
    fields: dict[str, Any] = msgspec.json.decode(text(name))
    for field in without:
        del fields[field]
    return msgspec.json.encode({**fields, **other})
