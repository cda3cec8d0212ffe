"""What `init` proposes: which table, which columns, which words, and why each. Pure.

The rules are fixed and documented in docs/reference/init.md. What is the bot's own wish
(`price`, `size`, `quantity`) is never taken for what the venue did, and a column that may hold
the bot's own text (`reason`, `message`) is not taken for the venue's reason.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from ordersync.store.columns import can_hold_times, number_form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordersync.store.shape import TableShape

# The names of a field's column, the surest first; compared without case and underscores.
NAMES: dict[str, tuple[str, ...]] = {
    "venue_order_id": (
        "venue_order_id",
        "exchange_order_id",
        "broker_order_id",
        "coinbase_order_id",
        "external_order_id",
        "remote_order_id",
        "order_id",
        "external_id",
        "exchange_id",
        "order_uuid",
    ),
    "client_order_id": ("client_order_id", "client_oid", "cl_ord_id", "client_id"),
    "status": ("status", "order_status", "state", "order_state"),
    "symbol": ("product_id", "symbol", "ticker", "pair", "market", "instrument"),
    "side": ("side", "direction"),
    "created_at": (
        "created_at",
        "created",
        "created_time",
        "creation_time",
        "submitted_at",
        "placed_at",
        "inserted_at",
        "opened_at",
        "order_time",
        "timestamp",
    ),
    "filled_at": ("filled_at", "fill_time", "filled_time", "executed_at", "execution_time"),
    "updated_at": ("updated_at", "modified_at", "last_updated", "last_update"),
    "filled_qty": (
        "filled_qty",
        "filled_size",
        "filled_quantity",
        "filled_amount",
        "executed_qty",
        "executed_quantity",
        "executed_size",
        "cum_qty",
    ),
    "avg_price": (
        "avg_price",
        "average_price",
        "filled_avg_price",
        "average_filled_price",
        "avg_fill_price",
        "fill_price",
        "filled_price",
        "executed_price",
    ),
    "fee": ("fee", "fees", "total_fees", "commission", "fee_amount"),
    "reason": ("reject_reason", "failure_reason", "cancel_reason", "status_reason"),
    "owner": ("bot_id", "bot", "bot_name", "strategy_id", "strategy"),
}
NEEDED = ("venue_order_id", "status")

OPEN_WORDS = frozenset(
    {
        *("pending", "open", "new", "pending_new", "accepted", "submitted", "active", "working"),
        *("live", "placed", "created", "queued", "partially_filled", "partial", "partial_fill"),
        *("partial_filled", "processing", "in_progress", "unfilled", "resting", "waiting", "sent"),
        *("held", "pending_cancel", "pending_replace", "canceling", "cancelling", "suspended"),
        *("accepted_for_bidding", "done_for_day", "stopped", "calculated", "pending_review"),
    }
)
FILLED_WORDS = frozenset({"filled", "completed", "complete", "done", "closed", "executed"})
CANCELED_WORDS = frozenset({"cancelled", "canceled"})
REJECTED_WORDS = frozenset({"failed", "rejected", "error"})


_SOUNDS = (
    ("open", OPEN_WORDS),
    ("filled", FILLED_WORDS),
    ("canceled", CANCELED_WORDS),
    ("rejected", REJECTED_WORDS),
)


class Guess(msgspec.Struct, frozen=True):
    """One line of the proposal: a key, its value, and why."""

    key: str
    value: str
    why: str


class Unsure(msgspec.Struct, frozen=True):
    """What could not be guessed: the question, and what could be the answer.

    Without any choice no answer helps: `lack` says what is missing, and `mend` what to do.
    """

    key: str
    question: str
    choices: tuple[str, ...]
    lack: str = ""
    mend: str = ""


def guess_table(tables: Mapping[str, TableShape]) -> str | Unsure:
    """The table of orders: the one with a status and an order's id, by its name among several."""
    fit = [
        name
        for name, shape in tables.items()
        if not shape.is_view and all(_column_for(field, shape) for field in NEEDED)
    ]
    named = [name for name in fit if re.search(r"orders?|trades?", name, re.IGNORECASE)]
    for group in (named, fit):
        if len(group) == 1:
            return group[0]
    if named:
        exact = [name for name in named if name.lower() in {"orders", "trades"}]
        if len(exact) == 1:
            return exact[0]
    question = "Which table holds the orders?"
    if not fit:
        question += " None has a column named like a status and one like the exchange's order id."
    return Unsure(
        "orders.table",
        question,
        tuple(named or fit or tables),
        lack="the database has no table.",
        mend="Check that the address leads to your bot's database, and that the bot has made its "
        "table.",
    )


