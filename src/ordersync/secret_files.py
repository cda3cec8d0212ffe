"""Files that hold secrets: read only where nobody else may read them, and made so."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING

from ordersync.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def read_private(
    path: Path, *, where: str, named: str = "", missing: str = "Mend the path."
) -> str:
    """A text that nobody else may read. Raises ConfigError, in which none of it is quoted.

    `named` is what a person calls the file, where `where` tells its path; `missing` what to do
    where it is not there. On systems without modes of files the rights are not checked.
    """
    named = named or f"the file {path}"
    try:
        known = path.stat().st_mode
        if stat.S_ISDIR(known):
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        mode = stat.S_IMODE(known)
        if os.name == "posix" and mode & 0o077:
            what = f"others may read {named} (its mode is {mode:04o})."
            raise ConfigError(what, where=where, mend=f"chmod 600 {path}")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{named} is not there.", where=where, mend=missing) from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        mend = "Mend it or its rights: this user must be able to read it."
        raise ConfigError(f"{named} cannot be read ({why}).", where=where, mend=mend) from None


def make_private(path: Path, text: str, *, where: str) -> None:
    """A file of mode 0600 with this text, unless there is one. Raises ConfigError.

    Of two who make it at once one wins, and nobody ever reads half of it.
    """
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
    except OSError as error:
        raise ConfigError(
            f"the file {path} cannot be made ({error.strerror}).",
            where=where,
            mend="Mend the folder's rights, or name another path.",
        ) from None


def read_line(path: Path, *, where: str) -> str:
    """The one line of such a file. Raises ConfigError."""
    text = read_private(path, where=where).strip()
    if not text or "\n" in text:
        raise ConfigError(
            f"the file {path} does not hold one line.", where=where, mend="Write it there alone."
        )
    return text
