"""What opens an Alpaca account: a key with its secret, or an OAuth token.

REST takes them as headers (APCA-API-KEY-ID and APCA-API-SECRET-KEY, or a bearer), the stream in
its first message. A key belongs to paper or to live trading, and its id tells which: it begins
with PK or with AK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.errors import ConfigError
from ordersync.venues.key_file import read_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FIRST_LETTERS = {"PK": True, "AK": False}


class AlpacaKey:
    """A key pair or a token. What is secret shows in no text of it."""

    def __init__(self, *, key_id: str = "", secret: str = "", token: str = "") -> None:
        self.key_id = key_id
        self._secret = secret
        self._token = token

    def __repr__(self) -> str:
        return "AlpacaKey(OAuth)" if self.is_token else f"AlpacaKey({self.key_id!r})"

    @property
    def is_token(self) -> bool:
        """Whether it is an OAuth token, of which nothing tells what it may do."""
        return bool(self._token)

    @property
    def is_paper(self) -> bool | None:
        """Whether its id says that it is of paper trading; None where it does not say."""
        return _FIRST_LETTERS.get(self.key_id[:2])

    def headers(self) -> Mapping[str, str]:
        """What a request carries."""
        if self.is_token:
            return {"authorization": f"Bearer {self._token}"}
        return {"apca-api-key-id": self.key_id, "apca-api-secret-key": self._secret}

    def first_message(self) -> dict[str, object]:
        """What the stream wants to hear first."""
        if self.is_token:
            data = {"oauth_token": self._token}
        else:
            data = {"key_id": self.key_id, "secret_key": self._secret}
        return {"action": "authenticate", "data": data}


def read_key(path: Path) -> AlpacaKey:
    """The key in a file with key_id and secret_key, or access_token. Raises ConfigError."""
    mend = 'Write {"key_id": "...", "secret_key": "..."} there, or {"access_token": "..."}.'
    fields = read_fields(path, kind="the Alpaca key", mend=mend)
    key_id, secret, token = (fields.get(n) for n in ("key_id", "secret_key", "access_token"))
    if token is not None and (key_id is not None or secret is not None):
        raise ConfigError(
            "the key file holds a key and a token: which of them counts?",
            where=str(path),
            mend="Leave either key_id and secret_key, or access_token.",
        )
    for one in (token, key_id, secret):
        # A header takes no other signs, and a key pasted with a line end is refused by nobody
        # but the HTTP client, with the secret in its words.
        if isinstance(one, str) and not (one.isascii() and one.isprintable() and " " not in one):
            raise ConfigError(
                "the key file holds signs that no key has.", where=str(path), mend=mend
            )
    if isinstance(token, str) and token:
        return AlpacaKey(token=token)
    if isinstance(key_id, str) and isinstance(secret, str) and key_id and secret:
        return AlpacaKey(key_id=key_id, secret=secret)
    raise ConfigError(
        "the key file lacks key_id and secret_key, or access_token.", where=str(path), mend=mend
    )
