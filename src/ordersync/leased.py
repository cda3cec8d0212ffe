"""What several ordersyncs on one database need of it: who serves an account, and who wants what.

A lease saves work and keeps the account's budget in one hand. It protects no order: that is the
compare-and-set of row and truth. All its times are the database's clock, because the hosts'
clocks need not agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for leases: `name` for a person (host and process), at most 190 letters.

    `process` tells it from every other process. `config` has a mark of each setting on which all
    who serve the account have to agree, by the setting's name.
    """

    name: str
    process: str
    config: Mapping[str, str] = {}

    def differs_in(self, config: Mapping[str, str]) -> list[str]:
        """The settings in which these differ from the holder's; none where it does not tell."""
        names = {*self.config, *config} if self.config else set[str]()
        return sorted(name for name in names if self.config.get(name) != config.get(name))


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who serves an account. `token` grows with each holder; `until` is on the database's clock.

    `left` is how long it lasts from the moment at which it was read; one that ended stays as it
    was until somebody takes it.
    """

    account: str
    holder: Holder
    token: int
    until: datetime
    left: timedelta

    @property
    def is_live(self) -> bool:
        """Whether nobody else may have it yet."""
        return self.left > timedelta(0)


class LeaseStore(Protocol):
    """Raises StoreBusy (ask again) or StoreRefused (give up) from every method.

    `term` is how long a lease should last here: as long as a dead holder that cannot be seen
    to be dead may leave its account alone.
    """

    term: timedelta

    async def claim_lease(
        self, account: str, holder: Holder, term: timedelta, *, over: int | None = None
    ) -> Lease:
        """Take the lease where nobody has it; whose it is now, which the `token` tells.

        `over` is the token of one that may be taken although it lives: its holder is dead.
        """

    async def renew_lease(self, lease: Lease, term: timedelta) -> bool:
        """Let it last for `term` from now; whether it is still ours (once ended, it may be)."""

    async def give_back_lease(self, lease: Lease) -> None:
        """Let the next one have it at once. Nothing where it is another's already."""

    async def list_leases(self) -> list[Lease]:
        """All there are, by account; ended ones too. None where there are no tables yet."""

    async def close(self) -> None:
        """Give back the connection."""

    async def read_clock(self) -> datetime:
        """The clock that the leases go by."""


class DueRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the owner of an account's lease is asked to do. `body` is JSON."""

    request_id: str
    account: str
    kind: str
    body: str


class RequestStore(Protocol):
    """Requests to whoever serves an account. Raises StoreBusy or StoreRefused.

    `look_every` is how often the owner should look for them.
    """

    look_every: timedelta

    async def put_request(self, request: DueRequest) -> None:
        """Leave it for the owner."""

    async def list_requests(self, accounts: Sequence[str]) -> list[DueRequest]:
        """Those not answered yet, the oldest first."""

    async def answer_request(self, request_id: str, answer: str) -> None:
        """Leave the answer, JSON, for who asked. Nothing where he has gone."""

    async def take_answer(self, request_id: str) -> str | None:
        """The answer, None where there is none yet. It is gone once it was taken."""

    async def drop_request(self, request_id: str) -> None:
        """Nobody waits for it any more."""

    async def drop_old_requests(self, older_than: timedelta) -> int:
        """Forget those whose asker went without a word; how many there were."""


class Leases(LeaseStore, RequestStore, Protocol):
    """Both, in one database."""


class FencedStore(Protocol):
    """The part of an OrderStore that leases need."""

    def leases(self) -> Leases:
        """Who serves an account, to be asked once the store is open."""

    def fence(self, account: str, lease: Lease | None) -> None:
        """From now on write for this account only while this lease is held.

        It is looked at in the same transaction: else LeaseLost is raised, and nothing is written.
        None: write without. What was asked before keeps the lease it was asked under.
        """
