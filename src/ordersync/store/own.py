"""The statements about our own tables, made once for a database. Text only; nothing is run here.

Many keys travel in one JSON parameter: no limit of parameters, no temporary table. Times are
text as `plan.spell` writes them, on every make of database: text order is time order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.store.statement import Upsert

if TYPE_CHECKING:
    from ordersync.store.spelling import Spelling

# The compare-and-set of the truth: version 1 must be new, any other must follow its own
# predecessor. Keys that do not come back were advanced by somebody else.
_TRUTH = Upsert(
    table="orders",
    columns={
        "account": False,
        "order_key": False,
        "venue_order_id": False,
        "client_order_id": False,
        "row_id": False,
        "version": True,
        "epoch": True,
        "status": False,
        "final": True,
        "first_seen_at": False,
        "final_since": False,
        "state": False,
    },
    key=("account", "order_key"),
    updates=(
        "venue_order_id",
        "client_order_id",
        "version",
        "epoch",
        "status",
        "final",
        "final_since",
        "state",
    ),
    kept=("row_id",),
    versioned=True,
)

_EVENT = Upsert(
    table="events",
    columns={
        "log_id": True,
        "n": True,
        "at": False,
        "account": False,
        "order_key": False,
        "kind": False,
        "body": False,
    },
    key=(),
)

_ABSENCE = Upsert(
    table="absences",
    columns={"account": False, "order_key": False, "overlay": False, "body": False},
    key=("account", "order_key"),
    updates=("overlay", "body"),
)

_DUE = Upsert(
    table="due",
    columns={
        "account": False,
        "order_key": False,
        "venue_order_id": False,
        "client_order_id": False,
        "due_at": False,
    },
    key=("account", "order_key"),
    updates=("due_at",),
)

# A note that is new is written; one that was told before stays.
_NOTE = Upsert(
    table="notes",
    columns={
        "account": False,
        "order_key": False,
        "kind": False,
        "digest": False,
        "times": True,
        "first_at": False,
        "last_at": False,
    },
    key=("account", "order_key", "kind", "digest"),
)

_ACCOUNT = Upsert(
    table="accounts",
    columns={"account": False, "body": False},
    key=("account",),
    updates=("body",),
)

# The first time that a webhook was taken counts.
_RECEIPT = Upsert(
    table="webhooks",
    columns={"account": False, "webhook_id": False, "at": False},
    key=("account", "webhook_id"),
)

CONTESTED_ROW = "contested row"
"""The kind of note that counts how often somebody undid a row; its digest is the row's key."""


