"""What outgoing webhooks are signed with: a secret for each subscription, and none in the database.

A subscription's secret is made from its id by one key, which is in a file that nobody else may
read. So the database, its copies and its dumps hold nothing to sign with; and whoever has the
file can sign for all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from ordersync.errors import ConfigError
from ordersync.secret_files import make_private, read_line
from ordersync.standard_webhooks import Secret

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32


class SigningKey:
    """The key in its file, read when it is needed first. It shows in no text of it."""

    def __init__(self, path: Path, *, where: str) -> None:
        self._path = path
        self._where = where
        self._key: bytes | None = None

    def __repr__(self) -> str:
        return "SigningKey()"

    def make(self) -> None:
        """Make the file, unless there is one. Raises ConfigError."""
        text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        make_private(self._path, f"{text}\n", where=self._where)

    @property
    def mark(self) -> str:
        """By what the key is known; nothing can be made from it. Raises ConfigError."""
        return self._derived("mark").hex()[:16]

    def text_for(self, subscription_id: str) -> str:
        """The secret of a subscription as text, to be shown once. Raises ConfigError."""
        made = self._derived(f"subscription {subscription_id}")
        return f"whsec_{base64.b64encode(made).decode()}"

    def secret_for(self, subscription_id: str) -> Secret:
        """The secret of a subscription, to sign with. Raises ConfigError."""
        return Secret(self.text_for(subscription_id))

    def _derived(self, purpose: str) -> bytes:
        if self._key is None:
            try:
                key = base64.b64decode(read_line(self._path, where=self._where), validate=True)
            except (binascii.Error, ValueError):
                key = b""
            if len(key) < KEY_BYTES:
                raise ConfigError(
                    f"the file {self._path} does not hold {KEY_BYTES} bytes in base64.",
                    where=self._where,
                    mend="Put the key back that was there, or delete the file, and make the"
                    " subscriptions anew.",
                )
            self._key = key
        return hmac.digest(self._key, f"ordersync {purpose}".encode(), hashlib.sha256)
