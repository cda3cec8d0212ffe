"""The secrets of those who send webhooks: one JSON file, by account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.errors import ConfigError
from ordersync.secret_files import read_private
from ordersync.standard_webhooks import Secret

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_MEND = 'Write {"main": ["whsec_…"]}: by account a list of secrets.'
_MAKE = 'Make one: echo "whsec_$(openssl rand -base64 32)"'


def read_secrets(
    path: Path, accounts: Collection[str], *, where: str
) -> dict[str, tuple[Secret, ...]]:
    """By account its secrets. Raises ConfigError, in which no secret is quoted."""
    text = read_private(path, where=where, missing=f"Make it, of mode 0600. {_MEND}")
    try:
        # Decoded without a type: the error of a typed decoder may quote what it found.
        content = msgspec.json.decode(text)
    except ValueError:
        raise ConfigError(f"the file {path} is not JSON.", where=where, mend=_MEND) from None
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"the file {path} names no account.", where=where, mend=_MEND)
    return {
        name: _secrets_of(name, listed, accounts, path, where) for name, listed in content.items()
    }


def _secrets_of(
    name: str, listed: object, accounts: Collection[str], path: Path, where: str
) -> tuple[Secret, ...]:
    place = f"{where}: {path}: {name}"
    if name not in accounts:
        raise ConfigError(
            "no row belongs to such an account.",
            where=place,
            mend=f"Take it out, or name one of: {', '.join(accounts)}.",
        )
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise ConfigError("it is no list of secrets.", where=place, mend=_MEND)
    if not listed:
        raise ConfigError("it has no secret.", where=place, mend=_MAKE)
    secrets = []
    for n, one in enumerate(listed, start=1):
        try:
            secrets.append(Secret(one))
        except ValueError as error:
            what = f"secret {n} cannot be used: {error}"
            raise ConfigError(what, where=place, mend=_MAKE) from None
    return tuple(secrets)
