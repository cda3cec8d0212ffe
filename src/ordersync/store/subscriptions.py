"""Subscriptions and what is owed to them: two tables of ours, over a connection of their own."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ordersync.logged import Place
from ordersync.store.database import all_or_nothing
from ordersync.store.line import Line
from ordersync.store.mapping import bind
from ordersync.store.own import OwnStatements
from ordersync.store.plan import spell
from ordersync.store.schema import WITH_SUBSCRIPTIONS, version_of
from ordersync.store.statement import Ask, Upsert
from ordersync.subscribed import Delivery, DeliveryState, Interest, Subscription

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.settings import Orders
    from ordersync.store.database import Database, Session

_T = TypeVar("_T")

_SUBSCRIPTION = {
    "subscription_id": False,
    "url": False,
    "interest": False,
    "created_at": False,
    "key_mark": False,
    "marks": False,
    "stopped_at": False,
    "stopped_why": False,
    "delivered": True,
    "delivered_at": False,
    "failed_at": False,
    "failure": False,
}
_DELIVERY = {
    "subscription_id": False,
    "log_id": True,
    "n": True,
    "account": False,
    "order_key": False,
    "body": False,
    "state": False,
    "put_at": False,
    "due_at": False,
    "attempts": True,
    "tried_at": False,
    "failure": False,
}
_decode_interest = msgspec.json.Decoder(Interest).decode


class SubscriptionTexts:
    """The statements for one database."""

    def __init__(self, own: OwnStatements) -> None:
        at = own.spelling.param
        subscriptions, deliveries = own.table("subscriptions"), own.table("deliveries")
        self.put = Upsert(table=subscriptions, columns=_SUBSCRIPTION, key=("subscription_id",))
        self.owe = Upsert(
            table=deliveries, columns=_DELIVERY, key=("subscription_id", "log_id", "n")
        )
        self.all = (
            f"SELECT {', '.join(_SUBSCRIPTION)} FROM {subscriptions}"
            " ORDER BY created_at, subscription_id"
        )
        this = f"subscription_id = {at('id')}"
        self.remove = f"DELETE FROM {subscriptions} WHERE {this}"
        self.remove_owed = f"DELETE FROM {deliveries} WHERE {this}"
        self.stop = (
            f"UPDATE {subscriptions} SET stopped_at = {at('at')}, stopped_why = {at('why')}"
            f" WHERE {this}"
        )
        # Of two who look at the same commits one wins: the marks it read are gone for the other.
        self.mark = (
            f"UPDATE {subscriptions} SET marks = {at('new')} WHERE {this} AND marks = {at('old')}"
        )
        self._spell_what_is_owed(own, this)

    def _spell_what_is_owed(self, own: OwnStatements, this: str) -> None:
        """The statements about deliveries; `this` is one subscription."""
        at = own.spelling.param
        subscriptions, deliveries = own.table("subscriptions"), own.table("deliveries")
        listed = ", ".join(f"d.{name}" for name in _DELIVERY)
        of_this = f"d.subscription_id = {at('id')} AND d.state = {at('state')}"
        self.due = (
            f"SELECT {listed} FROM {deliveries} AS d WHERE {of_this} AND d.due_at <= {at('now')}"
            f" AND NOT EXISTS (SELECT 1 FROM {deliveries} AS e"
            " WHERE e.subscription_id = d.subscription_id AND e.account = d.account"
            " AND e.order_key = d.order_key AND e.state = d.state"
            f" AND e.due_at > {at('now')}"
            " AND (e.log_id < d.log_id OR (e.log_id = d.log_id AND e.n < d.n)))"
            f" ORDER BY d.log_id, d.n LIMIT {at('limit')}"
        )
        self.list = (
            f"SELECT {listed} FROM {deliveries} AS d WHERE {of_this}"
            f" AND d.log_id >= {at('log_id')} AND (d.log_id > {at('log_id')} OR d.n > {at('n')})"
            f" ORDER BY d.log_id, d.n LIMIT {at('limit')}"
        )
        self.count = f"SELECT state, count(*) FROM {deliveries} WHERE {this} GROUP BY state"
        one = f"{this} AND log_id = {at('log_id')} AND n = {at('n')}"
        self.strike = f"DELETE FROM {deliveries} WHERE {one}"
        self.delivered = (
            f"UPDATE {subscriptions} SET delivered = delivered + {at('count')},"
            f" delivered_at = {at('at')} WHERE {this}"
        )
        self.failed = (
            f"UPDATE {deliveries} SET state = {at('state')}, due_at = {at('due_at')},"
            f" attempts = {at('attempts')}, tried_at = {at('at')}, failure = {at('why')}"
            f" WHERE {one}"
        )
        self.failure = (
            f"UPDATE {subscriptions} SET failed_at = {at('at')}, failure = {at('why')} WHERE {this}"
        )
        self.bury = (
            f"UPDATE {deliveries} SET state = 'dead'"
            f" WHERE {this} AND state = 'waiting' AND put_at < {at('before')}"
        )
        again = (
            f"UPDATE {deliveries} SET state = 'waiting', put_at = {at('now')},"
            f" due_at = {at('now')}, attempts = 0"
        )
        self.revive = f"{again} WHERE {this} AND state = 'dead'"
        self.revive_one = f"{again} WHERE {one} AND state = 'dead'"
        self.drop = f"DELETE FROM {deliveries} WHERE state = 'dead' AND put_at < {at('before')}"


class TableSubscriptions:
    """Implements `subscribed.SubscriptionStore`; connects when it is asked first."""

    def __init__(self, database: Database, orders: Orders, *, where: str) -> None:
        self._database = database
        self._orders = orders
        self._where = where
        self._line = Line(database, "ordersync-subscriptions", writes=True)
        self._found: SubscriptionTexts | None = None
        self._has_tables = False

    async def add(self, subscription: Subscription) -> None:
        """Keep it."""
        one = subscription
        row = (
            one.subscription_id,
            one.url,
            msgspec.json.encode(one.interest).decode(),
            spell(one.created_at),
            one.key_mark,
            one.marks,
            None,
            None,
            0,
            None,
            None,
            None,
        )
        await self._write(lambda session, texts: session.upsert(texts.put, [row]))

    async def list_all(self) -> list[Subscription]:
        """All, oldest first."""
        rows = await self._fetch(lambda texts: Ask(texts.all))
        return [_subscription(*row) for row in rows]

    async def remove(self, subscription_id: str) -> bool:
        """Forget it and all that is owed to it."""
        about = {"id": subscription_id}

        def remove(session: Session, texts: SubscriptionTexts) -> bool:
            session.run(Ask(texts.remove_owed, about))
            return session.run(Ask(texts.remove, about)) > 0

        return await self._write(remove)

    async def stop(self, subscription_id: str, at: datetime | None, why: str | None) -> None:
        """Send nothing more, or go on."""
        about = {"id": subscription_id, "at": spell(at) if at else None, "why": why}
        await self._write(lambda session, texts: session.run(Ask(texts.stop, about)))

    async def owe(
        self, subscription: Subscription, marks: str, deliveries: Sequence[Delivery]
    ) -> bool:
        """Write down what is owed, and the marks that were reached."""
        this = subscription.subscription_id
        rows = [
            (
                this,
                one.place.log_id,
                one.place.n,
                one.account,
                one.order_key,
                one.body,
                one.state.value,
                spell(one.put_at),
                spell(one.due_at),
                one.attempts,
                None,
                None,
            )
            for one in sorted(deliveries, key=lambda one: one.place)
        ]

        def write(session: Session, texts: SubscriptionTexts) -> bool:
            about = {"id": this, "old": subscription.marks, "new": marks}
            if marks != subscription.marks and not session.run(Ask(texts.mark, about)):
                return False
            if rows:
                session.upsert(texts.owe, rows)
            return True

        return await self._write(write)

    async def list_due(self, subscription_id: str, now: datetime, limit: int) -> list[Delivery]:
        """What is to be sent now, oldest first."""
        about = {"id": subscription_id, "state": "waiting", "now": spell(now), "limit": limit}
        rows = await self._fetch(lambda texts: Ask(texts.due, about))
        return [_delivery(*row) for row in rows]

    async def list_deliveries(
        self, subscription_id: str, state: DeliveryState, after: Place, limit: int
    ) -> list[Delivery]:
        """What waits or is dead, by its place."""
        place = {"log_id": after.log_id, "n": after.n}
        about = {"id": subscription_id, "state": state.value, "limit": limit, **place}
        rows = await self._fetch(lambda texts: Ask(texts.list, about))
        return [_delivery(*row) for row in rows]

    async def count(self, subscription_id: str) -> dict[DeliveryState, int]:
        """How much waits, and how much is dead."""
        rows = await self._fetch(lambda texts: Ask(texts.count, {"id": subscription_id}))
        return {**dict.fromkeys(DeliveryState, 0), **{DeliveryState(s): int(c) for s, c in rows}}

    async def strike_off(self, subscription_id: str, places: Sequence[Place], at: datetime) -> None:
        """These were taken."""

        def strike(session: Session, texts: SubscriptionTexts) -> None:
            gone = sum(
                session.run(
                    Ask(texts.strike, {"id": subscription_id, "log_id": p.log_id, "n": p.n})
                )
                for p in sorted(places)
            )
            about = {"id": subscription_id, "count": gone, "at": spell(at)}
            session.run(Ask(texts.delivered, about))

        await self._write(strike)

    async def keep_failure(self, subscription_id: str, failed: Delivery) -> None:
        """Keep how this delivery stands now."""
        at = spell(failed.tried_at) if failed.tried_at else None
        told = {"id": subscription_id, "at": at, "why": failed.failure}
        about = {
            **told,
            "log_id": failed.place.log_id,
            "n": failed.place.n,
            "state": failed.state.value,
            "due_at": spell(failed.due_at),
            "attempts": failed.attempts,
        }

        def keep(session: Session, texts: SubscriptionTexts) -> None:
            session.run(Ask(texts.failed, about))
            session.run(Ask(texts.failure, told))

        await self._write(keep)

    async def bury(self, subscription_id: str, put_before: datetime) -> int:
        """What has waited since before then is dead."""
        about = {"id": subscription_id, "before": spell(put_before)}
        return await self._write(lambda session, texts: session.run(Ask(texts.bury, about)))

    async def revive(self, subscription_id: str, places: Sequence[Place], now: datetime) -> int:
        """Let dead ones wait again."""
        about = {"id": subscription_id, "now": spell(now)}

        def again(session: Session, texts: SubscriptionTexts) -> int:
            if not places:
                return session.run(Ask(texts.revive, about))
            return sum(
                session.run(Ask(texts.revive_one, {**about, "log_id": p.log_id, "n": p.n}))
                for p in sorted(set(places))
            )

        return await self._write(again)

    async def drop_dead(self, put_before: datetime) -> int:
        """Forget what died long ago."""
        about = {"before": spell(put_before)}
        return await self._write(lambda session, texts: session.run(Ask(texts.drop, about)))

    async def close(self) -> None:
        """Give back the connection and its thread."""
        await self._line.close()

    async def _fetch(self, ask: Callable[[SubscriptionTexts], Ask]) -> list[tuple[Any, ...]]:
        def look(session: Session) -> list[tuple[Any, ...]]:
            texts = self._texts(session)
            return session.fetch(ask(texts)) if self._has_tables else []

        return await self._line.with_session(look)

    async def _write(self, write: Callable[[Session, SubscriptionTexts], _T]) -> _T:
        def attempt(session: Session) -> _T:
            texts = self._texts(session)
            with all_or_nothing(session):
                return write(session, texts)

        return await self._line.with_session(attempt)

    def _texts(self, session: Session) -> SubscriptionTexts:
        if self._found is None or not self._has_tables:
            # Our tables stand beside the user's, wherever that is.
            shape = bind(self._database, self._orders, where=self._where).shape
            own = OwnStatements(self._database.spelling, shape.schema)
            self._found = SubscriptionTexts(own)
            self._has_tables = version_of(session, own) >= WITH_SUBSCRIPTIONS
        return self._found


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _subscription(*row: Any) -> Subscription:  # noqa: ANN401 - cells
    named = dict(zip(_SUBSCRIPTION, row, strict=True))
    for name in ("created_at", "stopped_at", "delivered_at", "failed_at"):
        named[name] = _moment(named[name])
    return Subscription(**{**named, "interest": _decode_interest(named["interest"])})


def _delivery(*row: Any) -> Delivery:  # noqa: ANN401 - cells
    named = dict(zip(_DELIVERY, row, strict=True))
    for name in ("put_at", "due_at", "tried_at"):
        named[name] = _moment(named[name])
    place = Place(named.pop("log_id"), named.pop("n"))
    del named["subscription_id"]
    return Delivery(**{**named, "place": place, "state": DeliveryState(named["state"])})
