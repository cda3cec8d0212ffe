"""Receipts of webhooks: put beside their effect, and forgotten after some days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.ports import Result
from ordersync.store.database import all_or_nothing
from ordersync.store.statement import Ask, keys_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordersync.hinted import Receipt
    from ordersync.ports import Outcome
    from ordersync.store.database import Session
    from ordersync.store.own import OwnStatements


def put_receipts(
    session: Session,
    own: OwnStatements,
    account: str,
    outcomes: Sequence[Outcome],
    receipts: Sequence[Receipt],
    *,
    at: str,
) -> None:
    """In the transaction that is open. Not that of a webhook whose effect was lost to another."""
    lost = {outcome.key for outcome in outcomes if outcome.result is Result.LOST}
    # In the order of their keys, as everything of ours: two writers never wait for each other.
    ids = sorted({one.webhook_id for one in receipts if lost.isdisjoint(one.orders)})
    if ids:
        session.upsert(own.receipt, [(account, webhook_id, at) for webhook_id in ids])


def drop_receipts(
    session: Session, own: OwnStatements, about: Mapping[str, object], limit: int
) -> int:
    """Forget the oldest in one short transaction; how many there were."""
    old = [row[0] for row in session.fetch(Ask(own.old_receipts, {**about, "limit": limit}))]
    if old:
        keys = keys_of(sorted(old))
        with all_or_nothing(session):
            session.run(Ask(own.drop_receipts, {**about, "keys": keys}))
    return len(old)
