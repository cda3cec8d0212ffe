"""Who may ask, and how they prove it: accounts, CDP keys and their files.

A key is made from a seed, so that a simulated account is the same one after a restart. It opens
nothing but a simulator; on disk it is kept like a real one all the same, because the programs
that read it insist on that.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

KeyKind = Literal["ec", "ed25519"]
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_ORDER_OF_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A CDP key: its name, the secret as CDP writes it, and what the exchange keeps of it."""

    name: str
    private_key: str = field(repr=False)
    public_key: PublicKey

    @classmethod
    def generate(cls, rng: Random, kind: KeyKind = "ec", *, name: str | None = None) -> KeyPair:
        """Make a key from a seed. EC secrets are SEC1 PEM, Ed25519 secrets are raw base64."""
        organization, key = (UUID(int=rng.getrandbits(128), version=4) for _ in range(2))
        name = name or f"organizations/{organization}/apiKeys/{key}"
        if kind == "ed25519":
            return cls._ed25519(name, rng.randbytes(32))
        private = ec.derive_private_key(rng.randrange(1, _ORDER_OF_P256), ec.SECP256R1())
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        return cls(name=name, private_key=pem.decode(), public_key=private.public_key())

    @classmethod
    def _ed25519(cls, name: str, seed: bytes) -> KeyPair:
        public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
        # CDP hands out seed and public key together: 64 bytes.
        secret = base64.b64encode(seed + public.public_bytes_raw()).decode()
        return cls(name=name, private_key=secret, public_key=public)

    def as_json(self) -> str:
        """Write down the key as CDP gives it to a user."""
        field = "name" if self.name.startswith("organizations/") else "id"
        return json.dumps({field: self.name, "privateKey": self.private_key}, indent=2) + "\n"

    def write(self, path: Path) -> Path:
        """Write the key file, readable by its owner alone from the first byte on."""
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.as_json())
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A key and what it opens: one portfolio. Two keys may open the same one."""

    key: KeyPair
    portfolio: str
    portfolio_type: str = "DEFAULT"
    can_view: bool = True
    can_trade: bool = True
    can_transfer: bool = False
