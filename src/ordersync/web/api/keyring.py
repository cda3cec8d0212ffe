"""Whose token a call carries: kept are digests, and what was read is good for a moment."""

from __future__ import annotations

import asyncio
import hmac
from datetime import timedelta
from typing import TYPE_CHECKING

from ordersync.tokened import PREFIX, Token, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ordersync.ports import Clock
    from ordersync.tokened import TokenStore

REMEMBERED = timedelta(seconds=5)
"""For so long a revoked token may still open something."""

READ_ANEW = timedelta(seconds=1)
"""How often at most a token that is not known has the tokens read anew."""


class Keyring:
    """The tokens that are good now."""

    def __init__(self, tokens: TokenStore, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock
        self._known: Sequence[Token] = ()
        self._read_at: datetime | None = None
        self._turn = asyncio.Lock()

    async def holder(self, secret: str) -> Token | None:
        """The token that this is, None where it is none that is good. Raises StoreBusy, …."""
        found = self._match(await self._fresh(REMEMBERED), secret)
        if found is None and secret.startswith(PREFIX):
            # It may have been made just now.
            found = self._match(await self._fresh(READ_ANEW), secret)
        return found if found is not None and found.is_good(self._clock.now()) else None

    async def has_any(self) -> bool:
        """Whether there is a good one at all."""
        now = self._clock.now()
        return any(token.is_good(now) for token in await self._fresh(REMEMBERED))

    async def _fresh(self, age: timedelta) -> Sequence[Token]:
        async with self._turn:  # who comes meanwhile takes what the first one reads
            now = self._clock.now()
            if self._read_at is None or not timedelta(0) <= now - self._read_at < age:
                self._known = await self._tokens.list_tokens()
                self._read_at = now
            return self._known

    @staticmethod
    def _match(tokens: Sequence[Token], secret: str) -> Token | None:
        """Compared with every token, and to the last letter: how long it takes tells nothing."""
        digest, found = digest_of(secret), None
        for token in tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found
