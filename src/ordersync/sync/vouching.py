"""When open orders were last vouched for: what is known later than it is stored.

A report that only vouches anew is not written (docs/decisions/005); forgotten, a late frame
from before it would win over what it confirmed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.truth.merge import same_facts, vouch
from ordersync.truth.model import Order

if TYPE_CHECKING:
    from datetime import datetime

    from ordersync.ports import Known

ORDERS_LIMIT = 200_000
"""For how many open orders the last vouching is remembered; beyond, memory would grow."""


class _Vouched(msgspec.Struct, gc=False):
    """A stored truth, by its version, with the moment of its last report."""

    version: int
    truth: Order


class Vouching:
    """The moments that are not stored, by account and order key."""

    def __init__(self) -> None:
        self._vouched: dict[str, dict[str, _Vouched]] = {}

    def latest(self, account: str, known: Known) -> Order | None:
        """The truth as it is known here: what is stored, with the moments of later vouching."""
        vouched = self._of(account).get(known.key)
        if vouched is None or vouched.version != known.version:
            return known.truth
        return vouched.truth

    def keep(self, account: str, known: Known, truth: Order | None) -> None:
        """Remember what a report vouched for, where that is not going to be stored."""
        vouched = self._of(account)
        if truth is None or truth is known.truth or truth.is_final:
            vouched.pop(known.key, None)
        elif known.truth is not None and same_facts(truth, known.truth):
            if len(vouched) >= ORDERS_LIMIT:
                vouched.clear()
            vouched[known.key] = _Vouched(known.version, truth)

    def again(self, account: str, known: Known, at: datetime | None) -> None:
        """What the latest report said of this order was said again at `at` (None: never)."""
        vouched = self._of(account).get(known.key)
        if vouched is not None and vouched.version == known.version and at is not None:
            vouched.truth = vouch(vouched.truth, at)

    def _of(self, account: str) -> dict[str, _Vouched]:
        return self._vouched.setdefault(account, {})