def guess_columns(shape: TableShape) -> list[Guess | Unsure]:
    """A proposal for each field that the table seems to have."""
    found: list[Guess | Unsure] = []
    keys = shape.primary_key
    if len(keys) == 1:
        found.append(Guess("id", keys[0], "the primary key"))
    else:
        unique = [name for name in shape.columns if shape.is_unique(name)]
        if len(unique) == 1:
            found.append(Guess("id", unique[0], "the one column that is unique"))
        else:
            found.append(
                Unsure(
                    "orders.id",
                    "Which column names one row and no other?",
                    tuple(unique),
                    lack=f"no column of {shape.name!r} names one row and no other.",
                    mend="Give it a primary key of one column, or a column a UNIQUE index.",
                )
            )
    taken: set[str] = set()
    for field in NAMES:
        column = _column_for(field, shape)
        if column is not None and column not in taken:
            taken.add(column)
            found.append(Guess(field, column, _WHY[field]))
        elif field in NEEDED:
            question = f"Which column holds {_WHY[field]}?"
            found.append(Unsure(f"orders.{field}", question, tuple(shape.columns)))
    return found


def guess_words(
    counts: Mapping[str, int],
    allowed: Sequence[str],
    unknown_word: str | None,
    spoken: Mapping[str, str],
) -> tuple[dict[str, list[str]], list[Guess], Unsure | None]:
    """The status words: the mapping, why, and what is open. `counts` are the words in use.

    Words that an enum or a CHECK allows count as used, and no other is proposed where there is
    one. A word that is not understood stays outside the mapping, where it is reported and never
    overwritten. `spoken` are a person's answers: a word by what it stands for.
    """
    by_sound: dict[str, list[str]] = {sound: [] for sound, _ in _SOUNDS}
    alone: dict[str, str] = {}
    whys: list[Guess] = []
    told = {word: sound for sound, word in spoken.items()}
    for word in sorted({*counts, *allowed, *told}, key=lambda word: (-counts.get(word, 0), word)):
        sound = told.get(word) or _sound_of(word)
        count = counts.get(word, 0)
        seen = (
            f"{count} row{' says' if count == 1 else 's say'} so"
            if count
            else "the schema allows it"
        )
        if sound in by_sound:
            by_sound[sound].append(word)
            whys.append(Guess(word, sound, f"it sounds {sound}; {seen}"))
        elif sound is not None:
            alone[sound] = word
            whys.append(Guess(word, sound, f"it is the word itself; {seen}"))
        else:
            whys.append(Guess(word, "-", f"not understood, so left alone; {seen}"))
    rejected = by_sound["rejected"] or by_sound["canceled"]
    for sound, default in (("open", "pending"), ("filled", ""), ("rejected", "failed")):
        found = rejected if sound == "rejected" else by_sound[sound]
        if not found and default and (not allowed or default in allowed):
            found.append(default)
        if not found:
            question = f"Which word does your bot use for an order that is {sound}?"
            choices = tuple(allowed) or tuple(sorted(dict(_SOUNDS)[sound]))
            return {}, whys, Unsure(f"orders.status_words.{sound}", question, choices)
    canceled = by_sound["canceled"] or rejected[:1]
    words = {word: ["open"] for word in by_sound["open"]}
    words |= {word: ["filled", "canceled+fills", "expired+fills"] for word in by_sound["filled"]}
    for word in rejected:
        words.setdefault(word, []).append("rejected")
    for word in canceled:
        words.setdefault(word, []).append("canceled")
    words.setdefault(alone.get("expired", canceled[0]), []).append("expired")
    words.setdefault(alone.get("replaced", canceled[0]), []).append("replaced")
    in_use = alone.get("unknown") if counts.get(alone.get("unknown", "")) else None
    if unknown := unknown_word or in_use:
        words[unknown] = ["unknown"]
    return words, whys, None


def _sound_of(word: str) -> str | None:
    plain = word.strip().lower().replace("-", "_").replace(" ", "_")
    for sound, words in _SOUNDS:
        if plain in words:
            return sound
    return plain if plain in {"expired", "replaced", "unknown"} else None


def _column_for(field: str, shape: TableShape) -> str | None:
    by_name = {_plain(name): name for name in shape.columns}
    for name in NAMES[field]:
        column = by_name.get(_plain(name))
        if column is not None and _can_be(field, shape, column):
            return column
    return None


def _can_be(field: str, shape: TableShape, column: str) -> bool:
    """Whether the declared type and the key allow it."""
    declared = shape.columns[column].declared.upper()
    if field in {"filled_qty", "avg_price", "fee"} and (
        "BOOL" in declared or number_form(shape.columns[column]) is None
    ):
        return False
    if field in {"filled_at", "updated_at"} and not can_hold_times(shape.columns[column]):
        return False
    if shape.columns[column].generated and field not in {"symbol", "owner"}:
        return False
    # A counter is a row's own number, never the venue's id.
    is_counter = shape.primary_key == (column,) and "INT" in declared
    return not (field in {"venue_order_id", "client_order_id"} and is_counter)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_WHY: dict[str, str] = {
    "venue_order_id": "the exchange's id of the order",
    "client_order_id": "the id that the bot gave the order",
    "status": "the status",
    "symbol": "the market",
    "side": "buy or sell",
    "created_at": "when the row was made",
    "filled_at": "when the order was filled; ordersync writes it",
    "updated_at": "when the row was last written; ordersync writes it",
    "filled_qty": "how much was filled; ordersync writes it",
    "avg_price": "at which average price; ordersync writes it",
    "fee": "the fees; ordersync writes it",
    "reason": "why the order ended; ordersync writes it",
    "owner": "whose order it is",
}
