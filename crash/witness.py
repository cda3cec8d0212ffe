"""The judge: looks at rows, truths and events in one snapshot, and says what cannot be.

Every look is one statement. What it sees is committed, so nothing of it may ever be lost again.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from crash.child import OPEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import psycopg

    from crash.bot import Bot
    from crash.child import Told
    from ordersync.simulator import Truth

_LOOK = """
SELECT t.id::text, t.order_id, t.status, t.filled_qty, t.avg_price, t.fee, t.filled_at, t.note,
  t.xmin::text, o.version, o.final, o.status, o.state::jsonb->>'filled_qty', o.xmin::text,
  coalesce((SELECT json_agg(json_build_array(e.log_id, e.n, e.kind,
      e.body::jsonb->'before'->>'word', e.body::jsonb->'after'->>'word',
      e.body::jsonb->'after'->>'status', e.body::jsonb->'after'->>'filled_qty',
      e.body::jsonb->'after'->>'fee')
    ORDER BY e.log_id, e.n)
    FROM ordersync_events AS e WHERE e.account = 'main' AND e.order_key = 'v:' || t.order_id),
  '[]'::json)
FROM trades AS t LEFT JOIN ordersync_orders AS o
  ON o.account = 'main' AND o.order_key = 'v:' || t.order_id"""
_TOLD = "SELECT log_id || '-' || n, body, at >= %s FROM ordersync_events"
_WORDS = {
    "open": OPEN,
    "filled": {"completed"},
    "canceled": {"cancelled"},
    "expired": {"cancelled"},
    "rejected": {"failed"},
}
CANCELED = "cancelled"
_ADVANCES = {"changed", "confirmed"}
"""The kinds of events that tell of a new version of a truth, one each."""


class Said(msgspec.Struct, frozen=True, array_like=True):
    """One event, as far as it is judged."""

    log_id: int
    n: int
    kind: str
    before: str | None
    after: str | None
    status: str | None
    filled_qty: str | None
    fee: str | None


class Seen(msgspec.Struct, frozen=True):
    """One row, its truth and its events, at one moment."""

    row: str
    order: str
    word: str
    filled_qty: Decimal | None
    avg_price: Decimal | None
    fee: Decimal | None
    filled_at: datetime | None
    note: str | None
    row_mark: str
    version: int | None
    final: int | None
    status: str | None
    true_qty: str | None
    truth_mark: str | None
    said: tuple[Said, ...]

    @property
    def is_at_rest(self) -> bool:
        """Whether the row says what the venue said of its end."""
        return bool(self.final) and self.word in words_for(self.status or "", self.true_qty)

    @property
    def marks(self) -> tuple[object, ...]:
        """What moves when somebody writes."""
        return self.row_mark, self.truth_mark, len(self.said)


def look(connection: psycopg.Connection[Any], rows: Collection[str] | None = None) -> list[Seen]:
    """These rows (all, where none are named), in one snapshot."""
    text = _LOOK if rows is None else f"{_LOOK} WHERE t.id = ANY(%s::uuid[])"
    cursor = connection.execute(text.encode(), None if rows is None else (list(rows),))
    return [_seen(cells) for cells in cursor.fetchall()]


def _seen(cells: tuple[Any, ...]) -> Seen:
    said = tuple(Said(*each) for each in cells[-1])
    return Seen(**dict(zip(Seen.__struct_fields__, (*cells[:-1], said), strict=True)))


def contradictions(seen: Seen, *, canceled: bool) -> list[str]:
    """Row, truth and event at one moment: what cannot be, if one transaction wrote them."""
    found = []
    advances = [said for said in seen.said if said.kind in _ADVANCES]
    if (seen.version or 0) != len(advances):
        found.append(f"truth has version {seen.version}, and {len(advances)} events changed it")
    if advances:
        last = advances[-1]
        if (last.status or "").partition("+")[0] != seen.status or last.filled_qty != seen.true_qty:
            found.append(f"truth is {seen.status} {seen.true_qty}, its last event says {last}")
    moves = [s for s in seen.said if s.before != s.after and s.kind in {"changed", "repaired"}]
    word = moves[-1].after if moves else "pending"
    if seen.word != word and not (canceled and seen.word == CANCELED):
        found.append(f"the row says {seen.word}, its last event {word}")
    quantities = {Decimal(said.filled_qty or 0) for said in seen.said} | {Decimal(0)}
    if (seen.filled_qty or Decimal(0)) not in quantities:
        found.append(f"no event wrote the row's filled_qty {seen.filled_qty}")
    return [f"half-written: order {seen.order}: {what}" for what in found]


def regressions(before: Seen, after: Seen) -> list[str]:
    """What may never go back."""
    found = []
    if before.is_at_rest and after.word != before.word:
        found.append(f"the row was {before.word} for good and is {after.word}")
    if before.final and not after.final:
        found.append(f"truth was {before.status} for good and is {after.status}")
    if (after.version or 0) < (before.version or 0):
        found.append(f"truth went from version {before.version} to {after.version}")
    if (after.filled_qty or 0) < (before.filled_qty or 0):
        found.append(f"the row's filled_qty went from {before.filled_qty} to {after.filled_qty}")
    if Decimal(after.true_qty or 0) < Decimal(before.true_qty or 0):
        found.append(f"the truth's filled_qty went from {before.true_qty} to {after.true_qty}")
    if after.said[: len(before.said)] != before.said:
        found.append("events are gone")
    return [f"regressed: order {after.order}: {what}" for what in found]


def restless(before: Seen, after: Seen | None) -> list[str]:
    """What was written although nothing was new."""
    if after is not None and after.marks == before.marks:
        return []
    what = f"restless: order {before.order} was written with nothing new:"
    if after is None:
        return [f"{what} its row is gone"]
    cells = {
        name: f"{getattr(before, name)} -> {getattr(after, name)}"
        for name in Seen.__struct_fields__
        if name != "said" and getattr(before, name) != getattr(after, name)
    }
    return [f"{what} {cells}, events {after.said[len(before.said) :]}"]


def is_news(before: Seen, after: Seen | None) -> bool:
    """Whether a truth learned what its row said already: it moved with its events, the row stayed.

    So it does where the bot wrote first that its order was canceled, or a pass brings of an end
    what the stream does not tell.
    """
    fresh = after.said[len(before.said) :] if after is not None else ()
    return (
        after is not None
        and after.row_mark == before.row_mark
        and bool(fresh)
        and (after.version or 0) == (before.version or 0) + len(fresh)
        and all(said.kind in _ADVANCES for said in fresh)
    )


def words_for(standing: str, filled_qty: Decimal | str | None) -> Collection[str]:
    """The words that a row may say of an order that stands so."""
    if standing in {"canceled", "expired"} and Decimal(filled_qty or 0):
        return {"completed"}  # the one word for an end with fills stands for all such ends
    return _WORDS[standing]


def untruths(seen: Seen, truth: Truth) -> list[str]:
    """In what a row differs from the exchange."""
    words = words_for(truth.standing, truth.filled_qty)
    pairs = {
        "status": (seen.word if seen.word not in words else words, words),
        "filled_qty": (seen.filled_qty or Decimal(0), truth.filled_qty),
        "fee": (seen.fee or Decimal(0), truth.fee),
        "avg_price": (seen.avg_price, truth.avg_price if truth.filled_qty else None),
        "filled_at": (
            seen.filled_at,
            truth.last_fill_at if truth.final and truth.filled_qty else None,
        ),
    }
    return [
        f"untrue: order {seen.order}: {name} is {ours}, at the exchange {theirs}"
        for name, (ours, theirs) in pairs.items()
        if not _same(ours, theirs)
    ]


def _same(ours: object, theirs: object) -> bool:
    if isinstance(ours, Decimal) and isinstance(theirs, Decimal):
        return abs(ours - theirs) < Decimal("1e-9")
    return ours == theirs


def forgotten(
    connection: psycopg.Connection[Any], told: Iterable[Told], since: str
) -> tuple[list[str], int]:
    """Events that were told and are not in the log; and how many are there and were not told."""
    # All of the log: what is told after a round began may have been committed just before.
    logged = connection.execute(_TOLD.encode(), (since,)).fetchall()
    there: Mapping[str, str] = {name: body for name, body, _ in logged}
    fresh = {name for name, _, is_fresh in logged if is_fresh}
    events = [each.event for each in told]
    found = [
        f"lost: {event['id']} was told and is not in the log"
        for event in events
        if event["id"] not in there
    ]
    found += [
        f"differs: {event['id']} in the log is not what was told"
        for event in events
        if event["id"] in there and msgspec.json.decode(there[event["id"]]) != event
    ]
    times = Counter(event["id"] for event in events)
    found += [
        f"repeated: {name} was told {count} times" for name, count in times.items() if count > 1
    ]
    return found, len(fresh - set(times))


def unkept(seen: Seen, bot: Bot) -> list[str]:
    """The bot's own columns: what it wrote last must be there."""
    notes = bot.notes.get(seen.row)
    if notes is None or seen.note in notes:
        return []
    return [f"the bot's write is gone: row {seen.row} has {seen.note}, it wrote {notes}"]
