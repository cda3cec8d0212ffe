"""When open orders were last vouched for: what is known later than it is stored.

A report that only vouches anew is not written (docs/decisions/005); forgotten, a late frame
from before it would win over what it confirmed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ordersync.truth.merge import same_facts, vouch
from ordersync.truth.model import Order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordersync.ports import Known
    from ordersync.truth.evidence import SaidAgain

ORDERS_LIMIT = 200_000
"""For how many open orders the last vouching is remembered; beyond, memory would grow."""


class _Vouched(msgspec.Struct, gc=False):
    """A truth with the moment of its last report, and when that was said again since."""

    version: int
    truth: Order
    again_at: datetime | None = None


class Vouching:
    """The moments that are not stored, by account and order key."""

    def __init__(self) -> None:
        self._vouched: dict[str, dict[str, _Vouched]] = {}

    def latest(self, account: str, known: Known) -> Order | None:
        """The truth as it is known here: what is stored, with the moments of later vouching."""
        vouched = self._of(account).get(known.key)
        if vouched is None or vouched.version != known.version:
            return known.truth
        if vouched.again_at is None:
            return vouched.truth
        return vouch(vouched.truth, vouched.again_at)

    def keep(self, account: str, known: Known, truth: Order | None) -> None:
        """Remember what a report vouched for, where that is not going to be stored."""
        vouched = self._of(account)
        if truth is None or truth is known.truth or truth.is_final:
            vouched.pop(known.key, None)
        elif known.truth is not None and same_facts(truth, known.truth):
            if len(vouched) >= ORDERS_LIMIT:
                vouched.clear()
            vouched[known.key] = _Vouched(known.version, truth)

    def again(self, account: str, said_again: Iterable[SaidAgain]) -> None:
        """The latest report of each of these orders was said again in the same words."""
        vouched = self._of(account).get
        for said in said_again:
            at = said.as_of
            for order in said.orders:
                one = vouched(f"v:{order}")
                if one is not None and (one.again_at is None or one.again_at < at):
                    one.again_at = at

    def _of(self, account: str) -> dict[str, _Vouched]:
        return self._vouched.setdefault(account, {})
