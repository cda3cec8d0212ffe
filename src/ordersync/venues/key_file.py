"""A key file: JSON that nobody else may read. Errors name the file and the mend, never a secret."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

from ordersync.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def read_fields(path: Path, *, kind: str, mend: str) -> dict[str, Any]:
    """The fields of a key file of mode 0600; none where its JSON is no object.

    `kind` is what should be saved there, `mend` what to do where it is no JSON. Raises
    ConfigError.
    """
    try:
        fields = json.loads(_read_private(path, kind))
    except ValueError:
        # The cause is cut off: a parser's message may quote the secret.
        raise ConfigError("the key file is not JSON.", where=str(path), mend=mend) from None
    return fields if isinstance(fields, dict) else {}


def _read_private(path: Path, kind: str) -> str:
    try:
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigError(
                f"others may read the key file (its mode is {stat.S_IMODE(mode):04o}).",
                where=str(path),
                mend=f"chmod 600 {path}",
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            "there is no such key file.",
            where=str(path),
            mend=f"Save {kind} there, or mend key_file in ordersync.toml.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the key file cannot be read ({type(error).__name__}).",
            where=str(path),
            mend="Mend its rights: this user must be able to read it.",
        ) from None
