"""The world behind the protocol: accounts, orders, and the truth about them.

Pure and deterministic: it reads no clock but the `now` it was given, draws every random number
from its seed, and does no I/O. The state of an order is a function of time, so "as of five
seconds ago" is a question like any other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from ordersync.simulator.alpaca.account import Account, ApiKey, Token
from ordersync.simulator.alpaca.assets import next_close
from ordersync.simulator.alpaca.condition import (
    FINAL_STATUSES,
    Mark,
    PlacedOrder,
    condition_at,
    ending,
    size_of,
    write_down,
)
from ordersync.simulator.alpaca.life import AT_ONCE, FINAL, Event, Life
from ordersync.simulator.alpaca.natural_life import natural_life
from ordersync.simulator.alpaca.records import Records
from ordersync.simulator.alpaca.requests import (
    canceled,
    leg_marks,
    one_cancels_others,
    rebalanced,
    replaced,
    split,
)
from ordersync.simulator.alpaca.terms import Terms, read_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_GOOD_FOR = timedelta(days=90)
UNREPLACEABLE = frozenset(("accepted", "pending_new", "pending_cancel", "pending_replace"))
UNCANCELABLE = frozenset(("pending_cancel", "pending_replace")) | FINAL_STATUSES


class World(Records):
    """Accounts and orders at one broker."""

    def __init__(self, now: Callable[[], datetime], *, seed: int = 0) -> None:
        super().__init__(now)
        self.seed = seed
        self.accounts: dict[str, Account] = {}
        self.tokens: dict[str, Token] = {}
        self._rng = Random(f"alpaca {seed}")  # noqa: S311 - reproducible on purpose

    # Accounts

    def open_account(self, *, paper: bool = True) -> Account:
        """Open a new account with a key."""
        account = Account.generate(self._rng, paper=paper, created_at=self.now())
        self.accounts[account.account_id] = account
        return account

    def change_key(self, account: Account) -> Account:
        """Give an account another key; the one before opens nothing any more."""
        changed = replace(account, key=ApiKey.generate(self._rng, paper=account.paper))
        self.accounts[account.account_id] = changed
        return changed

    def issue_token(
        self, account: Account, *, trading: bool = True, lasts: timedelta | None = None
    ) -> Token:
        """Let an application in by OAuth, to read or also to trade, for ever or for a time."""
        token = Token(
            access_token=self.new_id(),
            account_id=account.account_id,
            trading=trading,
            expires_at=None if lasts is None else self.now() + lasts,
        )
        self.tokens[token.access_token] = token
        return token

    def new_id(self) -> str:
        """Draw a UUID that nobody else has, the next one of the seed."""
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    # Orders

    def place(
        self,
        account_id: str,
        body: Mapping[str, object],
        *,
        life: Life | None = None,
        leg_lives: Sequence[Life | None] = (),
        client_order_id: str | None = None,
        order_id: str | None = None,
        created_at: datetime | None = None,
        submitted_at: datetime | None = None,
    ) -> PlacedOrder:
        """Place an order with a life; without one it gets a natural life from the seed.

        Raises RefusedError where the broker would refuse the body, and ValueError where the
        order cannot be.
        """
        created_at = self.now() if created_at is None else created_at.astimezone(UTC)
        parent = self._register(
            account_id,
            read_terms(body),
            life=life,
            client_order_id=client_order_id,
            order_id=order_id,
            created_at=created_at,
            submitted_at=submitted_at or created_at,
        )
        legs = []
        for number, terms in enumerate(parent.terms.legs):
            given = leg_lives[number] if number < len(leg_lives) else None
            legs.append(self._register_leg(parent, terms, number, given))
        if legs:
            self._keep(replace(parent, legs=tuple(leg.order_id for leg in legs)))
            self._settle_rivals(self._orders[parent.order_id], created_at)
        self._tell(parent.order_id)
        return self._orders[parent.order_id]

    def _register(
        self,
        account_id: str,
        terms: Terms,
        *,
        life: Life | None,
        client_order_id: str | None,
        order_id: str | None,
        created_at: datetime,
        submitted_at: datetime,
        parent_id: str | None = None,
        replaces: str | None = None,
        begins_at: datetime | None = None,
    ) -> PlacedOrder:
        order_id = self.new_id() if order_id is None else str(UUID(order_id))
        client_order_id = client_order_id or self.new_id()
        if order_id in self._orders or (account_id, client_order_id) in self._by_client:
            raise ValueError(f"Order {order_id} ({client_order_id}) exists already.")
        expires_at = _expiry(terms, created_at)
        if life is None:
            # Seeded by the client's id, so that a life does not depend on who came first.
            rng = Random(f"{self.seed} {client_order_id}")  # noqa: S311 - reproducible
            life = natural_life(terms, rng, created_at, expires_at)
        order = PlacedOrder(
            order_id=order_id,
            client_order_id=client_order_id,
            account_id=account_id,
            number=len(self._orders),
            terms=terms,
            created_at=created_at,
            submitted_at=submitted_at,
            expires_at=expires_at,
            life=life,
            marks=_beginning(terms, life, created_at, begins_at or created_at),
            parent_id=parent_id,
            replaces=replaces,
        )
        self._enter(order)
        return order

    def _register_leg(
        self, parent: PlacedOrder, terms: Terms, number: int, life: Life | None
    ) -> PlacedOrder:
        if life is None and number > 0 and terms.order_class == "bracket":
            life = Life()  # the stop keeps waiting while the profit taker works
        elif life is None and terms.order_class == "oco":
            life = Life()
        leg = self._register(
            parent.account_id,
            terms,
            life=life,
            client_order_id=None,
            order_id=None,
            created_at=parent.created_at,
            submitted_at=parent.submitted_at,
            parent_id=parent.order_id,
        )
        leg = replace(leg, marks=leg_marks(parent, leg))
        self._keep(leg)
        return leg

    # Requests, and what else may befall an order

    def cancel(self, order_id: str) -> None:
        """Ask to cancel, as of now. Raises KeyError for an unknown order, ValueError in vain."""
        order = self._orders[order_id]
        condition = self.condition(order)
        if condition.status in UNCANCELABLE:
            raise ValueError(f"Order {order_id} is {condition.status}.")
        self._rewrite(order, canceled(order, self.now()))

    def replace(
        self,
        order_id: str,
        terms: Terms,
        *,
        life: Life | None = None,
        client_order_id: str | None = None,
    ) -> PlacedOrder:
        """Ask to replace an order by another, as of now.

        Terms without a size get what is left of the old order. Raises KeyError for an unknown
        order, ValueError in vain.
        """
        old, now = self._orders[order_id], self.now()
        condition = self.condition(old)
        if condition.final or condition.status in UNREPLACEABLE:
            raise ValueError(f"Order {order_id} is {condition.status}.")
        new_id = self.new_id()
        marks, works_from = replaced(old, now, new_id)
        if terms.qty is None:
            executed = condition_at(replace(old, marks=marks), works_from or now).filled_qty
            terms = replace(terms, qty=(old.terms.qty or executed) - executed)
        if works_from is None:
            # The old order ended first, or kept its terms: the new one is refused then.
            life = Life.rejected(AT_ONCE)
            end = ending([mark for mark in marks if mark.at > now])
            works_from = now + old.life.replace_lag
            works_from = works_from if end is None else min(end.at, works_from)
        new = self._register(
            old.account_id,
            terms,
            life=life,
            client_order_id=client_order_id,
            order_id=new_id,
            created_at=now,
            submitted_at=now,
            parent_id=old.parent_id,
            replaces=old.order_id,
            begins_at=works_from,
        )
        if old.parent_id is not None:
            parent = self._orders[old.parent_id]
            self._keep(replace(parent, legs=(*parent.legs, new.order_id)))
        self._rewrite(old, marks)
        self._tell(new.order_id)
        return self._orders[new.order_id]

    def live(self, order_id: str, life: Life) -> None:
        """From now on let the order live by this life, whatever was written before."""
        order, now = self._orders[order_id], self.now()
        past, _ = split(order.marks, now)
        filled = self.condition(order).filled_qty
        future = write_down(order.terms, life, now, filled=filled)
        self._rewrite(replace(order, life=life), (*past, *future))

    def happen(
        self,
        order_id: str,
        event: Event,
        *,
        qty: Decimal | None = None,
        price: Decimal | None = None,
    ) -> None:
        """Let something happen to an order now, in the middle of its life.

        An end forgets what was to come. `qty` and `price` are of an execution, or of what a
        correction makes of the last one; a restatement's `qty` is the order's new size.
        """
        order, now = self._orders[order_id], self.now()
        past, future = split(order.marks, now)
        condition = self.condition(order)
        left = size_of(order.terms, order.terms.price) - condition.filled_qty
        execution, executed = None, Decimal(0)
        if event in {Event.TRADE_BUST, Event.TRADE_CORRECT}:
            if not condition.fills:
                raise ValueError(f"Order {order_id} has no execution.")
            last = condition.fills[-1]
            execution, qty, price = last.number, qty or last.qty, price or last.price
            executed = -last.qty if event is Event.TRADE_BUST else qty - last.qty
        elif event in {Event.PARTIAL_FILL, Event.FILL}:
            qty, price = left if qty is None else qty, price or order.terms.price
            executed = qty
        if executed > left:
            raise ValueError(f"There is only {left} left of order {order_id}.")
        mark = Mark(
            at=now,
            event=event,
            qty=qty or Decimal(0),
            price=price or Decimal(0),
            execution=execution,
        )
        ahead = () if event in FINAL else rebalanced(future, executed)
        self._rewrite(order, (*past, mark, *ahead))

    def _rewrite(self, order: PlacedOrder, marks: tuple[Mark, ...]) -> None:
        """Write down another future of an order, and what it means for its family."""
        now = self.now()
        had_ended = ending(split(self._orders[order.order_id].marks, now)[0]) is not None
        order = replace(order, marks=marks)
        self._keep(order)
        for leg_id in order.legs:
            leg = self._orders[leg_id]
            past, _ = split(leg.marks, now)
            if order.terms.order_class == "oco" or ending(past) is not None:
                continue
            if order.terms.order_class == "mleg":
                future = leg_marks(order, leg)[len(past) :]
            elif had_ended:
                continue  # what the leg was held for has happened already
            else:
                future = leg_marks(order, leg)[1:]  # it is held, and was announced as that
            self._keep(replace(leg, marks=(*past, *future)))
        self._settle_rivals(order, now)
        self._tell(order.order_id)

    def _settle_rivals(self, order: PlacedOrder, now: datetime) -> None:
        """Let one cancel the other, where the order belongs to such a pair."""
        parent = self._orders[order.parent_id or order.order_id]
        if parent.terms.order_class not in {"bracket", "oco"}:
            return
        rivals = [self._orders[leg_id] for leg_id in parent.legs]
        if parent.terms.order_class == "oco":
            rivals.append(parent)
        for order_id, marks in one_cancels_others(rivals, now).items():
            self._keep(replace(self._orders[order_id], marks=marks))


def _expiry(terms: Terms, created_at: datetime) -> datetime | None:
    asset_class = terms.asset.asset_class if terms.asset else "us_option"
    if asset_class == "crypto" or terms.time_in_force in {"ioc", "fok"}:
        return None
    closes = next_close(created_at)
    return (closes if terms.time_in_force != "gtc" else closes + _GOOD_FOR).astimezone(UTC)


def _beginning(
    terms: Terms, life: Life, created_at: datetime, begins_at: datetime
) -> tuple[Mark, ...]:
    """Write down a life that begins as pending_new, unless it begins as something else."""
    marks = write_down(terms, life, begins_at)
    if marks and marks[0].at == created_at and marks[0].event not in FINAL:
        return tuple(marks)
    return (Mark(at=created_at, event=Event.PENDING_NEW), *marks)
