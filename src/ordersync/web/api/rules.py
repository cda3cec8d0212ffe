"""Who may come in, as the guard is told it."""

from __future__ import annotations

import msgspec


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Names of this host, pages of other hosts, and whether a token is needed on loopback too."""

    exposed: bool = False
    require_token: bool = False
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
