"""Tokens for those who call: made, listed, revoked."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from ordersync.clock import SystemClock
from ordersync.service.build import build_tokens
from ordersync.tokened import PREFIX, Scope, Token, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from ordersync.ports import Clock
    from ordersync.settings import Settings

BYTES = 32


async def new_token(
    settings: Settings,
    name: str,
    scope: Scope,
    lasts: timedelta | None,
    clock: Clock | None = None,
) -> str | None:
    """A new token, which is told this once; None where there is one of that name."""
    now = (clock or SystemClock()).now()
    secret = PREFIX + secrets.token_urlsafe(BYTES)
    token = Token(
        name=name,
        scope=scope,
        digest=digest_of(secret),
        created_at=now,
        expires_at=now + lasts if lasts is not None else None,
    )
    return secret if await build_tokens(settings).add_token(token) else None


async def list_tokens(settings: Settings) -> Sequence[Token]:
    """All that were ever made, oldest first."""
    return await build_tokens(settings).list_tokens()


async def revoke_token(settings: Settings, name: str, clock: Clock | None = None) -> bool:
    """From now on it opens nothing; False where there is none of that name to revoke."""
    return await build_tokens(settings).revoke_token(name, (clock or SystemClock()).now())
