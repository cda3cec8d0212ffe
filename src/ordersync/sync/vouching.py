"""When open orders were last vouched for: what is known later than it is stored.

A report that only vouches anew is not written (docs/decisions/005); forgotten, a late frame
from before it would win over what it confirmed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ordersync.truth.evidence import mark_of
from ordersync.truth.merge import same_facts, vouch
from ordersync.truth.model import Order

if TYPE_CHECKING:
    from ordersync.ports import Known

ORDERS_LIMIT = 200_000
"""For how many open orders the last vouching is remembered; beyond, memory would grow."""


class _Vouched(msgspec.Struct, frozen=True, gc=False):
    """The moment of the last report on a stored truth, of which the version is kept.

    `truth` only where it is not the stored one said again: a whole Order for each would be most
    of the memory that orders at rest take. Those of one answer share theirs.
    """

    version: int
    at: datetime
    truth: Order | None = None


class Vouching:
    """The moments that are not stored, by account and the hash of an order's key.

    Where a hundred thousand are at rest, their keys and moments would be most of what they take.
    """

    def __init__(self) -> None:
        self._vouched: dict[str, dict[int, _Vouched]] = {}
        self._last: _Vouched | None = None

    def latest(self, account: str, known: Known) -> Order | None:
        """The truth as it is known here: what is stored, with the moments of later vouching."""
        vouched = self._of(account).get(mark_of(known.key))
        if vouched is None or vouched.version != known.version or known.truth is None:
            return known.truth
        whole = vouched.truth
        if whole is not None and whole.venue_order_id != known.truth.venue_order_id:
            return known.truth  # two keys with one hash: never another order's word
        return whole or vouch(known.truth, vouched.at)

    def keep(self, account: str, known: Known, truth: Order | None) -> None:
        """Remember what a report vouched for, where that is not going to be stored."""
        vouched = self._of(account)
        if truth is None or truth is known.truth or truth.is_final:
            vouched.pop(mark_of(known.key), None)
        elif known.truth is not None and (
            # Nearly always it is, and then no fact can differ: they need not be compared.
            (is_said_again := vouch(known.truth, truth.as_of) == truth)
            or same_facts(truth, known.truth)
        ):
            if len(vouched) >= ORDERS_LIMIT:
                vouched.clear()
            whole = None if is_said_again else truth
            made = _Vouched(known.version, truth.as_of, whole)
            if self._last is None or made != self._last:
                self._last = made
            vouched[mark_of(known.key)] = self._last

    def again(self, account: str, known: Known, at: datetime | None) -> None:
        """What the latest report said of this order was said again at `at` (None: never)."""
        ours, key = self._of(account), mark_of(known.key)
        vouched = ours.get(key)
        if vouched is not None and vouched.version == known.version and at is not None:
            whole = None if vouched.truth is None else vouch(vouched.truth, at)
            ours[key] = _Vouched(vouched.version, max(vouched.at, at), whole)

    def _of(self, account: str) -> dict[int, _Vouched]:
        return self._vouched.setdefault(account, {})