class OwnStatements:
    """The texts for one database; `schema` is where our tables are, None its own place."""

    def __init__(self, spelling: Spelling, schema: str | None) -> None:
        self.spelling = spelling
        self.schema = schema
        self.log_ids = self.table("log_ids")
        self.truth, self.event, self.absence, self.due, self.note, self.account = (
            msgspec.structs.replace(upsert, table=self.table(upsert.table))
            for upsert in (_TRUTH, _EVENT, _ABSENCE, _DUE, _NOTE, _ACCOUNT)
        )
        orders, due, absences = self.table("orders"), self.table("due"), self.table("absences")
        at = spelling.param
        keys, joined = spelling.each_key("keys"), spelling.joined
        of_account = f"o.account = {at('account')}"
        # A row for each key, whatever is there of it. The due time by itself: joined, all of an
        # account's may be gone through for each key where nothing is known of the table.
        due_at = f"d.account = {at('account')} AND d.order_key = j.value"
        self.truths = (
            "SELECT j.value, o.version, o.state, o.final_since, o.row_id,"
            f" (SELECT d.due_at FROM {due} AS d WHERE {due_at})"
            f" FROM {keys} LEFT JOIN {orders} AS o ON {of_account} AND o.order_key = j.value"
        )
        self.versions = (
            f"SELECT o.order_key, o.version FROM {keys} {joined} {orders} AS o"
            f" ON {of_account} AND o.order_key = j.value ORDER BY o.order_key{spelling.lock('o')}"
        )
        self.absences = (
            f"SELECT o.order_key, o.body FROM {keys} {joined} {absences} AS o"
            f" ON {of_account} AND o.order_key = j.value"
        )
        self.due_times = (
            f"SELECT o.order_key, o.due_at FROM {keys} {joined} {due} AS o"
            f" ON {of_account} AND o.order_key = j.value"
        )
        self.due_by_time = (
            f"SELECT venue_order_id, client_order_id FROM {due} AS o"
            f" WHERE {of_account} AND due_at <= {at('now')}"
        )
        open_truths = (
            f"FROM {orders} AS o{spelling.by_index('ordersync_orders_open')}"
            f" WHERE {of_account} AND final = 0 AND row_id IS NOT NULL"
        )
        self.due_orders = (
            f"{self.due_by_time} UNION SELECT venue_order_id, client_order_id {open_truths}"
        )
        self.count_open_truths = f"SELECT count(*) {open_truths}"
        this = f"account = {at('account')} AND order_key = {at('order_key')}"
        self.link_row = f"UPDATE {orders} SET row_id = {at('row_id')} WHERE {this}"
        in_keys = f"order_key IN (SELECT j.value FROM {keys})"
        self.drop_absences = f"DELETE FROM {absences} WHERE account = {at('account')} AND {in_keys}"
        self.drop_due = f"DELETE FROM {due} WHERE account = {at('account')} AND {in_keys}"
        self.version = f"SELECT version FROM {self.table('schema')}"
        # The latest comes last, and so wins.
        self.archived_truths = (
            f"SELECT o.order_key, o.place, o.moved_at, o.side FROM {keys} {joined}"
            f" {self.table('archived')} AS o ON {of_account} AND o.order_key = j.value"
            " WHERE o.side IS NOT NULL ORDER BY o.moved_at"
        )
        self._spell_what_was_told(this)
        self._spell_receipts()

    def _spell_receipts(self) -> None:
        """The statements about webhooks that were taken."""
        at, keys = self.spelling.param, self.spelling.each_key("keys")
        webhooks = self.table("webhooks")
        self.receipt = msgspec.structs.replace(_RECEIPT, table=webhooks)
        ours = f"account = {at('account')}"
        self.receipts = (
            f"SELECT o.webhook_id FROM {keys} {self.spelling.joined} {webhooks} AS o"
            f" ON o.account = {at('account')} AND o.webhook_id = j.value"
        )
        self.old_receipts = (
            f"SELECT webhook_id FROM {webhooks} WHERE {ours} AND at < {at('before')}"
            f" ORDER BY at LIMIT {at('limit')}"
        )
        self.drop_receipts = (
            f"DELETE FROM {webhooks} WHERE {ours} AND at < {at('before')}"
            f" AND webhook_id IN (SELECT j.value FROM {keys})"
        )

    def _spell_what_was_told(self, this: str) -> None:
        """The statements about events, notes and accounts; `this` is one order."""
        at, orders, events = self.spelling.param, self.table("orders"), self.table("events")
        notes = self.table("notes")
        # By the index of the rows' keys: those without a row stand together in it.
        self.rowless_by_client_ids = (
            f"SELECT o.client_order_id, o.venue_order_id FROM {orders} AS o"
            f" WHERE o.row_id IS NULL AND o.account = {at('account')}"
            f" AND o.venue_order_id IS NOT NULL"
            f" AND o.client_order_id IN (SELECT j.value FROM {self.spelling.each_key('keys')})"
        )
        # The log knows how often a row was repaired of late: one refused or lost is none.
        self.repairs = (
            f"SELECT count(*) FROM {events} WHERE {this} AND kind = 'repaired'"
            f" AND at > {at('since')}"
            f" AND {self.spelling.json_text('body', 'order', 'row_id')} = {at('row_id')}"
        )
        self.noted_at = (
            f"SELECT last_at FROM {notes} WHERE {this} AND kind = {at('kind')}"
            f" AND digest = {at('digest')}"
        )
        self.note_again = (
            f"UPDATE {notes} SET times = times + 1, last_at = {at('now')}"
            f" WHERE {this} AND kind = {at('kind')} AND digest = {at('digest')}"
        )
        self.account_body = (
            f"SELECT body FROM {self.table('accounts')} WHERE account = {at('account')}"
        )
        self.history = f"SELECT body FROM {events} WHERE {this} ORDER BY log_id, n"
        last = (
            f"SELECT e.body FROM {events} AS e WHERE e.account = {at('account')}"
            " AND e.order_key = j.value ORDER BY e.log_id DESC, e.n DESC LIMIT 1"
        )
        # Which way the last change of each of these orders came.
        self.sources = (
            f"SELECT s.value, {self.spelling.json_text('s.body', 'source')} FROM"
            f" (SELECT j.value, ({last}) AS body FROM {self.spelling.each_key('keys')}) AS s"
            " WHERE s.body IS NOT NULL"
        )
        self.archived_places = (
            f"SELECT place, moved_at, side FROM {self.table('archived')} WHERE {this}"
            " ORDER BY moved_at, place"
        )
        self.status_of_key = f"SELECT order_key, status FROM {orders} WHERE {this}"
        self.status_of_row = (
            f"SELECT order_key, status FROM {orders}"
            f" WHERE account = {at('account')} AND row_id = {at('row_id')}"
        )

    def table(self, name: str) -> str:
        """One of our tables, as a statement names it."""
        return f"{self.prefix}ordersync_{name}"

    @property
    def prefix(self) -> str:
        """The schema with its dot, where our tables need one."""
        return f"{self.spelling.quote(self.schema)}." if self.schema else ""

    def named(self, field: str) -> str:
        """What is kept of orders of this name, whatever has become of their rows."""
        return (
            "SELECT account, order_key, row_id, venue_order_id, client_order_id, status"
            f" FROM {self.table('orders')} WHERE {field} = {self.spelling.param('text')}"
        )

    def named_archived(self, field: str) -> str:
        """What is noted of orders of this name that moved out; the latest comes first."""
        return (
            "SELECT account, order_key, NULL, venue_order_id, client_order_id, side"
            f" FROM {self.table('archived')} WHERE {field} = {self.spelling.param('text')}"
            " ORDER BY moved_at DESC, place DESC"
        )
