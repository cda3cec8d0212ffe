"""A CDP API key: read from its file, it signs one token a request.

Token: JWT with `kid` the key's name and a random `nonce`; claims `sub`, `iss` "cdp", `nbf`,
`exp` two minutes later, `uri` "METHOD host/path" without the query (official client,
jwt_generator). Keys are EC P-256 (ES256) or Ed25519 (EdDSA).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import TYPE_CHECKING

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ordersync.errors import ConfigError
from ordersync.venues.key_file import read_fields

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

LIFETIME_SECONDS = 120
LEEWAY_SECONDS = 5
_SEED_BYTES = 32


class CdpKey:
    """A key that can sign. Its secret shows in no text of it."""

    def __init__(self, name: str, secret: EllipticCurvePrivateKey | Ed25519PrivateKey) -> None:
        self.name = name
        self._secret = secret
        self._algorithm = "EdDSA" if isinstance(secret, Ed25519PrivateKey) else "ES256"

    def __repr__(self) -> str:
        return f"CdpKey({self.name!r}, {self._algorithm})"

    def token(self, method: str, host: str, path: str, now: datetime) -> str:
        """A token for one request; `now` on the venue's clock."""
        return self._sign(now, uri=f"{method} {host}{path}")

    def stream_token(self, now: datetime) -> str:
        """A token for one message to the stream: the same, for no address."""
        return self._sign(now)

    def _sign(self, now: datetime, **more: str) -> str:
        # A token from the future is refused, and the skew is only known to half a round trip.
        issued = int(now.timestamp()) - LEEWAY_SECONDS
        claims = {
            "sub": self.name,
            "iss": "cdp",
            "nbf": issued,
            "exp": issued + LIFETIME_SECONDS,
            **more,
        }
        headers = {"kid": self.name, "nonce": secrets.token_hex(16)}
        return jwt.encode(claims, self._secret, algorithm=self._algorithm, headers=headers)


def read_key(path: Path) -> CdpKey:
    """The key in a CDP key file. Raises ConfigError naming the file and the mend."""
    mend = "Download the key again from the Coinbase Developer Platform as JSON."
    fields = read_fields(path, kind="the CDP API key", mend=mend)
    name, secret = fields.get("name") or fields.get("id"), fields.get("privateKey")
    if not isinstance(name, str) or not isinstance(secret, str) or not name or not secret:
        raise ConfigError(
            "the key file lacks a name (or id) or a privateKey.",
            where=str(path),
            mend=mend,
        )
    return CdpKey(name, _parse_secret(secret, path))


def _parse_secret(text: str, path: Path) -> EllipticCurvePrivateKey | Ed25519PrivateKey:
    # The cause is cut off everywhere here: a parser's message may quote the secret.
    text = text.replace("\\n", "\n").strip()
    if not text.startswith("-----"):
        try:
            seed = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            seed = b""
        if len(seed) in {_SEED_BYTES, 2 * _SEED_BYTES}:
            return Ed25519PrivateKey.from_private_bytes(seed[:_SEED_BYTES])
        raise _malformed(path) from None
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _malformed(path) from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise _malformed(path)


def _malformed(path: Path) -> ConfigError:
    return ConfigError(
        "its privateKey is neither an EC P-256 key in PEM nor an Ed25519 key.",
        where=str(path),
        mend="Make a new key at the Coinbase Developer Platform and save its JSON unchanged.",
    )
