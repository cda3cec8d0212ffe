"""The operator's acts: what only a person knows of an order, written down with name and reason.

They go the way of everything else: through ingest, by compare-and-set, with an event. A
resolution yields to any sighting; a correction opens a new epoch (`truth.operator` says how).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from ordersync.errors import ActRefused, StoreBusy
from ordersync.ports import Advance, Change, Known, OrderName, Result
from ordersync.sync.acts import Act, act_on, why_not
from ordersync.sync.chains import Chains
from ordersync.sync.parcels import Parcel
from ordersync.truth.model import EventKind, Facts, Side, Source, Statement, digits
from ordersync.truth.operator import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ordersync.ports import Absent, Clock, OrderStore
    from ordersync.sync.ingest import Ingest
    from ordersync.truth.model import Order

TEXT_LIMIT = 500
"""How long a reason or a name may be."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word about an order: who says it, why, and what."""

    by: str
    reason: str
    facts: Facts


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    """What an act did, or would do.

    `before` and `after` are the row's word and how the order stands; `changes` the cells of the
    row that differ. `written` is False for a dry run; `why` says what could not be written.
    """

    account: str
    key: str
    row_id: str | None
    before: Side
    after: Side
    changes: tuple[Change, ...] = ()
    written: bool = False
    why: str = ""


class Operator:
    """Takes a person's word about the orders of all accounts.

    `venue_now` gives each account's clock; `stir` tells who remembers an account's orders that
    something of these (venue ids) was written; `follow_replace` is whether a row's venue id moves
    with its order.
    """

    def __init__(
        self,
        store: OrderStore,
        ingest: Ingest,
        clock: Clock,
        *,
        venue_now: Mapping[str, Callable[[], datetime]],
        stir: Callable[[str, list[str]], None],
        follow_replace: bool,
    ) -> None:
        self._store = store
        self._ingest = ingest
        self._clock = clock
        self._venue_now = venue_now
        self._stir = stir
        self._chains = Chains(store, moves_ids=follow_replace)

    async def resolve(
        self, account: str, name: OrderName, word: Word, *, dry_run: bool = False
    ) -> Acted:
        """Say what became of an order that is suspect or unknown.

        Raises ActRefused, KeyError for an account that is not served, and what the store raises.
        """
        return await self._act(account, name, EventKind.RESOLVED, word, dry_run=dry_run)

    async def correct(
        self, account: str, name: OrderName, word: Word, *, dry_run: bool = False
    ) -> Acted:
        """Overrule what the exchange said of an order. Raises as `resolve` does."""
        return await self._act(account, name, EventKind.CORRECTED, word, dry_run=dry_run)

    async def _act(
        self, account: str, name: OrderName, kind: EventKind, word: Word, *, dry_run: bool
    ) -> Acted:
        venue_now = self._venue_now[account]()
        by, reason = _text(word.by, "by"), _text(word.reason, "reason")
        (known,) = await self._store.read(account, [name]) or (None,)
        if known is None or not (known.claims or known.truth or known.absent):
            raise ActRefused("nothing is known of this order.", where=_named(name))
        at = venue_now
        if known.truth is not None and known.truth.as_of >= at:
            # Our clock may be behind: whatever was said before stays before.
            at = known.truth.as_of + timedelta.resolution
        act = Act(kind=kind, said=Statement(at=at, by=by, reason=reason, facts=word.facts))
        if why := why_not(act, known, venue_now):
            raise ActRefused(f"{why}.", where=_named(name))
        step = await self._step(account, known, act)
        (changes,) = await self._store.preview(account, [step])
        acted = Acted(
            account=account,
            key=known.key,
            row_id=str(known.claims[0].row_id) if known.claims else known.row_id,
            before=_side(known.truth, known.absent, _word(known)),
            after=_side(step.truth, step.absent, _word_after(known, changes)),
            changes=tuple(changes),
        )
        if dry_run:
            return acted
        return msgspec.structs.replace(
            acted, written=True, why=await self._write(account, step, act)
        )

    async def _step(self, account: str, known: Known, act: Act) -> Advance:
        """What will be written, for a person to see first."""
        truth, absent = act_on(act, known, known.truth, known.absent)
        step = Advance(
            known=known,
            truth=truth,
            source=Source.OPERATOR,
            evidence=act.evidence,
            asked_at=self._clock.now(),
            absent=absent,
        )
        (followed,) = await self._chains.follow(account, [step])
        return followed

    async def _write(self, account: str, step: Advance, act: Act) -> str:
        """Write it; what could not be, "" where all was."""
        key = step.known.key
        taken = await self._ingest.take(
            Parcel(
                account=account,
                source=Source.OPERATOR,
                asked_at=step.asked_at,
                venue_now=act.said.at,
                restate=[step.known],
                acts={key: act},
            )
        )
        self._stir(account, [key[2:]] if key[0] == "v" else [])
        (outcome,) = (one for one in taken.outcomes if one.key == key)
        if any(event.kind is act.kind for event in outcome.events):
            return outcome.why
        if outcome.result is Result.LOST:
            raise StoreBusy("another writes this order again and again.", mend="Try again.")
        raise ActRefused("the order has changed meanwhile.", mend="Look at it again.")


def _text(text: str, what: str) -> str:
    """A name or a reason that can be kept. Raises ActRefused."""
    text = text.strip()
    if not text:
        raise ActRefused("it is empty: who says it, and why, is kept with it.", where=what)
    if len(text) > TEXT_LIMIT or not text.replace("\n", " ").isprintable():
        raise ActRefused(f"write at most {TEXT_LIMIT} printable characters.", where=what)
    return text


def _named(name: OrderName) -> str:
    return f"order {name.venue_order_id or name.client_order_id}"


def _word(known: Known) -> str | None:
    return known.claims[0].word if known.claims else None


def _word_after(known: Known, changes: list[Change]) -> str | None:
    written = (str(one.true) for one in changes if one.field == "status")
    return next(written, _word(known))


def _side(truth: Order | None, absent: Absent | None, word: str | None) -> Side:
    """How an order stands, as a person is shown it before and after."""
    if absent is not None and absent.resolved is not None:
        truth = resolve(truth, absent.resolved)
    elif absent is not None and absent.overlay is not None:
        return msgspec.structs.replace(_side(truth, None, word), status=absent.overlay.value)
    if truth is None:
        return Side(word=word)
    return Side(
        word=word,
        status=truth.status and truth.status.value,
        filled_qty=digits(truth.filled_qty),
        avg_price=digits(truth.avg_price),
        fee=digits(truth.fee),
    )
