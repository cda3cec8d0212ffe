"""What a true row looks like, and what in a row differs from it. Pure.

The row is a projection of the truth through the mapping. Only what differs is written, an
absent value never replaces what is there, and a word that is true is left as the bot spelled
it. The rules of the never-fought-over row are here: see `patch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import Change, Claim, Meaning
from ordersync.store import columns
from ordersync.store.words import label_of
from ordersync.truth.model import Status

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from ordersync.ports import Overlay
    from ordersync.store.mapping import Mapping
    from ordersync.truth.model import Order


class Patch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What to write into one row: `cells`, by field."""

    claim: Claim
    cells: dict[str, str | int | float]
    word: str | None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields written, in a fixed order, so that like patches share a statement."""
        return tuple(sorted(self.cells))


def patch(
    mapping: Mapping,
    claim: Claim,
    truth: Order | None,
    overlay: Overlay | None,
    *,
    alone: bool,
    asked_at: datetime,
    now: datetime,
) -> Patch | None:
    """What of this row is untrue; None where nothing may or need be written.

    `alone` False: another row carries the same venue id, so this one gets the status and no
    quantities. `asked_at` is when the question was asked: an open truth overwrites a final
    word only where that was after the row was read, because the bot may know of an end that
    the answer was too early for.
    """
    label = label_of(truth, overlay)
    if label is None or claim.meaning is Meaning.UNMAPPED:
        return None
    cells: dict[str, str | int | float] = {}
    status_is_true = mapping.words.is_true(claim.word, label)
    if not status_is_true:
        word = _word_to_write(mapping, claim, truth, label, asked_at)
        if word is None:
            return None
        if word != claim.word:
            cells["status"] = word
    if truth is not None and alone:
        cells.update(_facts(mapping, claim, truth, status_is_true=status_is_true))
    if truth is not None and truth.venue_order_id and mapping.wants_venue_id(claim, truth):
        cells["venue_order_id"] = truth.venue_order_id
    if not cells:
        return None
    if "updated_at" in mapping.at:
        form = mapping.time_forms["updated_at"]
        cells["updated_at"] = columns.write_time(now, form, mapping.zone)
    return Patch(claim=claim, cells=cells, word=str(cells.get("status", claim.word)))


def changes(mapping: Mapping, found: Patch) -> list[Change]:
    """A patch as a person reads it: column, what it holds, what is true."""
    return [
        Change(
            column=mapping.columns[field],
            field=field,
            stored=found.claim.cells[mapping.at[field]],
            true=cell,
        )
        for field, cell in found.cells.items()
        if field != "updated_at"
    ]


def _word_to_write(
    mapping: Mapping, claim: Claim, truth: Order | None, label: str, asked_at: datetime
) -> str | None:
    """The word for an untrue row; its own where that is to be left, None to leave all of it."""
    if label == Status.UNKNOWN:
        # Absence never changes a row whose word is final; that is a `missing order`.
        may_write = claim.meaning is not Meaning.FINAL and mapping.writes_unknown
        return mapping.words.word_for(label) if may_write else None
    if truth is None or not truth.is_final:
        if claim.meaning is Meaning.FINAL and asked_at < claim.read_at:
            return None
        if mapping.words.is_intention(claim.word):
            return claim.word
    return mapping.words.word_for(label)


def _facts(
    mapping: Mapping, claim: Claim, truth: Order, *, status_is_true: bool
) -> dict[str, str | int | float]:
    """The cells beside the status that differ: fills, price, fee, time of the last fill, reason."""
    cells: dict[str, str | int | float] = {}
    filled_qty = truth.filled_qty
    has_fills = filled_qty is not None and filled_qty > 0
    _number(mapping, claim, cells, "filled_qty", filled_qty)
    if has_fills and truth.priced and truth.priced.filled_qty == filled_qty:
        # A price said of fewer fills than are known would be a wrong one.
        _number(mapping, claim, cells, "avg_price", truth.priced.value)
    if truth.charged and truth.charged.filled_qty == (filled_qty or 0):
        _number(mapping, claim, cells, "fee", truth.charged.value)
    last = truth.filled
    if last is None or last.filled_qty != filled_qty:
        last = None  # the time of an earlier fill is not that of the last one
    if has_fills and last is not None and "filled_at" in mapping.at and truth.is_final:
        _time(mapping, claim, cells, last.value, status_is_true=status_is_true)
    if "reason" in mapping.at and truth.reason and truth.is_final:
        length = mapping.shape.columns[mapping.columns["reason"]].length
        text = truth.reason.replace("\0", "")  # where some databases end a text
        text = text[:length] if length else text
        if claim.cells[mapping.at["reason"]] != text:
            cells["reason"] = text
    return cells


def _number(
    mapping: Mapping,
    claim: Claim,
    cells: dict[str, str | int | float],
    field: str,
    number: Decimal | None,
) -> None:
    place = mapping.at.get(field)
    if place is None or number is None:
        return
    stored = claim.cells[place]
    if stored is None and number == 0:
        # Nothing filled, nothing charged: an empty cell says so already.
        return
    form, scale = mapping.number_forms[field]
    if not columns.same_number(stored, number, form, scale):
        cells[field] = columns.write_number(number, form, scale)


def _time(
    mapping: Mapping,
    claim: Claim,
    cells: dict[str, str | int | float],
    filled_at: datetime,
    *,
    status_is_true: bool,
) -> None:
    stored = claim.cells[mapping.at["filled_at"]]
    held = columns.read_time(stored, mapping.zone)
    if held is not None and status_is_true:
        # Set by the bot on a row whose status was true: its own record of the fill.
        return
    form = mapping.time_forms["filled_at"]
    written = columns.write_time(filled_at, form, mapping.zone)
    if held is None or columns.read_time(written, mapping.zone) != held:
        cells["filled_at"] = written
