"""The world behind the protocol: accounts, orders, and the truth about them.

Pure and deterministic: it reads no clock but the `now` it was given, draws every random number
from its seed, and does no I/O. The state of an order is a function of time, so "as of five
seconds ago" is a question like any other.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, UUID, uuid5

from ordersync.simulator.account import Account, KeyPair
from ordersync.simulator.condition import Condition, PlacedOrder, condition_at, write_down
from ordersync.simulator.natural_life import natural_life
from ordersync.simulator.products import price_of
from ordersync.simulator.terms import read_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ordersync.simulator.account import KeyKind
    from ordersync.simulator.life import Life

_STANDING_OF = {
    "FILLED": "filled",
    "CANCELLED": "canceled",
    "EXPIRED": "expired",
    "FAILED": "rejected",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What really is the case with an order, for oracles.

    `status` is Coinbase's word, `standing` is `open`, `filled`, `canceled`, `expired` or
    `rejected`. `fee` is what the exchange says now, `final_fee` what the fills so far cost.
    """

    order_id: str
    status: str
    standing: str
    final: bool
    settled: bool
    filled_qty: Decimal
    avg_price: Decimal | None
    fee: Decimal
    final_fee: Decimal
    last_fill_at: datetime | None
    updated_at: datetime


class World:
    """Accounts and orders at one exchange."""

    def __init__(self, now: Callable[[], datetime], *, seed: int = 0) -> None:
        self.now = now
        self.seed = seed
        self.accounts: dict[str, Account] = {}  # by key name
        self._rng = Random(f"world {seed}")  # noqa: S311 - reproducible on purpose
        self._orders: dict[str, PlacedOrder] = {}
        self._by_client: dict[tuple[str, str], str] = {}
        # Newest last; (created_at, order_id) is also the key that cursors remember.
        self._timeline: dict[str, list[tuple[datetime, str]]] = {}
        self._steady: dict[str, tuple[datetime, Condition]] = {}
        self._observers: dict[str, list[Callable[[PlacedOrder], object]]] = {}

    # Accounts

    def open_account(self, kind: KeyKind = "ec", *, portfolio: str | None = None) -> Account:
        """Open a new account, or one more key for `portfolio`."""
        account = Account(
            key=KeyPair.generate(self._rng, kind), portfolio=portfolio or self.new_id()
        )
        self.admit(account)
        return account

    def admit(self, account: Account) -> None:
        """Let `account` in, or change what it may do: the last one with its key name counts."""
        self.accounts[account.key.name] = account

    # Orders

    def place(
        self,
        portfolio: str,
        product_id: str,
        side: str,
        configuration: Mapping[str, object],
        *,
        life: Life | None = None,
        client_order_id: str | None = None,
        order_id: str | None = None,
        created_at: datetime | None = None,
        placement_source: str = "RETAIL_ADVANCED",
    ) -> PlacedOrder:
        """Place an order with a life; without one it gets a natural life from the seed.

        Raises ValueError where the exchange could not hold such an order.
        """
        order_id = self.new_id() if order_id is None else str(UUID(order_id))
        client_order_id = self.new_id() if client_order_id is None else client_order_id
        if order_id in self._orders or (portfolio, client_order_id) in self._by_client:
            raise ValueError(f"Order {order_id} ({client_order_id}) exists already.")
        if side not in {"BUY", "SELL"}:
            raise ValueError(f"An order's side is BUY or SELL, not {side!r}.")
        created_at = self.now() if created_at is None else created_at
        if created_at.tzinfo is None:
            raise ValueError(f"created_at needs a time zone: {created_at}.")
        created_at = created_at.astimezone(UTC)
        terms = read_terms(configuration)
        if life is None:
            # Seeded by the client's id, so that a life does not depend on who came first.
            rng = Random(f"{self.seed} {client_order_id}")  # noqa: S311 - reproducible
            life = natural_life(terms, rng, created_at)
        order = PlacedOrder(
            order_id=order_id,
            client_order_id=client_order_id,
            portfolio=portfolio,
            user_id=user_of(portfolio),
            product_id=product_id,
            side=side,
            configuration=configuration,
            terms=terms,
            created_at=created_at,
            placement_source=placement_source,
            life=life,
            marks=tuple(write_down(terms, life, created_at, price_of(product_id))),
        )
        self._orders[order_id] = order
        self._by_client[portfolio, client_order_id] = order_id
        insort(self._timeline.setdefault(portfolio, []), (created_at, order_id))
        self._tell(order)
        return order

    def cancel(self, order_id: str) -> None:
        """Ask to cancel, as of now. Raises KeyError for an unknown order, ValueError in vain."""
        order = self._orders[order_id]
        condition = self.condition(order)
        if condition.final or condition.pending_cancel:
            raise ValueError(f"Order {order_id} is {condition.status}.")
        order = replace(order, cancels=(*order.cancels, self.now()))
        self._orders[order_id] = order
        self._steady.pop(order_id, None)
        self._tell(order)

    def observe(
        self, portfolio: str, tell: Callable[[PlacedOrder], object]
    ) -> Callable[[], object]:
        """Tell of each order placed and each cancel asked for; call what is returned to end it.

        Whatever else happens to an order was written down before: `next_change` knows it.
        """
        observers = self._observers.setdefault(portfolio, [])
        observers.append(tell)
        return lambda: observers.remove(tell)

    def _tell(self, order: PlacedOrder) -> None:
        for tell in tuple(self._observers.get(order.portfolio, ())):
            tell(order)

    def order(self, order_id: str) -> PlacedOrder | None:
        """Find the order with this id, whosever it is."""
        return self._orders.get(order_id)

    def order_of_client(self, portfolio: str, client_order_id: str) -> PlacedOrder | None:
        """Find the order that this portfolio placed under this client order id."""
        order_id = self._by_client.get((portfolio, client_order_id))
        return None if order_id is None else self._orders[order_id]

    def newest_first(
        self,
        portfolio: str,
        *,
        before: tuple[datetime, str] | None = None,
        since: datetime | None = None,
    ) -> Iterator[PlacedOrder]:
        """Go through a portfolio's orders, newest first, behind `before` and down to `since`."""
        timeline = self._timeline.get(portfolio, [])
        index = len(timeline) if before is None else bisect_left(timeline, before)
        while index > 0:
            index -= 1
            created_at, order_id = timeline[index]
            if since is not None and created_at < since:
                return
            yield self._orders[order_id]

    def condition(self, order: PlacedOrder, at: datetime | None = None) -> Condition:
        """Say how an order stands now, or stood at `at`."""
        at = self.now() if at is None else at
        known = self._steady.get(order.order_id)
        if known is not None and at >= known[0]:
            return known[1]
        condition = condition_at(order, at)
        if at >= order.steady_from:
            self._steady[order.order_id] = (order.steady_from, condition)
        return condition

    def next_change(self, order: PlacedOrder, after: datetime) -> datetime | None:
        """Say when the order's condition changes next, if it will without anybody's help."""
        known = self._steady.get(order.order_id)
        if known is not None and after >= known[0]:
            return None
        moments = order.moments
        index = bisect_right(moments, after)
        return moments[index] if index < len(moments) else None

    def truth(self, order_id: str, at: datetime | None = None) -> Truth:
        """Tell what is the case with an order now, or was at `at`. Raises KeyError."""
        condition = self.condition(self._orders[order_id], at)
        return Truth(
            order_id=order_id,
            status=condition.status,
            standing=_STANDING_OF.get(condition.status, "open"),
            final=condition.final,
            settled=condition.settled,
            filled_qty=condition.filled_qty,
            avg_price=condition.avg_price,
            fee=condition.fee,
            final_fee=sum((fill.commission for fill in condition.fills), Decimal(0)),
            last_fill_at=condition.last_fill_at,
            updated_at=condition.updated_at,
        )

    def order_ids(self, portfolio: str) -> list[str]:
        """List the ids of a portfolio's orders, oldest first."""
        return [order_id for _, order_id in self._timeline.get(portfolio, [])]

    def new_id(self) -> str:
        """Draw a UUID that nobody else has, the next one of the seed."""
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    def moment_ago(self, seconds: float) -> datetime:
        """Say when it was so many seconds ago."""
        return self.now() - timedelta(seconds=seconds)

    def steady_at(self) -> datetime:
        """When the last life will have come to rest."""
        rests = [order.steady_from for order in self._orders.values()]
        return max(rests, default=self.now()) + timedelta.resolution


def user_of(portfolio: str) -> str:
    """Name the user whom a portfolio belongs to."""
    return str(uuid5(NAMESPACE_URL, f"portfolio:{portfolio}"))
