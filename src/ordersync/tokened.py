"""Who may call: tokens, as they are kept, and the port for them. Beside `ports`.

A token is 256 random bits. Only its SHA-256 is kept: of so many bits nothing slower is needed.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "ost_"
"""By what a person, and a scanner for leaked secrets, knows a token of ordersync."""


class Scope(StrEnum):
    """What a token lets its holder do."""

    READ = "read"
    OPERATE = "operate"  # reads, too

    def includes(self, wanted: Scope) -> bool:
        """Whether who has this may do what asks for `wanted`."""
        return self is Scope.OPERATE or wanted is Scope.READ


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is kept; the secret itself is known to its holder alone."""

    name: str
    scope: Scope
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Whether it opens anything now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def digest_of(secret: str) -> str:
    """What is kept of a token, and compared."""
    return hashlib.sha256(secret.encode()).hexdigest()


class TokenStore(Protocol):
    """Where tokens are kept. Raises StoreBusy or StoreRefused."""

    async def list_tokens(self) -> Sequence[Token]:
        """All there ever were, oldest first."""

    async def add_token(self, token: Token) -> bool:
        """Keep it; False where there is one of that name."""

    async def revoke_token(self, name: str, at: datetime) -> bool:
        """From now on it opens nothing; False where there is none of that name to revoke."""
