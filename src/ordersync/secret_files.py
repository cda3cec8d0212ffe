"""Files that hold secrets: read only where nobody else may read them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ordersync.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def read_private(path: Path, *, where: str) -> str:
    """A text that nobody else may read. Raises ConfigError.

    On systems without modes of files the rights are not checked.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(
            f"the file {path} cannot be read ({why}).", where=where, mend="Mend path or rights."
        ) from None
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(
            f"others may read the file {path}.", where=where, mend=f"chmod 600 {path}"
        )
    return text


def read_line(path: Path, *, where: str) -> str:
    """The one line of such a file. Raises ConfigError."""
    text = read_private(path, where=where).strip()
    if not text or "\n" in text:
        raise ConfigError(
            f"the file {path} does not hold one line.", where=where, mend="Write it there alone."
        )
    return text
