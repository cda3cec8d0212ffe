"""The fields of a key file. Errors name the file and the mend, never a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ordersync.errors import ConfigError
from ordersync.secret_files import read_private

if TYPE_CHECKING:
    from pathlib import Path


def read_fields(path: Path, *, kind: str, mend: str) -> dict[str, Any]:
    """The fields of a key file of mode 0600; none where its JSON is no object.

    `kind` is what should be saved there, `mend` what to do where it is no JSON. Raises
    ConfigError.
    """
    missing = f"Save {kind} there, or mend key_file in ordersync.toml."
    text = read_private(path, where=str(path), named="the key file", missing=missing)
    try:
        fields = json.loads(text)
    except ValueError:
        # The cause is cut off: a parser's message may quote the secret.
        raise ConfigError("the key file is not JSON.", where=str(path), mend=mend) from None
    return fields if isinstance(fields, dict) else {}
