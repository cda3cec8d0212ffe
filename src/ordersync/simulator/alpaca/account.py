"""Who may ask, and how they prove it: accounts, key pairs, OAuth tokens and their files.

Keys are made from a seed, so that a simulated account is the same one after a restart. They open
nothing but a simulator; on disk they are kept like real ones all the same, because the programs
that read them insist on that.
"""

from __future__ import annotations

import json
import os
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path
    from random import Random

_LETTERS = string.ascii_uppercase + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key and its secret."""

    key_id: str
    secret_key: str = field(repr=False)

    @classmethod
    def generate(cls, rng: Random, *, paper: bool) -> ApiKey:
        """Make a key from a seed. Paper keys begin with PK, live ones with AK, as over there."""
        return cls(
            key_id=("PK" if paper else "AK") + _draw(rng, _LETTERS, 18),
            secret_key=_draw(rng, string.ascii_letters + string.digits, 40),
        )

    @property
    def headers(self) -> dict[str, str]:
        """The headers that prove the key."""
        return {"APCA-API-KEY-ID": self.key_id, "APCA-API-SECRET-KEY": self.secret_key}

    def write(self, path: Path) -> Path:
        """Write the key file, readable by its owner alone from the first byte on."""
        return _write(path, {"key_id": self.key_id, "secret_key": self.secret_key})


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An OAuth token. Every one may read; without the scope `trading` it may do nothing else."""

    access_token: str = field(repr=False)
    account_id: str
    trading: bool = True
    expires_at: datetime | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the token."""
        return {"Authorization": f"Bearer {self.access_token}"}

    def write(self, path: Path) -> Path:
        """Write the token file, readable by its owner alone from the first byte on."""
        return _write(path, {"access_token": self.access_token})


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account, either of paper or live, and a key for it."""

    account_id: str
    account_number: str
    paper: bool
    key: ApiKey
    created_at: datetime

    @classmethod
    def generate(cls, rng: Random, *, paper: bool, created_at: datetime) -> Account:
        """Make an account from a seed."""
        return cls(
            account_id=str(UUID(int=rng.getrandbits(128), version=4)),
            account_number=("PA" if paper else "") + _draw(rng, _LETTERS, 10),
            paper=paper,
            key=ApiKey.generate(rng, paper=paper),
            created_at=created_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who proved who they are."""

    account: Account
    credential: str  # the key's id, or the token
    trading: bool


class UnauthorizedError(Exception):
    """The credentials are missing or wrong. The text is for the simulator's reader only."""


def visitor_of_key(accounts: Iterable[Account], key_id: str, secret_key: str) -> Visitor:
    """Find whose key this is. Raises UnauthorizedError."""
    for account in accounts:
        if account.key.key_id == key_id and account.key.secret_key == secret_key:
            return Visitor(account=account, credential=key_id, trading=True)
    raise UnauthorizedError(f"unknown key {key_id!r}, or another secret")


def visitor_of_token(
    accounts: Mapping[str, Account], tokens: Mapping[str, Token], text: str, now: datetime
) -> Visitor:
    """Find whose token this is. Raises UnauthorizedError."""
    token = tokens.get(text)
    if token is None:
        raise UnauthorizedError("unknown token")
    if token.expires_at is not None and token.expires_at <= now:
        raise UnauthorizedError(f"expired at {token.expires_at}")
    return Visitor(
        account=accounts[token.account_id], credential=token.access_token, trading=token.trading
    )


def _draw(rng: Random, letters: str, length: int) -> str:
    return "".join(rng.choice(letters) for _ in range(length))


def _write(path: Path, document: dict[str, str]) -> Path:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps(document, indent=2) + "\n")
    return path
