"""Rows of orders that were replaced: they follow the chain where nobody else's row does.

If another row carries an id further along, the old row shows that its order was replaced, with
its own fills. Otherwise it shows how the last order of the chain stands, and the fills of all;
its venue id stays, unless the user wants it to move along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import OrderName, Shown
from ordersync.truth.chain import LONGEST_CHAIN, chain_of, is_replaced

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ordersync.ports import Advance, Known, OrderStore
    from ordersync.truth.model import Order


class Chains:
    """Follows replaced orders through what is stored, and what is said in the same moment.

    `moves_ids` is whether a row's venue id moves along with its order.
    """

    def __init__(self, store: OrderStore, *, moves_ids: bool = False) -> None:
        self._store = store
        self._moves_ids = moves_ids

    def concern(self, steps: Iterable[Advance]) -> bool:
        """Whether one of these orders was replaced, or replaced another."""
        return any(s.truth is not None and self._may_be_chain(s.truth) for s in steps)

    async def follow(
        self, account: str, steps: Sequence[Advance], news: Collection[str] = ()
    ) -> Sequence[Advance]:
        """The steps, with what the rows of replaced orders show instead.

        A row whose chain leads to an order that nobody has seen yet waits: neither was it
        replaced and done with, nor is it known how it stands. `news` are the keys of orders whose
        chain went on.
        """
        if not self.concern(steps):
            return steps
        said = {step.known.key: step.truth for step in steps}
        followed = []
        for step in steps:
            truth, shown = step.truth, None
            if truth is not None and step.known.claims and self._may_be_chain(truth):
                shown = await self._shown(account, truth, said)
            if shown is None:
                followed.append(step)
                continue
            shown = Shown(order=shown.order, is_news=step.known.key in news)
            followed.append(msgspec.structs.replace(step, shown=shown))
        return followed

    async def heirs(self, account: str, known: Iterable[Known]) -> list[str]:
        """The orders at the ends of these chains that are still to be asked for."""
        found: dict[str, None] = {}
        for one in known:
            if one.claims and is_replaced(one.truth) and one.truth is not None:
                _, end = await self._walk(account, one.truth, {})
                if end is not None and not end.claims and _is_to_be_asked(end):
                    found[end.key[2:]] = None
        return list(found)

    async def roots(self, account: str, truths: Iterable[Order]) -> list[Known]:
        """The orders with a row that these replaced, one after the other."""
        found: dict[str, Known] = {}
        for truth in truths:
            before, seen = truth.replaces, set[str]()
            while before and before not in seen and len(seen) < LONGEST_CHAIN:
                seen.add(before)
                (known,) = await self._store.read(account, [OrderName(before)])
                if known.claims:
                    if is_replaced(known.truth):
                        found[known.key] = known
                    break
                before = known.truth.replaces if known.truth else None
        return list(found.values())

    def _may_be_chain(self, truth: Order) -> bool:
        return is_replaced(truth) or (self._moves_ids and bool(truth.replaces))

    async def _shown(
        self, account: str, truth: Order, said: dict[str, Order | None]
    ) -> Shown | None:
        """What the row of this order shows; None where it shows the order itself."""
        later = [truth]
        if is_replaced(truth):
            chain, end = await self._walk(account, truth, said)
            if end is not None and not end.claims:
                later = chain
                if is_replaced(later[-1]):
                    return Shown(order=None)
        chain = [*await self._before(account, truth, said), *later]
        if len(chain) == 1:
            return None
        order = chain_of(chain)
        if self._moves_ids:
            order = msgspec.structs.replace(order, venue_order_id=later[-1].venue_order_id)
        return Shown(order=order)

    async def _before(
        self, account: str, truth: Order, said: dict[str, Order | None]
    ) -> list[Order]:
        """The orders before this one, where its row moved along: their fills belong to it too."""
        earlier: list[Order] = []
        while self._moves_ids and (before := (earlier or [truth])[0].replaces):
            (known,) = await self._store.read(account, [OrderName(before)])
            one = said.get(known.key) or known.truth
            if known.claims or one is None or not is_replaced(one) or len(earlier) > LONGEST_CHAIN:
                break
            earlier.insert(0, one)
        return earlier

    async def _walk(
        self, account: str, truth: Order, said: dict[str, Order | None]
    ) -> tuple[list[Order], Known | None]:
        """The truths of a chain as far as they are known, and what is stored of its end.

        It ends before an order that nobody has seen, and at one that has a row of its own. None
        where it comes back to itself.
        """
        chain, seen = [truth], {truth.venue_order_id}
        while True:
            heir = chain[-1].replaced_by or ""
            if heir in seen or len(seen) > LONGEST_CHAIN:
                return chain, None
            seen.add(heir)
            (known,) = await self._store.read(account, [OrderName(heir)])
            later = said.get(known.key) or known.truth
            if known.claims or later is None:
                return chain, known
            chain.append(later)
            if not is_replaced(later):
                return chain, known


def _is_to_be_asked(end: Known) -> bool:
    """Whether the end of a chain may still change: what is due by its time is asked for anyway."""
    return end.truth is None or not end.truth.is_final
